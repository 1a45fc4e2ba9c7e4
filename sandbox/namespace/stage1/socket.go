//go:build linux

package main

import (
	"golang.org/x/sys/unix"

	"hotaru/sandbox/namespace/wire"
)

// socket hands over a socket of this network namespace. The driver connects it: that may take as long as user code
// likes, and nobody waits for it here.
func (s *server) socket(id uint64, m *wire.Socket) {
	family := unix.AF_INET
	if m.V6 {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		s.reply(id, "socket", errnoOf(err), nil)
		return
	}
	s.reply(id, "", 0, []int{fd})
	_ = unix.Close(fd)
}
