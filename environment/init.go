package environment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hotaru/runtimeapi"
	"hotaru/runtimeapi/telemetry"
	"hotaru/sandbox"
)

// initializeFor runs the Init that an invocation waits for. Lambda repeats a failed one inside the invocation, under
// the function's own timeout; that is also how an environment begins again that an earlier invocation has broken
// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib). began is when
// the invocation began, and moves past a phase that is not part of it. A failure leaves things for the turn's end to
// reset.
func (e *Environment) initializeFor(ctx context.Context, in *Invocation, began *time.Time) *failure {
	e.out.begin(in.Tail)
	if !e.suppressed {
		fail := e.initialize(ctx, telemetry.PhaseInit, *began, e.initLimit)
		if fail != nil && fail.platform == nil {
			e.reset(ctx, fail.reason())
		}
		*began = time.Now()
		if fail == nil || fail.platform != nil {
			return fail
		}
	}
	fail := e.initialize(ctx, telemetry.PhaseInvoke, *began, e.cfg.Version.Timeout())
	if fail != nil && fail.timeout {
		fail.message = timeoutMessage(e.cfg.Version)
	}
	return fail
}

// initialize runs an Init within limit from began on and leaves the environment ready, or says why not.
func (e *Environment) initialize(ctx context.Context, phase string, began time.Time, limit time.Duration) *failure {
	if err := e.setPhase(initializing); err != nil {
		return platformFailure(err)
	}
	initCtx, cancel := context.WithDeadline(ctx, began.Add(limit))
	defer cancel()
	var fail *failure
	if err := e.beginGeneration(); err != nil {
		fail = platformFailure(err)
	} else {
		e.sayInitStart(phase)
		fail = e.startAll(initCtx)
	}
	took := time.Since(began)
	if fail == nil && ctx.Err() == nil {
		if err := e.sandbox.SetLimits(ctx, e.invokeLimits()); err != nil {
			fail = platformFailure(fmt.Errorf("environment: set limits: %w", err))
		}
		e.limited = true
	}
	if fail != nil && fail.platform != nil {
		e.reset(ctx, reasonFailure)
		return fail
	}
	e.out.flush()
	e.sayInitEnd(phase, took, fail)
	if fail != nil {
		return fail
	}
	e.suppressed = false
	if phase == telemetry.PhaseInit {
		e.initDuration = took
	}
	if err := e.setPhase(ready); err != nil {
		return platformFailure(err)
	}
	return nil
}

// startAll brings up the external extensions, then the runtime with the function, and waits until all of them ask for
// their first event.
func (e *Environment) startAll(ctx context.Context) *failure {
	if e.cfg.Broken != nil {
		return invalidEntrypoint(e.cfg.Broken)
	}
	if e.limited {
		// Full speed again, for an Init after a reset.
		if err := e.sandbox.SetLimits(ctx, e.blank.limits()); err != nil {
			return platformFailure(fmt.Errorf("environment: set limits: %w", err))
		}
	}
	if fail := e.startExtensions(ctx); fail != nil {
		return fail
	}
	if fail := e.ensureRuntime(ctx); fail != nil {
		return fail
	}
	fail, _ := e.converse(ctx, nil, func(session runtimeapi.Session) error {
		return session.Init(ctx, runtimeapi.Start{Handler: e.cfg.Version.Handler, Env: e.variables})
	})
	g := e.present()
	if g == nil {
		return platformFailure(errGone)
	}
	g.registry.CloseRegistration()
	if fail == nil {
		fail = e.awaitExtensions(ctx, g.registry.AwaitReady)
	}
	g.hub.CloseSubscriptions()
	return fail
}

// ensureRuntime starts the runtime process, unless the zygote has it already.
func (e *Environment) ensureRuntime(ctx context.Context) *failure {
	if session, _ := e.conversation(); session != nil {
		return nil
	}
	g := e.present()
	if g == nil {
		return platformFailure(errGone)
	}
	host := g.host
	if e.cfg.Program.Frames && !e.cfg.Wrapped {
		host = nil
	}
	c, err := startRuntime(ctx, e.sandbox, e.out, e.cfg.Program, e.variables, host, nil)
	switch {
	case errors.Is(err, sandbox.ErrNotFound):
		return invalidEntrypoint(err)
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return lateFailure()
	case err != nil:
		return platformFailure(err)
	}
	e.mu.Lock()
	e.runtime = c
	e.mu.Unlock()
	return nil
}

// reset returns to cold: every process ends, after a Shutdown, and /tmp stays, as on Lambda. If that cannot be done
// the environment is closed: nothing else may ever run in it.
func (e *Environment) reset(ctx context.Context, reason string) {
	// The reset must happen even when the caller has gone away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resetLimit)
	defer cancel()
	e.shutdown(ctx, reason)
	e.endSession()
	if err := e.sandbox.Reset(ctx); err != nil {
		if !errors.Is(err, sandbox.ErrDestroyed) {
			e.cfg.Logger.Error("reset of an environment failed, closing it", "environment", e.blank.ID, "error", err)
		}
		if err := e.Close(ctx); err != nil {
			e.cfg.Logger.Error("close of an environment failed", "environment", e.blank.ID, "error", err)
		}
		return
	}
	e.out.flush()
	e.endGeneration()
	// A refusal means that Close came in between, which is fine.
	_ = e.setPhase(cold)
}

const resetLimit = 10 * time.Second

// conversation is the runtime that is there now; nil once a reset or Close has come in between.
func (e *Environment) conversation() (runtimeapi.Session, sandbox.Process) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.runtime.session, e.runtime.process
}

func (e *Environment) endSession() {
	e.mu.Lock()
	runtime := e.runtime
	e.runtime = conversation{}
	e.mu.Unlock()
	runtime.close()
}
