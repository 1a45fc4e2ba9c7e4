package runtimeapi

import (
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The limits of the HTTP side. Whoever is at the other end runs in the sandbox and may be anything.
const (
	// headerTimeout is how long a request's header may take.
	headerTimeout = 10 * time.Second
	// maxHeaderBytes bounds a request's header. What an interface client says about an error for X-Ray may be 1 MB.
	maxHeaderBytes = 1<<20 + 64<<10
	// maxConnections bounds how many connections are open at once: a runtime needs one or two, a runtime with
	// ten extensions some more.
	maxConnections = 64
)

// Host serves what the code in one environment finds at AWS_LAMBDA_RUNTIME_API, from an Init to the reset or the end
// that follows: Lambda's Runtime API, version 2018-06-01
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), if the runtime may use it, and the APIs beside it,
// which outlive the runtime's conversation. Everyone who can reach the listener is taken for the runtime: it must be
// reachable from inside one sandbox only.
type Host struct {
	http   *http.Server
	others http.Handler
	served chan struct{} // closed when serving has ended

	mu      sync.Mutex // guards what follows
	session *server    // nil until NewSession
}

// NewHost serves on listener until Close, which closes it. others answers every path that is not the Runtime API's;
// nil answers none.
func NewHost(listener net.Listener, others http.Handler) *Host {
	if others == nil {
		others = http.NotFoundHandler()
	}
	h := &Host{others: others, served: make(chan struct{})}
	h.http = &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(io.Discard, "", 0), // bad requests are the function's own affair
	}
	h.http.Protocols = new(http.Protocols)
	h.http.Protocols.SetHTTP1(true)
	go func() {
		defer close(h.served)
		err := h.http.Serve(limitListener(listener, maxConnections))
		if s := h.current(); s != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.breakLocked(gone(err)) // of no effect if this is Close's work
		}
	}()
	return h
}

// NewSession returns the Session of a runtime that uses the Runtime API over HTTP. There is one at a time: the one
// before must be closed. The host's Close ends it too.
//
// Its Init does not pass Start on: the process has got it with its environment. It cannot see the process end: its
// owner must Close it then.
func (h *Host) NewSession() Session {
	s := &server{state: stateStarted, changed: make(chan struct{}), connections: map[*http.ResponseController]struct{}{}}
	s.routes = s.mux()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.session = s
	return s
}

func (h *Host) current() *server {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.session
}

// ServeHTTP serves one request.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, versionPath) {
		h.others.ServeHTTP(w, r)
		return
	}
	if s := h.current(); s != nil {
		s.ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

// Close ends everything and waits for it. Idempotent.
func (h *Host) Close() {
	_ = h.http.Close() // what cannot be closed is closed already
	if s := h.current(); s != nil {
		_ = s.Close() // it has nothing to say
	}
	<-h.served
}

// limitListener lets at most n connections be open at once; more wait to be accepted.
func limitListener(l net.Listener, n int) net.Listener {
	return &limitedListener{Listener: l, slots: make(chan struct{}, n), closed: make(chan struct{})}
}

type limitedListener struct {
	net.Listener
	slots  chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: conn, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	release func()
}

func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
