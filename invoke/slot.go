package invoke

import (
	"context"
	"time"

	"hotaru/function"
)

// slotPatience is how long an invocation waits for a slot that is about to become free, because its invocation has been
// answered: a caller who invokes one event after the other never meets a limit of one.
const slotPatience = 10 * time.Millisecond

// account is what a concurrency limit belongs to.
type account struct{ id, region string }

// usage is how much of an account's limit is used.
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
	usage   *usage
	account account
	isSoon  bool
}

// admit takes a concurrency slot, or throttles.
func (i *Invoker) admit(a account) (*slot, error) {
	limit := i.Concurrency
	if limit == 0 {
		limit = function.DefaultConcurrency
	}
	s, freed := i.tryAdmit(a, limit)
	if s != nil {
		return s, nil
	}
	patience := time.NewTimer(slotPatience)
	defer patience.Stop()
	for freed != nil {
		select {
		case <-freed:
		case <-patience.C:
			return nil, throttled()
		}
		if s, freed = i.tryAdmit(a, limit); s != nil {
			return s, nil
		}
	}
	return nil, throttled()
}

// tryAdmit takes a slot if there is one. If one will be there soon, freed is closed then.
func (i *Invoker) tryAdmit(a account, limit int) (s *slot, freed <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.accounts == nil {
		i.accounts = map[account]*usage{}
	}
	u := i.accounts[a]
	if u == nil {
		u = &usage{}
		i.accounts[a] = u
	}
	switch {
	case u.running < limit:
		u.running++
		return &slot{invoker: i, usage: u, account: a}, nil
	case u.answered == 0:
		return nil, nil
	case u.freed == nil:
		u.freed = make(chan struct{})
	}
	return nil, u.freed
}

func throttled() error {
	err := function.Errorf(function.ErrTooManyRequests, "Rate Exceeded.")
	err.Reason = "ConcurrentInvocationLimitExceeded"
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
	u := s.usage
	u.running--
	if s.isSoon {
		u.answered--
		s.invoker.settleLocked()
	}
	if u.freed != nil {
		close(u.freed)
		u.freed = nil
	}
	if u.running == 0 {
		delete(s.invoker.accounts, s.account)
	}
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
