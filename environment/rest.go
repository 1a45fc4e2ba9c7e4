package environment

import (
	"context"
	"sync"
	"time"
)

// freezeDelay is how long an environment waits for the next event before it is frozen: longer than an environment of a
// busy function waits for its turn where there are more callers than CPUs, so that invocations that follow each other
// never pay for it, and shorter than what a function could get done in the background.
const freezeDelay = 50 * time.Millisecond

// freezeLimit bounds one freeze: a process that cannot be stopped in that time is left running.
const freezeLimit = time.Second

// rest is an environment between events: frozen after a while, so that what its processes do in the background
// stops until the next event and then goes on, as on Lambda
// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown).
type rest struct {
	mu      sync.Mutex // guards what follows, and is held while the sandbox is frozen or thawed
	timer   *time.Timer
	resting bool
	frozen  bool
	// since is when the rest began. armed says that the timer is running: it is left alone between events, which may be
	// thousands a second, and looks when it fires whether it has come too early.
	since time.Time
	armed bool
}

// Rest tells the environment that its event is over and none is at hand.
func (e *Environment) Rest() {
	e.rest.mu.Lock()
	defer e.rest.mu.Unlock()
	e.rest.resting, e.rest.since = true, time.Now()
	e.armLocked(freezeDelay)
}

func (e *Environment) armLocked(after time.Duration) {
	switch {
	case e.rest.armed:
		return
	case e.rest.timer == nil:
		e.rest.timer = time.AfterFunc(after, e.freeze)
	default:
		e.rest.timer.Reset(after)
	}
	e.rest.armed = true
}

// freeze is what the timer does.
func (e *Environment) freeze() {
	e.rest.mu.Lock()
	defer e.rest.mu.Unlock()
	e.rest.armed = false
	if !e.rest.resting || e.rest.frozen || !e.is(ready) {
		return
	}
	if early := freezeDelay - time.Since(e.rest.since); early > 0 {
		e.armLocked(early)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), freezeLimit)
	defer cancel()
	g := e.present()
	if g != nil {
		g.hub.Pause()
	}
	if err := e.sandbox.Freeze(ctx); err != nil {
		if g != nil {
			g.hub.Resume()
		}
		if e.Alive() {
			e.cfg.Logger.Warn("an environment could not be frozen", "environment", e.blank.ID, "error", err)
		}
		return
	}
	e.rest.frozen = true
}

// wake ends the rest. On an error the environment cannot be used any more.
func (e *Environment) wake(ctx context.Context) error {
	e.rest.mu.Lock()
	defer e.rest.mu.Unlock()
	e.rest.resting = false
	if !e.rest.frozen {
		return nil
	}
	if err := e.sandbox.Thaw(ctx); err != nil {
		return err
	}
	e.rest.frozen = false
	if g := e.present(); g != nil {
		g.hub.Resume()
	}
	return nil
}

// endRest is for Close: no freeze begins after it.
func (e *Environment) endRest() {
	e.rest.mu.Lock()
	defer e.rest.mu.Unlock()
	e.rest.resting = false
	if e.rest.timer != nil {
		e.rest.timer.Stop()
		e.rest.armed = false
	}
}
