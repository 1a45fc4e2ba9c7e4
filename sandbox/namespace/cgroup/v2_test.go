//go:build linux

package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const own = "hotaru-test/box"

func create(t *testing.T, p *Parent, limits Limits) *Group {
	t.Helper()
	g, err := p.Create("box", limits)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestV2RefusesLessMemoryThanInUse(t *testing.T) {
	f, p := newFakeV2(t)
	g := create(t, p, Limits{MemoryBytes: 5000, MilliCPU: 1000})
	before := f.get(t, own, "memory.max")
	if err := g.SetLimits(Limits{MemoryBytes: 1229, MilliCPU: 500}); err == nil {
		t.Error("1230 bytes are in use and a limit of 1229 is taken")
	}
	if got := f.get(t, own, "memory.max"); got != before {
		t.Errorf("memory.max is %q after a refusal, it was %q", got, before)
	}
	if got := f.get(t, own, "cpu.max"); !strings.HasPrefix(got, "20000 20000") {
		t.Errorf("cpu.max is %q after a refusal", got)
	}
}

func TestV2RollsBack(t *testing.T) {
	f, p := newFakeV2(t)
	g := create(t, p, Limits{MemoryBytes: 5000})
	if err := os.Remove(filepath.Join(f.root, own, "pids.max")); err != nil {
		t.Fatal(err)
	}
	if err := g.SetLimits(Limits{MemoryBytes: 9000, PIDs: 7}); err == nil {
		t.Error("no error without pids.max")
	}
	if got := f.get(t, own, "memory.max"); got != "5000" {
		t.Errorf("memory.max is %q, not what it was", got)
	}
}

func TestV2FailedCreateLeavesNothing(t *testing.T) {
	f, p := newFakeV2(t)
	whole := p.mkdir
	p.mkdir = func(dir string) error { return errors.Join(whole(dir), os.Remove(filepath.Join(dir, "cpu.max"))) }
	if _, err := p.Create("box", Limits{MilliCPU: 1}); err == nil {
		t.Error("created without cpu.max")
	}
	if _, err := os.Stat(filepath.Join(f.root, own)); err == nil {
		t.Error("the group is left")
	}
}

func TestV2Limits(t *testing.T) {
	f, p := newFakeV2(t)
	for _, dir := range []string{".", "hotaru-test"} {
		if got := f.get(t, dir, "cgroup.subtree_control"); !strings.HasPrefix(got, "+io") { // the last of them
			t.Errorf("%s hands down %q", dir, got)
		}
	}
	var pids, threads, all int
	for path, into := range map[string]*int{
		"/proc/sys/kernel/pid_max": &pids, "/proc/sys/kernel/threads-max": &threads, filepath.Join(f.root, "hotaru-test/pids.max"): &all,
	} {
		content, err := os.ReadFile(path)
		if err == nil {
			_, err = fmt.Sscan(string(content), into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if most := min(pids, threads); all < most/2 || all > most*3/4 {
		t.Errorf("all groups may have %d processes of the host's %d", all, most)
	}
	g := create(t, p, Limits{MemoryBytes: 128 << 20, MilliCPU: 72, PIDs: 1032})
	for file, want := range map[string]string{
		"memory.max": "134217728", "memory.swap.max": "0", "cpu.max": "7200 100000", "pids.max": "1032",
	} {
		if got := f.get(t, own, file); !strings.HasPrefix(got, want) {
			t.Errorf("%s is %q, want %q", file, got, want)
		}
	}
	if err := g.SetLimits(Limits{}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"memory.max": "max", "cpu.max": "max 100000", "pids.max": "max"} {
		if got := f.get(t, own, file); !strings.HasPrefix(got, want) {
			t.Errorf("%s is %q, want %q", file, got, want)
		}
	}
}

// TestV2CPU looks at the share of functions from the smallest to the largest: always in proportion, 15 ms at least if that
// fits in a tenth of a second, and in periods as short as possible.
func TestV2CPU(t *testing.T) {
	f, p := newFakeV2(t)
	g := create(t, p, Limits{})
	for milli, want := range map[int64]string{
		72: "7200 100000", 145: "14500 100000", 289: "14999 51903", 579: "14999 25906", 1000: "20000 20000", 5788: "115760 20000",
	} {
		if err := g.SetLimits(Limits{MilliCPU: milli}); err != nil {
			t.Fatal(err)
		}
		if got := f.get(t, own, "cpu.max"); !strings.HasPrefix(got, want) {
			t.Errorf("%d thousandths: %q, want %q", milli, got, want)
		}
	}
}

func TestV2Disk(t *testing.T) {
	f, p := newFakeV2(t)
	g := create(t, p, Limits{})
	if all, waitedFor := p.LimitsDisk(); !all || !waitedFor {
		t.Error("disks are not limited")
	}
	for rate, want := range map[int64]string{4096: "8:0 rbps=4096 wbps=4096", 0: "8:0 rbps=max wbps=max"} {
		f.set(t, own, "io.max", "")
		if err := g.LimitDisk("8:0", rate); err != nil {
			t.Fatal(err)
		}
		if got := f.get(t, own, "io.max"); got != want {
			t.Errorf("io.max is %q, want %q", got, want)
		}
	}
	if err := os.Remove(filepath.Join(f.root, own, "io.max")); err != nil {
		t.Fatal(err)
	}
	if err := g.LimitDisk("8:0", 1); err == nil {
		t.Error("no error without io.max")
	}
	if p.LimitsLate() {
		t.Error("version 2 limits devices by themselves")
	}
	if err := errors.Join(p.LimitLate("8:0", 1), p.LiftLate("8:0", 1)); err != nil {
		t.Error(err)
	}
}

// Without the memory controller in version 2 the kernel does not know whose page it writes late.
func TestDiskOfTwoVersions(t *testing.T) {
	unified := role{dir: "/cg/unified", v2: true}
	for name, c := range map[string]struct {
		layout         Layout
		all, waitedFor bool
	}{
		"nothing":            {Layout{}, false, false},
		"memory elsewhere":   {Layout{io: unified, memory: role{dir: "/cg/memory"}}, false, true},
		"all of version 2":   {Layout{io: unified, memory: unified}, true, true},
		"without the top":    {Layout{io: role{dir: "/cg/blkio/x"}}, false, true},
		"version 1 with top": {Layout{io: role{dir: "/cg/blkio/x"}, ioRoot: "/cg/blkio"}, true, true},
	} {
		if all, waitedFor := (&Parent{layout: c.layout}).LimitsDisk(); all != c.all || waitedFor != c.waitedFor {
			t.Errorf("%s: %t, %t", name, all, waitedFor)
		}
	}
}

// The limit that is lifted is the one that was set, not a stranger's.
func TestV1Late(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, lateFile)
	p := &Parent{layout: Layout{io: role{dir: dir + "/x"}, ioRoot: dir}}
	for name, c := range map[string]struct{ before, want string }{
		"ours":       {"254:0 7\n7:3 4096\n", "7:3 0"},
		"another's":  {"254:0 7\n7:3 9999\n", "254:0 7\n7:3 9999"},
		"beginning":  {"7:3 40960\n", "7:3 40960"},
		"none there": {"", ""},
	} {
		if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := p.LiftLate("7:3", 4096); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// A file, unlike the kernel's, keeps what is behind what was written.
		if got := strings.TrimSpace(string(content)); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if err := p.LimitLate("7:3", 4096); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := p.LiftLate("7:3", 4096); err == nil {
		t.Error("no error without the file")
	}
}

func TestV2Usage(t *testing.T) {
	f, p := newFakeV2(t)
	g := create(t, p, Limits{})
	got, err := g.Usage()
	if want := (Usage{MemoryBytes: 1230, CPUTime: 1500 * time.Microsecond, PIDs: 3}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	f.set(t, own, "memory.stat", "anon 1000\nkernel_stack 10\npagetables 5\npercpu 2\nslab 17\nslab_reclaimable 10\nshmem 30\n") // before 5.18
	if got, err := g.Usage(); err != nil || got.MemoryBytes != 1054 {
		t.Errorf("%+v, %v", got, err)
	}
	f.set(t, own, "pids.current", "many\n")
	if _, err := g.Usage(); err == nil {
		t.Error("nonsense is a number")
	}
	f.set(t, own, "memory.events", "oom 3\noom_kill 2\n")
	if kills, err := g.OOMKills(); err != nil || kills != 2 {
		t.Errorf("%d kills, %v", kills, err)
	}
}

func TestV2FreezeGivesUp(t *testing.T) {
	f, p := newFakeV2(t)
	g := create(t, p, Limits{})
	f.set(t, own, "cgroup.events", "populated 1\nfrozen 0\n")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := g.Freeze(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the end of the context", err)
	}
	if got := f.get(t, own, "cgroup.freeze"); !strings.HasPrefix(got, "0") {
		t.Errorf("cgroup.freeze is %q: what could not be frozen is to be thawed", got)
	}
}

func TestV2Freeze(t *testing.T) {
	f, p := newFakeV2(t)
	g := create(t, p, Limits{})
	if err := g.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.get(t, own, "cgroup.freeze"); !strings.HasPrefix(got, "1") {
		t.Errorf("cgroup.freeze is %q", got)
	}
	if err := g.Thaw(); err != nil {
		t.Fatal(err)
	}
	if got := f.get(t, own, "cgroup.freeze"); !strings.HasPrefix(got, "0") {
		t.Errorf("cgroup.freeze is %q", got)
	}
}

func TestV2Remove(t *testing.T) {
	f, p := newFakeV2(t)
	g := create(t, p, Limits{})
	f.busy = 1 << 30
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if err := g.Remove(ctx); !errors.Is(err, unix.EBUSY) {
		t.Errorf("%v, want EBUSY", err)
	}
	f.busy = 3
	if err := g.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.Remove(t.Context()); err != nil { // again is nothing
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(f.root, "hotaru-test")); err == nil {
		t.Error("the parent is left")
	}
}

func TestDetect(t *testing.T) {
	hybrid := t.TempDir()
	if err := os.WriteFile(filepath.Join(hybrid, "cgroup.controllers"), []byte("hugetlb\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	const self = "9:blkio:/\n8:pids:/\n4:memory:/service/x\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n0::/\n"
	mountinfo := "1 2 0:1 / /cg/memory rw - cgroup cgroup rw,memory\n" +
		"1 2 0:2 /docker/abc /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n" +
		"1 2 0:3 / /cg/pids rw - cgroup cgroup rw,pids\n" +
		"1 2 0:4 / /cg/freezer rw - cgroup cgroup rw,freezer\n" +
		"1 2 0:7 / /cg/blkio rw - cgroup cgroup rw,blkio\n" +
		"1 2 0:5 / " + hybrid + " rw - cgroup2 cgroup2 rw\n" +
		"1 2 0:6 / / rw - ext4 /dev/vda rw\n"
	both, err := detect("n", false, false, strings.NewReader(mountinfo), strings.NewReader(self))
	if err != nil {
		t.Fatal(err)
	}
	unified := role{dir: hybrid + "/n", v2: true}
	want := Layout{
		memory: role{dir: "/cg/memory/service/x/n"}, cpu: role{dir: "/cg/cpu/n"}, pids: role{dir: "/cg/pids/n"},
		cpuacct: unified, freezer: unified, unified: unified, top: hybrid, io: role{dir: "/cg/blkio/n"}, ioRoot: "/cg/blkio",
	}
	if both != want {
		t.Errorf("%+v, want %+v", both, want)
	}
	old, err := detect("n", true, false, strings.NewReader(mountinfo), strings.NewReader(self))
	if err != nil {
		t.Fatal(err)
	}
	want.cpuacct, want.freezer, want.unified, want.top = want.cpu, role{dir: "/cg/freezer/n"}, role{}, ""
	if old != want {
		t.Errorf("%+v, want %+v", old, want)
	}
	for _, bad := range []string{"nonsense\n", "1 2 0:1 / /cg rw\n"} {
		if _, err := detect("n", false, false, strings.NewReader(bad), strings.NewReader(self)); err == nil {
			t.Errorf("mountinfo %q is taken", bad)
		}
	}
	if _, err := detect("n", false, false, strings.NewReader(mountinfo), strings.NewReader("x\n")); err == nil {
		t.Error("nonsense in /proc/self/cgroup is taken")
	}
}

func TestSweepRefusesOthers(t *testing.T) {
	for _, dirs := range [][]string{{"/sys/fs/cgroup"}, {"/sys/fs/cgroup/other"}, {"/sys/fs/cgroup/x/../hotaru-test/../.."}} {
		if err := Sweep(t.Context(), "hotaru-test", dirs); err == nil {
			t.Errorf("%v is swept", dirs)
		}
	}
	plain := filepath.Join(t.TempDir(), "hotaru-test")
	if err := os.MkdirAll(filepath.Join(plain, "precious"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(t.Context(), "hotaru-test", []string{plain}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(plain, "precious")); err != nil {
		t.Errorf("a directory that is no control group was swept: %v", err)
	}
}

// What a group gets where CPU time lacks follows from its memory, and a crowd has that together.
func TestV2Weight(t *testing.T) {
	f, p := newFakeV2(t)
	g := create(t, p, Limits{MemoryBytes: 512 << 20})
	if got := f.get(t, own, "cpu.weight"); got != "512" {
		t.Errorf("cpu.weight of 512 MiB is %q", got)
	}
	for crowd, want := range map[int]string{1: "512", 4: "128", 256: "2", 4096: "1", 0: "512"} {
		f.set(t, own, "cpu.weight", "")
		if err := g.SetWeight(crowd); err != nil {
			t.Fatal(err)
		}
		if got := f.get(t, own, "cpu.weight"); got != want {
			t.Errorf("in a crowd of %d cpu.weight is %q, want %q", crowd, got, want)
		}
	}
	if err := os.Remove(filepath.Join(f.root, own, "cpu.weight")); err != nil {
		t.Fatal(err)
	}
	if err := g.SetWeight(2); err == nil {
		t.Error("no error without cpu.weight")
	}
	huge, err := p.Create("huge", Limits{MemoryBytes: 10240 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.get(t, "hotaru-test/huge", "cpu.weight"); got != "10000" {
		t.Errorf("cpu.weight of 10,240 MiB is %q, not the kernel's most", got)
	}
	free, err := p.Create("free", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.get(t, "hotaru-test/free", "cpu.weight"); got != "100" {
		t.Errorf("cpu.weight without a limit on memory is %q, not the kernel's usual", got)
	}
	for _, g := range []*Group{huge, free} {
		if err := g.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A group that is refitted is what it would be if it had been created so, its claim on CPU time included.
func TestV2Refit(t *testing.T) {
	files := []string{"memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max"}
	all := []Limits{{}, {MemoryBytes: 640 << 20, PIDs: 9}, {MemoryBytes: 512 << 20, MilliCPU: 300}, {MilliCPU: 50, PIDs: 1}} // as many digits
	for _, from := range all {
		for _, to := range all {
			f, p := newFakeV2(t)
			create(t, p, to)
			want := map[string]string{}
			for _, file := range files {
				want[file] = strings.TrimSpace(f.get(t, own, file))
			}
			f, p = newFakeV2(t)
			g := create(t, p, from)
			if err := g.Refit(to); err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				if file == "memory.swap.max" && to.MemoryBytes == 0 {
					continue // of no limit
				}
				// What is written goes over what was there, and the period of no quota says nothing.
				want, _, _ := strings.Cut(want[file], " ")
				if got := f.get(t, own, file); !strings.HasPrefix(got, want) {
					t.Errorf("from %+v to %+v: %s is %q, want %q", from, to, file, got, want)
				}
			}
			if g.claim != to.MemoryBytes>>20 {
				t.Errorf("its claim is %d", g.claim)
			}
		}
	}
	f, p := newFakeV2(t)
	g := create(t, p, Limits{MemoryBytes: 5000})
	if err := g.Refit(Limits{MemoryBytes: 1229}); err == nil {
		t.Error("1230 bytes are in use and a limit of 1229 is taken")
	}
	if got := f.get(t, own, "memory.max"); got != "5000" {
		t.Errorf("memory.max is %q after a refusal", got)
	}
}
