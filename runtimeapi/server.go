package runtimeapi

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// The limits of the HTTP side. Whoever is at the other end runs in the sandbox and may be anything.
const (
	// headerTimeout is how long a request's header may take.
	headerTimeout = 10 * time.Second
	// maxHeaderBytes bounds a request's header.
	maxHeaderBytes = 64 * 1024
	// maxConnections bounds how many connections are open at once: a runtime needs one or two, a runtime with
	// ten extensions some more.
	maxConnections = 64
	// maxDiscard is how much of a body over MaxPayload is read so that the sender gets to see the answer.
	maxDiscard = 8 * MaxPayload
)

// state is where the runtime is in its life, named as Lambda names it in its messages.
type state string

const (
	stateStarted   state = "Started"
	stateInitError state = "InitError"
	stateReady     state = "Ready"
	stateRunning   state = "Running"
	stateResponse  state = "InvocationResponse"
	stateError     state = "InvocationErrorResponse"
	stateSent      state = "RuntimeResponseSentState"
)

// NewServer returns the Session of a runtime that uses Lambda's Runtime API, version 2018-06-01, over HTTP
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html). Everyone who can reach listener is the
// runtime: it must be reachable from inside one sandbox only. The session serves it until Close, which closes
// it and waits.
//
// Init does not pass Start on: the process has got it with its environment. The session cannot see the process
// end: its owner must Close it then.
func NewServer(listener net.Listener) Session {
	s := &server{state: stateStarted, changed: make(chan struct{}), served: make(chan struct{})}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(io.Discard, "", 0), // bad requests are the function's own affair
	}
	s.http.Protocols = new(http.Protocols)
	s.http.Protocols.SetHTTP1(true)
	go func() {
		defer close(s.served)
		err := s.http.Serve(limitListener(listener, maxConnections))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.breakLocked(gone(err)) // of no effect if this is Close's work
	}()
	return s
}

// server is a Session over HTTP.
type server struct {
	http   *http.Server
	served chan struct{} // closed when serving has ended

	mu sync.Mutex // guards everything below
	// changed is closed and replaced when anything below changes.
	changed chan struct{}
	state   state
	// event is the one being served, from Invoke until the runtime is ready again.
	event *Event
	// turn is what bounds it: the context of Invoke, which Ready goes on to wait under; nil when none is served.
	turn context.Context //nolint:containedctx // it is of one event, between two calls
	// writing counts the handlers that are sending an event's payload.
	writing int
	// response or fault is its answer; fault is Init's as well.
	response *Response
	fault    *FunctionError
	broken   error
}

// changeLocked wakes whoever waits for a change.
func (s *server) changeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// waitLocked waits until done says so, and returns the error that ended the session or ctx's cause.
func (s *server) waitLocked(ctx context.Context, done func() bool) error {
	for {
		if done() {
			return nil
		}
		if s.broken != nil {
			return s.broken
		}
		changed := s.changed
		s.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		s.mu.Lock()
		if err != nil {
			return err
		}
	}
}

func (s *server) Init(ctx context.Context, _ Start) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	err := s.waitLocked(ctx, func() bool { return s.state != stateStarted })
	if err == nil && s.state == stateInitError {
		s.breakLocked(ErrRuntimeGone)
		return s.fault
	}
	return s.outcomeLocked(err)
}

func (s *server) Invoke(ctx context.Context, event *Event) (*Response, error) {
	if len(event.Payload) > MaxPayload {
		return nil, fmt.Errorf("runtimeapi: an event of %d bytes, more than %d", len(event.Payload), MaxPayload)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.readyLocked(); err != nil {
		return nil, gone(err)
	}
	if s.broken != nil {
		return nil, s.broken
	}
	if s.state != stateReady {
		return nil, fmt.Errorf("runtimeapi: Invoke without a successful Init: %w", ErrRuntimeGone)
	}
	s.event, s.turn = event, ctx
	s.changeLocked()
	// The payload is the caller's again when this returns, so that nothing may be sending it any more either:
	// a runtime that has asked twice may have left one of the two replies unread.
	err := s.waitLocked(ctx, func() bool { return (s.response != nil || s.fault != nil) && s.writing == 0 })
	if err = s.outcomeLocked(err); err != nil {
		for s.writing > 0 { // the session is broken, which has cut the connections
			changed := s.changed
			s.mu.Unlock()
			<-changed
			s.mu.Lock()
		}
	}
	response, fault := s.response, s.fault
	s.response, s.fault = nil, nil
	switch {
	case fault != nil: // whatever else there is to say, Ready does
		return nil, fault
	case response != nil:
		return response, nil
	default:
		s.event, s.turn = nil, nil
		return nil, err
	}
}

func (s *server) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readyLocked()
}

// readyLocked waits until the runtime has asked for its next event, after one that was answered.
func (s *server) readyLocked() error {
	if s.turn == nil {
		return nil
	}
	ctx := s.turn
	s.turn = nil
	return s.outcomeLocked(s.waitLocked(ctx, func() bool { return s.event == nil }))
}

// outcomeLocked passes an error on and lets it break the session.
func (s *server) outcomeLocked(err error) error {
	if err != nil {
		s.breakLocked(gone(err))
	}
	return err
}

// breakLocked ends the conversation, if it has not ended before.
func (s *server) breakLocked(err error) {
	if s.broken == nil {
		s.broken = err
		s.changeLocked()
		_ = s.http.Close() // what cannot be closed is closed already
	}
}

func (s *server) Close() error {
	s.mu.Lock()
	s.breakLocked(ErrRuntimeGone)
	s.mu.Unlock()
	<-s.served
	return nil
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
