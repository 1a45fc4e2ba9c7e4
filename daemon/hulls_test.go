package daemon

import (
	"testing"
	"time"

	"hotaru/pool"
	"hotaru/sandbox/namespace"
)

// TestHullsOfBudget: hulls take a small part of the memory, which is not given to anybody else, and none where there is little.
func TestHullsOfBudget(t *testing.T) {
	nobody := func() (int64, bool) { return 0, false }
	for budget, want := range map[int64]int{0: mostHulls, 64 << 20: 0, 512 << 20: 5, 2 << 30: 21, 1 << 40: mostHulls} {
		d := &Daemon{budget: pool.NewBudget(budget, nobody)}
		if got := d.hulls(); got != want {
			t.Errorf("of %d MiB: %d hulls, want %d", budget>>20, got, want)
		}
		if got := d.budget.Limit(); budget > 0 && got != budget-int64(want)*namespace.HullBytes {
			t.Errorf("of %d MiB: %d bytes are left", budget>>20, got)
		}
	}
	d := &Daemon{budget: pool.NewBudget(1<<30, nobody), config: Config{ReadyBlanks: -1}}
	if got := d.hulls(); got != 0 || d.budget.Limit() != 1<<30 {
		t.Errorf("%d hulls of who wants nothing kept ready", got)
	}
}

// TestHullsAreReady: once a sandbox has been made, others are prepared, for zygotes and for functions that none can serve.
func TestHullsAreReady(t *testing.T) {
	h := start(t)
	if ready, coming := h.drivers.prepared(); ready+coming > 0 {
		t.Errorf("%d are ready and %d are coming before anybody has asked", ready, coming)
	}
	h.createPython("f", "def handler(event, context): return 1\n")
	if got := h.ok("f", "{}"); got != "1" {
		t.Error(got)
	}
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(5 * time.Millisecond) {
		ready, coming := h.drivers.prepared()
		_, blanks := h.stock.Size()
		if ready > 0 && coming == 0 && blanks == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d are ready, %d are coming", ready, coming)
		}
	}
}
