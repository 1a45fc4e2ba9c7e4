package pool

import (
	"context"
	"time"

	"hotaru/environment"
	"hotaru/function"
)

// answeredPatience is how long Acquire waits for an environment whose last caller has its answer, before it has
// another one made: a runtime asks for its next event within microseconds, unless it has work to do after its answer.
const answeredPatience = 2 * time.Millisecond

// memoryPatience is how long Acquire waits for memory, in all. As long as there is memory it waits for its turn, however long
// that takes, and however long it has waited before.
const memoryPatience = time.Second

// Caller is whoever acquires an environment. It is told of a wait for its turn or for memory, so that the wait takes
// nothing from others.
type Caller interface {
	// Park says that such a wait begins.
	Park()
	// Unpark says that it has ended well. Its error is Acquire's.
	Unpark() error
}

// waiter is an Acquire that waits for an environment to come back or for its turn to have one made.
type waiter struct {
	line *line
	turn uint64
	// wants says that it would have one made; else one that nobody else waits for is about to come back.
	wants bool
	// waits says that it is in its line.
	waits bool
	// lacked is the pool's when it began to want one.
	lacked time.Duration
	// granted takes what the waiter gets, once, and has room for it.
	granted        chan grant
	previous, next *waiter
}

// grant is an environment that came back or, without one, the permission to make one that takes so much memory.
type grant struct {
	tenant *tenant
	charge int64
	err    error
}

// queue is waiters in the order of their arrival.
type queue struct {
	first, last *waiter
	length      int
}

func (q *queue) push(w *waiter) {
	if w.previous = q.last; q.last != nil {
		q.last.next = w
	} else {
		q.first = w
	}
	q.last = w
	q.length++
}

func (q *queue) remove(w *waiter) {
	if w.previous != nil {
		w.previous.next = w.next
	} else {
		q.first = w.next
	}
	if w.next != nil {
		w.next.previous = w.previous
	} else {
		q.last = w.previous
	}
	w.previous, w.next = nil, nil
	q.length--
}

// queueLocked adds a waiter to a version's line.
func (p *Pool) queueLocked(l *line) *waiter {
	p.turns++
	w := &waiter{
		line: l, turn: p.turns, wants: l.soon <= l.waiting.length, waits: true, granted: make(chan grant, 1),
	}
	l.waiting.push(w)
	if w.wants {
		l.share.wanting++
		p.placeLocked(l.share)
		p.grantLocked()
	}
	return w
}

// want says that a waiter would have an environment made from now on. It returns what is closed when memory lacks.
func (p *Pool) want(w *waiter) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.lacked = p.lackedLocked(time.Now())
	if w.waits && !w.wants {
		w.wants = true
		w.line.share.wanting++
		p.placeLocked(w.line.share)
		p.grantLocked()
	}
	return p.lacking
}

// patience is for how much longer a waiter waits for memory. again is nil while memory lacks, else closed when it does
// so: until then it waits for its turn.
func (p *Pool) patience(w *waiter) (left time.Duration, again <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left = memoryPatience - (p.lackedLocked(time.Now()) - w.lacked)
	if p.lacks {
		return left, nil
	}
	return left, p.lacking
}

// removeLocked takes a waiter out of its line.
func (p *Pool) removeLocked(w *waiter) {
	w.waits = false
	w.line.waiting.remove(w)
	if w.wants {
		w.line.share.wanting--
		p.placeLocked(w.line.share)
	}
}

// leave takes a waiter out of its line, for good. It returns what the waiter was granted meanwhile, if anything.
func (p *Pool) leave(w *waiter) (g grant, granted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case g := <-w.granted:
		return g, true
	default:
	}
	p.removeLocked(w)
	p.tidyLocked(w.line)
	p.grantLocked() // another may be the first now, and want less
	return grant{}, false
}

// await waits for what a waiter is granted.
func (p *Pool) await(ctx context.Context, v *function.Version, w *waiter, caller Caller) (*environment.Environment, error) {
	if !w.wants {
		timer := time.NewTimer(answeredPatience)
		defer timer.Stop()
		select {
		case g := <-w.granted:
			return p.use(ctx, v, w, g, nil)
		case <-timer.C:
		}
	}
	lacking := p.want(w)
	select {
	case g := <-w.granted:
		return p.use(ctx, v, w, g, nil)
	default:
	}
	caller.Park()
	timer := time.NewTimer(memoryPatience)
	defer timer.Stop()
	var tooLong <-chan time.Time
	refusal := error(nil)
	for refusal == nil {
		select {
		case g := <-w.granted:
			return p.use(ctx, v, w, g, caller)
		case <-lacking:
		case <-tooLong:
		case <-ctx.Done():
			refusal = ctx.Err()
			continue
		}
		var left time.Duration
		left, lacking = p.patience(w)
		switch tooLong = nil; {
		case lacking == nil && left <= 0:
			refusal = ErrFull
		case lacking == nil:
			tooLong = timer.C
			timer.Reset(left)
		}
	}
	if g, granted := p.leave(w); granted {
		return p.use(ctx, v, w, g, caller)
	}
	return nil, refusal
}

// use makes of a grant what the waiter came for. parked is the caller if it has been parked.
func (p *Pool) use(ctx context.Context, v *function.Version, w *waiter, g grant, parked Caller) (*environment.Environment, error) {
	if g.err != nil {
		return nil, g.err
	}
	if parked != nil {
		if err := parked.Unpark(); err != nil {
			p.decline(w.line, g)
			return nil, err
		}
	}
	if g.tenant != nil {
		return g.tenant.env, nil
	}
	return p.makeOne(ctx, v, w.line, g.charge)
}

// decline gives a grant back.
func (p *Pool) decline(l *line, g grant) {
	if g.tenant != nil {
		p.Release(g.tenant.env)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unmakeLocked(l, g.charge)
}
