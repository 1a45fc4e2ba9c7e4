package environment

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"hotaru/function"
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
	fail := e.startRuntime(initCtx)
	if fail == nil {
		fail = e.converse(initCtx, nil, func(session runtimeapi.Session) error {
			return session.Init(initCtx, runtimeapi.Start{Handler: e.cfg.Version.Handler, Env: e.variables})
		})
	}
	took := time.Since(began)
	if fail == nil && ctx.Err() == nil {
		if err := e.sandbox.SetLimits(ctx, invokeLimits(e.cfg.Version)); err != nil {
			fail = platformFailure(fmt.Errorf("environment: set limits: %w", err))
		}
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

// startRuntime starts the runtime process and opens the conversation with it.
func (e *Environment) startRuntime(ctx context.Context) *failure {
	if e.cfg.Broken != nil {
		return invalidEntrypoint(e.cfg.Broken)
	}
	if err := e.sandbox.SetLimits(ctx, initLimits(e.cfg.Version)); err != nil {
		return platformFailure(fmt.Errorf("environment: set limits: %w", err))
	}
	command := sandbox.Command{
		Path: e.cfg.Program.Path, Args: e.cfg.Program.Args, Dir: e.cfg.Program.Dir,
		Env:    e.variables,
		Stdout: e.out.writeEnd, Stderr: e.out.writeEnd,
	}
	if !e.cfg.Program.Frames {
		listener := e.sandbox.Listener(RuntimeAPIAddress)
		command.Env = append(slices.Clip(command.Env), "AWS_LAMBDA_RUNTIME_API="+listener.Addr().String())
		lent, err := lend(listener)
		if err != nil {
			return platformFailure(err)
		}
		e.setSession(runtimeapi.NewServer(lent))
		return e.startProcess(ctx, command)
	}
	ours, theirs, err := runtimeapi.Pair()
	if err != nil {
		return platformFailure(err)
	}
	defer theirs.Close()
	command.Files = []*os.File{theirs}
	e.setSession(runtimeapi.NewFrames(ours, e.out))
	return e.startProcess(ctx, command)
}

func (e *Environment) startProcess(ctx context.Context, command sandbox.Command) *failure {
	process, err := e.sandbox.Start(ctx, command)
	if errors.Is(err, sandbox.ErrNotFound) {
		return invalidEntrypoint(err)
	}
	if err != nil {
		return platformFailure(fmt.Errorf("environment: start runtime: %w", err))
	}
	e.mu.Lock()
	e.process = process
	session := e.session
	e.mu.Unlock()
	if !e.cfg.Program.Frames && session != nil {
		// A socketpair ends with its process; HTTP, which is one request at a time, must be told.
		go func() {
			<-process.Done()
			_ = session.Close() // closing a session that is closed is fine
		}()
	}
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
			e.cfg.Logger.Error("reset of an environment failed, closing it", "environment", e.cfg.ID, "error", err)
		}
		if err := e.Close(ctx); err != nil {
			e.cfg.Logger.Error("close of an environment failed", "environment", e.cfg.ID, "error", err)
		}
		return
	}
	e.out.flush()
	// A refusal means that Close came in between, which is fine.
	_ = e.setPhase(cold)
}

const resetLimit = 10 * time.Second

func (e *Environment) setSession(s runtimeapi.Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.session = s
}

// conversation is the runtime that is there now; nil once Close has come in between.
func (e *Environment) conversation() (runtimeapi.Session, sandbox.Process) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.session, e.process
}

func (e *Environment) endSession() {
	e.mu.Lock()
	session := e.session
	e.session, e.process = nil, nil
	e.mu.Unlock()
	if session != nil {
		_ = session.Close() // its process is gone or going; there is nobody left to tell
	}
}

// lentListener lends a listener to one conversation. The sandbox owns the listener, and the next runtime
// process after a reset is served on it again, so Close only sends the borrower away.
type lentListener struct{ net.Listener }

func lend(l net.Listener) (net.Listener, error) {
	d, ok := l.(interface{ SetDeadline(time.Time) error })
	if !ok {
		return nil, fmt.Errorf("environment: a listener of type %T cannot be lent", l)
	}
	return lentListener{l}, d.SetDeadline(time.Time{})
}

func (l lentListener) Close() error {
	return l.Listener.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Unix(1, 0))
}

// initReport is the log line about an Init phase that failed.
func initReport(took time.Duration, phase string, fail *failure) []byte {
	return fmt.Appendf(nil, "INIT_REPORT Init Duration: %s ms\tPhase: %s\t%s\n", milliseconds(took), phase, fail.status())
}

// initBudget is the time that the Init phase of its own may take.
const initBudget = function.InitTimeout
