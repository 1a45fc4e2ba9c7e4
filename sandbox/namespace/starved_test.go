//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/sandboxtest"
)

const starvedOf = "HOTARU_TEST_STARVED_OF"

// TestStarvedDaemon is a daemon that runs out of something while it makes sandboxes. What it made before works, what it
// could not make leaves nothing, and once there is enough again it goes on.
func TestStarvedDaemon(t *testing.T) {
	s := childStage(t)
	var starve, feed func()
	var want []error
	switch os.Getenv(starvedOf) {
	case "descriptors":
		var before unix.Rlimit
		limit := func(l unix.Rlimit) {
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
		starve = func() { limit(unix.Rlimit{Cur: 64, Max: before.Max}) }
		feed = func() { limit(before) }
		want = []error{unix.EMFILE}
	case "disk":
		// A small disk of its own, which only this process's mount namespace has.
		if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("small", s.state, "tmpfs", 0, "size=16m")); err != nil {
			t.Fatal(err)
		}
		filler := filepath.Join(s.state, "filler")
		starve = func() {
			if err := os.WriteFile(filler, make([]byte, 17<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
				t.Fatalf("the disk is not full: %v", err)
			}
		}
		feed = func() {
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
		}
		want = []error{unix.ENOSPC}
	default:
		t.Fatal("starved of what?")
	}
	sandboxtest.CheckLeaks(t)
	driver := s.open(nil)
	create := func(n int) (sandbox.Sandbox, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return driver.Create(ctx, sandbox.Spec{ID: fmt.Sprint("starved-", n), Root: s.root, Limits: sandbox.Limits{TmpBytes: 1 << 20, DiskBytesPerSecond: rate(s.state)}})
	}
	first, err := create(0)
	if err != nil {
		t.Fatal(err)
	}
	starve()
	for n := 1; ; n++ {
		_, err := create(n)
		if err == nil && n < 100 {
			continue
		}
		feed()
		known := false
		for _, reason := range want {
			known = known || errors.Is(err, reason)
		}
		if !known {
			t.Errorf("after %d sandboxes: %v, want %v", n, err, want)
		}
		if _, err := os.Stat(driver.state.path("sandboxes", fmt.Sprint("starved-", n))); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a directory is left: %v", err)
		}
		t.Logf("after %d: %v", n, err)
		if _, err := create(n); err != nil {
			t.Errorf("once there is enough again: %v", err)
		}
		break
	}
	p, err := first.Start(t.Context(), sandbox.Command{Path: "/bin/sh", Args: []string{"sh", "-c", "echo x >/tmp/x"}})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if status := p.Status(); status != (sandbox.ExitStatus{}) {
		t.Errorf("the first one's program ended with %+v", status)
	}
	name := driver.state.name
	if err := driver.Close(); err != nil {
		t.Error(err)
	}
	s.nothingLeft(name)
	fmt.Println("survived")
}

func TestStarved(t *testing.T) {
	for _, what := range []string{"descriptors", "disk"} {
		t.Run(what, func(t *testing.T) {
			s := newStage(t)
			cmd := s.child("TestStarvedDaemon", starvedOf+"="+what)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}

// A daemon that can start no more processes fails or dies, as Go does without a thread, and the next one leaves nothing
// of it either way.
func TestStarvedOfProcesses(t *testing.T) {
	s := newStage(t)
	group := filepath.Join("/sys/fs/cgroup/pids", "hotaru-test-starved-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skip("needs version 1's pids controller: ", err)
	}
	t.Cleanup(func() {
		for wait := time.Millisecond; wait < 30*time.Second; wait *= 2 {
			if os.Remove(group) == nil {
				return
			}
			<-time.After(wait)
		}
		t.Errorf("%s stays", group)
	})
	cmd := s.child("TestDaemonWithoutProcesses", starvedOf+"="+group)
	out, err := cmd.CombinedOutput()
	t.Logf("%v\n%.2000s", err, out)
	driver := s.open(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	name := driver.state.name
	if err := errors.Join(driver.Sweep(ctx), driver.Close()); err != nil {
		t.Error(err)
	}
	s.nothingLeft(name)
}

// TestDaemonWithoutProcesses is that daemon.
func TestDaemonWithoutProcesses(t *testing.T) {
	s := childStage(t)
	group := os.Getenv(starvedOf)
	for file, content := range map[string]string{"cgroup.procs": strconv.Itoa(os.Getpid()), "pids.max": "48"} {
		if err := os.WriteFile(filepath.Join(group, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	driver := s.open(nil)
	for n := range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, err := driver.Create(ctx, sandbox.Spec{ID: fmt.Sprint("starved-", n), Root: s.root, Limits: sandbox.Limits{TmpBytes: 1 << 20}})
		cancel()
		if err != nil {
			t.Logf("after %d sandboxes: %v", n, err)
			if err := driver.Close(); err != nil {
				t.Error(err)
			}
			return
		}
	}
	t.Error("48 processes are enough for everything: the test does not test")
}
