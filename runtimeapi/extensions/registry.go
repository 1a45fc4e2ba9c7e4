// Package extensions is Lambda's Extensions API, version 2020-01-01
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html): who has registered, what each extension
// is doing, and whom an event is for. It must not know processes, sandboxes or what an invocation is.
package extensions

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// MaxExtensions is how many extensions an environment may have, internal ones included.
const MaxExtensions = 10

// Event is something that an extension can register for.
type Event string

// The events.
const (
	Invoke   Event = "INVOKE"
	Shutdown Event = "SHUTDOWN"
)

// Function is what a registration is told of the function.
type Function struct {
	Name, Version, Handler, AccountID string
}

// Registry holds the extensions of an environment from one Init to the reset or the end that follows it. Its methods
// are safe for concurrent use.
//
//	Expect, then start the process, for each file in /opt/extensions; Exited or LaunchFailed when that has happened
//	AwaitRegistered    every one of them has registered: the runtime may start
//	CloseRegistration  the runtime has asked for its first event
//	AwaitReady         Init is over
//	BeginInvoke, AwaitReady for each invocation
//	BeginShutdown      and wait for the processes to end
//	Close              whoever still waits for an event is sent away
type Registry struct {
	function Function

	mu         sync.Mutex // guards what follows
	changed    chan struct{}
	extensions []*extension // in the order they were expected or registered in
	closed     bool         // registration is
	ended      bool
	shutdown   []byte // the SHUTDOWN event, once there is one
	failure    *Failure
}

// Failure is an extension that has failed and takes the environment with it.
type Failure struct {
	// Type is "Extension.Crash", "Extension.InitError", "Extension.ExitError" or "Extension.LaunchError".
	Type string
	// Message says how: "exit status 1".
	Message string
	// Name is the extension's.
	Name string
}

func (f *Failure) Error() string { return f.Type + ": " + f.Name + ": " + f.Message }

// Error is a registry's error that callers tell apart with errors.Is.
type Error string

func (e Error) Error() string { return string(e) }

// ErrClosed answers whoever waits for extensions when the registry is closed.
const ErrClosed Error = "extensions: closed"

// The types of a Failure.
const (
	TypeCrash       = "Extension.Crash"
	TypeInitError   = "Extension.InitError"
	TypeExitError   = "Extension.ExitError"
	TypeLaunchError = "Extension.LaunchError"
)

// Info is what can be told of an extension.
type Info struct {
	Name string
	// State is in AWS's words: "Ready", "LaunchError".
	State    string
	Events   []Event
	External bool
	// ErrorType is what it, or its launch, has failed with: the extension's own word.
	ErrorType string
}

// state is where an extension is in its life, named as Lambda names it.
//
//	Started --register--> Registered --next--> Ready <--next/event--> Running
//
// and from there InitError or ExitError when it says so. An external one whose process has ended is Exited, one that
// could not be started has a LaunchError; one that had to be killed at the end is ShutdownFailed.
type state string

const (
	started        state = "Started"
	registered     state = "Registered"
	ready          state = "Ready"
	running        state = "Running"
	initError      state = "InitError"
	exitError      state = "ExitError"
	shutdownFailed state = "ShutdownFailed"
	exited         state = "Exited"
	launchError    state = "LaunchError"
)

// extension is guarded by its registry's mu.
type extension struct {
	name      string
	id        uuid.UUID
	external  bool
	events    []Event
	state     state
	errorType string
	// waiting says that a request for the next event is held.
	waiting bool
	// event is what it is to be given when it asks.
	event []byte
	// owes says that it has not asked again since an INVOKE was meant for it.
	owes bool
	// gone says that its process has ended.
	gone bool
	// faulted is when it said that it cannot go on.
	faulted time.Time
}

// exitGrace is how long an extension that has reported an error may take to exit.
const exitGrace = time.Second

// New returns a registry that takes registrations.
func New(function Function) *Registry {
	return &Registry{function: function, changed: make(chan struct{})}
}

// Expect says that an external extension is about to be started. A *Failure says that there are too many.
func (g *Registry) Expect(name string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	x := &extension{name: name, id: uuid.New(), external: true, state: started}
	g.extensions = append(g.extensions, x)
	if len(g.extensions) > MaxExtensions {
		g.launchFailedLocked(x, "TooManyExtensions", fmt.Sprintf("Extension limit (%d) reached", MaxExtensions))
		return g.failure
	}
	return nil
}

// LaunchFailed says that an external extension could not be started. kind is "PermissionDenied" or "UnknownError".
func (g *Registry) LaunchFailed(name, kind, message string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.launchFailedLocked(g.externalLocked(name), kind, message)
}

func (g *Registry) launchFailedLocked(x *extension, kind, message string) {
	x.state, x.errorType, x.gone = launchError, kind, true
	g.failLocked(&Failure{Type: TypeLaunchError, Message: message, Name: x.name})
}

// Exited says that an external extension's process has ended: with exit code 0 if clean. Before Shutdown that is a
// failure of the whole environment.
func (g *Registry) Exited(name, status string, clean bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	x := g.externalLocked(name)
	x.gone = true
	if g.shutdown == nil && !g.ended {
		g.failLocked(&Failure{Type: x.faultType(), Message: status, Name: name})
	}
	switch {
	case x.state == initError || x.state == exitError: // they say more
	case g.shutdown != nil && !clean:
		x.state = shutdownFailed
	default:
		x.state = exited
	}
	g.changeLocked()
}

// failLocked keeps the first failure.
func (g *Registry) failLocked(f *Failure) {
	if g.failure == nil {
		g.failure = f
	}
	g.changeLocked()
}

func (g *Registry) externalLocked(name string) *extension {
	for _, x := range g.extensions {
		if x.external && x.name == name {
			return x
		}
	}
	return nil
}

// changeLocked wakes whoever waits for a change.
func (g *Registry) changeLocked() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// await waits until done says so. It returns the failure of an extension, ErrClosed, or ctx's cause.
func (g *Registry) await(ctx context.Context, done func() bool) error {
	var timer *time.Timer // most often there is nothing to wait for
	defer func() {
		if timer != nil {
			timer.Stop()
		}
	}()
	for {
		g.mu.Lock()
		grace := g.faultedLocked()
		failure, finished, ended, changed := g.failure, done(), g.ended, g.changed
		g.mu.Unlock()
		switch {
		case failure != nil:
			return failure
		case finished:
			return nil
		case ended:
			return ErrClosed
		}
		if timer == nil {
			timer = time.NewTimer(grace)
		} else {
			timer.Reset(grace)
		}
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// faultedLocked lets extensions fail that have reported an error and do not exit, and returns when to look again.
func (g *Registry) faultedLocked() time.Duration {
	again := time.Hour
	for _, x := range g.extensions {
		if x.gone || x.state != initError && x.state != exitError {
			continue
		}
		left := time.Until(x.faulted.Add(exitGrace))
		if left > 0 {
			again = min(again, left)
			continue
		}
		g.failLocked(&Failure{Type: x.faultType(), Message: x.errorType, Name: x.name})
	}
	return again
}

// faultType is the type of the failure that an extension's end is.
func (x *extension) faultType() string {
	switch x.state {
	case initError:
		return TypeInitError
	case exitError:
		return TypeExitError
	default:
		return TypeCrash
	}
}

// AwaitRegistered waits until every external extension has registered. A *Failure says which one has failed.
func (g *Registry) AwaitRegistered(ctx context.Context) error {
	return g.await(ctx, func() bool {
		return !slices.ContainsFunc(g.extensions, func(x *extension) bool { return x.state == started })
	})
}

// AwaitReady waits until every extension has asked for its first event and, after BeginInvoke, each that was meant has
// asked for the one after. A *Failure says which one has failed.
func (g *Registry) AwaitReady(ctx context.Context) error {
	return g.await(ctx, func() bool { return !slices.ContainsFunc(g.extensions, (*extension).busy) })
}

// busy says that Init or an invocation has to wait for it.
func (x *extension) busy() bool {
	return x.owes || x.state == started || x.state == registered || x.state == initError || x.state == exitError
}

// Failure is what has failed; nil if nothing.
func (g *Registry) Failure() *Failure {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failure
}

// CloseRegistration ends the time in which extensions may register.
func (g *Registry) CloseRegistration() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// Empty says whether there is no extension at all.
func (g *Registry) Empty() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.extensions) == 0
}

// Any says whether there are external and internal extensions.
func (g *Registry) Any() (external, internal bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, x := range g.extensions {
		external, internal = external || x.external, internal || !x.external
	}
	return external, internal
}

// Infos are the extensions, external ones first.
func (g *Registry) Infos() []Info {
	g.mu.Lock()
	defer g.mu.Unlock()
	infos := make([]Info, 0, len(g.extensions))
	for _, external := range [...]bool{true, false} {
		for _, x := range g.extensions {
			if x.external == external {
				infos = append(infos, Info{
					Name: x.name, State: string(x.state), Events: slices.Clone(x.events), External: external, ErrorType: x.errorType,
				})
			}
		}
	}
	return infos
}

// Invocation is what an INVOKE event says.
type Invocation struct {
	RequestID, FunctionARN, TraceID string
	Deadline                        time.Time
}

// BeginInvoke hands an INVOKE event to the extensions that are registered for it. It says whether there are any.
func (g *Registry) BeginInvoke(in Invocation) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	var event []byte
	for _, x := range g.extensions {
		if !slices.Contains(x.events, Invoke) {
			continue
		}
		if event == nil {
			event = invokeEvent(in)
		}
		x.event, x.owes = event, true
	}
	if event != nil {
		g.changeLocked()
	}
	return event != nil
}

// BeginShutdown hands a SHUTDOWN event to the external extensions that are registered for it, and says which those
// are: their processes are to be waited for until the deadline. reason is "spindown", "timeout" or "failure".
func (g *Registry) BeginShutdown(reason string, deadline time.Time) (waitFor []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.shutdown = shutdownEvent(reason, deadline)
	for _, x := range g.extensions {
		if x.external && !x.gone && slices.Contains(x.events, Shutdown) {
			x.event = g.shutdown
			waitFor = append(waitFor, x.name)
		}
	}
	g.changeLocked()
	return waitFor
}

// Close sends everybody away who waits for an event. Idempotent.
func (g *Registry) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended {
		g.ended, g.closed = true, true
		g.changeLocked()
	}
}
