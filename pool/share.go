package pool

import (
	"container/heap"
	"time"

	"hotaru/environment"
	"hotaru/function"
)

// share is what one function has of the machine.
type share struct {
	// held is the memory of its environments, those being made included, those on their way out not.
	held int64
	// working counts its environments that are at work or being made, and peak the most of late; those at work are weighed as
	// a crowd of so many (weight.go).
	working, peak, crowd int
	// lines are those of its versions and tenants that have environments or waiters.
	lines map[lineKey]*line
	// wanting counts its waiters that want an environment made; level is what it holds once the first of them has one,
	// and turn that one's place in the order of arrival. index is its place among the hungry, -1 if it is not.
	wanting int
	level   int64
	turn    uint64
	index   int
}

// lineKey says whom environments serve: one version, and one tenant if the version tells its tenants apart.
type lineKey struct {
	version function.VersionKey
	tenant  string
}

// line is what one version has, or one of its tenants: the environments that are idle and the waiters, of which there are never both.
type line struct {
	key   lineKey
	share *share
	// idle are in the order of their last use; the last is lent first, the first retires first.
	idle []*tenant
	// waiting are in the order of their arrival.
	waiting queue
	// lent counts environments that are at work or being made.
	lent int
	// soon counts lent environments whose callers have their answers.
	soon int
	// expected is how much memory another environment is expected to take; 0 until somebody asks.
	expected int64
}

// tenant is an environment of the pool.
type tenant struct {
	env  *environment.Environment
	line *line
	// charge is what it has taken of the budget.
	charge int64
	// crowd is what it was weighed for, or soon will be; unweighed says that it waits for that.
	crowd     int
	unweighed bool
	// served counts its events.
	served int
	// answered says that its caller has the answer.
	answered bool
	// since is when it was given back. older and newer are its neighbours in the order of that, while it is idle.
	since        time.Time
	older, newer *tenant
}

// byAge are idle environments, the longest idle first.
type byAge struct{ oldest, newest *tenant }

func (l *byAge) push(t *tenant) {
	t.older, t.newer = l.newest, nil
	if l.newest != nil {
		l.newest.newer = t
	} else {
		l.oldest = t
	}
	l.newest = t
}

func (l *byAge) remove(t *tenant) {
	if t.older != nil {
		t.older.newer = t.newer
	} else {
		l.oldest = t.newer
	}
	if t.newer != nil {
		t.newer.older = t.older
	} else {
		l.newest = t.older
	}
	t.older, t.newer = nil, nil
}

// hungry are the shares with waiters that want an environment made, as a heap: first the one that holds the least once
// it has it. Serving them in this order is max-min fairness: nobody gets more while another who has less wants more.
type hungry []*share

func (h hungry) Len() int { return len(h) }
func (h hungry) Less(i, j int) bool {
	if h[i].level != h[j].level {
		return h[i].level < h[j].level
	}
	return h[i].turn < h[j].turn
}

func (h hungry) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *hungry) Push(x any) {
	s := x.(*share)
	s.index = len(*h)
	*h = append(*h, s)
}

// Pop implements heap.Interface.
func (h *hungry) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	s.index = -1
	return s
}

// placeLocked puts a share where it belongs among the hungry, after any change of it.
func (p *Pool) placeLocked(s *share) {
	if s.wanting == 0 {
		if s.index >= 0 {
			heap.Remove(&p.hungry, s.index)
		}
		return
	}
	first := s.first()
	s.level, s.turn = s.held+p.needLocked(first.line), first.turn
	if s.index < 0 {
		heap.Push(&p.hungry, s)
	} else {
		heap.Fix(&p.hungry, s.index)
	}
}

// first is the longest waiting of the waiters that want an environment made. There is one.
func (s *share) first() *waiter {
	var first *waiter
	for _, l := range s.lines {
		for w := l.waiting.first; w != nil; w = w.next {
			if w.wants {
				if first == nil || w.turn < first.turn {
					first = w
				}
				break
			}
		}
	}
	return first
}

// lineLocked finds a line, or begins one.
func (p *Pool) lineLocked(key lineKey) *line {
	if l := p.lines[key]; l != nil {
		return l
	}
	s := p.shares[key.version.ID]
	if s == nil {
		s = &share{crowd: 1, lines: map[lineKey]*line{}, index: -1}
		p.shares[key.version.ID] = s
	}
	l := &line{key: key, share: s}
	s.lines[key], p.lines[key] = l, l
	return l
}

// tidyLocked forgets a line that nothing is left of.
func (p *Pool) tidyLocked(l *line) {
	if l.lent > 0 || len(l.idle) > 0 || l.waiting.first != nil {
		return
	}
	p.rememberLocked(l)
	delete(p.lines, l.key)
	if delete(l.share.lines, l.key); len(l.share.lines) == 0 {
		delete(p.shares, l.key.version.ID)
	}
}
