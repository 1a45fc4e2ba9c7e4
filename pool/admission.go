package pool

import "time"

// What an environment is expected to use as long as nothing is known of its version, and what it takes beside what its
// control groups show: its share of this process, sockets, a file system.
const (
	usualUse = 14 << 20
	overhead = 2 << 20
)

// youth is how long an idle environment is its function's own, even where memory lacks: one that is invoked over and over
// pauses for less. Who holds more than whoever wants memory has no such claim.
const youth = 250 * time.Millisecond

// searched is how many idle environments are looked at, the idlest first, for one whose function holds more than whoever
// wants memory.
const searched = 64

// maxExpectations bounds what is remembered of versions without environments.
const maxExpectations = 4096

// needLocked is how much memory another environment of a version is expected to take.
func (p *Pool) needLocked(l *line) int64 {
	if l.expected == 0 {
		if l.expected = p.expectations[l.key.version]; l.expected == 0 {
			l.expected = usualUse
		}
	}
	return p.budget.bound(l.expected)
}

// learnLocked corrects what an environment is charged with, and what others of its version are expected to use, by what it
// has been seen using.
func (p *Pool) learnLocked(t *tenant) {
	used := t.env.MemoryBytes()
	if used == 0 {
		return
	}
	used = p.budget.bound(used + overhead) // one that ran out of memory may not have had all that it may have
	if l := t.line; used != l.expected {
		l.expected = max(used, l.expected-l.expected/8)
	}
	more := used - t.charge
	if more == 0 {
		return
	}
	t.charge += more
	t.line.share.held += more
	p.budget.correct(more)
	if more > 0 {
		p.relieveLocked()
	}
}

// rememberLocked keeps what is known of a version that has no environment any more.
func (p *Pool) rememberLocked(l *line) {
	if l.expected == 0 || l.expected == usualUse {
		return
	}
	if len(p.expectations) >= maxExpectations {
		clear(p.expectations)
	}
	p.expectations[l.key.version] = l.expected
}

// grantLocked lets waiters make environments as long as there is a place to make them and memory: those of the function
// first that then holds the least.
func (p *Pool) grantLocked() {
	lacks := false
	for !lacks && len(p.hungry) > 0 {
		s := p.hungry[0]
		w := s.first()
		need := p.needLocked(w.line)
		if p.making >= p.makings {
			lacks = p.idle.oldest == nil && p.budget.short(need) > 0
			break
		}
		if !p.budget.take(need) {
			p.makeRoomLocked(s, need)
			lacks = true
			continue
		}
		p.making++
		s.held += need
		p.workLocked(w.line)
		p.removeLocked(w)
		w.granted <- grant{charge: need}
	}
	if lacks {
		p.lookAgainLocked(readingAge) // others on this machine may free some
	}
	if lacks == p.lacks {
		return
	}
	now := time.Now()
	p.lacked = p.lackedLocked(now)
	if p.lacks, p.lackingSince = lacks, now; lacks {
		close(p.lacking)
	} else {
		p.lacking = make(chan struct{})
	}
}

// lackedLocked is for how long memory has lacked until now, in all.
func (p *Pool) lackedLocked(now time.Time) time.Duration {
	if p.lacks {
		return p.lacked + now.Sub(p.lackingSince)
	}
	return p.lacked
}

// lookAgainLocked has it looked again soon at who may have what.
func (p *Pool) lookAgainLocked(soon time.Duration) {
	if at := time.Now().Add(soon); p.alarmAt.IsZero() || at.Before(p.alarmAt) {
		p.alarmAt = at
		p.alarm.Reset(soon)
	}
}

// makeRoomLocked has idle environments leave until a share's waiters will have what they need: blanks first, then the
// idlest.
func (p *Pool) makeRoomLocked(s *share, need int64) {
	want := need * int64(min(s.wanting, p.makings))
	for p.budget.short(want) > 0 {
		if p.blanks.shed() {
			continue
		}
		t := p.spareLocked(s, s.held+p.budget.departing()+need)
		if t == nil {
			return
		}
		p.dismissLocked(t)
	}
}

// spareLocked is an idle environment that may leave for one of a share that then holds so much; nil if there is none yet.
func (p *Pool) spareLocked(s *share, level int64) *tenant {
	idlest := p.idle.oldest
	if idlest == nil {
		return nil
	}
	age := time.Since(idlest.since)
	if age >= youth {
		return idlest
	}
	n := 0
	for t := idlest; t != nil && n < searched; t = t.newer {
		if t.line.share == s || t.line.share.held-t.charge >= level {
			return t
		}
		n++
	}
	p.lookAgainLocked(youth - age)
	return nil
}

// yieldsLocked says whether an environment that has come back must leave, although its function has a use for it: another
// function wants memory, which has none and will hold no more than this one then.
func (p *Pool) yieldsLocked(t *tenant) bool {
	if !p.lacks || len(p.hungry) == 0 || p.hungry[0] == t.line.share {
		return false
	}
	s := p.hungry[0]
	need := s.level - s.held
	return p.budget.short(need*int64(min(s.wanting, p.makings))) > 0 &&
		t.line.share.held-t.charge >= s.level+p.budget.departing()
}

// relieveLocked has idle environments leave as long as more memory is used than there is: blanks first, then the idlest.
func (p *Pool) relieveLocked() {
	for p.budget.short(0) > 0 {
		if p.blanks.shed() {
			continue
		}
		if p.idle.oldest == nil {
			return
		}
		p.dismissLocked(p.idle.oldest)
	}
}

// quiet says whether there is a place to make another environment and nobody who waits for one.
func (p *Pool) quiet() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.hungry) == 0 && p.making < p.makings/2
}

// wake looks again at who may have what.
func (p *Pool) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grantLocked()
}

// ring is the alarm's wake.
func (p *Pool) ring() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alarmAt = time.Time{}
	if !p.closed {
		p.grantLocked()
	}
}
