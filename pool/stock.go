package pool

import (
	"context"
	"log/slog"
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
// until it is first asked for, and none again when it has not been asked for in a while. It is safe for
// concurrent use.
type Stock struct {
	make   BlankMaker
	limits StockLimits
	logger *slog.Logger

	mu     sync.Mutex
	kinds  map[Kind]*shelf
	closed bool

	working sync.WaitGroup // blanks being made or closed
	ctx     context.Context
	stop    context.CancelFunc
	stopped chan struct{}
}

// StockLimits bound a Stock. Zero fields take the default.
type StockLimits struct {
	// Ready blanks of each kind; 2. Negative keeps none.
	Ready int
	// Total blanks of all kinds; 16.
	Total int
	// Delay before blanks are made again, which keeps that off the way of the invocation that took the last; 20 ms.
	Delay time.Duration
	// IdleTime after which a kind that nobody asked for has no blanks any more; DefaultIdleTime.
	IdleTime time.Duration
}

// shelf is the blanks of one kind.
type shelf struct {
	blanks []*environment.Blank
	// coming are being made, or will be after the delay.
	coming int
	asked  time.Time
}

// NewStock starts an empty stock. Close ends it.
func NewStock(maker BlankMaker, limits StockLimits, logger *slog.Logger) *Stock {
	setDefault(&limits.Ready, 2)
	setDefault(&limits.Total, 16)
	setDefault(&limits.Delay, 20*time.Millisecond)
	setDefault(&limits.IdleTime, DefaultIdleTime)
	s := &Stock{make: maker, limits: limits, logger: logger, kinds: map[Kind]*shelf{}, stopped: make(chan struct{})}
	s.ctx, s.stop = context.WithCancel(context.Background())
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
// be ready soon.
func (s *Stock) Take(kind Kind) *environment.Blank {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.limits.Ready < 0 {
		return nil
	}
	sh := s.kinds[kind]
	if sh == nil {
		sh = &shelf{}
		s.kinds[kind] = sh
	}
	sh.asked = time.Now()
	var taken *environment.Blank
	for taken == nil && len(sh.blanks) > 0 {
		// The oldest first: its interpreter has had the most time to get ready.
		taken = sh.blanks[0]
		sh.blanks = append(sh.blanks[:0:0], sh.blanks[1:]...)
		if !taken.Alive() {
			s.closeLocked(taken)
			taken = nil
		}
	}
	s.refillLocked(kind, sh)
	return taken
}

// refillLocked has blanks made until a kind has as many as it should.
func (s *Stock) refillLocked(kind Kind, sh *shelf) {
	total := 0
	for _, other := range s.kinds {
		total += len(other.blanks) + other.coming
	}
	for ; len(sh.blanks)+sh.coming < s.limits.Ready && total < s.limits.Total; total++ {
		sh.coming++
		s.working.Go(func() { s.refill(kind, sh) })
	}
}

// refill makes one blank after the delay.
func (s *Stock) refill(kind Kind, sh *shelf) {
	timer := time.NewTimer(s.limits.Delay)
	defer timer.Stop()
	var blank *environment.Blank
	var err error
	select {
	case <-s.ctx.Done():
	case <-timer.C:
		blank, err = s.make(s.ctx, kind)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh.coming--
	switch {
	case err != nil && s.ctx.Err() == nil:
		// Whoever needs one makes it and sees the error; the next Take tries again.
		s.logger.Warn("a sandbox could not be prepared", "runtime", kind.Runtime, "error", err)
	case blank != nil && (s.closed || s.kinds[kind] != sh):
		s.closeLocked(blank)
	case blank != nil:
		sh.blanks = append(sh.blanks, blank)
	}
}

// closeLocked closes a blank in the background; Close waits for it.
func (s *Stock) closeLocked(blank *environment.Blank) {
	s.working.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
		defer cancel()
		if err := blank.Close(ctx); err != nil {
			s.logger.Error("a prepared sandbox could not be removed", "error", err)
		}
	})
}

// retire empties the shelves that nobody asks for any more.
func (s *Stock) retire() {
	defer close(s.stopped)
	ticker := time.NewTicker(max(s.limits.IdleTime/10, time.Millisecond))
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
		if sh.asked.Before(limit) {
			s.clearLocked(kind, sh)
		}
	}
}

func (s *Stock) clearLocked(kind Kind, sh *shelf) {
	for _, blank := range sh.blanks {
		s.closeLocked(blank)
	}
	sh.blanks = nil
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
