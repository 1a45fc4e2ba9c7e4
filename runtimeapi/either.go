package runtimeapi

import (
	"context"
	"errors"
	"sync"
)

// NewEither returns the Session of a runtime that may choose its transport: a wrapper script
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html#runtime-wrapper) either starts our
// bootstrap, which talks frames, or serves the function itself over the HTTP Runtime API. Whichever asks for
// an event first is the runtime from then on, and the other is closed. It owns both.
func NewEither(frames, server Session) Session {
	return &either{both: [2]Session{frames, server}}
}

type either struct {
	both [2]Session

	mu     sync.Mutex // guards chosen
	chosen Session
}

func (e *either) Init(ctx context.Context, start Start) error {
	if e.choice() != nil {
		return errors.New("runtimeapi: Init twice")
	}
	type outcome struct {
		session Session
		err     error
	}
	outcomes := make(chan outcome, len(e.both))
	for _, session := range e.both {
		go func() { outcomes <- outcome{session, session.Init(ctx, start)} }()
	}
	var last error
	decided := false
	for range e.both {
		o := <-outcomes
		fault := (*FunctionError)(nil)
		switch {
		case decided: // what was closed for the other's sake
		case o.err == nil, errors.As(o.err, &fault):
			decided, last = true, o.err
			e.choose(o.session)
		case last == nil || !errors.Is(o.err, ErrRuntimeGone):
			// One transport alone being gone decides nothing: a wrapper may never use it. The process's end
			// closes both; the context's end says why.
			last = o.err
		}
	}
	return last
}

// choose makes a session the runtime's and closes the other.
func (e *either) choose(session Session) {
	e.mu.Lock()
	e.chosen = session
	e.mu.Unlock()
	for _, other := range e.both {
		if other != session {
			_ = other.Close() // nobody uses it
		}
	}
}

func (e *either) choice() Session {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.chosen
}

func (e *either) Invoke(ctx context.Context, event *Event) (*Response, error) {
	session := e.choice()
	if session == nil {
		return nil, ErrRuntimeGone
	}
	return session.Invoke(ctx, event)
}

func (e *either) Ready() error {
	session := e.choice()
	if session == nil {
		return nil
	}
	return session.Ready()
}

func (e *either) Close() error {
	return errors.Join(e.both[0].Close(), e.both[1].Close())
}
