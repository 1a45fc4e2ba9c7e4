package pool

import (
	"slices"
	"time"

	"hotaru/environment"
	"hotaru/function"
)

// answeredPatience is how long Acquire waits for an environment whose last caller has its answer, before it has
// another one made: a runtime asks for its next event within microseconds, unless it has work to do after its answer.
const answeredPatience = 2 * time.Millisecond

// waiter is an Acquire that waits for an environment to come back. Those of one version are served in turn.
type waiter struct {
	key function.VersionKey
	// soon says that an environment which nobody else waits for is about to come back.
	soon bool
	// lent takes the environment that came back, and has room for it.
	lent chan *environment.Environment
}

// queueLocked adds a waiter.
func (p *Pool) queueLocked(key function.VersionKey) *waiter {
	w := &waiter{
		key: key, soon: p.soon[key] > len(p.waiting[key]), lent: make(chan *environment.Environment, 1),
	}
	p.waiting[key] = append(p.waiting[key], w)
	return w
}

// nextLocked takes the longest waiting waiter out of its queue; nil if nobody waits.
func (p *Pool) nextLocked(key function.VersionKey) *waiter {
	queue := p.waiting[key]
	if len(queue) == 0 {
		return nil
	}
	first := queue[0]
	p.removeLocked(first)
	return first
}

// leave takes a waiter out of its queue. It returns the environment that it was lent meanwhile, if any.
func (p *Pool) leave(w *waiter) *environment.Environment {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case env := <-w.lent:
		return env
	default:
		p.removeLocked(w)
		return nil
	}
}

func (p *Pool) removeLocked(w *waiter) {
	queue := p.waiting[w.key]
	if i := slices.Index(queue, w); i >= 0 {
		queue = slices.Delete(queue, i, i+1)
	}
	if p.waiting[w.key] = queue; len(queue) == 0 {
		delete(p.waiting, w.key)
	}
}
