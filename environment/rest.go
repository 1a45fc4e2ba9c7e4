package environment

import (
	"context"
	"sync"
	"time"
)

// freezeDelay is how long an environment waits for the next event before it is frozen, so that back-to-back
// invocations never pay for it.
const freezeDelay = 10 * time.Millisecond

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
}

// Rest tells the environment that its event is over and none is at hand.
func (e *Environment) Rest() {
	e.rest.mu.Lock()
	defer e.rest.mu.Unlock()
	e.rest.resting = true
	if e.rest.timer == nil {
		e.rest.timer = time.AfterFunc(freezeDelay, e.freeze)
	} else {
		e.rest.timer.Reset(freezeDelay)
	}
}

func (e *Environment) freeze() {
	e.rest.mu.Lock()
	defer e.rest.mu.Unlock()
	if !e.rest.resting || e.rest.frozen || !e.is(ready) {
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
	if e.rest.timer != nil {
		e.rest.timer.Stop()
	}
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
	}
}
