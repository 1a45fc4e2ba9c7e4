package runtimeapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// maxDiscard is how much of a body over MaxPayload is read so that the sender gets to see the answer.
const maxDiscard = 8 * MaxPayload

// state is where the runtime is in its life, named as Lambda names it in its messages.
type state string

const (
	stateStarted   state = "Started"
	stateInitError state = "InitError"
	// The two of hooks after a restore.
	stateRestoring    state = "Restoring"
	stateRestoreError state = "RestoreError"
	stateReady        state = "Ready"
	stateRunning      state = "Running"
	stateResponse     state = "InvocationResponse"
	stateError        state = "InvocationErrorResponse"
	stateSent         state = "RuntimeResponseSentState"
)

// server is a Session over HTTP.
type server struct {
	routes http.Handler

	mu sync.Mutex // guards everything below
	// connections are those of the requests that are being served.
	connections map[*http.ResponseController]struct{}
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
	// stream is the answer that the runtime is sending; nil once it is complete.
	stream *httpBody
	broken error
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
	err := s.waitLocked(ctx, func() bool { return s.state != stateStarted && s.state != stateRestoring })
	switch {
	case err == nil && (s.state == stateInitError || s.state == stateRestoreError): // even if the runtime has gone since it said so
		s.breakLocked(ErrRuntimeGone)
		return s.fault
	case s.broken != nil:
		return s.broken
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
	if stream := s.stream; stream != nil { // the runtime has to send what nobody has read yet
		s.mu.Unlock()
		_, err := io.Copy(io.Discard, stream)
		s.mu.Lock()
		if fault := (*FunctionError)(nil); err != nil && !errors.As(err, &fault) {
			return s.outcomeLocked(err)
		}
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
		for c := range s.connections {
			cut(c)
		}
	}
}

// cut ends the reading of a request and the writing of its answer.
func cut(c *http.ResponseController) {
	_ = c.SetReadDeadline(longAgo) // fails only once the connection is gone
	_ = c.SetWriteDeadline(longAgo)
}

// Close waits until the requests that were being served are, as it cuts them.
func (s *server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breakLocked(ErrRuntimeGone)
	for len(s.connections) > 0 {
		changed := s.changed
		s.mu.Unlock()
		<-changed
		s.mu.Lock()
	}
	return nil
}

// ServeHTTP serves the runtime one request.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	s.mu.Lock()
	over := s.broken != nil
	if !over {
		s.connections[c] = struct{}{}
	}
	s.mu.Unlock()
	if over {
		panic(http.ErrAbortHandler) // any answer would be taken for one to something
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.connections, c)
		s.changeLocked()
	}()
	s.routes.ServeHTTP(w, r)
}
