//go:build linux

package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestV2BoundMemory(t *testing.T) {
	f, p := newFakeV2(t)
	const all = "hotaru-test"
	for _, lacking := range []string{"memory.max", "memory.current", "memory.stat"} {
		if err := os.Rename(filepath.Join(f.root, all, lacking), filepath.Join(f.root, "away")); err != nil {
			t.Fatal(err)
		}
		if _, err := p.BoundMemory(1 << 30); lacking == "memory.max" && err == nil {
			t.Error("no error without memory.max")
		}
		if _, bounded, err := p.MemoryLeft(); err == nil || bounded {
			t.Errorf("what is left is known without %s", lacking)
		}
		if err := os.Rename(filepath.Join(f.root, "away"), filepath.Join(f.root, all, lacking)); err != nil {
			t.Fatal(err)
		}
	}
	f.set(t, all, "memory.max", "lots\n")
	if _, _, err := p.MemoryLeft(); err == nil {
		t.Error("nonsense is a limit")
	}
	for _, bytes := range []int64{1 << 30, 0} {
		want := map[int64]string{1 << 30: "1073741824", 0: "max"}[bytes]
		f.set(t, all, "memory.max", "")
		f.set(t, all, "memory.swap.max", "")
		if bounded, err := p.BoundMemory(bytes); err != nil || bounded != (bytes > 0) {
			t.Errorf("%d: %t, %v", bytes, bounded, err)
		}
		if got := f.get(t, all, "memory.max"); got != want {
			t.Errorf("memory.max is %q, want %q", got, want)
		}
		if got := f.get(t, all, "memory.swap.max"); got != "0" {
			t.Errorf("memory.swap.max is %q", got)
		}
	}
	if _, bounded, err := p.MemoryLeft(); bounded || err != nil {
		t.Errorf("something is left of no limit: %v", err)
	}
	f.set(t, all, "memory.max", "1000000")
	f.set(t, all, "memory.stat", "anon 1000\ninactive_file 100000\nactive_file 5\n")
	if left, bounded, err := p.MemoryLeft(); left != 1000000-901230+100005 || !bounded || err != nil {
		t.Errorf("%d bytes are left, %t, %v", left, bounded, err)
	}
	f.set(t, all, "memory.stat", "inactive_file 0\n")
	f.set(t, all, "memory.max", "5")
	if left, bounded, err := p.MemoryLeft(); left != 0 || !bounded || err != nil {
		t.Errorf("%d bytes are left of less than is used, %t, %v", left, bounded, err)
	}
	// Nobody has all die because one has too much.
	if _, err := os.Stat(filepath.Join(f.root, all, "memory.oom.group")); err == nil {
		t.Error("memory.oom.group is written")
	}
}

func TestBoundMemoryElsewhere(t *testing.T) {
	none := &Parent{}
	if bounded, err := none.BoundMemory(1); bounded || err != nil {
		t.Errorf("without a controller: %t, %v", bounded, err)
	}
	if _, bounded, err := none.MemoryLeft(); bounded || err != nil {
		t.Errorf("without a controller: %t, %v", bounded, err)
	}
	gone := role{dir: filepath.Join(t.TempDir(), "gone")}
	if _, err := (&Parent{layout: Layout{memory: gone}}).BoundMemory(1); err == nil {
		t.Error("no error without the group")
	}
}

// What belongs to another is left alone: an ordinary user does without, whoever should be able to is told.
func TestBoundMemoryRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: has files that another may not write")
	}
	f, p := newFakeV2(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, err := unix.SetfsuidRetUid(65534); err != nil {
		t.Fatal(err)
	}
	p.layout.rootless = true
	if bounded, err := p.BoundMemory(1 << 20); bounded || err != nil {
		t.Errorf("an ordinary user: %t, %v", bounded, err)
	}
	p.layout.rootless = false
	if bounded, err := p.BoundMemory(1 << 20); bounded || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("root: %t, %v", bounded, err)
	}
	if _, err := unix.SetfsuidRetUid(0); err != nil {
		t.Fatal(err)
	}
	if got := f.get(t, "hotaru-test", "memory.max"); got != "max" {
		t.Errorf("memory.max is %q", got)
	}
}

// TestV1BoundMemory is of the kernel's own groups: it moves this process into none of them.
func TestV1BoundMemory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes control groups")
	}
	layout, err := Detect("hotaru-test-bound-"+strconv.Itoa(os.Getpid()), true, false)
	if err != nil {
		t.Fatal(err)
	}
	if layout.memory.dir == "" {
		t.Skip("this host has no version 1 memory controller")
	}
	p, err := Open(layout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := layout.memory.dir
	file := func(dir, name string) string {
		content, err := read(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(content)
	}
	if _, bounded, err := p.MemoryLeft(); bounded || err != nil {
		t.Errorf("bounded from the start: %v", err)
	}
	for _, mib := range []int64{512, 64, 1024} { // down and up again
		if bounded, err := p.BoundMemory(mib << 20); !bounded || err != nil {
			t.Fatalf("%d MiB: %t, %v", mib, bounded, err)
		}
		want := strconv.FormatInt(mib<<20, 10)
		if got := file(dir, "memory.limit_in_bytes"); got != want {
			t.Errorf("the limit is %s, want %s", got, want)
		}
		if got, err := read(dir, "memory.memsw.limit_in_bytes"); err == nil && strings.TrimSpace(got) != want {
			t.Errorf("the limit with swap is %s, want %s", got, want)
		}
		if left, bounded, err := p.MemoryLeft(); left < mib<<20-1<<20 || left > mib<<20 || !bounded || err != nil {
			t.Errorf("%d of %d MiB are left, %t, %v", left>>20, mib, bounded, err)
		}
	}
	g, err := p.Create("box", Limits{MemoryBytes: 128 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if got := file(g.in(layout.memory), "memory.swappiness"); got != "0" {
		t.Errorf("a group is swapped: %s", got)
	}
	for crowd, want := range map[int]string{1: "1024", 64: "16", 4096: "2"} {
		if err := g.SetWeight(crowd); err != nil {
			t.Error(err)
		}
		if got := file(g.in(layout.cpu), "cpu.shares"); got != want {
			t.Errorf("in a crowd of %d a group of 128 MiB has %s shares of the CPUs, want %s", crowd, got, want)
		}
	}
	if err := g.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	if bounded, err := p.BoundMemory(0); bounded || err != nil {
		t.Errorf("%t, %v", bounded, err)
	}
	if _, bounded, err := p.MemoryLeft(); bounded || err != nil {
		t.Errorf("still bounded: %v", err)
	}
	useMemory(t, dir)
	if _, err := p.BoundMemory(1 << 20); !errors.Is(err, unix.EBUSY) {
		t.Errorf("less than is in use: %v, want EBUSY", err)
	}
}

// useMemory starts a process that holds more than a megabyte in a group, until the test ends.
func useMemory(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "echo 0 >"+dir+"/tasks; x=$(head -c 8388608 /dev/zero | tr '\\0' x); echo there; read end")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Log(err)
		}
	})
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}
