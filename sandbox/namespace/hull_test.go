//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/sandbox"
	"hotaru/sandbox/sandboxtest"
)

// prepare opens a driver that keeps hulls.
func (s *stage) prepare(config Config) *Driver {
	s.t.Helper()
	config.StateDir, config.Stage1, config.CgroupV1 = s.state, s.image, s.v1
	config.Log = slog.New(slog.NewTextHandler(s.t.Output(), nil))
	driver, err := New(config)
	if err != nil {
		s.t.Fatal(err)
	}
	return driver
}

// settled waits until a driver has prepared all that it wants to, and says how many are ready.
func settled(t *testing.T, d *Driver) int {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-time.After(time.Millisecond) {
		if ready, coming := d.Prepared(); coming == 0 {
			return ready
		}
	}
	t.Fatal("sandboxes are being prepared for too long")
	return 0
}

// hulled is the life of a sandbox that is made from a hull, after one that was not.
func (s *stage) hulled(ctx context.Context, driver *Driver) (sandbox.Sandbox, error) {
	if box, err := live(ctx, driver, s.root, s.code, 8<<20); err != nil {
		return box, err
	}
	settled(s.t, driver)
	return live(ctx, driver, s.root, s.code, 8<<20)
}

// wasHull says whether a sandbox was made from a hull.
func wasHull(sb sandbox.Sandbox) bool { return strings.HasPrefix(sb.(*box).name, "hull.") }

// A driver has no hulls before the first sandbox, some after it, makes sandboxes from them, and none is left in the end.
func TestHulls(t *testing.T) {
	s := newStage(t)
	sandboxtest.CheckLeaks(t)
	driver := s.prepare(Config{Hulls: 6})
	if ready, coming := driver.Prepared(); ready+coming > 0 {
		t.Errorf("%d are ready and %d are coming before the first sandbox", ready, coming)
	}
	spec := sandbox.Spec{Root: s.root, Limits: sandbox.Limits{MemoryBytes: 64 << 20, TmpBytes: 8 << 20}}
	for n, want := range []bool{false, true, true} {
		spec.ID = fmt.Sprint("one-", n)
		sb, err := driver.Create(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if wasHull(sb) != want {
			t.Errorf("sandbox %d was made from a hull: %t", n, !want)
		}
		if sb.ID() != spec.ID {
			t.Errorf("its ID is %q, want %q", sb.ID(), spec.ID)
		}
		if got := settled(t, driver); got != leastHulls {
			t.Errorf("%d are ready, want %d", got, leastHulls)
		}
	}
	other := spec
	other.ID, other.Limits.TmpBytes = "other", 0
	if sb, err := driver.Create(t.Context(), other); err != nil || wasHull(sb) {
		t.Errorf("another kind is made from such a hull, or not: %v", err)
	}
	settled(t, driver)
	if err := driver.Sweep(t.Context()); err == nil {
		t.Error("sweeps while hulls live")
	}
	name := driver.state.name
	if err := driver.Close(); err != nil {
		t.Error(err)
	}
	s.nothingLeft(name)
}

// What kills hulls while they wait is no error of the sandboxes that were to be made of them.
func TestDeadHulls(t *testing.T) {
	s := newStage(t)
	sandboxtest.CheckLeaks(t)
	for how, kill := range map[string]func(string) error{"stage-1": s.killStage1, "launcher": s.killLauncher} {
		t.Run(how, func(t *testing.T) {
			s := &stage{t: t, image: s.image, root: s.root, code: s.code, state: t.TempDir()}
			driver := s.prepare(Config{Hulls: 4})
			spec := sandbox.Spec{ID: "first", Root: s.root, Limits: sandbox.Limits{TmpBytes: 8 << 20}}
			sb, err := driver.Create(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			if err := sb.Destroy(t.Context()); err != nil {
				t.Error(err)
			}
			if settled(t, driver) == 0 {
				t.Fatal("there are no hulls")
			}
			if err := kill(driver.state.name); err != nil {
				t.Fatal(err)
			}
			for n := range 3 { // while it is noticed, and after
				spec.ID = fmt.Sprint("next-", n)
				if _, err := driver.Create(t.Context(), spec); err != nil {
					t.Errorf("after the death of all hulls: %v", err)
				}
			}
			name := driver.state.name
			if err := driver.Close(); err != nil {
				t.Error(err)
			}
			s.nothingLeft(name)
		})
	}
}

// The steps of making a hull, and those of making a sandbox of it.
var (
	keeperPoints = []Point{PointHull, PointGroup, PointClone, PointTmp, PointLate, PointHullMade}
	takerPoints  = []Point{PointHullTaken, PointDisk, PointSetup}
)

// Whichever step of a hull fails, or whoever of ours is killed at it, no caller is told and nothing is left.
func TestHullFaults(t *testing.T) {
	outside := newStage(t)
	for _, kind := range []struct {
		name  string
		fault func(*stage, string) error
	}{
		{"error", func(*stage, string) error { return errInjected }},
		{"stage-1 killed", (*stage).killStage1},
		{"launcher killed", (*stage).killLauncher},
	} {
		for _, point := range slices.Concat(keeperPoints, takerPoints) {
			t.Run(kind.name+"/"+string(point), func(t *testing.T) {
				sandboxtest.CheckLeaks(t)
				s := &stage{t: t, image: outside.image, root: outside.root, code: outside.code, state: t.TempDir()}
				var name string
				var armed atomic.Bool
				driver := s.prepare(Config{Hulls: 2, Fault: func(p Point) error {
					if p != point || !armed.CompareAndSwap(true, false) {
						return nil
					}
					return kind.fault(s, name)
				}})
				name = driver.state.name
				if _, err := live(t.Context(), driver, s.root, s.code, 8<<20); err != nil {
					t.Fatal(err)
				}
				armed.Store(slices.Contains(keeperPoints, point))
				settled(t, driver)
				if slices.Contains(takerPoints, point) {
					armed.Store(true)
				}
				if _, err := live(t.Context(), driver, s.root, s.code, 8<<20); err != nil {
					t.Errorf("a hull's fault is a sandbox's: %v", err)
				}
				if armed.Swap(false) {
					t.Error("the step is not reached")
				}
				if err := driver.Close(); err != nil {
					t.Error(err)
				}
				s.nothingLeft(name)
			})
		}
	}
}

// Whenever a daemon that keeps hulls is killed, the next one leaves nothing of it.
func TestDaemonWithHullsKilled(t *testing.T) {
	for _, point := range slices.Concat(keeperPoints, takerPoints, []Point{PointMade, PointKill, PointRemoveGroup}) {
		t.Run(string(point), func(t *testing.T) {
			s := newStage(t)
			s.hulls = 2
			sandboxtest.CheckLeaks(t)
			s.swept(point)
		})
	}
}

// Sandboxes are made and destroyed at once while hulls come and go, and the driver is closed in the midst of it.
func TestHullsAtOnce(t *testing.T) {
	s := newStage(t)
	sandboxtest.CheckLeaks(t)
	driver := s.prepare(Config{Hulls: 8})
	var made, fromHulls atomic.Int64
	var makers sync.WaitGroup
	for maker := range 4 {
		makers.Go(func() {
			for n := 0; ; n++ {
				sb, err := driver.Create(t.Context(), sandbox.Spec{
					ID: fmt.Sprint(maker, "-", n), Root: s.root, Limits: sandbox.Limits{MemoryBytes: int64(32+n) << 20, TmpBytes: int64(maker%2) << 23},
				})
				if err != nil {
					if !strings.Contains(err.Error(), "closed") {
						t.Error(err)
					}
					return
				}
				if made.Add(1); wasHull(sb) {
					fromHulls.Add(1)
				}
				if n%3 != 0 { // the others are the driver's to destroy
					if err := sb.Destroy(t.Context()); err != nil {
						t.Error(err)
					}
				}
				for ready, coming := driver.Prepared(); ready == 0 && coming > 0; ready, coming = driver.Prepared() {
					<-time.After(time.Millisecond)
				}
			}
		})
	}
	for end := time.Now().Add(20 * time.Second); fromHulls.Load() < 20 && time.Now().Before(end); {
		<-time.After(time.Millisecond)
	}
	name := driver.state.name
	if err := driver.Close(); err != nil {
		t.Error(err)
	}
	makers.Wait()
	t.Logf("%d sandboxes were made, %d of them from hulls", made.Load(), fromHulls.Load())
	if fromHulls.Load() < 20 {
		t.Error("hardly any sandbox was made from a hull")
	}
	s.nothingLeft(name)
}

// A sandbox that was made from a hull is what it would be without: its control groups, what is seen inside, what it uses.
func TestHullIsLikeNothing(t *testing.T) {
	s := newStage(t)
	sandboxtest.CheckLeaks(t)
	helper := t.TempDir()
	sandboxtest.WriteCopier(t, helper)
	place := sandboxtest.Copier(t, helper)
	specs := map[string]sandbox.Limits{
		"no limits": {}, "limits": {MemoryBytes: 160 << 20, MilliCPU: 250, PIDs: 60, OpenFiles: 100, TmpBytes: 8 << 20, DiskBytesPerSecond: rate(s.state)},
	}
	for name, limits := range specs {
		t.Run(name, func(t *testing.T) {
			look := func(hull *sandbox.Limits) map[string]any {
				driver := s.prepare(Config{ForcedHull: hull})
				sb, err := driver.Create(t.Context(), sandbox.Spec{ID: "same", Root: s.root, Limits: limits, Listen: []string{"127.0.0.1:9001"}})
				if err != nil {
					t.Fatal(err)
				}
				if wasHull(sb) != (hull != nil) {
					t.Error("the test does not test")
				}
				seen := map[string]any{"groups": groupFiles(t, sb.(*box))}
				stats, err := sb.Stats(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if stats.PIDs == 0 || stats.MemoryBytes < 200<<10 || stats.MemoryBytes > 8<<20 {
					t.Errorf("before anything runs it uses %+v: stage-1 is to be counted", stats)
				}
				seen["inside"] = insideOf(t, sb, place)
				if err := driver.Close(); err != nil {
					t.Error(err)
				}
				return seen
			}
			want := look(nil)
			for _, hull := range []sandbox.Limits{{}, {MemoryBytes: 64 << 20, MilliCPU: 2000, PIDs: 30}, {MemoryBytes: 512 << 20, MilliCPU: 100, PIDs: 3000}} {
				if diff := cmp.Diff(want, look(&hull)); diff != "" {
					t.Errorf("a hull made for %+v (-from nothing +from it):\n%s", hull, diff)
				}
			}
		})
	}
}

// groupFiles are the limits and weights of a sandbox's control groups.
func groupFiles(t *testing.T, b *box) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/", "/sys/fs/cgroup/*/*/"} {
		dirs, err := filepath.Glob(pattern + b.driver.state.name + "/" + b.name)
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range dirs {
			for _, file := range []string{
				"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.kmem.tcp.limit_in_bytes", "memory.swappiness", "memory.max", "memory.swap.max",
				"cpu.shares", "cpu.weight", "cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us", "pids.max", "freezer.state", "cgroup.freeze",
			} {
				if content, err := os.ReadFile(filepath.Join(dir, file)); err == nil {
					found[filepath.Dir(filepath.Dir(dir))+" "+file] = string(content)
				}
			}
			if cpu := filepath.Dir(filepath.Dir(dir)); found[cpu+" cpu.cfs_quota_us"] == "-1\n" {
				delete(found, cpu+" cpu.cfs_period_us") // of no quota
			}
		}
	}
	if len(found) == 0 {
		t.Error("no control groups are found")
	}
	return found
}

// insideOf is what a process sees of its place, but for what is another with every sandbox.
func insideOf(t *testing.T, sb sandbox.Sandbox, cmd sandbox.Command) map[string]any {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	run := sandboxtest.Code(t, cmd, sandboxtest.Place)
	run.Stdout = w
	_, err = sb.Start(t.Context(), run)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	var seen map[string]any
	if err := errors.Join(err, json.Unmarshal(out, &seen)); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	delete(seen, "namespaces") // their numbers
	return seen
}

// A limit on memory that is lower than the hull's holds from the first byte.
func TestHullMemoryHolds(t *testing.T) {
	s := newStage(t)
	sandboxtest.CheckLeaks(t)
	driver := s.prepare(Config{ForcedHull: &sandbox.Limits{MemoryBytes: 1 << 30}})
	defer func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	}()
	memory, _, _, _ := driver.cgroups.Enforces()
	if !memory {
		t.Skip("no control group limits memory here")
	}
	sb, err := driver.Create(t.Context(), sandbox.Spec{ID: "greedy", Root: s.root, Limits: sandbox.Limits{MemoryBytes: 32 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := sb.Start(t.Context(), sandbox.Command{Path: "/usr/bin/head", Args: []string{"head", "-c", "100M", "/dev/zero"}})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	p, err = sb.Start(t.Context(), sandbox.Command{Path: "/usr/bin/dd", Args: []string{"dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"}})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if got := p.Status(); !got.OOMKilled {
		t.Errorf("100 MB in a sandbox of 32: %+v", got)
	}
}

// One that asks for less than stage-1 needs is refused as it is without hulls, and so is what cannot be made.
func TestHullsRefuse(t *testing.T) {
	s := newStage(t)
	sandboxtest.CheckLeaks(t)
	driver := s.prepare(Config{Hulls: 4})
	spec := sandbox.Spec{ID: "fine", Root: s.root}
	if _, err := driver.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	settled(t, driver)
	spec.ID, spec.Binds = "nowhere", []sandbox.Bind{{Source: "/no/such/place", Target: "/opt"}}
	if _, err := driver.Create(t.Context(), spec); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a bind of nothing: %v", err)
	}
	spec.Binds = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := driver.Create(ctx, spec); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	settled(t, driver)
	if _, err := driver.Create(t.Context(), spec); err != nil {
		t.Errorf("the ID of what was refused is taken: %v", err)
	}
	name := driver.state.name
	if err := driver.Close(); err != nil {
		t.Error(err)
	}
	if _, err := driver.Create(t.Context(), sandbox.Spec{ID: "late", Root: s.root}); err == nil {
		t.Error("a closed driver makes a sandbox")
	}
	s.nothingLeft(name)
}
