//go:build linux

package router

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"sync"
)

// maxConnections is how many TCP connections a sandbox may have: as many as its code may have files
// (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const maxConnections = 1024

// beginsPerSecond is how many connections and conversations a sandbox may begin, after as many at once as it may have
// connections. Each takes a socket, and the host's opinion of the address.
const beginsPerSecond = 1000

// link is one sandbox's connection to the router.
type link struct {
	router             *Router
	number, index      int
	address4, address6 netip.Addr
	// up is what the sandbox may send, down what it may receive.
	up, down *bucket
	begins   *bucket       // connections and conversations that it may begin
	slots    chan struct{} // a token for each TCP connection

	ctx      context.Context // ends with the link
	cancel   context.CancelFunc
	routines sync.WaitGroup

	mu        sync.Mutex // guards the rest
	closed    bool
	held      int64 // bytes of the router's room
	openings  map[flow]*opening
	datagrams map[flow]*conversation
}

// newLink takes addresses for a link and has its packets heard.
func (r *Router) newLink(bytesPerSecond int64) (*link, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errors.New("router: closed")
	}
	number, err := r.numbers.take()
	if err != nil {
		return nil, err
	}
	l := &link{
		router: r, number: number, index: r.nextIndex, address4: nth(sandboxes4, number), address6: nth(sandboxes6, number),
		up: newBucket(bytesPerSecond), down: newBucket(bytesPerSecond), begins: newPace(beginsPerSecond, maxConnections), slots: make(chan struct{}, maxConnections),
		openings: map[flow]*opening{}, datagrams: map[flow]*conversation{},
	}
	l.ctx, l.cancel = context.WithCancel(r.ctx)
	r.nextIndex++
	r.byAddress[l.address4], r.byAddress[l.address6] = l, l
	return l, nil
}

// name is that of the interface in the router.
func (l *link) name() string { return "sandbox" + strconv.Itoa(l.index) }

// addresses are those that the sandbox can have here.
func (l *link) addresses() []netip.Addr {
	if l.router.has6 {
		return []netip.Addr{l.address4, l.address6}
	}
	return []netip.Addr{l.address4}
}

// Close ends everything that the sandbox has under way and forgets it. Idempotent; it always answers nil.
func (l *link) Close() error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	l.mu.Unlock()
	if first {
		r := l.router
		r.mu.Lock()
		delete(r.byAddress, l.address4)
		delete(r.byAddress, l.address6)
		r.numbers.give(l.number)
		r.mu.Unlock()
		l.cancel()
	}
	l.routines.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for f, o := range l.openings { // what the sandbox has not completed
		o.limit.Stop()
		l.forgetLocked(f, o)
	}
	return nil
}

// goLocked starts a goroutine that Close waits for, unless the link is closed.
func (l *link) goLocked(f func()) bool {
	if l.closed {
		return false
	}
	l.routines.Go(f)
	return true
}

// nth is an address of a prefix, counted from its first.
func nth(prefix netip.Prefix, number int) netip.Addr {
	b := prefix.Addr().AsSlice()
	for i := len(b) - 1; number > 0; i-- {
		number += int(b[i])
		b[i] = byte(number)
		number >>= 8
	}
	address, _ := netip.AddrFromSlice(b)
	return address
}

// ownAddress is the router's own: the first, which is no sandbox's. Nobody is heard at it.
var ownAddress = sandboxes4.Addr()

// numbers hands out the numbers of addresses. The one that was given back longest ago is taken first: by then the
// kernel has removed what had it before.
type numbers struct {
	free []int
	next int
}

func newNumbers() numbers { return numbers{next: 1} }

func (n *numbers) take() (int, error) {
	if most := 1 << (32 - sandboxes4.Bits()); n.next < most {
		n.next++
		return n.next - 1, nil
	}
	if len(n.free) == 0 {
		return 0, errors.New("router: no address is free for another sandbox")
	}
	number := n.free[0]
	n.free = n.free[1:]
	return number, nil
}

func (n *numbers) give(number int) { n.free = append(n.free, number) }
