// Package pool keeps the execution environments of one machine: it hands out a warm one or has one made, takes
// them back, and retires those that are idle too long or serve a version that is no longer current. It must
// not know requests, qualifiers or what an environment does with an event.
package pool

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"hotaru/environment"
	"hotaru/function"
)

// DefaultIdleTime is how long an environment may wait for the next event before it is retired.
const DefaultIdleTime = 10 * time.Minute

// maxAge is how old an environment may get: its credentials run out some time.
const maxAge = 8 * time.Hour

// maxMaking is how many environments are made at once. More would only wait for each other in the kernel: a
// burst is served in turn, as fast as the machine can.
const maxMaking = 8

// ErrClosed answers Acquire once the pool is closing.
var ErrClosed = errors.New("pool: closed")

// Maker makes an environment for a version. Nothing of the function runs in it yet.
type Maker func(ctx context.Context, v *function.Version) (*environment.Environment, error)

// Stale says whether an environment's version is no longer the one that its function serves, or the environment not what
// its function chooses, so that it must not take another event. It is asked at every Release and must answer at once.
type Stale func(env *environment.Environment) bool

// Pool is safe for concurrent use. Lock order: mu is never held while an environment is made or closed.
type Pool struct {
	make     Maker
	stale    Stale
	idleTime time.Duration
	logger   *slog.Logger
	making   chan struct{} // holds a token for each environment that is being made

	mu   sync.Mutex
	idle map[function.VersionKey][]idleEnvironment // the last used at the end
	busy map[*environment.Environment]struct{}
	// answered are those of busy whose callers have their answers; soon counts them.
	answered map[*environment.Environment]struct{}
	soon     map[function.VersionKey]int
	waiting  map[function.VersionKey][]*waiter // the longest waiting first
	closed   bool

	closing sync.WaitGroup // environments on their way out
	stop    chan struct{}
	stopped chan struct{}
}

type idleEnvironment struct {
	*environment.Environment
	since time.Time
}

// New starts a pool. An idleTime of 0 means DefaultIdleTime. Close ends it.
func New(maker Maker, stale Stale, idleTime time.Duration, logger *slog.Logger) *Pool {
	if idleTime == 0 {
		idleTime = DefaultIdleTime
	}
	p := &Pool{
		make: maker, stale: stale, idleTime: idleTime, logger: logger,
		making: make(chan struct{}, maxMaking),
		idle:   map[function.VersionKey][]idleEnvironment{}, busy: map[*environment.Environment]struct{}{},
		answered: map[*environment.Environment]struct{}{}, soon: map[function.VersionKey]int{},
		waiting: map[function.VersionKey][]*waiter{},
		stop:    make(chan struct{}), stopped: make(chan struct{}),
	}
	go p.retireIdle()
	return p
}

// Acquire returns an environment for the version, warm if there is one, for one invocation; the caller gives
// it back with Release.
func (p *Pool) Acquire(ctx context.Context, v *function.Version) (*environment.Environment, error) {
	env, w, err := p.takeIdle(v)
	if env != nil || err != nil {
		return env, err
	}
	return p.await(ctx, v, w)
}

// takeIdle lends the environment that was used last. Where there is none it answers a waiter.
func (p *Pool) takeIdle(v *function.Version) (*environment.Environment, *waiter, error) {
	key := v.Key()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, ErrClosed
	}
	waiting := p.idle[key]
	if len(waiting) == 0 {
		return nil, p.queueLocked(key), nil
	}
	last := len(waiting) - 1
	env := waiting[last].Environment
	waiting[last] = idleEnvironment{}
	if p.idle[key] = waiting[:last]; last == 0 {
		delete(p.idle, key)
	}
	p.busy[env] = struct{}{}
	return env, nil, nil
}

// await waits for an environment that comes back, or makes one when it is its turn to.
func (p *Pool) await(ctx context.Context, v *function.Version, w *waiter) (*environment.Environment, error) {
	making := p.making
	var patience <-chan time.Time
	if w.soon {
		making = nil
		timer := time.NewTimer(answeredPatience)
		defer timer.Stop()
		patience = timer.C
	}
	for {
		select {
		case env := <-w.lent:
			return env, nil
		case <-patience:
			making = p.making
		case <-ctx.Done():
			if env := p.leave(w); env != nil {
				return env, nil
			}
			return nil, ctx.Err()
		case making <- struct{}{}:
			return p.makeOne(ctx, v, w)
		}
	}
}

// makeOne has an environment made and lends it, unless one has come back meanwhile. It gives back the token to make.
func (p *Pool) makeOne(ctx context.Context, v *function.Version, w *waiter) (*environment.Environment, error) {
	defer func() { <-p.making }()
	if env := p.leave(w); env != nil {
		return env, nil
	}
	if p.isClosed() {
		return nil, ErrClosed
	}
	env, err := p.make(ctx, v)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		// Close has been waited for already: nobody would wait for this one in the background.
		return nil, errors.Join(ErrClosed, env.Close(context.WithoutCancel(ctx)))
	}
	p.busy[env] = struct{}{}
	return env, nil
}

func (p *Pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// Answered tells that a lent environment's caller has its answer, so that Release is not far: whoever wants one of the
// same version now had better wait a moment than have one made.
func (p *Pool) Answered(env *environment.Environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered[env] = struct{}{}
	p.soon[env.Version().Key()]++
}

// Release takes an environment back.
func (p *Pool) Release(env *environment.Environment) {
	key := env.Version().Key()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.busy, env)
	if _, ok := p.answered[env]; ok {
		delete(p.answered, env)
		if p.soon[key]--; p.soon[key] == 0 {
			delete(p.soon, key)
		}
	}
	if p.closed || !env.Alive() || env.Age() > maxAge || p.stale(env) {
		p.closeLocked(env)
		return
	}
	if w := p.nextLocked(key); w != nil {
		p.busy[env] = struct{}{}
		w.lent <- env
		return
	}
	env.Rest()
	p.idle[key] = append(p.idle[key], idleEnvironment{env, time.Now()})
}

// Retire closes a function's idle environments that are stale. Those at work follow when they are given back.
func (p *Pool) Retire(id function.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, waiting := range p.idle {
		if key.ID != id {
			continue
		}
		var fresh []idleEnvironment
		for _, env := range waiting {
			if p.stale(env.Environment) {
				p.closeLocked(env.Environment)
			} else {
				fresh = append(fresh, env)
			}
		}
		if p.idle[key] = fresh; len(fresh) == 0 {
			delete(p.idle, key)
		}
	}
}

// closeLocked closes an environment in the background; Close waits for it.
func (p *Pool) closeLocked(env *environment.Environment) {
	p.closing.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
		defer cancel()
		if err := env.Close(ctx); err != nil {
			p.logger.Error("an environment could not be removed", "function", env.Version().ARN(), "error", err)
		}
	})
}

const closeLimit = 30 * time.Second

// retireIdle closes environments that have waited too long.
func (p *Pool) retireIdle() {
	defer close(p.stopped)
	ticker := time.NewTicker(max(p.idleTime/10, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case now := <-ticker.C:
			p.retireSince(now.Add(-p.idleTime))
		}
	}
}

func (p *Pool) retireSince(limit time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, waiting := range p.idle {
		n := 0
		for n < len(waiting) && waiting[n].since.Before(limit) {
			p.closeLocked(waiting[n].Environment)
			n++
		}
		if n == len(waiting) {
			delete(p.idle, key)
		} else if n > 0 {
			p.idle[key] = append([]idleEnvironment(nil), waiting[n:]...)
		}
	}
}

// Close closes every environment, busy ones too, which cuts their invocations off, and waits until all are
// gone. Drain first.
func (p *Pool) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.stopped
		p.closing.Wait()
		return
	}
	p.closed = true
	for _, waiting := range p.idle {
		for _, env := range waiting {
			p.closeLocked(env.Environment)
		}
	}
	clear(p.idle)
	for env := range p.busy {
		p.closeLocked(env) // Release closes it again, which is idempotent
	}
	p.mu.Unlock()
	close(p.stop)
	<-p.stopped
	p.closing.Wait()
}

// Versions yields the version of every environment there is.
func (p *Pool) Versions() iter.Seq[*function.Version] {
	p.mu.Lock()
	defer p.mu.Unlock()
	var versions []*function.Version
	for _, waiting := range p.idle {
		versions = append(versions, waiting[0].Version())
	}
	for env := range p.busy {
		versions = append(versions, env.Version())
	}
	return slices.Values(versions)
}

// Size is the number of environments that wait and that are at work.
func (p *Pool) Size() (idle, busy int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, waiting := range p.idle {
		idle += len(waiting)
	}
	return idle, len(p.busy)
}
