package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"hotaru/environment"
	"hotaru/environment/environmenttest"
	"hotaru/function"
)

// town is a pool in virtual time. Its environments are made beforehand, because what waits for a file does not wait in
// virtual time.
type town struct {
	*Pool
	t      *testing.T
	driver *environmenttest.Driver
	limit  int64
	takes  time.Duration // what it takes to make one
	fail   atomic.Int64  // how many of the next makings fail

	mu    sync.Mutex
	ready map[string][]*environment.Environment // by function
}

var errNotMade = errors.New("not made")

// newTown prepares n environments of each function.
func newTown(t *testing.T, n int, names ...string) *town {
	t.Helper()
	driver := &environmenttest.Driver{Run: environmenttest.Echo}
	c := &town{t: t, driver: driver, takes: 20 * time.Millisecond, ready: map[string][]*environment.Environment{}}
	for _, name := range names {
		for i := range n {
			blank, err := environment.NewBlank(t.Context(), environment.BlankConfig{ID: fmt.Sprint(name, i), Driver: driver, MemoryMB: 128})
			if err != nil {
				t.Fatal(err)
			}
			env, err := blank.Assign(t.Context(), environment.Config{
				Version: versionOf(name), Log: &environmenttest.Log{}, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			c.ready[name] = append(c.ready[name], env)
		}
	}
	t.Cleanup(func() {
		for _, all := range c.ready {
			for _, env := range all {
				if err := env.Close(context.Background()); err != nil {
					t.Error(err)
				}
			}
		}
	})
	return c
}

func versionOf(name string) *function.Version {
	v := version(1)
	v.ID.Name = name
	return v
}

// open opens the pool with memory for so many environments; it is to be called in the bubble.
func (c *town) open(room, makings int) {
	c.limit = int64(room) * usualUse
	c.Pool = New(c.make, func(*environment.Environment) bool { return false }, Options{
		Makings: makings, Budget: NewBudget(c.limit, nobodyKnows), Logger: slog.New(slog.DiscardHandler),
	})
}

// pass lets virtual time pass.
func pass(d time.Duration) {
	//house:allow sleep in the bubble of a synctest it takes no time
	time.Sleep(d)
}

func nobodyKnows() (int64, bool) { return 0, false }

func (c *town) make(_ context.Context, v *function.Version) (*environment.Environment, error) {
	if used := c.budget.Used(); used > c.limit {
		c.t.Errorf("%d bytes of %d used", used, c.limit)
	}
	pass(c.takes)
	if c.fail.Add(-1) >= 0 {
		return nil, errNotMade
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.ready[v.ID.Name]
	if len(all) == 0 {
		return nil, errors.New("more were made than the test has")
	}
	env := all[len(all)-1]
	c.ready[v.ID.Name] = all[:len(all)-1]
	return env, nil
}

// crowd is clients of one function, each of which invokes over and over.
type crowd struct {
	name             string
	clients          int
	served, refused  int64
	longest, service time.Duration
}

// run lets crowds invoke for so long.
func (c *town) run(lasting time.Duration, crowds ...*crowd) {
	until := time.Now().Add(lasting)
	var all sync.WaitGroup
	var mu sync.Mutex
	for _, crowd := range crowds {
		v := versionOf(crowd.name)
		for range crowd.clients {
			all.Go(func() {
				for time.Now().Before(until) {
					began := time.Now()
					env, err := c.Acquire(context.Background(), v, "", nobody{})
					waited := time.Since(began)
					if err == nil {
						pass(crowd.service)
						c.Release(env)
					} else if !errors.Is(err, ErrFull) {
						c.t.Error(err)
						return
					}
					mu.Lock()
					if crowd.longest = max(crowd.longest, waited); err == nil {
						crowd.served++
					} else {
						crowd.refused++
					}
					mu.Unlock()
				}
			})
		}
	}
	all.Wait()
}

// TestGreedyAndModest: 2,000 clients want 50 environments' worth of memory. Everybody is answered, and the function with
// few clients keeps what it had alone, as far as that is less than half of the memory.
func TestGreedyAndModest(t *testing.T) {
	for _, modest := range []int{1, 10, 100} {
		t.Run(fmt.Sprint(modest), func(t *testing.T) {
			c := newTown(t, 150, "greedy", "modest")
			var alone, together, greedy *crowd
			synctest.Test(t, func(*testing.T) {
				alone = &crowd{name: "modest", clients: modest, service: 50 * time.Millisecond}
				c.open(50, 8)
				c.run(10*time.Second, alone)
				together = &crowd{name: "modest", clients: modest, service: 50 * time.Millisecond}
				greedy = &crowd{name: "greedy", clients: 2000 - modest, service: 50 * time.Millisecond}
				c.run(10*time.Second, greedy, together)
				c.Close()
			})
			if together.served < alone.served*4/10 {
				t.Errorf("%d events beside the greedy one, %d alone", together.served, alone.served)
			}
			if modest < 25 && together.refused > 0 {
				t.Errorf("%d refused of a function that wants less than its share", together.refused)
			}
			// 50 environments serve 10,000 events in that time.
			if all := greedy.served + together.served; all < 9000 {
				t.Errorf("%d events of both", all)
			}
			if greedy.refused == 0 {
				t.Error("nobody was refused")
			}
			for _, crowd := range []*crowd{greedy, together} {
				// At the start there is memory, and they wait for their turns to make one.
				if crowd.longest > memoryPatience+50/8*c.takes {
					t.Errorf("%s: waited for %v", crowd.name, crowd.longest)
				}
			}
			t.Logf("%d beside the greedy one's %d, %d alone", together.served, greedy.served, alone.served)
			if used := c.budget.Used(); used != 0 {
				t.Errorf("%d bytes are used by nobody", used)
			}
		})
	}
}

// visit is one invocation of a plan.
type visit struct {
	name             string
	arrives, service time.Duration
}

// TestAdmission: whatever comes, memory suffices, everybody is answered in time, those of one function in turn, and
// nothing is left.
func TestAdmission(t *testing.T) {
	names := []string{"a", "b", "c"}
	rapid.Check(t, func(r *rapid.T) {
		room, makings := rapid.IntRange(1, 6).Draw(r, "room"), rapid.IntRange(1, 4).Draw(r, "makings")
		failures := rapid.IntRange(0, 3).Draw(r, "failures")
		visits := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) visit {
			return visit{
				rapid.SampledFrom(names).Draw(r, "name"), time.Duration(rapid.IntRange(0, 3000).Draw(r, "arrives")) * time.Millisecond,
				time.Duration(rapid.IntRange(0, 1500).Draw(r, "service")) * time.Millisecond,
			}
		}), 1, 30).Draw(r, "visits")
		slices.SortFunc(visits, func(a, b visit) int { return int(a.arrives - b.arrives) })
		for i := 1; i < len(visits); i++ { // one at a time, so that there is an order
			visits[i].arrives = max(visits[i].arrives, visits[i-1].arrives+time.Millisecond)
		}
		c := newTown(t, len(visits), names...)
		defer c.clear()
		c.fail.Store(int64(failures))
		var problem string
		synctest.Test(t, func(*testing.T) {
			c.open(room, makings)
			problem = c.follow(visits)
			c.retireSince(time.Now().Add(time.Hour))
			c.closing.Wait()
			if len(c.lines)+len(c.shares)+len(c.hungry)+c.making+c.idlers != 0 || c.budget.Used() != 0 || c.budget.departing() != 0 {
				problem = fmt.Sprintf("left over: %d lines, %d shares, %d hungry, %d being made, %d idle, %d bytes", len(c.lines), len(c.shares),
					len(c.hungry), c.making, c.idlers, c.budget.Used())
			}
			c.Close()
		})
		if problem != "" {
			r.Fatal(problem)
		}
	})
}

// clear closes what a run has not used.
func (c *town) clear() {
	for name, all := range c.ready {
		for _, env := range all {
			if err := env.Close(context.Background()); err != nil {
				c.t.Error(err)
			}
		}
		delete(c.ready, name)
	}
}

// follow carries a plan out and says what went wrong.
func (c *town) follow(visits []visit) (problem string) {
	type turn struct {
		name   string
		served time.Time
	}
	turns := make([]turn, len(visits))
	began := time.Now()
	var all sync.WaitGroup
	var mu sync.Mutex
	for i, v := range visits {
		all.Go(func() {
			pass(v.arrives)
			env, err := c.Acquire(context.Background(), versionOf(v.name), "", nobody{})
			now := time.Now()
			waited := now.Sub(began) - v.arrives
			if err == nil {
				pass(v.service)
				c.Release(env)
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil && !errors.Is(err, ErrFull) && !errors.Is(err, errNotMade):
				problem = err.Error()
			case errors.Is(err, ErrFull) && waited < memoryPatience:
				problem = fmt.Sprintf("%v: refused after %v", v, waited)
			case waited > memoryPatience+time.Duration(len(visits))*c.takes:
				problem = fmt.Sprintf("%v: waited for %v", v, waited)
			case err == nil:
				turns[i] = turn{v.name, now}
			}
		})
	}
	all.Wait()
	latest := map[string]time.Time{}
	for _, t := range turns {
		// One that was made is there later than one that came back to whoever stood behind.
		if t.name != "" && t.served.Before(latest[t.name].Add(-c.takes)) {
			problem = fmt.Sprintf("%s: served at %v, and who came before at %v", t.name, t.served.Sub(began), latest[t.name].Sub(began))
		}
		if t.served.After(latest[t.name]) {
			latest[t.name] = t.served
		}
	}
	return problem
}
