package pool

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hotaru/environment"
	"hotaru/function"
)

func TestBudget(t *testing.T) {
	left, known := int64(1000), true
	machine := func() (int64, bool) { return left, known }
	if b := NewBudget(0, machine); b.Limit() != 800 || b.reserve != 50 {
		t.Errorf("by default %d of 1,000, with a reserve of %d", b.Limit(), b.reserve)
	}
	if b := NewBudget(0, nobodyKnows); b.Limit() != 0 || !b.take(1<<60) {
		t.Error("a machine that tells nothing has no end")
	}
	var none *Budget
	if !none.take(1<<60) || none.bound(7) != 7 || none.Used() != 0 || none.short(1) != 0 {
		t.Error("no budget has no end")
	}
	none.Reserve(1)
	if none.Short() {
		t.Error("there is less than no end")
	}
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(500, machine)
		if b.Reserve(100); b.bound(501) != 400 || b.take(401) || !b.take(400) || b.Short() {
			t.Error("what is reserved was given, or more")
		}
		if b.Reserve(1); !b.Short() {
			t.Error("one more than there is, and nothing is short")
		}
		b = NewBudget(500, machine)
		if b.take(501) || !b.take(400) || b.take(101) || b.bound(501) != 500 {
			t.Error("more than there is was given, or less")
		}
		b.leave(300)
		if b.take(101) || b.short(400) != 0 {
			t.Error("what leaves is taken until it is gone")
		}
		b.gone(300)
		if !b.take(101) || b.Used() != 201 {
			t.Errorf("%d used", b.Used())
		}
		// Others have taken the machine's memory.
		left = 100
		pass(readingAge)
		if b.take(51) || !b.take(50) || b.take(1) {
			t.Error("the reserve was given away, or something before it was not")
		}
	})
}

// TestWall: the wall is beyond the budget and before the machine's reserve, and nothing is given near it.
func TestWall(t *testing.T) {
	const gib = 1 << 30
	machine := func() (int64, bool) { return 20 * gib, true }
	for limit, want := range map[int64]int64{
		0: 18*gib + leastLeeway, 800 << 20: 964 << 20, 18 * gib: 19 * gib, 40 * gib: 40 * gib,
	} {
		if got := NewBudget(limit, machine).Wall(); got != want {
			t.Errorf("a budget of %d MiB has its wall at %d, want %d", limit>>20, got>>20, want>>20)
		}
	}
	if got := NewBudget(0, nobodyKnows).Wall(); got != 0 {
		t.Errorf("where nothing is known there is a wall at %d", got)
	}
	if got := NewBudget(gib, nobodyKnows).Wall(); got != gib+gib/8+leastLeeway {
		t.Errorf("where the machine is not known the wall is at %d", got)
	}
	if got := (*Budget)(nil).Wall(); got != 0 {
		t.Errorf("no budget has a wall at %d", got)
	}
	for name, available := range map[string]func() (int64, bool){"known": machine, "unknown": nobodyKnows} {
		synctest.Test(t, func(t *testing.T) {
			b := NewBudget(gib, available)
			left, told := b.Wall(), true
			b.Watch(func() (int64, bool) { return left, told })
			if !b.take(gib/2) || b.short(0) > 0 {
				t.Errorf("%s: half of the budget is refused", name)
			}
			// What runs uses much more than was expected.
			margin := (b.Wall() - gib) / 2
			left = margin + 1000
			pass(readingAge)
			if b.take(1001) || !b.take(1000) || b.take(1) {
				t.Errorf("%s: what is near the wall was given, or something before it was not", name)
			}
			left = margin - 7
			pass(readingAge)
			if got := b.short(0); got != 7 {
				t.Errorf("%s: idle ones are to leave with %d bytes", name, got)
			}
			told = false
			pass(readingAge)
			if !b.take(1000) {
				t.Errorf("%s: a wall that nobody sees stops somebody", name)
			}
		})
	}
}

// TestMachine reads what kernels write, of both versions of control groups.
func TestMachine(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		bytes int64
		ok    bool
	}{
		"nothing":   {nil, 0, false},
		"nonsense":  {map[string]string{"proc/meminfo": "MemAvailable: many kB\n"}, 0, false},
		"unbounded": {map[string]string{"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:       4 kB\n"}, 4096, true},
		"version 2": {map[string]string{
			"proc/meminfo": "MemAvailable: 4 kB\n", "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "3000\n",
			"sys/fs/cgroup/a/memory.current": "2500\n", "sys/fs/cgroup/a/memory.stat": "anon 5\ninactive_file 500\n",
		}, 1000, true},
		"version 1": {map[string]string{
			"proc/meminfo": "MemAvailable: 4 kB\n", "proc/self/cgroup": "5:cpu:/x\n4:memory:/a\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "2000\n", "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "2500\n",
		}, 0, true},
	} {
		root := t.TempDir()
		for path, content := range test.files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, path), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if bytes, ok := (Machine{Root: root}).Available(); bytes != test.bytes || ok != test.ok {
			t.Errorf("%s: %d, %v", name, bytes, ok)
		}
	}
}

func TestDemand(t *testing.T) {
	now := time.Now()
	var d demand
	if d.target(now) != 0 {
		t.Error("wanted before anybody asked")
	}
	d.refilled(100 * time.Millisecond)
	for range 300 { // ten seconds of thirty a second
		now = now.Add(time.Second / 30)
		d.taken(now)
	}
	if n := d.target(now); n != 2 {
		t.Errorf("%d for 30 a second that take 100 ms each", n)
	}
	for range 20 {
		d.refilled(time.Second)
	}
	if n := d.target(now); n < 18 || n > 20 {
		t.Errorf("%d for 30 a second, of which 19 are remembered, that take a second each", n)
	}
	if n := d.target(now.Add(time.Minute)); n != 1 {
		t.Errorf("%d a minute later", n)
	}
}

// parker is a caller that notes what it is told.
type parker struct {
	parked, unparked int
	refusal          error
}

func (p *parker) Park() { p.parked++ }
func (p *parker) Unpark() error {
	p.unparked++
	return p.refusal
}

// TestWaitsForMemory: whoever finds all memory at work waits for a second, without keeping others from anything.
func TestWaitsForMemory(t *testing.T) {
	c := newTown(t, 2, "a", "b")
	synctest.Test(t, func(t *testing.T) {
		c.open(1, 8)
		defer c.Close()
		first, err := c.Acquire(t.Context(), versionOf("a"), "", nobody{})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var refused parker
		if _, err := c.Acquire(t.Context(), versionOf("b"), "", &refused); !errors.Is(err, ErrFull) || time.Since(began) != memoryPatience {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if refused != (parker{parked: 1}) {
			t.Errorf("%+v", refused)
		}
		// One who may not go on gives up what it gets.
		busy := errors.New("busy")
		given := make(chan error)
		caller := parker{refusal: busy}
		go func() {
			_, err := c.Acquire(t.Context(), versionOf("a"), "", &caller)
			given <- err
		}()
		synctest.Wait()
		c.Release(first)
		if err := <-given; !errors.Is(err, busy) || caller.parked != 1 || caller.unparked != 1 {
			t.Errorf("%v, %+v", err, caller)
		}
		// It is idle, and leaves for another function once it has been so for a while.
		began = time.Now()
		env, err := c.Acquire(t.Context(), versionOf("b"), "", nobody{})
		if waited := time.Since(began); err != nil || waited < youth || waited > youth+2*c.takes {
			t.Fatalf("%v after %v", err, waited)
		}
		if idle, busy := c.Size(); idle != 0 || busy != 1 || first.Alive() {
			t.Errorf("%d idle, %d busy, the first alive: %v", idle, busy, first.Alive())
		}
		c.Release(env)
	})
}

// TestTurnAfterMemory: who has waited for memory, and then waits for its turn, waits for that as long as it takes, and for
// memory a second in all.
func TestTurnAfterMemory(t *testing.T) {
	const callers = 3
	c := newTown(t, callers, "a")
	c.takes = 2 * time.Second
	synctest.Test(t, func(t *testing.T) {
		var left atomic.Int64
		left.Store(1 << 30)
		budget := NewBudget(1<<30, func() (int64, bool) { return left.Load(), true })
		c.limit = budget.Limit()
		c.Pool = New(c.make, func(*environment.Environment) bool { return false }, Options{
			Makings: 1, Budget: budget, Logger: slog.New(slog.DiscardHandler),
		})
		defer c.Close()
		left.Store(0) // others have it
		pass(readingAge)
		type answer struct {
			env *environment.Environment
			err error
		}
		answers := make(chan answer, callers)
		for range callers {
			go func() {
				env, err := c.Acquire(t.Context(), versionOf("a"), "", nobody{})
				answers <- answer{env, err}
			}()
		}
		pass(memoryPatience / 2)
		left.Store(1 << 30)
		for i := range callers {
			began := time.Now()
			got := <-answers
			if got.err != nil {
				t.Fatalf("caller %d: %v", i, got.err)
			}
			if i > 0 && time.Since(began) != c.takes {
				t.Errorf("caller %d came after %v, want %v", i, time.Since(began), c.takes)
			}
		}
	})
}

// TestBlanksLeaveFirst: memory that blanks have taken is there for environments.
func TestBlanksLeaveFirst(t *testing.T) {
	f := newFixture(t, 0)
	budget := NewBudget(16*usualUse, nobodyKnows)
	stock := newStock(t, StockLimits{Keep: map[Kind]int{{Runtime: "a", MemoryMB: 128}: 9}, Budget: budget})
	stock.ready(t, 2)
	if n := stock.n.Load(); n > 2 {
		t.Errorf("%d blanks took more than an eighth", n)
	}
	p := New(f.make, func(*environment.Environment) bool { return false }, Options{
		Budget: budget, Blanks: stock.Stock, Logger: slog.New(slog.DiscardHandler),
	})
	defer p.Close()
	for range 16 {
		if _, err := p.Acquire(t.Context(), version(1), "", nobody{}); err != nil {
			t.Fatal(err)
		}
	}
	if ready, _ := stock.Size(); ready != 0 || budget.Used() > budget.Limit() {
		t.Errorf("%d blanks are left, %d bytes used of %d", ready, budget.Used(), budget.Limit())
	}
}

// TestLearns: what an environment has been seen using is what others of its version are expected to use.
func TestLearns(t *testing.T) {
	f := newFixture(t, 0)
	f.Close()
	budget := NewBudget(1<<40, nobodyKnows)
	f.Pool = New(f.make, func(*environment.Environment) bool { return false }, Options{Budget: budget, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(f.Pool.Close)
	v := version(1)
	env := f.acquire(t, v)
	if used := budget.Used(); used != usualUse {
		t.Errorf("%d bytes before anything is known", used)
	}
	if _, err := env.Invoke(t.Context(), &environment.Invocation{RequestID: "1", Payload: []byte("1"), Tail: true}); err != nil {
		t.Fatal(err)
	}
	f.Release(env)
	const seen = 36<<20 - 1 + overhead // what the sandbox says
	if used := budget.Used(); used != seen {
		t.Errorf("%d bytes used, %d seen", used, seen)
	}
	f.retireSince(time.Now().Add(time.Hour))
	f.closing.Wait()
	f.acquire(t, v)
	if used := budget.Used(); used != seen {
		t.Errorf("%d bytes expected of the next, %d seen", used, seen)
	}
}

// TestHeldByFunction: what is expected of a function's environments is its share, whatever becomes of them.
func TestHeldByFunction(t *testing.T) {
	f := newFixture(t, 0)
	v := version(1)
	f.Release(f.acquire(t, v))
	if held := f.shares[function.ID{Name: "f"}].held; held != usualUse {
		t.Errorf("%d", held)
	}
	f.retireSince(time.Now().Add(time.Hour))
	if len(f.shares)+len(f.lines) != 0 {
		t.Error("a function without environments is remembered")
	}
}
