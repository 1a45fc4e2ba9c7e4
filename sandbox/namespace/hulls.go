//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/cgroup"
)

const (
	// leastHulls is how many of a kind are ready at least, once one has been asked for.
	leastHulls = 4
	// burstPart of a burst has hulls ready when the next one comes. Most of that finds what the last one left; a hull that
	// nobody takes costs more CPU time (5 ms to make, 3 to remove) than one that is taken saves those who wait.
	burstPart = 8
	// hullRest is how long neither a sandbox nor a hull has been made before a hull is.
	hullRest = 20 * time.Millisecond
	// hullRound is how often it is looked at which hulls are too many or dead; a kind has one less each time.
	hullRound = 5 * time.Second
	// hullTime is after how long a kind that nobody has asked for has no hulls any more.
	hullTime = 5 * time.Minute
)

// hulls keeps hulls ready, of the kinds that sandboxes are made of. A kind has none until it has been asked for. How many it
// has then follows from how many were asked for at once, which is before there was time to make others; that is forgotten
// slowly. They are made by one goroutine, one after the other and with rests, and only while no sandbox is being made, which
// would wait longer for it. A nil hulls has none.
type hulls struct {
	make   func(context.Context, hullKind, cgroup.Limits) (*box, error)
	remove func(*box) error
	// most is how many there are of all kinds together; short, if not nil, says that memory is, and then there are none.
	most  int
	short func() bool
	log   *slog.Logger

	ctx     context.Context // ends with the keeper
	stop    context.CancelFunc
	routine sync.WaitGroup
	wake    chan struct{}

	mu      sync.Mutex // guards the rest; it is taken while holding none of the driver's but mu
	shelves map[hullKind]*hullShelf
	// total is how many there are, those that are being made or removed included.
	total   int
	dropped []*box // to be removed
	// creating is how many sandboxes are being made now, rested since when neither a sandbox nor a hull has been.
	creating int
	rested   time.Time
	// round is when the shelves were last looked at, failed when a hull could last not be made.
	round, failed time.Time
	starved       bool // memory was short when last looked
}

// hullShelf is the hulls of one kind.
type hullShelf struct {
	ready  []*box
	limits cgroup.Limits // that were last asked for: the next ones get them
	asked  time.Time
	// want is how many are to be ready if there is room; taken is how many were asked for since there were so many.
	want, taken int
}

// startHulls starts the keeper. close ends it.
func startHulls(h *hulls) *hulls {
	h.shelves, h.wake = map[hullKind]*hullShelf{}, make(chan struct{}, 1)
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.routine.Go(h.keep)
	return h
}

// close ends the keeper and returns the hulls that are left: they are the caller's to remove. Nothing is taken any more.
func (h *hulls) close() []*box {
	if h == nil {
		return nil
	}
	h.stop()
	h.routine.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, sh := range h.shelves {
		h.dropLocked(sh, len(sh.ready))
	}
	clear(h.shelves) // nothing is coming
	return h.dropped
}

// begin says that a sandbox is being made: no hull is meanwhile. end says that it is, or is not.
func (h *hulls) begin() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.creating++
}

func (h *hulls) end() {
	if h == nil {
		return
	}
	h.mu.Lock()
	h.creating--
	rests := h.creating == 0
	h.rested = time.Now()
	h.mu.Unlock()
	if rests {
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
}

// take returns a hull of a kind, or nil if none is ready. Either way more will be soon, with these limits.
func (h *hulls) take(kind hullKind, limits cgroup.Limits) *box {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	sh := h.shelves[kind]
	if sh == nil {
		if len(h.shelves) == 0 {
			h.round = time.Now()
		}
		sh = &hullShelf{}
		h.shelves[kind] = sh
	}
	sh.asked, sh.limits = time.Now(), limits
	sh.taken++
	sh.want = min(max(sh.want, sh.taken/burstPart, leastHulls), h.most)
	for len(sh.ready) > 0 {
		last := len(sh.ready) - 1
		b := sh.ready[last]
		sh.ready[last] = nil
		sh.ready = sh.ready[:last]
		if b.alive() {
			h.total--
			return b
		}
		h.dropped = append(h.dropped, b)
	}
	return nil
}

// targetLocked is how many hulls a kind is to have: every kind has its part of the room.
func (h *hulls) targetLocked(sh *hullShelf) int {
	return min(sh.want, max(h.most/len(h.shelves), 1))
}

// dropLocked has the keeper remove so many hulls, the oldest.
func (h *hulls) dropLocked(sh *hullShelf, n int) {
	h.dropped = append(h.dropped, sh.ready[:n]...)
	sh.ready = slices.Clone(sh.ready[n:])
}

// shed removes a hull, for the sake of what it holds, and says whether there was one.
func (h *hulls) shed() bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	var b *box
	for _, sh := range h.shelves {
		if last := len(sh.ready) - 1; last >= 0 {
			b, sh.ready = sh.ready[last], slices.Clone(sh.ready[:last])
			h.total--
			break
		}
	}
	h.mu.Unlock()
	if b == nil {
		return false
	}
	h.destroy(b)
	return true
}

// destroy removes a hull that is on no shelf any more.
func (h *hulls) destroy(b *box) {
	if err := h.remove(b); err != nil {
		h.log.Error("a prepared sandbox could not be removed", "sandbox", b.name, "error", err)
	}
}

// any says whether there is a hull, or may be one in a moment.
func (h *hulls) any() bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total > 0 || len(h.shelves) > 0
}

// size is how many hulls are ready, and how many will be if nothing is in the way.
func (h *hulls) size() (ready, coming int) {
	if h == nil {
		return 0, 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, sh := range h.shelves {
		ready += len(sh.ready)
		coming += max(h.targetLocked(sh)-len(sh.ready), 0)
	}
	if h.starved || !h.failed.IsZero() {
		coming = 0
	}
	return ready, min(coming, h.most-ready)
}

var _ sandbox.Preparer = (*Driver)(nil)

// Prepared implements sandbox.Preparer.
func (d *Driver) Prepared() (ready, coming int) { return d.hulls.size() }
