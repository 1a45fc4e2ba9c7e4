//go:build linux && (amd64 || arm64)

package oci

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/furnish"
)

// network is a network namespace with a loopback device, and the daemon's sockets in it. The OCI runtime is given the
// namespace by its descriptor's path.
type network struct {
	namespace *os.File
	listeners map[string]net.Listener
	packets   map[string]net.PacketConn
}

func newNetwork(spec *sandbox.Spec) (*network, error) {
	n := &network{listeners: map[string]net.Listener{}, packets: map[string]net.PacketConn{}}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("sandbox: new network namespace: %w", err)
		}
		var err error
		if n.namespace, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return fmt.Errorf("sandbox: network namespace: %w", err)
		}
		if err := furnish.LoopbackUp(); err != nil {
			return fmt.Errorf("sandbox: loopback: %w", err)
		}
		return n.listen(spec)
	})
	if err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

// listen opens the sockets, on a thread inside.
func (n *network) listen(spec *sandbox.Spec) error {
	for _, address := range spec.Listen {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
		n.listeners[address] = listener
	}
	for _, address := range spec.ListenPacket {
		conn, err := net.ListenPacket("udp", address)
		if err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
		n.packets[address] = conn
	}
	return nil
}

// socket makes a stream socket inside.
func (n *network) socket(v6 bool) (*os.File, error) {
	family := unix.AF_INET
	if v6 {
		family = unix.AF_INET6
	}
	fd := -1
	err := onThread(func() error {
		err := unix.Setns(int(n.namespace.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sandbox: socket: %w", err)
	}
	return os.NewFile(uintptr(fd), "socket"), nil
}

// path is valid as long as this process has the namespace open.
func (n *network) path() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.namespace.Fd())
}

func (n *network) close() error {
	for _, listener := range n.listeners {
		_ = listener.Close() // its owner may have closed it
	}
	for _, conn := range n.packets {
		_ = conn.Close()
	}
	if n.namespace == nil {
		return nil
	}
	return n.namespace.Close()
}
