//go:build linux

package main

import (
	"syscall"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/namespace/wire"
)

// backlog is how many connections wait for the daemon to accept them.
const backlog = 128

// listenAll opens the sockets inside this network namespace. The caller closes them. No user code runs yet and no
// privilege has been given up, so that any port can be had.
func listenAll(addresses []wire.Address) ([]int, string, syscall.Errno) {
	var listeners []int
	for _, address := range addresses {
		fd, err := listen(address)
		if err != nil {
			closeAll(listeners)
			return nil, "listen", errnoOf(err)
		}
		listeners = append(listeners, fd)
	}
	return listeners, "", 0
}

func listen(address wire.Address) (int, error) {
	family := unix.AF_INET
	var to unix.Sockaddr
	if len(address.IP) == 4 {
		to = &unix.SockaddrInet4{Port: int(address.Port), Addr: [4]byte([]byte(address.IP))}
	} else {
		family = unix.AF_INET6
		to = &unix.SockaddrInet6{Port: int(address.Port), Addr: [16]byte([]byte(address.IP))}
	}
	kind := unix.SOCK_STREAM
	if address.Packet {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if err = unix.Bind(fd, to); err == nil && !address.Packet {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
