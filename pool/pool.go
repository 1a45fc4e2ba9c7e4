// Package pool keeps the execution environments of one machine: it hands out a warm one or has one made, takes
// them back, and retires those that are idle too long or serve a version that is no longer current. Where memory
// does not suffice for all it is shared fairly between functions. It must not know requests, qualifiers or what an
// environment does with an event.
package pool

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"runtime"
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

// maxServed is how many events an environment may serve. Runtimes put each event's trace ID into their environment, and a C
// library never frees what was there before: some 20 MB come together until then.
const maxServed = 100_000

// pressureInterval is how often the machine's memory is looked at while there are idle environments.
const pressureInterval = time.Second

// The errors of Acquire.
var (
	// ErrClosed says that the pool is closing.
	ErrClosed = errors.New("pool: closed")
	// ErrFull says that there was no memory for another environment for as long as Acquire waits.
	ErrFull = errors.New("pool: no memory for another environment")
)

// Maker makes an environment for a version. Nothing of the function runs in it yet.
type Maker func(ctx context.Context, v *function.Version) (*environment.Environment, error)

// Stale says whether an environment's version is no longer the one that its function serves, or the environment not what
// its function chooses, so that it must not take another event. It is asked at every Release and must answer at once.
type Stale func(env *environment.Environment) bool

// Options say what a Pool has to go by.
type Options struct {
	// IdleTime after which an idle environment is retired; DefaultIdleTime.
	IdleTime time.Duration
	// MaxServed is how many events an environment serves before it is retired; 100,000.
	MaxServed int
	// Makings is how many environments are made at once; DefaultMakings.
	Makings int
	// Budget is the memory there is; nil is no end of it.
	Budget *Budget
	// Blanks are given up first where memory lacks, and made when nobody waits; nil are none.
	Blanks *Stock
	Logger *slog.Logger
}

// DefaultMakings is two for each CPU: making one is work for the kernel, some of which is waiting. With more of them each
// takes more of the CPUs (docs/performance.md), and a burst is served later.
func DefaultMakings() int { return 2 * runtime.GOMAXPROCS(0) }

// Pool is safe for concurrent use. Lock order: mu, then a Stock's, then a Budget's. mu is never held while an environment
// is made or closed.
type Pool struct {
	maker    Maker
	stale    Stale
	idleTime time.Duration
	most     int // events of one environment
	makings  int
	budget   *Budget
	blanks   *Stock
	logger   *slog.Logger

	mu     sync.Mutex // guards what follows
	lines  map[lineKey]*line
	shares map[function.ID]*share
	hungry hungry
	busy   map[*environment.Environment]*tenant
	idle   byAge
	idlers int // how many are idle
	making int // how many are being made
	turns  uint64
	// expectations are of versions without a line.
	expectations map[function.VersionKey]int64
	// lacks says that the first of the hungry waits for memory, since lackingSince; lacking is closed as long as that is so.
	// lacked is for how long it was so before, in all.
	lacks        bool
	lackingSince time.Time
	lacked       time.Duration
	lacking      chan struct{}
	// alarm goes off at alarmAt, if that is not zero: when the idlest environment is no longer too young to leave, or the
	// machine may have more memory.
	alarm   *time.Timer
	alarmAt time.Time
	closed  bool
	// unweighed are to be weighed, which a goroutine does while weighing.
	unweighed []*tenant
	weighing  bool

	closing sync.WaitGroup // environments on their way out, and weighing
	stop    chan struct{}
	stopped chan struct{}
}

// New starts a pool. Close ends it.
func New(maker Maker, stale Stale, o Options) *Pool {
	setDefault(&o.IdleTime, DefaultIdleTime)
	setDefault(&o.MaxServed, maxServed)
	setDefault(&o.Makings, DefaultMakings())
	p := &Pool{
		maker: maker, stale: stale, idleTime: o.IdleTime, most: o.MaxServed, makings: o.Makings, budget: o.Budget, blanks: o.Blanks, logger: o.Logger,
		lines: map[lineKey]*line{}, shares: map[function.ID]*share{},
		busy: map[*environment.Environment]*tenant{}, expectations: map[function.VersionKey]int64{},
		lacking: make(chan struct{}), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	p.alarm = time.AfterFunc(youth, p.ring)
	p.budget.onFreed(p.wake)
	o.Blanks.yieldTo(p.quiet)
	go p.watch()
	return p
}

// Acquire returns an environment for the version, warm if there is one, for one invocation; the caller gives
// it back with Release. A tenant is lent only environments that have never served anyone else; "" is a tenant, too.
func (p *Pool) Acquire(ctx context.Context, v *function.Version, tenant string, caller Caller) (*environment.Environment, error) {
	env, w, err := p.takeIdle(lineKey{v.Key(), tenant})
	if env != nil || err != nil {
		return env, err
	}
	return p.await(ctx, v, w, caller)
}

// takeIdle lends the environment that was used last. Where there is none it answers a waiter.
func (p *Pool) takeIdle(key lineKey) (*environment.Environment, *waiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, ErrClosed
	}
	l := p.lineLocked(key)
	last := len(l.idle) - 1
	if last < 0 {
		return nil, p.queueLocked(l), nil
	}
	t := l.idle[last]
	p.wakeLocked(t, last)
	p.workLocked(l)
	p.busy[t.env] = t
	return t.env, nil, nil
}

// wakeLocked ends the idleness of the environment at a place of its line.
func (p *Pool) wakeLocked(t *tenant, place int) {
	t.line.idle = slices.Delete(t.line.idle, place, place+1)
	p.idle.remove(t)
	p.idlers--
}

// makeOne has an environment made, for a grant, and lends it.
func (p *Pool) makeOne(ctx context.Context, v *function.Version, l *line, charge int64) (*environment.Environment, error) {
	env, err := p.maker(ctx, v)
	if err == nil && !p.lend(env, l, charge) {
		// Close may have been waited for already: nobody would wait for this one in the background.
		err = errors.Join(ErrClosed, env.Close(context.WithoutCancel(ctx)))
	}
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.unmakeLocked(l, charge)
		return nil, err
	}
	return env, nil
}

// lend counts an environment that has just been made among those at work, unless the pool is closed.
func (p *Pool) lend(env *environment.Environment, l *line, charge int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	t := &tenant{env: env, line: l, charge: charge, crowd: 1}
	p.busy[env] = t
	p.weighLocked(t)
	p.making--
	p.grantLocked()
	return true
}

// unmakeLocked gives back what was granted for an environment that does not come.
func (p *Pool) unmakeLocked(l *line, charge int64) {
	p.making--
	p.restLocked(l)
	l.share.held -= charge
	p.budget.correct(-charge)
	p.tidyLocked(l)
	p.grantLocked()
}

// Answered tells that a lent environment's caller has its answer, so that Release is not far: whoever wants one of the
// same version now had better wait a moment than have one made.
func (p *Pool) Answered(env *environment.Environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.busy[env]; t != nil {
		t.answered = true
		t.line.soon++
	}
}

// Release takes an environment back.
func (p *Pool) Release(env *environment.Environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.busy[env]
	if t == nil {
		return // Close has it
	}
	l := t.line
	if t.answered {
		t.answered = false
		l.soon--
	}
	delete(p.busy, env)
	p.restLocked(l)
	t.served++
	p.learnLocked(t)
	first := l.waiting.first
	switch {
	case !env.Alive() || env.Age() > maxAge || t.served >= p.most || p.stale(env), first != nil && p.yieldsLocked(t):
		p.closeLocked(t)
	case first != nil:
		p.removeLocked(first)
		p.workLocked(l)
		p.busy[env] = t
		first.granted <- grant{tenant: t}
	default:
		env.Rest()
		t.since = time.Now()
		l.idle = append(l.idle, t)
		p.idle.push(t)
		p.idlers++
	}
	if len(p.hungry) > 0 {
		p.placeLocked(l.share)
		p.grantLocked()
	}
}

// Retire closes a function's idle environments that are stale. Those at work follow when they are given back.
func (p *Pool) Retire(id function.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.shares[id]
	if s == nil {
		return
	}
	for _, l := range s.lines {
		for _, t := range slices.Clone(l.idle) {
			if p.stale(t.env) {
				p.dismissLocked(t)
			}
		}
	}
}

// dismissLocked closes an idle environment.
func (p *Pool) dismissLocked(t *tenant) {
	p.wakeLocked(t, slices.Index(t.line.idle, t)) // the idlest is the first of its line
	p.closeLocked(t)
}

// closeLocked closes an environment that is in no list any more, in the background; Close waits for it. Its memory is
// taken until it is gone.
func (p *Pool) closeLocked(t *tenant) {
	t.line.share.held -= t.charge
	p.placeLocked(t.line.share)
	p.tidyLocked(t.line)
	p.budget.leave(t.charge)
	p.closing.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
		defer cancel()
		if err := t.env.Close(ctx); err != nil {
			p.logger.Error("an environment could not be removed", "function", t.env.Version().ARN(), "error", err)
		}
		p.budget.gone(t.charge)
	})
}

const closeLimit = 30 * time.Second

// watch retires environments that are idle for too long, or for which there is no memory any more.
func (p *Pool) watch() {
	defer close(p.stopped)
	ticker := time.NewTicker(max(min(p.idleTime/10, pressureInterval), time.Millisecond))
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
	p.budget.look()
	p.mu.Lock()
	defer p.mu.Unlock()
	for t := p.idle.oldest; t != nil && t.since.Before(limit); t = p.idle.oldest {
		p.dismissLocked(t)
	}
	if p.idle.oldest != nil {
		p.relieveLocked()
	}
	p.thinLocked()
	if len(p.hungry) > 0 {
		p.grantLocked() // what others on this machine have freed
	}
}

// Close closes every environment, busy ones too, which cuts their invocations off, and waits until all are
// gone. Drain first.
func (p *Pool) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		p.alarm.Stop()
		for p.idle.oldest != nil {
			p.dismissLocked(p.idle.oldest)
		}
		for env, t := range p.busy {
			delete(p.busy, env)
			p.restLocked(t.line)
			p.closeLocked(t)
		}
		p.sendAwayLocked()
		close(p.stop)
	}
	p.mu.Unlock()
	<-p.stopped
	p.closing.Wait()
}

// sendAwayLocked answers every waiter that the pool is closed.
func (p *Pool) sendAwayLocked() {
	for _, l := range p.lines {
		for w := l.waiting.first; w != nil; w = l.waiting.first {
			p.removeLocked(w)
			w.granted <- grant{err: ErrClosed}
		}
	}
}

// Versions yields the version of every environment there is.
func (p *Pool) Versions() iter.Seq[*function.Version] {
	p.mu.Lock()
	defer p.mu.Unlock()
	var versions []*function.Version
	for _, l := range p.lines {
		if len(l.idle) > 0 {
			versions = append(versions, l.idle[0].env.Version())
		}
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
	return p.idlers, len(p.busy)
}
