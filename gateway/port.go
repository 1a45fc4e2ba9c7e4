package gateway

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"hotaru/internal/pollio"
)

// tlsHandshake is the first byte of whoever speaks TLS (RFC 8446, section 5.1), and of nobody who speaks HTTP.
const tlsHandshake = 0x16

// Port makes TLS and plain HTTP share a port: it looks at the first byte of each connection. It bounds connections, and
// cuts those whose client stops reading.
type Port struct {
	tls    *tls.Config
	limits Limits
	logger *slog.Logger
	open   atomic.Int64
	// turned counts the connections that were turned away since told, when the log last said so (Unix nanoseconds).
	turned, told atomic.Int64
}

// NewPort makes a Port for any number of listeners. Without a TLS configuration it speaks no TLS.
func NewPort(config *tls.Config, limits Limits, logger *slog.Logger) *Port {
	return &Port{tls: config, limits: limits.withDefaults(), logger: logger}
}

// Listen takes a listener over: what it returns hands over connections of crypto/tls or plain ones, each only when its
// client has said something. Close it, or let http.Server do so: then nothing is left running, and connections that
// nobody has accepted are closed.
func (p *Port) Listen(l net.Listener) net.Listener {
	s := &sniffer{Listener: l, port: p, results: make(chan accepted), closed: make(chan struct{}), silent: map[net.Conn]struct{}{}}
	s.running.Go(s.run)
	return s
}

// sniffer is a listener of a Port.
type sniffer struct {
	net.Listener
	port    *Port
	results chan accepted
	closed  chan struct{}
	running sync.WaitGroup

	mu sync.Mutex
	// silent, guarded by mu, are the connections that have said nothing yet; nil after Close.
	silent   map[net.Conn]struct{}
	closeErr error
	once     sync.Once
}

// accepted is what Accept returns.
type accepted struct {
	connection net.Conn
	err        error
}

// Accept implements net.Listener.
func (s *sniffer) Accept() (net.Conn, error) {
	select {
	case a := <-s.results:
		return a.connection, a.err
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s *sniffer) Close() error {
	s.once.Do(func() {
		close(s.closed)
		s.closeErr = s.Listener.Close()
		s.mu.Lock()
		for connection := range s.silent {
			_ = connection.Close()
		}
		s.silent = nil
		s.mu.Unlock()
		s.running.Wait()
	})
	return s.closeErr
}

// run accepts. Errors go to whoever accepts from us, who waits as long as is wise.
func (s *sniffer) run() {
	for {
		raw, err := s.Listener.Accept()
		if err != nil {
			if !s.hand(accepted{err: err}) || errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		connection, ok := s.port.admit(raw)
		if !ok {
			continue
		}
		s.mu.Lock()
		if s.silent == nil {
			s.mu.Unlock()
			_ = connection.Close()
			return
		}
		s.silent[connection] = struct{}{}
		s.mu.Unlock()
		s.running.Go(func() { s.sniff(connection) })
	}
}

// hand gives something to whoever accepts; false means that nobody will any more.
func (s *sniffer) hand(a accepted) bool {
	select {
	case s.results <- a:
		return true
	case <-s.closed:
		return false
	}
}

// sniff waits for a connection's first bytes and hands it over.
func (s *sniffer) sniff(c *connection) {
	err := c.SetReadDeadline(time.Now().Add(s.port.limits.HeaderTime))
	if err == nil {
		err = c.sniff()
	}
	s.mu.Lock()
	delete(s.silent, c)
	s.mu.Unlock()
	if err == nil {
		err = c.SetReadDeadline(time.Time{})
	}
	if err != nil {
		_ = c.Close()
		return
	}
	var ready net.Conn = c
	if c.first[0] == tlsHandshake && s.port.tls != nil {
		ready = tls.Server(c, s.port.tls)
	}
	if !s.hand(accepted{connection: ready}) {
		_ = c.Close()
	}
}

// admit counts a connection, or turns it away.
func (p *Port) admit(raw net.Conn) (*connection, bool) {
	if n := p.open.Add(1); n > int64(p.limits.Connections) {
		p.open.Add(-1)
		p.tellTurnedAway()
		_ = raw.Close()
		return nil, false
	}
	return &connection{Conn: raw, stream: pollio.Of(raw), port: p}, true
}

// tellTurnedAway logs that connections are turned away, at most once a second: a flood of them is not to be a flood of
// the log as well.
func (p *Port) tellTurnedAway() {
	turned := p.turned.Add(1)
	now, told := time.Now().UnixNano(), p.told.Load()
	if now-told < int64(time.Second) || !p.told.CompareAndSwap(told, now) {
		return
	}
	p.turned.Add(-turned)
	p.logger.Warn("connections were turned away: too many are open", "connections", turned, "limit", p.limits.Connections)
}

// connection is one client's.
type connection struct {
	net.Conn
	// stream is how Conn is read and written.
	stream io.ReadWriter
	port   *Port
	// first are the bytes that sniff took and Read has not given back yet.
	first []byte
	// patience is until when the writes' deadline needs no move, in Unix nanoseconds.
	patience atomic.Int64
	once     sync.Once
	closeErr error
}

// sniffed is how much is read of a connection to see its first byte: a whole small request comes in one read.
const sniffed = 1 << 10

func (c *connection) sniff() error {
	buffer := make([]byte, sniffed)
	n, err := io.ReadAtLeast(c.stream, buffer, 1)
	c.first = buffer[:n]
	return err
}

// Read implements net.Conn.
func (c *connection) Read(p []byte) (int, error) {
	if len(c.first) == 0 {
		return c.stream.Read(p)
	}
	n := copy(p, c.first)
	if c.first = c.first[n:]; len(c.first) == 0 {
		c.first = nil
	}
	return n, nil
}

// piece is how much of an answer is written under one deadline.
const piece = 64 << 10

// Write implements net.Conn. A client that reads nothing for the limit's time is cut off.
func (c *connection) Write(p []byte) (written int, err error) {
	for first := true; first || len(p) > 0; first = false {
		if err := c.patient(); err != nil {
			return written, err
		}
		n, err := c.stream.Write(p[:min(len(p), piece)])
		written += n
		if err != nil {
			return written, err
		}
		p = p[n:]
	}
	return written, nil
}

// patient moves the deadline of writes, but not for each of many small ones.
func (c *connection) patient() error {
	now := time.Now()
	if now.UnixNano() < c.patience.Load() {
		return nil
	}
	limit := c.port.limits.WriteTime
	c.patience.Store(now.Add(limit / 4).UnixNano())
	return c.Conn.SetWriteDeadline(now.Add(limit + limit/4))
}

// SetWriteDeadline implements net.Conn: whoever sets another deadline has the last word until the next write.
func (c *connection) SetWriteDeadline(t time.Time) error {
	c.patience.Store(0)
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (c *connection) SetDeadline(t time.Time) error {
	c.patience.Store(0)
	return c.Conn.SetDeadline(t)
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.once.Do(func() {
		c.closeErr = c.Conn.Close()
		c.port.open.Add(-1)
	})
	return c.closeErr
}

// CloseWrite lets net/http end an early answer so that the client can still read it.
func (c *connection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}
