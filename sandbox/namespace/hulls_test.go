//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/cgroup"
)

// yard makes hulls of nothing: what is tested is when.
type yard struct {
	*hulls
	t *testing.T

	mu      sync.Mutex
	made    []hullKind
	limits  []cgroup.Limits
	removed int
	fails   error
	short   bool
}

// makingTime is how long one takes.
const makingTime = 6 * time.Millisecond

func newYard(t *testing.T, most int) *yard {
	t.Helper()
	y := &yard{t: t}
	y.hulls = startHulls(&hulls{
		most: most, log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		make: func(_ context.Context, kind hullKind, limits cgroup.Limits) (*box, error) {
			<-time.After(makingTime)
			y.mu.Lock()
			defer y.mu.Unlock()
			if y.fails != nil {
				return nil, y.fails
			}
			y.made, y.limits = append(y.made, kind), append(y.limits, limits)
			return &box{inside: &inside{gone: make(chan struct{})}}, nil
		},
		remove: func(*box) error {
			y.mu.Lock()
			defer y.mu.Unlock()
			y.removed++
			return nil
		},
		short: func() bool {
			y.mu.Lock()
			defer y.mu.Unlock()
			return y.short
		},
	})
	return y
}

// ask has a sandbox made, with a hull if there is one.
func (y *yard) ask(kind hullKind) *box {
	y.begin()
	defer y.end()
	return y.take(kind, cgroup.Limits{MemoryBytes: 7})
}

// after lets time pass and checks what is ready.
func (y *yard) after(wait time.Duration, want int, why string) {
	y.t.Helper()
	<-time.After(wait)
	synctest.Wait()
	if ready, _ := y.size(); ready != want {
		y.t.Errorf("%s: %d are ready, want %d", why, ready, want)
	}
}

// set changes what the yard does next.
func (y *yard) set(fails error, short bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.fails, y.short = fails, short
}

// leave checks that all that was made has been taken or removed.
func (y *yard) leave(taken int) {
	y.t.Helper()
	left := len(y.close())
	if len(y.made) != taken+y.removed+left {
		y.t.Errorf("%d were made, %d taken, %d removed, and %d are left", len(y.made), taken, y.removed, left)
	}
}

var plain = hullKind{tmpBytes: 512 << 20, egress: sandbox.EgressInternet}

func TestNoHulls(t *testing.T) {
	var none *hulls
	none.begin()
	if none.take(plain, cgroup.Limits{}) != nil || none.any() || none.shed() || none.close() != nil {
		t.Error("there are hulls of nobody")
	}
	none.end()
}

func TestHullsFollowDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard(t, 16)
		y.after(time.Hour, 0, "before anything was asked for")
		if y.ask(plain) != nil || !y.any() {
			t.Error("one is there before it was asked for")
		}
		if _, coming := y.size(); coming != leastHulls {
			t.Errorf("%d are coming, want %d", coming, leastHulls)
		}
		y.after(hullRest, 0, "in somebody's way")
		y.after(200*time.Millisecond, leastHulls, "after the first")
		if y.ask(plain) == nil {
			t.Error("none is ready")
		}
		y.after(50*time.Millisecond, leastHulls, "after one was taken")
		if last := y.limits[len(y.limits)-1]; last.MemoryBytes != 7 {
			t.Errorf("it was made with %+v, not with what is asked for", last)
		}
		// A burst takes what there is, and has more ready for the next, which are forgotten one after the other.
		y.begin()
		taken := 1
		for range 9 * burstPart {
			if y.take(plain, cgroup.Limits{}) != nil {
				taken++
			}
		}
		y.after(time.Second, 0, "while a sandbox is being made")
		y.end()
		y.after(time.Second, 9, "after a burst")
		y.after(2*hullRound, 7, "two rounds later")
		y.after(10*hullRound, leastHulls, "long after")
		y.after(hullTime-14*hullRound, leastHulls, "just before they are forgotten")
		y.after(5*hullRound, 0, "when nobody has asked for long")
		if y.any() {
			t.Error("something is left")
		}
		y.leave(taken)
	})
}

func TestHullsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard(t, 8)
		other := hullKind{tmpBytes: 1 << 30}
		taken := 0
		for range 100 {
			if y.ask(plain) != nil {
				taken++
			}
		}
		y.after(time.Second, 8, "many of one kind")
		if y.ask(other) != nil {
			t.Error("one kind is made of another")
		}
		y.after(3*hullRound, 8, "two kinds")
		y.mu.Lock()
		first, second := len(y.shelves[plain].ready), len(y.shelves[other].ready)
		y.mu.Unlock()
		if first != 4 || second != 4 {
			t.Errorf("of two kinds there are %d and %d, want half of the room for each", first, second)
		}
		for n := range int64(20) {
			y.ask(hullKind{tmpBytes: n})
		}
		y.after(3*hullRound, 8, "more kinds than there is room for")
		y.leave(taken)
	})
}

func TestHullsGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard(t, 8)
		y.ask(plain)
		y.after(time.Second, leastHulls, "in the beginning")
		y.set(nil, true)
		y.after(hullRound, 0, "memory is short")
		if _, coming := y.size(); coming != 0 {
			t.Errorf("%d are coming though memory is short", coming)
		}
		y.ask(plain)
		y.after(hullRound, 0, "it still is")
		y.set(nil, false)
		y.after(hullRound+time.Second, leastHulls, "it is not any more")
		if !y.shed() {
			t.Error("none is there to shed")
		}
		if ready, _ := y.size(); ready != leastHulls-1 {
			t.Errorf("%d are left", ready)
		}
		y.leave(0)
	})
}

func TestHullsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard(t, 8)
		y.set(errors.New("no"), false)
		y.ask(plain)
		y.after(hullRound/2, 0, "none can be made")
		y.set(nil, false)
		y.after(hullRound/4, 0, "it is not tried again at once")
		y.after(hullRound, leastHulls, "it is tried again")
		// One dies: it is not taken, and replaced even if nobody asks.
		y.hulls.mu.Lock()
		ready := y.shelves[plain].ready
		close(ready[len(ready)-1].inside.gone)
		close(ready[0].inside.gone)
		alive := slices.Clone(ready[1:3])
		y.hulls.mu.Unlock()
		b := y.ask(plain)
		if b != alive[0] && b != alive[1] {
			t.Error("a dead one is taken, or none")
		}
		y.after(2*hullRound, leastHulls, "two died")
		if y.removed != 2 {
			t.Errorf("%d were removed", y.removed)
		}
		y.leave(1)
	})
}
