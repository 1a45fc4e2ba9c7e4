//go:build linux

package router

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// dialLimit is how long the outside may take to answer; the host's kernel gives up before that.
	dialLimit = 150 * time.Second
	// acceptLimit is how long a sandbox may take to complete what it has begun: it may have given up.
	acceptLimit = 10 * time.Second
)

// keepAlive finds out when the outside is gone without a word. What the sandbox itself asks for ends at the router.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 60 * time.Second, Interval: 30 * time.Second, Count: 4}

// opening is a connection that a sandbox has asked for.
//
//	asked for -> the outside has taken it -> the sandbox has it too
//
// It keeps its tokens until it is closed. A newer one from the same port takes its place, not its tokens.
type opening struct {
	sequence uint32
	share    int64        // of the memory for what is on its way
	outer    *net.TCPConn // nil before the outside has taken it
	limit    *time.Timer  // until the sandbox has it; nil before and after
}

// open opens a connection for a sandbox, as the packet asks.
func (l *link) open(p *packet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o, asked := l.openings[p.flow]; asked && o.sequence == p.sequence() { // it asks again
		if o.outer != nil {
			l.router.inject(p.whole) // the answer is the router's kernel's
		}
		return
	}
	if !l.begins.allow(1) {
		return // as if the packet were lost: it is sent again
	}
	share := l.takeShareLocked()
	if share == 0 {
		return // so here
	}
	asking := *p // what it points into is used again
	asking.whole = slices.Clone(p.whole)
	asking.transport = asking.whole[len(p.whole)-len(p.transport):]
	asking.payload = asking.whole[len(p.whole)-len(p.payload):]
	o := &opening{sequence: p.sequence(), share: share}
	if !l.goLocked(func() { l.dial(o, &asking) }) {
		l.giveShareLocked(share)
		return
	}
	if old := l.openings[p.flow]; old != nil && old.limit != nil {
		old.limit.Stop()
		l.forgetLocked(p.flow, old)
	}
	l.openings[p.flow] = o
}

// takeSlots takes a token of each number. As with the memory (room.go), nobody has more than are left for the others.
func (l *link) takeSlots() bool {
	if len(l.slots) >= cap(l.router.slots)-len(l.router.slots) {
		return false
	}
	select {
	case l.slots <- struct{}{}:
	default:
		return false
	}
	select {
	case l.router.slots <- struct{}{}:
		return true
	default:
		<-l.slots
		return false
	}
}

func (l *link) giveSlots() { <-l.slots; <-l.router.slots }

// takeShareLocked takes what another connection needs: a token of each number, and memory. 0 means that there is not enough.
func (l *link) takeShareLocked() int64 {
	if !l.takeSlots() {
		return 0
	}
	least := int64(len(l.slots)-1) * leastShare
	share := l.router.room.take(l.held, l.held-least)
	if share == 0 {
		l.giveSlots()
		return 0
	}
	l.held += share
	return share
}

func (l *link) giveShareLocked(share int64) {
	l.held -= share
	l.router.room.give(share)
	l.giveSlots()
}

// dial connects to the outside and tells the sandbox what came of it.
func (l *link) dial(o *opening, p *packet) {
	outer, err := l.router.dialTCP(l.ctx, p.to, o.share)
	l.mu.Lock()
	defer l.mu.Unlock()
	wanted := l.openings[p.flow] == o // and not given up for a newer one
	switch {
	case err == nil && wanted:
		o.outer = outer
		o.limit = time.AfterFunc(acceptLimit, func() { l.drop(p.flow, o) })
		l.router.inject(p.whole)
		return
	case err == nil:
		reset(outer)
	case wanted:
		if errors.Is(err, unix.ECONNREFUSED) {
			l.router.inject(p.refusal())
		} else if reason, ok := why(err); ok {
			l.router.inject(p.unreachable(reason))
		}
	}
	l.forgetLocked(p.flow, o)
}

// dialTCP connects if that is allowed.
func (r *Router) dialTCP(ctx context.Context, to netip.AddrPort, share int64) (*net.TCPConn, error) {
	if err := r.policy.check(to.Addr()); err != nil {
		return nil, err
	}
	sizes := divide(share)
	dialer := net.Dialer{Timeout: dialLimit, KeepAliveConfig: keepAlive, Control: func(_, _ string, c syscall.RawConn) error {
		return r.most.bound(c, sizes.outerReceive, sizes.outerSend) // before it says how much it takes
	}}
	conn, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	if toItself(conn) {
		conn.Close()
		return nil, errDenied
	}
	return conn.(*net.TCPConn), nil
}

// toItself says whether a connection has both its ends on this host: it may have got the address a moment ago.
func toItself(conn net.Conn) bool {
	local, err1 := netip.ParseAddrPort(conn.LocalAddr().String())
	remote, err2 := netip.ParseAddrPort(conn.RemoteAddr().String())
	return err1 != nil || err2 != nil || local.Addr() == remote.Addr()
}

// drop forgets a connection that the sandbox did not complete.
func (l *link) drop(f flow, o *opening) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.openings[f] == o && o.limit != nil {
		l.forgetLocked(f, o)
	}
}

// forgetLocked gives back what an opening has. It is called once for each.
func (l *link) forgetLocked(f flow, o *opening) {
	if l.openings[f] == o {
		delete(l.openings, f)
	}
	o.limit = nil
	reset(o.outer)
	l.giveShareLocked(o.share)
}

// accept takes the connections that sandboxes have completed.
func (r *Router) accept(proxy net.Listener) {
	for {
		conn, err := proxy.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			r.log.Warn("accepting a connection of a sandbox", "error", err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-r.ctx.Done():
			}
			continue
		}
		inner := conn.(*net.TCPConn)
		if l := r.find(addrPort(inner.RemoteAddr()).Addr()); l == nil || !l.accepted(inner) {
			reset(inner) // nobody asked for it, or not any more
		}
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// accepted joins what the sandbox has completed with what the outside has taken.
func (l *link) accepted(inner *net.TCPConn) bool {
	f := flow{from: addrPort(inner.RemoteAddr()), to: addrPort(inner.LocalAddr())}
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.openings[f]
	if o == nil || o.limit == nil || l.closed {
		return false
	}
	o.limit.Stop()
	o.limit = nil
	return l.goLocked(func() {
		sizes := divide(o.share)
		if err := boundInner(inner, sizes.innerReceive, sizes.innerSend); err != nil {
			l.router.log.Warn("bounding a connection of a sandbox", "error", err)
			reset(inner)
		} else {
			l.relay(inner, o.outer, sizes.buffers)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.forgetLocked(f, o)
	})
}
