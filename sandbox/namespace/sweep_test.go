//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace"
	"hotaru/sandbox/sandboxtest"
)

// stateOfDaemon tells this test binary to be the daemon that dies; its value is the state directory.
const stateOfDaemon = "HOTARU_TEST_STATE_DIR"

// TestDaemonThatDies is that daemon: it makes sandboxes, running and frozen ones, and waits to be killed.
func TestDaemonThatDies(t *testing.T) {
	dir := os.Getenv(stateOfDaemon)
	if dir == "" {
		t.Skip("runs as a child of TestSweep only")
	}
	driver := openDriver(t, namespace.Config{StateDir: dir, CgroupV1: os.Getenv("HOTARU_TEST_V1") != ""})
	root := sandboxtest.Root(t)
	for i := range 4 {
		box, err := driver.Create(t.Context(), sandbox.Spec{ID: fmt.Sprint("left-", i), Root: root, Limits: sandbox.Limits{MemoryBytes: 64 << 20}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = box.Start(t.Context(), sandbox.Command{Path: "/bin/sh", Args: []string{"sh", "-c", "echo x >/tmp/x; sleep 1000 & sleep 1000"}})
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if err := box.Freeze(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	fmt.Println("ready")
	select {}
}

func TestSweep(t *testing.T) {
	needRoot(t)
	for name, v1 := range map[string]string{"best": "", "v1": "yes"} {
		t.Run(name, func(t *testing.T) { sweepAfterKill(t, v1) })
	}
}

// sweepAfterKill has the next driver remove what a killed daemon left.
func sweepAfterKill(t *testing.T, v1 string) {
	t.Helper()
	sandboxtest.CheckLeaks(t)
	dir := t.TempDir()
	killedDaemon(t, dir, v1)
	groups := groupsOf(t, dir)
	if len(groups) == 0 {
		t.Fatal("the daemon left no control group: the test does not test")
	}
	// What is not frozen by version 1 dies with the daemon, before anybody sweeps.
	waitForNobody(t, slices.DeleteFunc(slices.Clone(groups), func(group string) bool {
		return v1 != "" && (strings.HasSuffix(group, "left-0") || strings.HasSuffix(group, "left-2"))
	}))
	left := processesIn(t, groups)
	t.Logf("left behind: %d groups, processes %v", len(groups), left)
	if v1 != "" && len(left) == 0 {
		t.Error("frozen processes were to be left")
	}

	driver := openDriver(t, namespace.Config{StateDir: dir, CgroupV1: v1 != ""})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := driver.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	for _, pid := range left {
		// It may be a zombie of whoever adopts orphans here; what it ran is gone then.
		if link, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil {
			t.Errorf("process %d still runs %s", pid, link)
		}
	}
	for _, group := range groups {
		if _, err := os.Stat(group); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", group, err)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "sandboxes")); err != nil || len(entries) > 0 {
		t.Errorf("sandboxes has %v, %v", entries, err)
	}
	// The driver works in the same place.
	box, err := driver.Create(t.Context(), sandbox.Spec{ID: "left-0", Root: sandboxtest.Root(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := driver.Sweep(ctx); err == nil {
		t.Error("sweeps while a sandbox lives")
	}
	if err := box.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
}

// killedDaemon runs TestDaemonThatDies until it is ready and kills it.
func killedDaemon(t *testing.T, dir, v1 string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestDaemonThatDies$")
	cmd.Env = append(os.Environ(), stateOfDaemon+"="+dir, "HOTARU_TEST_V1="+v1, "TMPDIR="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		t.Log(lines.Text())
	}
	if _, err := namespace.New(namespace.Config{StateDir: dir, Stage1: []byte("x")}); !errors.Is(err, namespace.ErrInUse) {
		t.Errorf("a second driver: %v, want %v", err, namespace.ErrInUse)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), unix.SIGKILL.String()) {
		t.Fatalf("the daemon ended with %v", err)
	}
}

// groupsOf finds the control groups of sandboxes of a state directory.
func groupsOf(t *testing.T, dir string) []string {
	t.Helper()
	record, err := os.ReadFile(filepath.Join(dir, "cgroups.json"))
	if err != nil {
		t.Fatal(err)
	}
	var groups []string
	for _, parent := range strings.Split(strings.Trim(string(record), `[]"`), `","`) {
		for _, name := range []string{"left-*", "hull.*"} {
			found, err := filepath.Glob(filepath.Join(parent, name))
			if err != nil {
				t.Fatal(err)
			}
			groups = append(groups, found...)
		}
	}
	return groups
}

// waitForNobody waits until the groups have no process.
func waitForNobody(t *testing.T, groups []string) {
	t.Helper()
	for wait := time.Millisecond; ; wait *= 2 {
		alive := processesIn(t, groups)
		if len(alive) == 0 {
			return
		}
		if wait > 30*time.Second {
			t.Fatalf("the daemon is dead and %v go on", alive)
		}
		<-time.After(wait)
	}
}

func processesIn(t *testing.T, groups []string) []int {
	t.Helper()
	var all []int
	for _, group := range groups {
		content, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range strings.Fields(string(content)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, pid)
		}
	}
	return all
}
