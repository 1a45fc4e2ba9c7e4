package pool

import (
	"errors"
	"math/bits"

	"hotaru/sandbox"
)

// Environments' quotas are worth nothing where those at work want more CPU time than the machine has: the kernel gives each
// the same then, and a function with two hundred of them gets a hundred times what one with two gets. So functions have
// claims on CPU time, and those at work for the same function share one. A function's claim is that of a few
// environments, so that most functions need no weighing at all.

// unweighed is how many environments of a function at work have a claim each.
const unweighed = 4

// crowdOf is by how many environments the claim of one is shared where so many are at work: with the next power of two
// shared claims are never worth more than unweighed whole ones, and change seldom.
func crowdOf(working int) int {
	if working <= unweighed {
		return 1
	}
	return 1 << bits.Len(uint(working-1)) / unweighed
}

// workLocked counts an environment of a share that goes to work.
func (p *Pool) workLocked(l *line) {
	l.lent++
	s := l.share
	s.working++
	if s.peak = max(s.peak, s.working); crowdOf(s.working) > s.crowd {
		p.crowdLocked(s, crowdOf(s.working))
	}
}

// restLocked counts one that has come back.
func (p *Pool) restLocked(l *line) {
	l.lent--
	l.share.working--
}

// crowdLocked has all environments of a share weighed.
func (p *Pool) crowdLocked(s *share, crowd int) {
	s.crowd = crowd
	for _, t := range p.busy {
		if t.line.share == s {
			p.weighLocked(t)
		}
	}
	for _, l := range s.lines {
		for _, t := range l.idle {
			p.weighLocked(t)
		}
	}
}

// thinLocked weighs the environments of shares of which far fewer have been at work since it was last called.
func (p *Pool) thinLocked() {
	for _, s := range p.shares {
		if crowd := crowdOf(s.peak); crowd < s.crowd/2 {
			p.crowdLocked(s, crowd)
		}
		s.peak = s.working
	}
}

// weighLocked has an environment weighed in the background, if its share's crowd is not what it was last weighed for.
func (p *Pool) weighLocked(t *tenant) {
	if p.closed || t.unweighed || t.crowd == t.line.share.crowd {
		return
	}
	t.unweighed = true
	if p.unweighed = append(p.unweighed, t); !p.weighing {
		p.weighing = true
		p.closing.Go(p.weigh)
	}
}

// weigh weighs those that are to be, one after the other: two at once could leave the older weight.
func (p *Pool) weigh() {
	for t, crowd := p.nextUnweighed(); t != nil; t, crowd = p.nextUnweighed() {
		if err := t.env.Weigh(crowd); err != nil && !errors.Is(err, sandbox.ErrDestroyed) {
			p.logger.Warn("an environment keeps its weight", "function", t.env.Version().ARN(), "error", err)
		}
	}
}

// nextUnweighed is one that is to be weighed, and for which crowd; nil if there is none, and then weigh ends.
func (p *Pool) nextUnweighed() (t *tenant, crowd int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.unweighed) - 1
	if p.weighing = last >= 0; !p.weighing {
		return nil, 0
	}
	t, p.unweighed = p.unweighed[last], p.unweighed[:last]
	t.unweighed, t.crowd = false, t.line.share.crowd
	return t, t.crowd
}
