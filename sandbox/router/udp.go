//go:build linux

package router

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxConversations is how many pairs of ports a sandbox may have datagrams between; the one that has been silent the
	// longest makes room.
	maxConversations = 256
	// silence is how long the outside's answers are waited for after the last datagram.
	silence = 2 * time.Minute
)

// conversation is what a sandbox and somebody outside say to each other in datagrams.
type conversation struct {
	outer *net.UDPConn
	raw   syscall.RawConn
	last  atomic.Int64 // when something was said, in nanoseconds
}

func (c *conversation) touch() { c.last.Store(time.Now().UnixNano()) }

// send sends a sandbox's datagram. What is more than the sandbox may send is lost.
func (l *link) send(p *packet) {
	if !l.up.allow(len(p.payload)) {
		return
	}
	c, err := l.conversation(p.flow)
	if err == nil && c != nil {
		c.touch()
		err = c.write(p.payload)
	}
	if err != nil {
		if reason, ok := why(err); ok {
			l.router.inject(p.unreachable(reason))
		}
	}
}

// write sends a datagram, or loses it: who sends more than the host's own network takes must not keep others waiting.
func (c *conversation) write(payload []byte) error {
	var failed error
	err := c.raw.Write(func(fd uintptr) bool {
		_, failed = unix.Write(int(fd), payload)
		return true
	})
	if err != nil || errors.Is(failed, unix.EAGAIN) {
		return nil //nolint:nilerr // the socket is closed: it made room, a moment ago
	}
	return failed
}

// conversation finds or begins one; nil is one too many.
func (l *link) conversation(f flow) (*conversation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.datagrams[f]; c != nil {
		return c, nil
	}
	if !l.begins.allow(1) {
		return nil, nil
	}
	outer, err := l.router.dialUDP(l.ctx, f.to)
	if err != nil {
		return nil, err
	}
	c := &conversation{outer: outer}
	if c.raw, err = outer.SyscallConn(); err != nil {
		return nil, errors.Join(err, outer.Close())
	}
	c.touch()
	if !l.goLocked(func() { l.receive(f, c) }) {
		outer.Close()
		return nil, net.ErrClosed
	}
	if len(l.datagrams) >= maxConversations {
		l.makeRoomLocked()
	}
	l.datagrams[f] = c
	return c, nil
}

// makeRoomLocked ends the conversation that has been silent the longest.
func (l *link) makeRoomLocked() {
	var oldest *conversation
	var of flow
	for f, c := range l.datagrams {
		if oldest == nil || c.last.Load() < oldest.last.Load() {
			oldest, of = c, f
		}
	}
	delete(l.datagrams, of)
	oldest.outer.Close()
}

// dialUDP makes a socket that hears nobody else, if that is allowed.
func (r *Router) dialUDP(ctx context.Context, to netip.AddrPort) (*net.UDPConn, error) {
	if err := r.policy.check(to.Addr()); err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", to.String())
	if err != nil {
		return nil, err
	}
	if toItself(conn) {
		conn.Close()
		return nil, errDenied
	}
	return conn.(*net.UDPConn), nil
}

// receive hands on what the outside answers, until both have been silent.
func (l *link) receive(f flow, c *conversation) {
	stop := context.AfterFunc(l.ctx, func() { c.outer.Close() })
	defer stop()
	defer func() {
		c.outer.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.datagrams[f] == c {
			delete(l.datagrams, f)
		}
	}()
	for {
		end := time.Unix(0, c.last.Load()).Add(silence)
		if c.outer.SetReadDeadline(end) != nil {
			return
		}
		buffer, n, err := wholeBuffers.read(c.raw, false)
		switch {
		case err == nil:
			c.touch()
			if l.down.allow(n) {
				l.router.inject(f.datagram((*buffer)[:n]))
			}
			wholeBuffers.put(buffer)
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			if time.Now().UnixNano()-c.last.Load() >= int64(silence) {
				return
			}
		default: // the outside says so: nobody listens there
			if reason, ok := why(err); ok {
				l.router.inject(f.unreachable(reason))
			}
		}
	}
}
