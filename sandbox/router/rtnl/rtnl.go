//go:build linux

// Package rtnl configures the network of one network namespace: interfaces, addresses, routes (rtnetlink(7)). It must not
// know what they are for.
package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// order is how the kernel wants numbers.
var order = binary.NativeEndian

// Conn configures one namespace. It is safe for concurrent use: who waits for the kernel's lock of all networks waits here,
// and takes no thread for it.
type Conn struct {
	mu       sync.Mutex // guards the rest
	fd       int        // -1 is closed
	sequence uint32     // of the last message
	out, in  []byte
}

// maxAnswer is what is read of an answer, in bytes. The longest describes an interface.
const maxAnswer = 4 << 10

// Dial opens one for the network namespace of the calling thread, and stays in it whatever thread uses it later.
func Dial() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("rtnl: netlink: %w", err)
	}
	return &Conn{fd: fd}, nil
}

// Close closes it. Idempotent; nil is closed.
func (c *Conn) Close() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return nil
	}
	fd := c.fd
	c.fd = -1
	return unix.Close(fd)
}

// Do has the kernel do what is asked for, in this order and with one call. One that fails keeps it from none of the others;
// the error has them all.
func (c *Conn) Do(requests ...Request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exchangeLocked(requests, nil)
}

// exchangeLocked sends requests together and reads until the last of them is acknowledged, which is how the kernel ends. take
// is given what else it answers: the type of a message and its body, valid until it returns.
func (c *Conn) exchangeLocked(requests []Request, take func(kind uint16, body []byte)) error {
	first := c.sequence + 1
	c.out = c.out[:0]
	for i, r := range requests {
		flags := r.flags | unix.NLM_F_REQUEST
		if i == len(requests)-1 {
			flags |= unix.NLM_F_ACK
		}
		c.sequence++
		c.out = order.AppendUint32(c.out, uint32(unix.SizeofNlMsghdr+len(r.body)))
		c.out = order.AppendUint16(c.out, r.kind)
		c.out = order.AppendUint16(c.out, flags)
		c.out = order.AppendUint32(c.out, c.sequence)
		c.out = order.AppendUint32(c.out, 0)
		c.out = append(c.out, r.body...) // a multiple of what messages are aligned to
	}
	if err := unix.Sendto(c.fd, c.out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("rtnl: send: %w", err)
	}
	if c.in == nil {
		c.in = make([]byte, maxAnswer)
	}
	var failures []error
	for {
		// All has been done by now, and what there is to say about it is here.
		n, _, err := unix.Recvfrom(c.fd, c.in, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return errors.Join(append(failures, fmt.Errorf("rtnl: receive: %w", err))...)
		}
		if n < unix.SizeofNlMsghdr {
			return errors.Join(append(failures, errors.New("rtnl: the kernel answers less than a message"))...)
		}
		kind, asked, body := order.Uint16(c.in[4:]), order.Uint32(c.in[8:])-first, c.in[unix.SizeofNlMsghdr:n]
		if asked >= uint32(len(requests)) {
			continue // of an exchange that failed
		}
		if kind != unix.NLMSG_ERROR {
			if take != nil {
				take(kind, body)
			}
			continue
		}
		if len(body) < unix.SizeofNlMsgerr {
			return errors.Join(append(failures, errors.New("rtnl: the kernel answers less than an error"))...)
		}
		if errno := syscall.Errno(-int32(order.Uint32(body))); errno != 0 {
			failures = append(failures, fmt.Errorf("rtnl: %s: %w", requests[asked].what, errno))
		}
		if int(asked) == len(requests)-1 {
			return errors.Join(failures...)
		}
	}
}

// IsLocal asks where a packet to an address would go. It says whether that is the host itself or everybody on a link; an
// error says that it would go nowhere.
func (c *Conn) IsLocal(a netip.Addr) (local bool, err error) {
	b := make(attributes, unix.SizeofRtMsg, 64)
	b[0], b[1] = familyOf(a), byte(a.BitLen())
	question := []Request{{what: "where to", kind: unix.RTM_GETROUTE, body: b.add(unix.RTA_DST, a.AsSlice())}}
	named := false
	c.mu.Lock()
	defer c.mu.Unlock()
	err = c.exchangeLocked(question, func(kind uint16, body []byte) {
		if kind == unix.RTM_NEWROUTE && len(body) >= unix.SizeofRtMsg {
			named, local = true, body[7] != unix.RTN_UNICAST
		}
	})
	if err == nil && !named {
		err = errors.New("rtnl: the kernel names no route")
	}
	return local, err
}
