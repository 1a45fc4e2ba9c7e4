//go:build linux && (amd64 || arm64)

package namespace

import (
	"time"

	"hotaru/sandbox/namespace/cgroup"
)

// keep is the goroutine that makes and removes hulls.
func (h *hulls) keep() {
	timer := time.NewTimer(hullRound)
	defer timer.Stop()
	for h.ctx.Err() == nil {
		timer.Reset(h.work())
		select {
		case <-timer.C:
		case <-h.wake:
		case <-h.ctx.Done():
		}
	}
}

// work does what is due, and says when to look again; whoever ends making a sandbox wakes the keeper before.
func (h *hulls) work() time.Duration {
	for h.ctx.Err() == nil {
		short := h.short != nil && h.any() && h.short() // it reads files: not while holding the lock
		kind, limits, wait := h.next(time.Now(), short)
		h.removeDropped()
		if wait > 0 {
			return wait
		}
		b, err := h.make(h.ctx, kind, limits)
		h.made(kind, b, err)
	}
	return hullRound
}

// next is the kind of the hull that is to be made now, or how long to wait.
func (h *hulls) next(now time.Time, short bool) (kind hullKind, limits cgroup.Limits, wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Sub(h.round) >= hullRound {
		h.round, h.failed = now, time.Time{}
		h.lookLocked(now)
	}
	if h.starved = short; short {
		for _, sh := range h.shelves {
			h.dropLocked(sh, len(sh.ready))
		}
	}
	wait = h.round.Add(hullRound).Sub(now)
	if len(h.shelves) == 0 {
		wait = hullTime // nothing is there, and who asks wakes the keeper
	}
	if short || h.creating > 0 || !h.failed.IsZero() || h.total >= h.most {
		return kind, limits, wait
	}
	for kind, sh := range h.shelves {
		if len(sh.ready) >= h.targetLocked(sh) {
			continue
		}
		if rest := h.rested.Add(hullRest).Sub(now); rest > 0 {
			return kind, limits, rest
		}
		h.total++
		return kind, sh.limits, 0
	}
	return kind, limits, wait
}

// lookLocked drops what is dead or too many, and has every kind want one less.
func (h *hulls) lookLocked(now time.Time) {
	for kind, sh := range h.shelves {
		if now.Sub(sh.asked) >= hullTime {
			h.dropLocked(sh, len(sh.ready))
			delete(h.shelves, kind)
		}
	}
	for _, sh := range h.shelves {
		living := sh.ready[:0]
		for _, b := range sh.ready {
			if b.alive() {
				living = append(living, b)
			} else {
				h.dropped = append(h.dropped, b)
			}
		}
		clear(sh.ready[len(living):])
		sh.ready = living
		sh.want = max(sh.want-1, min(leastHulls, h.most))
		h.dropLocked(sh, max(len(sh.ready)-h.targetLocked(sh), 0))
	}
}

// made takes a hull in, unless its kind is wanted no more.
func (h *hulls) made(kind hullKind, b *box, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rested = time.Now()
	if err != nil {
		h.total--
		h.failed = time.Now() // until the next round
		if h.ctx.Err() == nil {
			h.log.Warn("a sandbox could not be prepared", "error", err)
		}
		return
	}
	sh := h.shelves[kind]
	if sh == nil {
		h.dropped = append(h.dropped, b)
		return
	}
	if sh.ready = append(sh.ready, b); len(sh.ready) >= h.targetLocked(sh) {
		sh.taken = 0
	}
}

// removeDropped removes the hulls that were dropped.
func (h *hulls) removeDropped() {
	h.mu.Lock()
	dropped := h.dropped
	h.dropped = nil
	h.mu.Unlock()
	for _, b := range dropped {
		h.destroy(b)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.total -= len(dropped)
}
