// Package invoke is the only road to code: it finds the version that a qualifier means, takes a concurrency
// slot or throttles, borrows an environment and runs the event in it. It must not know the wire, queues or
// how an environment is made.
package invoke

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"hotaru/environment"
	"hotaru/function"
)

// Functions finds what a caller means.
type Functions interface {
	// Serving returns the version that serves the function's qualifier now ("" means $LATEST). It refuses, as
	// a *function.Error, a function that is not there or that is not ready.
	Serving(ctx context.Context, id function.ID, qualifier string) (*function.Version, error)
}

// Environments lends execution environments.
type Environments interface {
	Acquire(ctx context.Context, v *function.Version) (*environment.Environment, error)
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

	mu      sync.Mutex
	running map[account]int
}

// account is what a concurrency limit belongs to.
type account struct{ id, region string }

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
}

// Invoke runs one event and waits for its outcome. Refusals are *function.Error. Once the event has been
// handed over it runs to its end even when the caller goes away, as on Lambda.
func (i *Invoker) Invoke(ctx context.Context, r *Request) (*Result, error) {
	v, err := i.Functions.Serving(ctx, r.ID, r.Qualifier)
	if err != nil {
		return nil, err
	}
	counters := i.counters(v)
	release, err := i.admit(account{r.ID.Account, r.ID.Region})
	if err != nil {
		counters.Throttled()
		return nil, err
	}
	defer release()
	counters.Began()
	var outcome *environment.Outcome
	defer func() { counters.Ended(outcome) }()

	ctx = context.WithoutCancel(ctx)
	env, err := i.Environments.Acquire(ctx, v)
	if err != nil {
		if refusal := (*function.Error)(nil); errors.As(err, &refusal) {
			return nil, refusal
		}
		return nil, fmt.Errorf("invoke %s: %w", v.ARN(), err)
	}
	defer i.Environments.Release(env)
	r.FunctionARN = r.ID.QualifiedARN(r.Qualifier)
	r.TraceID, r.Traced = i.trace(v, r.TraceID, time.Now())
	outcome, err = env.Invoke(ctx, &r.Invocation)
	if err != nil {
		return nil, fmt.Errorf("invoke %s: %w", v.ARN(), err)
	}
	return &Result{Outcome: outcome, Version: v, TraceID: r.TraceID}, nil
}

// admit takes a concurrency slot.
func (i *Invoker) admit(a account) (release func(), err error) {
	limit := i.Concurrency
	if limit == 0 {
		limit = function.DefaultConcurrency
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.running == nil {
		i.running = map[account]int{}
	}
	if i.running[a] >= limit {
		throttled := function.Errorf(function.ErrTooManyRequests, "Rate Exceeded.")
		throttled.Reason = "ConcurrentInvocationLimitExceeded"
		return nil, throttled
	}
	i.running[a]++
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.running[a]--; i.running[a] == 0 {
			delete(i.running, a)
		}
	}, nil
}
