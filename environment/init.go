package environment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hotaru/runtimeapi"
	"hotaru/sandbox"
)

// initialize runs the Init phase within limit and leaves the environment ready, or cold with the reason.
// name is "init" for the phase of its own and "invoke" for the one that is repeated inside an invocation
// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib).
func (e *Environment) initialize(ctx context.Context, name string, limit time.Duration) *failure {
	if err := e.setPhase(initializing); err != nil {
		return platformFailure(err)
	}
	began := time.Now()
	initCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	fail := e.ensureRuntime(initCtx)
	if fail == nil {
		fail, _ = e.converse(initCtx, nil, func(session runtimeapi.Session) error {
			return session.Init(initCtx, runtimeapi.Start{Handler: e.cfg.Version.Handler, Env: e.variables})
		})
	}
	took := time.Since(began)
	if fail == nil && ctx.Err() == nil {
		if err := e.sandbox.SetLimits(ctx, e.invokeLimits()); err != nil {
			fail = platformFailure(fmt.Errorf("environment: set limits: %w", err))
		}
		e.limited = true
	}
	if fail == nil {
		e.initDuration = took
		if err := e.setPhase(ready); err != nil {
			return platformFailure(err)
		}
		return nil
	}
	e.out.flush()
	if fail.platform == nil {
		e.out.log(fail.record("", time.Now()))
		e.out.log(initReport(took, name, fail))
	}
	e.reset(ctx)
	return fail
}

// ensureRuntime starts the runtime process, unless the zygote has it already.
func (e *Environment) ensureRuntime(ctx context.Context) *failure {
	if e.cfg.Broken != nil {
		return invalidEntrypoint(e.cfg.Broken)
	}
	if session, _ := e.conversation(); session != nil {
		return nil
	}
	if e.limited {
		// Full speed again, for an Init after a reset.
		if err := e.sandbox.SetLimits(ctx, e.blank.limits()); err != nil {
			return platformFailure(fmt.Errorf("environment: set limits: %w", err))
		}
	}
	c, err := startRuntime(ctx, e.sandbox, e.out, e.cfg.Program, e.variables, e.cfg.Wrapped)
	if errors.Is(err, sandbox.ErrNotFound) {
		return invalidEntrypoint(err)
	}
	if err != nil {
		return platformFailure(err)
	}
	e.mu.Lock()
	e.runtime = c
	e.mu.Unlock()
	return nil
}

// reset returns to cold: every process ends, /tmp stays, as on Lambda. If that cannot be done the
// environment is closed: nothing else may ever run in it.
func (e *Environment) reset(ctx context.Context) {
	e.endSession()
	// The reset must happen even when the caller has gone away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resetLimit)
	defer cancel()
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

// initReport is the log line about an Init phase that failed.
func initReport(took time.Duration, phase string, fail *failure) []byte {
	return fmt.Appendf(nil, "INIT_REPORT Init Duration: %s ms\tPhase: %s\t%s\n", milliseconds(took), phase, fail.status())
}
