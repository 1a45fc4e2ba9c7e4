package pool

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hotaru/environment"
	"hotaru/environment/environmenttest"
	"hotaru/function"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a pool of environments without walls.
type fixture struct {
	*Pool
	driver *environmenttest.Driver
	made   atomic.Int64
	fail   error

	mu    sync.Mutex
	stale map[int]bool // generations
}

func newFixture(t *testing.T, idleTime time.Duration) *fixture {
	t.Helper()
	f := &fixture{driver: &environmenttest.Driver{Run: environmenttest.Echo}, stale: map[int]bool{}}
	f.Pool = New(f.make, func(env *environment.Environment) bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.stale[env.Version().Generation]
	}, Options{IdleTime: idleTime, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(f.Close)
	return f
}

func (f *fixture) make(ctx context.Context, v *function.Version) (*environment.Environment, error) {
	if f.fail != nil {
		return nil, f.fail
	}
	blank, err := environment.NewBlank(ctx, environment.BlankConfig{
		ID: "env-" + strconv.FormatInt(f.made.Add(1), 10), Driver: f.driver, MemoryMB: v.MemoryMB,
	})
	if err != nil {
		return nil, err
	}
	return blank.Assign(ctx, environment.Config{Version: v, Log: &environmenttest.Log{}, Logger: slog.New(slog.DiscardHandler)})
}

func (f *fixture) acquire(t *testing.T, v *function.Version) *environment.Environment {
	t.Helper()
	env, err := f.Acquire(t.Context(), v, "", nobody{})
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// nobody is a caller who has nothing to let go.
type nobody struct{}

func (nobody) Park()         {}
func (nobody) Unpark() error { return nil }

func version(generation int) *function.Version {
	return &function.Version{
		ID: function.ID{Name: "f"}, UID: "u", Version: function.Latest, Generation: generation, MemoryMB: 128, TimeoutSeconds: 3,
	}
}

func TestRefusals(t *testing.T) {
	f := newFixture(t, 0)
	f.fail = errors.New("no room")
	if _, err := f.Acquire(t.Context(), version(1), "", nobody{}); !errors.Is(err, f.fail) {
		t.Errorf("a maker that fails: %v", err)
	}
	f.fail = nil
	f.Close()
	if _, err := f.Acquire(t.Context(), version(1), "", nobody{}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	f.Close() // again
}

// An environment that has served one tenant is never lent to another, nor to nobody's.
func TestTenants(t *testing.T) {
	f := newFixture(t, 0)
	lend := func(tenant string) *environment.Environment {
		env, err := f.Acquire(t.Context(), version(1), tenant, nobody{})
		if err != nil {
			t.Fatal(err)
		}
		f.Release(env)
		return env
	}
	blue := lend("blue")
	green, none := lend("green"), lend("")
	if blue == green || blue == none || green == none {
		t.Error("tenants share an environment")
	}
	if lend("blue") != blue || lend("green") != green || lend("") != none {
		t.Error("a tenant does not get its own environment again")
	}
}

// An environment is retired when it has served as many events as it may.
func TestMaxServed(t *testing.T) {
	f := newFixture(t, 0)
	f.most = 3
	first := f.acquire(t, version(1))
	for range 2 {
		f.Release(first)
		if f.acquire(t, version(1)) != first {
			t.Fatal("an environment was not used again")
		}
	}
	f.Release(first)
	if f.acquire(t, version(1)) == first {
		t.Error("an environment serves more events than it may")
	}
}

func TestOneEventAtATimeAndReuse(t *testing.T) {
	f := newFixture(t, 0)
	first, second := f.acquire(t, version(1)), f.acquire(t, version(1))
	if first == second {
		t.Fatal("one environment lent twice")
	}
	f.Release(first)
	f.Release(second)
	if again := f.acquire(t, version(1)); again != second {
		t.Error("the environment used last must be lent first")
	}
	if other := f.acquire(t, version(2)); other == first {
		t.Error("another generation got the same environment")
	}
	if idle, busy := f.Size(); idle != 1 || busy != 2 {
		t.Errorf("idle %d, busy %d", idle, busy)
	}
}

func TestStaleEnvironmentsEnd(t *testing.T) {
	f := newFixture(t, 0)
	busy, idle := f.acquire(t, version(1)), f.acquire(t, version(1))
	f.Release(idle)
	f.mu.Lock()
	f.stale[1] = true
	f.mu.Unlock()
	f.Retire(function.ID{Name: "other"})
	if n, _ := f.Size(); n != 1 {
		t.Errorf("another function's change retired %d environments", 1-n)
	}
	f.Retire(function.ID{Name: "f"})
	if n, _ := f.Size(); n != 0 || !busy.Alive() {
		t.Errorf("idle %d, busy alive %v", n, busy.Alive())
	}
	f.Release(busy)
	f.Close()
	for _, sb := range f.driver.Sandboxes() {
		if !sb.Destroyed() {
			t.Error("a stale environment's sandbox is still there")
		}
	}
}

func TestIdleEnvironmentsRetire(t *testing.T) {
	f := newFixture(t, 0)
	f.Release(f.acquire(t, version(1)))
	f.retireSince(time.Now().Add(-time.Minute))
	if idle, _ := f.Size(); idle != 1 {
		t.Errorf("idle %d: one that has just been used was retired", idle)
	}
	f.retireSince(time.Now().Add(time.Minute))
	if idle, _ := f.Size(); idle != 0 {
		t.Errorf("idle %d after its time", idle)
	}
}

func TestDeadEnvironmentIsNotLentAgain(t *testing.T) {
	f := newFixture(t, 0)
	env := f.acquire(t, version(1))
	if err := env.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Release(env)
	if idle, busy := f.Size(); idle != 0 || busy != 0 {
		t.Errorf("idle %d, busy %d", idle, busy)
	}
}

func TestConcurrentUse(t *testing.T) {
	f := newFixture(t, 0)
	var group sync.WaitGroup
	var lent sync.Map
	for range 16 {
		group.Go(func() {
			for range 50 {
				env := f.acquire(t, version(1))
				if _, twice := lent.LoadOrStore(env, true); twice {
					t.Error("one environment lent twice")
				}
				lent.Delete(env)
				f.Release(env)
			}
		})
	}
	group.Wait()
	if idle, busy := f.Size(); busy != 0 || idle > 16 {
		t.Errorf("idle %d, busy %d", idle, busy)
	}
}

// Whoever waits for an environment gets the one that comes back first, and nobody has one made meanwhile that nobody
// needs.
func TestHandsOver(t *testing.T) {
	f := newFixture(t, 0)
	v := version(1)
	env := f.acquire(t, v)
	f.Answered(env)
	f.occupy(f.makings) // others have theirs made
	lent := make(chan *environment.Environment)
	go func() { lent <- f.acquire(t, v) }()
	for f.waiters(v) == 0 {
		runtime.Gosched()
	}
	f.Release(env)
	if got := <-lent; got != env || f.made.Load() != 1 {
		t.Errorf("the environment that came back was not handed over; %d were made", f.made.Load())
	}
	f.occupy(-f.makings)
	// Who has lost patience has one made.
	f.Answered(env)
	other := f.acquire(t, v)
	if other == env || f.made.Load() != 2 {
		t.Error("an environment at work was lent")
	}
	f.Release(other)
	f.Release(env)
	if idle, busy := f.Size(); busy != 0 || idle != 2 || f.waiters(v) != 0 {
		t.Errorf("%d idle, %d busy, %d wait", idle, busy, f.waiters(v))
	}
}

// occupy takes so many of the places where environments are made.
func (f *fixture) occupy(places int) {
	f.Pool.mu.Lock()
	defer f.Pool.mu.Unlock()
	f.making += places
}

func (f *fixture) waiters(v *function.Version) int {
	f.Pool.mu.Lock()
	defer f.Pool.mu.Unlock()
	if l := f.lines[lineKey{version: v.Key()}]; l != nil {
		return l.waiting.length
	}
	return 0
}
