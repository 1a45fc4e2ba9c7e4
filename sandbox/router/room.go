//go:build linux

package router

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// What is on its way in a sandbox's connections lies in memory of this machine, which no control group of the sandbox's is
// charged for: in the sockets of this process, which are two for each connection, and in its buffers. So each connection has
// a share, a bound of all that, and the shares of a sandbox and of all sandboxes are bounded together. Beyond its share TCP
// does what it does: the sender waits.
const (
	// leastShare is what every connection has, however many there are.
	leastShare = 144 << 10
	// spareOfSandbox is what a sandbox's connections have beyond that at most, all together, and a part of what is left in the
	// room at most. Each takes a part of what is left of it: the first ones get enough for long ways, and hundreds are as
	// fast together with less.
	spareOfSandbox = 96 << 20
	parts          = 8
	// leastRoom is for machines with little memory: some hundred connections.
	leastRoom = 64 << 20
	// innerMost is what a socket on the sandbox's side has at most in a direction: both its ends are on this machine. It
	// receives with innerLeast and begins with that. To offer less than was offered would stall the sandbox, whose packets
	// are long: a sender waits for half of the longest window that it has seen (RFC 9293, 3.8.6.2.1).
	innerMost, innerLeast = 512 << 10, 64 << 10
)

// room is memory of this machine for what is on its way in the connections of all sandboxes.
type room struct {
	mu   sync.Mutex
	left int64 // bytes
}

// makeRoom makes one of so many bytes. 0 means a thirty-second of this machine's: at twice that Linux begins to economize with
// the memory of all its TCP sockets (tcp_mem).
func makeRoom(bytes int64) (*room, error) {
	if bytes <= 0 {
		var info unix.Sysinfo_t
		if err := unix.Sysinfo(&info); err != nil {
			return nil, fmt.Errorf("router: %w", err)
		}
		bytes = max(leastRoom, int64(info.Totalram*uint64(info.Unit)/32))
	}
	return &room{left: bytes}, nil
}

// take takes a share for a sandbox that holds so many bytes, spare of them beyond the least shares: leastShare, and more if
// there is. 0 means that there is no room. Nobody holds more than is left for the others, so there always is some for who
// comes next (Choudhury and Hahne, Dynamic Queue Length Thresholds for Shared-Memory Packet Switches, 1998).
func (r *room) take(held, spare int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	most := (r.left - held) / 2
	if most < leastShare {
		return 0
	}
	more := (min(spareOfSandbox, r.left/parts) - spare) / parts
	share := min(leastShare+max(0, more), most)
	r.left -= share
	return share
}

func (r *room) give(share int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left += share
}

// sizes are how a share is divided, in bytes: what each socket may hold in each direction, and each of the two buffers
// of this process.
type sizes struct {
	outerReceive, outerSend int
	innerReceive, innerSend int
	buffers                 *lender
}

func divide(share int64) sizes {
	s := sizes{innerSend: int(min(share/8, innerMost)), buffers: &wholeBuffers}
	s.innerReceive = max(s.innerSend, innerLeast)
	if share < 8*bufferBytes {
		s.buffers = &smallBuffers
	}
	rest := int(share) - s.innerReceive - s.innerSend - 2*s.buffers.size
	// The outside is far away, and functions hear more than they say.
	s.outerReceive = rest / 5 * 3
	s.outerSend = rest - s.outerReceive
	return s
}

// kernelMost is what the kernel lets a TCP socket of this host grow to: the last number of tcp_rmem and tcp_wmem.
type kernelMost struct{ receive, send int }

func readKernelMost() (kernelMost, error) {
	var m kernelMost
	for name, into := range map[string]*int{"tcp_rmem": &m.receive, "tcp_wmem": &m.send} {
		content, err := os.ReadFile("/proc/sys/net/ipv4/" + name)
		if err != nil {
			return m, fmt.Errorf("router: %w", err)
		}
		var least, usual int
		if _, err := fmt.Sscan(strings.TrimSpace(string(content)), &least, &usual, into); err != nil {
			return m, fmt.Errorf("router: %s: %w", name, err)
		}
	}
	return m, nil
}

// bound has a socket hold no more than that. Where the kernel stays below by itself it is left to it, because it finds the
// best size itself, up to its own bound.
func (m kernelMost) bound(conn syscall.RawConn, receive, send int) error {
	var failed error
	err := conn.Control(func(fd uintptr) {
		if receive < m.receive {
			failed = boundOne(int(fd), unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receive)
		}
		if send < m.send && failed == nil {
			failed = boundOne(int(fd), unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, send)
		}
	})
	return errors.Join(err, failed)
}

// boundOne sets a bound that the kernel doubles, for what it needs itself. Whoever may not force it gets at most what the host
// lets everybody have.
func boundOne(fd, force, ordinary, bytes int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, bytes/2)
	if errors.Is(err, unix.EPERM) {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, ordinary, bytes/2)
	}
	return err
}

// boundInner bounds a connection of a sandbox's, which has come already.
func boundInner(conn *net.TCPConn, receive, send int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return kernelMost{innerMost, innerMost}.bound(raw, receive, send)
}
