package invoke

import (
	"context"
	"time"

	"hotaru/function"
)

// slotPatience is how long an invocation waits for a slot that is about to become free, because its invocation has been
// answered: a caller who invokes one event after the other never meets a limit of one.
const slotPatience = time.Second

// holder is what a concurrency limit belongs to: a function that has executions reserved, or, without a name, all that have
// none of an account in one region.
type holder struct{ account, region, function string }

// limit is how many executions a holder may have at once, and the reason that is given where there are more.
type limit struct {
	holder
	executions int
	reason     string
}

// Why an invocation is throttled
// (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors).
const (
	accountLimit  = "ConcurrentInvocationLimitExceeded"
	reservedLimit = "ReservedFunctionConcurrentInvocationLimitExceeded"
)

// usage is how much of a limit is used.
type usage struct {
	running int
	// answered counts those of running whose callers have their answers.
	answered int
	// freed is closed when a slot becomes free; nil when nobody waits.
	freed chan struct{}
}

// slot is one invocation's part of a concurrency limit.
type slot struct {
	invoker *Invoker
	limit   limit
	// usage is nil while the slot is parked.
	usage  *usage
	isSoon bool
}

// limitOf says which limit a function's invocations count against: what is reserved for it, which it may not exceed, or
// what the account has left beside all that is reserved
// (https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html).
func (i *Invoker) limitOf(id function.ID) limit {
	own, reserved, all := i.Functions.Reserved(id)
	if reserved {
		return limit{holder{id.Account, id.Region, id.Name}, own, reservedLimit}
	}
	total := i.Concurrency
	if total == 0 {
		total = function.DefaultConcurrency
	}
	return limit{holder{id.Account, id.Region, ""}, total - all, accountLimit}
}

// admit takes a concurrency slot, or throttles.
func (i *Invoker) admit(l limit) (*slot, error) {
	s, freed := i.tryAdmit(l)
	if s != nil {
		return s, nil
	}
	patience := time.NewTimer(slotPatience)
	defer patience.Stop()
	for freed != nil {
		select {
		case <-freed:
		case <-patience.C:
			return nil, throttled(l.reason)
		}
		if s, freed = i.tryAdmit(l); s != nil {
			return s, nil
		}
	}
	return nil, throttled(l.reason)
}

// tryAdmit takes a slot if there is one. If one will be there soon, freed is closed then.
func (i *Invoker) tryAdmit(l limit) (s *slot, freed <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	u := i.usages[l.holder]
	if u == nil {
		if l.executions <= 0 {
			return nil, nil
		}
		if i.usages == nil {
			i.usages = map[holder]*usage{}
		}
		u = &usage{}
		i.usages[l.holder] = u
	}
	switch {
	case u.running < l.executions:
		u.running++
		return &slot{invoker: i, limit: l, usage: u}, nil
	case u.answered == 0:
		return nil, nil
	case u.freed == nil:
		u.freed = make(chan struct{})
	}
	return nil, u.freed
}

func throttled(reason string) error {
	err := function.Errorf(function.ErrTooManyRequests, "Rate Exceeded.")
	err.Reason = reason
	return err
}

// answered tells that the slot will be free soon.
func (s *slot) answered() {
	s.invoker.mu.Lock()
	defer s.invoker.mu.Unlock()
	s.isSoon = true
	s.usage.answered++
	s.invoker.answered++
}

func (s *slot) release() {
	s.invoker.mu.Lock()
	defer s.invoker.mu.Unlock()
	if s.isSoon {
		s.usage.answered--
		s.invoker.settleLocked()
	}
	s.giveLocked()
}

// giveLocked makes room for another execution.
func (s *slot) giveLocked() {
	u := s.usage
	if u == nil {
		return
	}
	s.usage = nil
	u.running--
	if u.freed != nil {
		close(u.freed)
		u.freed = nil
	}
	if u.running == 0 {
		delete(s.invoker.usages, s.limit.holder)
	}
}

// Park implements pool.Caller: what waits for memory does not run, and must not keep others from running.
func (s *slot) Park() {
	s.invoker.mu.Lock()
	defer s.invoker.mu.Unlock()
	s.giveLocked()
}

// Unpark implements pool.Caller. It throttles where others have taken the whole limit meanwhile.
func (s *slot) Unpark() error {
	again, _ := s.invoker.tryAdmit(s.limit)
	if again == nil {
		return throttled(s.limit.reason)
	}
	s.usage = again.usage
	return nil
}

// settleLocked counts one answered invocation less.
func (i *Invoker) settleLocked() {
	if i.answered--; i.answered == 0 && i.settled != nil {
		close(i.settled)
		i.settled = nil
	}
}

// Wait waits until no invocation is left whose caller has its answer and that has not finished, or until ctx ends.
func (i *Invoker) Wait(ctx context.Context) {
	for {
		i.mu.Lock()
		if i.answered == 0 {
			i.mu.Unlock()
			return
		}
		if i.settled == nil {
			i.settled = make(chan struct{})
		}
		settled := i.settled
		i.mu.Unlock()
		select {
		case <-settled:
		case <-ctx.Done():
			return
		}
	}
}
