package pool

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"hotaru/environment"
	"hotaru/sandbox"
)

// Kind says which functions a blank can serve: those of one runtime, one size and one network, in the sandboxes of one
// driver. The memory counts, because an interpreter's heap limit is fixed at its start.
type Kind struct {
	Driver             string
	Runtime            string
	MemoryMB           int
	EphemeralStorageMB int
	// Egress is how far the network reaches: interfaces are made with the sandbox.
	Egress sandbox.Egress
}

// BlankMaker makes a blank of a kind, its runtime started where that can be.
type BlankMaker func(ctx context.Context, kind Kind) (*environment.Blank, error)

// Stock keeps blanks ready, so that a cold start need not wait for a sandbox or an interpreter. A kind has none
// until it is first asked for, unless it is kept, and none again when it has not been asked for in a while. How many a
// kind has follows from how fast they are taken (demand.go). It is safe for concurrent use.
type Stock struct {
	make   BlankMaker
	limits StockLimits
	logger *slog.Logger

	mu    sync.Mutex
	kinds map[Kind]*shelf
	// total is how many blanks there are and are coming, refilling how many goroutines make them.
	total, refilling int
	// quiet says whether nobody waits for an environment to be made: no blank is made as long as somebody does. It is
	// called without a lock; nil means always.
	quiet  func() bool
	closed bool

	working sync.WaitGroup // blanks being made or closed
	ctx     context.Context
	stop    context.CancelFunc
	stopped chan struct{}
}

// StockLimits bound a Stock. Zero fields take the default.
type StockLimits struct {
	// Ready blanks of each kind in use at least; 2. Negative keeps none but those of Keep.
	Ready int
	// Keep has blanks from the start on, so many of each kind at least. What is expected of memory comes first.
	Keep map[Kind]int
	// Total blanks of all kinds; 256.
	Total int
	// Budget is the memory there is; nil is no end of it. Blanks take an eighth of it at most.
	Budget *Budget
	// Makings is how many blanks are made at once; as many as there are CPUs.
	Makings int
	// Delay before blanks are made again, which keeps that off the way of the invocation that took the last; 20 ms.
	Delay time.Duration
	// IdleTime after which a kind that nobody asked for has no blanks any more; DefaultIdleTime.
	IdleTime time.Duration
}

// blankPart of a budget is what blanks may take.
const blankPart = 8

// shelf is the blanks of one kind.
type shelf struct {
	blanks []stocked
	// coming are being made, or will be after the delay.
	coming int
	asked  time.Time
	demand demand
	// expected is how much memory the next blank is expected to take.
	expected int64
}

// stocked is a blank and what it has taken of the budget.
type stocked struct {
	*environment.Blank
	charge int64
}

// NewStock starts a stock with the blanks that it keeps. Close ends it.
func NewStock(maker BlankMaker, limits StockLimits, logger *slog.Logger) *Stock {
	setDefault(&limits.Ready, 2)
	limits.Ready = max(limits.Ready, 0)
	setDefault(&limits.Total, 256)
	setDefault(&limits.Makings, runtime.GOMAXPROCS(0))
	setDefault(&limits.Delay, 20*time.Millisecond)
	setDefault(&limits.IdleTime, DefaultIdleTime)
	s := &Stock{make: maker, limits: limits, logger: logger, kinds: map[Kind]*shelf{}, stopped: make(chan struct{})}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	for kind := range limits.Keep {
		s.refillLocked(kind, s.shelfLocked(kind))
	}
	go s.retire()
	return s
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Size is the number of blanks that are ready, and that are being made or soon will be.
func (s *Stock) Size() (ready, coming int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.kinds {
		ready += len(sh.blanks)
		coming += sh.coming
	}
	return ready, coming
}

// Take returns a blank of a kind, or nil if none is ready: the caller makes one itself then. Either way more will
// be ready soon. The memory of a blank that is taken is the taker's to account for.
func (s *Stock) Take(kind Kind) *environment.Blank {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.limits.Ready == 0 && s.limits.Keep[kind] == 0 {
		return nil
	}
	sh := s.shelfLocked(kind)
	sh.asked = time.Now()
	sh.demand.taken(sh.asked)
	var taken *environment.Blank
	for taken == nil && len(sh.blanks) > 0 {
		// The oldest first: its interpreter has had the most time to get ready.
		first := s.removeLocked(sh)
		if !first.Alive() {
			s.closeLocked(first)
			continue
		}
		s.limits.Budget.correct(-first.charge)
		taken = first.Blank
	}
	s.refillLocked(kind, sh)
	return taken
}

func (s *Stock) shelfLocked(kind Kind) *shelf {
	sh := s.kinds[kind]
	if sh == nil {
		sh = &shelf{expected: usualUse}
		s.kinds[kind] = sh
	}
	return sh
}

// removeLocked takes the oldest blank off its shelf.
func (s *Stock) removeLocked(sh *shelf) stocked {
	first := sh.blanks[0]
	sh.blanks = append(sh.blanks[:0:0], sh.blanks[1:]...)
	s.total--
	return first
}

// targetLocked is how many blanks a kind should have.
func (s *Stock) targetLocked(kind Kind, sh *shelf) int {
	least := s.limits.Keep[kind]
	if !sh.asked.IsZero() {
		least = max(least, s.limits.Ready)
	}
	return max(least, sh.demand.target(time.Now()))
}

// refillLocked has blanks made until a kind has as many as it should: several at once where it is far behind.
func (s *Stock) refillLocked(kind Kind, sh *shelf) {
	for missing := s.targetLocked(kind, sh) - len(sh.blanks) - sh.coming; missing > 0 && s.roomLocked(sh); missing-- {
		if s.refilling >= s.limits.Makings && sh.coming > 0 {
			return // who makes one now goes on
		}
		s.total++
		s.refilling++
		sh.coming++
		s.limits.Budget.correct(sh.expected)
		charge := sh.expected
		s.working.Go(func() { s.refill(kind, sh, charge) })
	}
}

// roomLocked says whether another blank may be made: blanks never have anybody leave.
func (s *Stock) roomLocked(sh *shelf) bool {
	if s.total >= s.limits.Total {
		return false
	}
	limit := s.limits.Budget.Limit()
	return (limit == 0 || int64(s.total+1)*sh.expected <= limit/blankPart) && s.limits.Budget.short(sh.expected) <= 0
}

// refill makes one blank after the delay, when it is in nobody's way.
func (s *Stock) refill(kind Kind, sh *shelf, charge int64) {
	began := time.Now()
	blank, err := s.makeQuietly(kind)
	var used int64
	if blank != nil {
		used = blank.MemoryBytes(s.ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh.coming--
	s.refilling--
	if blank == nil {
		s.total--
		s.limits.Budget.correct(-charge)
		if err != nil && s.ctx.Err() == nil {
			// Whoever needs one makes it and sees the error; the next Take tries again.
			s.logger.Warn("a sandbox could not be prepared", "runtime", kind.Runtime, "error", err)
		}
		return
	}
	if used > 0 {
		sh.expected = used + overhead
		s.limits.Budget.correct(sh.expected - charge)
		charge = sh.expected
	}
	if s.closed || s.kinds[kind] != sh {
		s.total--
		s.closeLocked(stocked{blank, charge})
		return
	}
	sh.demand.refilled(time.Since(began))
	sh.blanks = append(sh.blanks, stocked{blank, charge})
	s.refillLocked(kind, sh)
}

// makeQuietly makes a blank after the delay, and after everybody who waits for an environment has been served.
func (s *Stock) makeQuietly(kind Kind) (*environment.Blank, error) {
	timer := time.NewTimer(s.limits.Delay)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return nil, s.ctx.Err()
		case <-timer.C:
		}
		s.mu.Lock()
		quiet := s.quiet
		s.mu.Unlock()
		if quiet == nil || quiet() {
			return s.make(s.ctx, kind)
		}
		timer.Reset(s.limits.Delay)
	}
}

// yieldTo has no blank made unless it is quiet.
func (s *Stock) yieldTo(quiet func() bool) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet = quiet
}

// shed has a blank leave, to make room for environments, and says whether there was one.
func (s *Stock) shed() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.kinds {
		if len(sh.blanks) > 0 {
			s.closeLocked(s.removeLocked(sh))
			return true
		}
	}
	return false
}

// closeLocked closes a blank in the background; Close waits for it.
func (s *Stock) closeLocked(blank stocked) {
	s.limits.Budget.leave(blank.charge)
	s.working.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
		defer cancel()
		if err := blank.Close(ctx); err != nil {
			s.logger.Error("a prepared sandbox could not be removed", "error", err)
		}
		s.limits.Budget.gone(blank.charge)
	})
}

// retire empties the shelves that nobody asks for any more, and takes from those that are asked for less.
func (s *Stock) retire() {
	defer close(s.stopped)
	ticker := time.NewTicker(max(min(s.limits.IdleTime/10, decayInterval), time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case now := <-ticker.C:
			s.retireSince(now.Add(-s.limits.IdleTime))
		}
	}
}

func (s *Stock) retireSince(limit time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for kind, sh := range s.kinds {
		if sh.asked.Before(limit) && s.limits.Keep[kind] == 0 {
			s.clearLocked(kind, sh)
			continue
		}
		for target := s.targetLocked(kind, sh); len(sh.blanks) > target; {
			s.closeLocked(s.removeLocked(sh))
		}
		s.refillLocked(kind, sh) // what memory did not allow before
	}
}

func (s *Stock) clearLocked(kind Kind, sh *shelf) {
	for len(sh.blanks) > 0 {
		s.closeLocked(s.removeLocked(sh))
	}
	delete(s.kinds, kind)
}

// Close closes every blank and waits until all are gone. Idempotent.
func (s *Stock) Close() {
	s.mu.Lock()
	s.closed = true
	for kind, sh := range s.kinds {
		s.clearLocked(kind, sh)
	}
	s.mu.Unlock()
	s.stop()
	<-s.stopped
	s.working.Wait()
}
