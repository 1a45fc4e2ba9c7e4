package pool

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"hotaru/environment"
	"hotaru/environment/environmenttest"
)

// stockFixture is a stock whose blanks have no walls.
type stockFixture struct {
	*Stock
	driver *environmenttest.Driver
	made   chan Kind
	fail   atomic.Bool
	n      atomic.Int64
}

func newStock(t *testing.T, limits StockLimits) *stockFixture {
	t.Helper()
	limits.Delay = time.Nanosecond
	f := &stockFixture{driver: &environmenttest.Driver{Run: environmenttest.Echo}, made: make(chan Kind, 100)}
	f.Stock = NewStock(func(ctx context.Context, kind Kind) (*environment.Blank, error) {
		defer func() { f.made <- kind }()
		if f.fail.Load() {
			return nil, errors.New("no room")
		}
		return environment.NewBlank(ctx, environment.BlankConfig{
			ID: "blank-" + strconv.FormatInt(f.n.Add(1), 10), Driver: f.driver, MemoryMB: kind.MemoryMB,
		})
	}, limits, slog.New(slog.DiscardHandler))
	t.Cleanup(f.Close)
	return f
}

// ready waits until n blanks have been made and put on their shelf.
func (f *stockFixture) ready(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-f.made:
		case <-time.After(30 * time.Second):
			t.Fatal("no blank was made")
		}
	}
	for done := false; !done; {
		f.mu.Lock()
		done = true
		for _, sh := range f.kinds {
			done = done && sh.coming == 0
		}
		f.mu.Unlock()
	}
}

func TestStockIsEmptyUntilAsked(t *testing.T) {
	f := newStock(t, StockLimits{Ready: 2})
	python := Kind{Runtime: "python3.11", MemoryMB: 128}
	if f.Take(python) != nil {
		t.Fatal("a blank that nobody asked for")
	}
	f.ready(t, 2)
	first, second := f.Take(python), f.Take(python)
	if first == nil || second == nil || first == second {
		t.Errorf("two ready blanks: %p %p", first, second)
	}
	if f.Take(Kind{Runtime: "python3.11", MemoryMB: 256}) != nil {
		t.Error("a blank of another size")
	}
	for _, blank := range []*environment.Blank{first, second} {
		if err := blank.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestStockBounds(t *testing.T) {
	f := newStock(t, StockLimits{Ready: 3, Total: 4})
	f.Take(Kind{Runtime: "a"})
	f.Take(Kind{Runtime: "b"})
	f.ready(t, 4)
	if n := f.n.Load(); n != 4 {
		t.Errorf("%d blanks", n)
	}
}

func TestStockForgetsWhatNobodyAsksFor(t *testing.T) {
	f := newStock(t, StockLimits{Ready: 1})
	f.Take(Kind{Runtime: "a"})
	f.ready(t, 1)
	f.retireSince(time.Now().Add(time.Hour))
	f.working.Wait()
	for _, sb := range f.driver.Sandboxes() {
		if !sb.Destroyed() {
			t.Error("a retired blank's sandbox is still there")
		}
	}
}

func TestStockSurvivesAFailingMaker(t *testing.T) {
	f := newStock(t, StockLimits{Ready: 1})
	f.fail.Store(true)
	f.Take(Kind{Runtime: "a"})
	f.ready(t, 1)
	f.fail.Store(false)
	if f.Take(Kind{Runtime: "a"}) != nil {
		t.Fatal("a blank that could not be made")
	}
	f.ready(t, 1)
	blank := f.Take(Kind{Runtime: "a"})
	if blank == nil {
		t.Fatal("none after the maker works again")
	}
	if err := blank.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestClosedStockMakesNothing(t *testing.T) {
	f := newStock(t, StockLimits{})
	f.Take(Kind{Runtime: "a"})
	f.Close()
	f.Close() // again
	if f.Take(Kind{Runtime: "a"}) != nil {
		t.Error("a blank after Close")
	}
	for _, sb := range f.driver.Sandboxes() {
		if !sb.Destroyed() {
			t.Error("a sandbox is left")
		}
	}
}
