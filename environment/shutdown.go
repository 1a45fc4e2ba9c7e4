package environment

import (
	"context"
	"syscall"
	"time"

	"hotaru/sandbox"
)

// The reasons of a Shutdown.
const (
	reasonSpindown = "spindown"
	reasonTimeout  = "timeout"
	reasonFailure  = "failure"
)

// How long Shutdown may take: nothing without extensions, and with internal ones alone what the runtime gets
// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown).
const (
	internalBudget = 500 * time.Millisecond
	externalBudget = 2 * time.Second
	// runtimeShare is the runtime's where there are external extensions and no internal one.
	runtimeShare = 300 * time.Millisecond
	// flushShare is what subscribers get to take what they have not been told yet.
	flushShare = 100 * time.Millisecond
)

// shutdown is the Shutdown phase: the runtime gets SIGTERM and some time, then the extensions their SHUTDOWN event and
// the rest of it. Whoever is left is for the reset or the end that follows to kill.
func (e *Environment) shutdown(ctx context.Context, reason string) {
	g := e.present()
	if g == nil {
		return
	}
	external, internal := g.registry.Any()
	began := time.Now()
	var deadline, runtimeDeadline time.Time
	switch {
	case external && internal:
		deadline, runtimeDeadline = began.Add(externalBudget), began.Add(internalBudget)
	case external:
		deadline, runtimeDeadline = began.Add(externalBudget), began.Add(runtimeShare)
	case internal:
		deadline, runtimeDeadline = began.Add(internalBudget), began.Add(internalBudget)
	default:
		return
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if _, process := e.conversation(); process != nil {
		terminate(ctx, process, runtimeDeadline)
	}
	e.out.flush()
	// What has been told so far comes before the news that it is over, to who takes it soon.
	flushed := make(chan struct{})
	go func() {
		defer close(flushed)
		g.hub.Flush(ctx)
	}()
	timer := time.NewTimer(flushShare)
	defer timer.Stop()
	select {
	case <-flushed:
	case <-timer.C:
	}
	waitFor := g.registry.BeginShutdown(reason, deadline)
	for _, name := range waitFor {
		if process := g.process(name); process != nil {
			await(ctx, process)
		}
	}
	if len(waitFor) == 0 {
		cancel() // nobody is left who could take records
	}
	<-flushed
}

// spinDown is the Shutdown of an environment that waits for an event that does not come.
func (e *Environment) spinDown(ctx context.Context) {
	if !e.hasExtensions() {
		return
	}
	if err := e.wake(ctx); err != nil {
		e.cfg.Logger.Warn("an environment could not be thawed for its shutdown", "environment", e.blank.ID, "error", err)
		return
	}
	e.shutdown(ctx, reasonSpindown)
}

// terminate lets a process end by SIGTERM until the deadline, and then kills it.
func terminate(ctx context.Context, p sandbox.Process, deadline time.Time) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if p.Signal(syscall.SIGTERM) == nil && await(ctx, p) {
		return
	}
	_ = p.Signal(syscall.SIGKILL) // it may have ended
}

// await says whether a process ends while ctx lasts.
func await(ctx context.Context, p sandbox.Process) bool {
	select {
	case <-p.Done():
		return true
	case <-ctx.Done():
		return false
	}
}
