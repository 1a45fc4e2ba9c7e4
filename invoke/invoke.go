// Package invoke is the only road to code: it finds the version that a qualifier means, takes a concurrency
// slot or throttles, borrows an environment and runs the event in it. It must not know the wire, queues or
// how an environment is made.
package invoke

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"hotaru/environment"
	"hotaru/function"
	"hotaru/pool"
)

// Functions finds what a caller means.
type Functions interface {
	// Serving returns the version that serves the function's qualifier now ("" means $LATEST). It refuses, as
	// a *function.Error, a function that is not there or that is not ready.
	Serving(ctx context.Context, id function.ID, qualifier string) (*function.Version, error)
	// Reserved returns how many concurrent executions are kept for a function alone, ok being false if none are set, and
	// how many are kept for functions of its account and region together. Every invocation asks.
	Reserved(id function.ID) (own int, ok bool, all int)
}

// Environments lends execution environments.
type Environments interface {
	// Acquire lends one, which serves the tenant alone unless that is empty. pool.ErrFull says that there is no memory for it.
	Acquire(ctx context.Context, v *function.Version, tenant string, caller pool.Caller) (*environment.Environment, error)
	// Answered tells that an environment which is lent will be given back soon.
	Answered(env *environment.Environment)
	Release(env *environment.Environment)
}

// Invoker runs events. It is safe for concurrent use.
type Invoker struct {
	Functions    Functions
	Environments Environments
	// Concurrency is the limit of concurrent executions of one account in one region; 0 means Lambda's.
	Concurrency int
	// Meter counts invocations; nil counts none.
	Meter Meter

	sampler sampler

	mu     sync.Mutex // guards what follows
	usages map[holder]*usage
	// answered counts the invocations whose callers have their answers; settled is closed when there are none, and nil
	// when nobody waits for that.
	answered int
	settled  chan struct{}
}

// ErrStreamFailed ends a result's stream when the invocation failed on the way: the result says how.
var ErrStreamFailed = environment.ErrStreamFailed

// Invocation is what an environment needs to know of an event.
type Invocation = environment.Invocation

// Request is an event for a function. Its TraceID is the caller's trace header, unchecked.
type Request struct {
	ID        function.ID
	Qualifier string
	Invocation
}

// Result is what became of it.
type Result struct {
	*environment.Outcome
	Version *function.Version
	// TraceID is the trace header that the function got.
	TraceID string

	run *running
}

// Complete ends an invocation whose outcome is a stream: it reads what is left of the stream and, where a log tail was
// asked for, waits until the invocation has finished. It must be called once.
func (r *Result) Complete(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	_, _ = io.Copy(io.Discard, r.Stream) // how it ends is in the outcome
	if !r.run.tail {
		r.run.answered(ctx)
		return
	}
	defer r.run.done()
	r.run.env.Finish(ctx)
}

// Invoke runs one event and waits for its answer. A Result with a Stream must be given to Complete. Refusals are *function.Error. Once the event has been
// handed over it runs to its end even when the caller goes away, as on Lambda. The invocation may last longer than its
// answer takes, and keeps its environment and its concurrency slot until then.
func (i *Invoker) Invoke(ctx context.Context, r *Request) (*Result, error) {
	v, err := i.Functions.Serving(ctx, r.ID, r.Qualifier)
	if err != nil {
		return nil, err
	}
	if err := v.CheckTenant(r.TenantID); err != nil {
		return nil, err
	}
	counters := i.counters(v)
	slot, err := i.admit(i.limitOf(r.ID))
	if err != nil {
		counters.Throttled()
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	env, err := i.Environments.Acquire(ctx, v, r.TenantID, slot)
	if errors.Is(err, pool.ErrFull) {
		// The machine is the account's limit then.
		err = throttled(accountLimit)
	}
	refusal := (*function.Error)(nil)
	if errors.As(err, &refusal) && refusal.Code == function.ErrTooManyRequests {
		slot.release()
		counters.Throttled()
		return nil, refusal
	}
	counters.Began()
	run := &running{invoker: i, counters: counters, slot: slot, env: env, tail: r.Tail}
	defer run.unlessAnswered()
	switch {
	case refusal != nil:
		return nil, refusal
	case err != nil:
		return nil, fmt.Errorf("invoke %s: %w", v.ARN(), err)
	}
	r.FunctionARN = r.ID.QualifiedARN(r.Qualifier)
	r.TraceID, r.Traced = i.trace(v, r.TraceID, time.Now())
	if run.outcome, err = run.env.Invoke(ctx, &r.Invocation); err != nil {
		return nil, fmt.Errorf("invoke %s: %w", v.ARN(), err)
	}
	result := &Result{Outcome: run.outcome, Version: v, TraceID: r.TraceID, run: run}
	switch {
	case run.outcome.Stream != nil:
		run.finishing = true // by Complete
	case !run.outcome.Finished:
		// A copy: what the end of the invocation adds is written while the caller reads its answer.
		answer := *run.outcome
		result.Outcome = &answer
		run.answered(ctx)
	}
	return result, nil
}

// running is an invocation that holds a concurrency slot and, once it has one, an environment.
type running struct {
	invoker  *Invoker
	counters Counters
	slot     *slot
	env      *environment.Environment
	outcome  *environment.Outcome
	tail     bool
	// finishing says that the caller has its answer and another goroutine does the rest.
	finishing bool
}

// answered lets the invocation finish by itself; Wait waits for it.
func (r *running) answered(ctx context.Context) {
	r.finishing = true
	r.slot.answered()
	r.invoker.Environments.Answered(r.env)
	go func() {
		defer r.done()
		r.env.Finish(ctx)
	}()
}

func (r *running) unlessAnswered() {
	if !r.finishing {
		r.done()
	}
}

// done gives everything back.
func (r *running) done() {
	if r.env != nil {
		r.invoker.Environments.Release(r.env)
	}
	r.slot.release()
	r.counters.Ended(r.outcome)
}
