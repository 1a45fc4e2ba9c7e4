//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace"
	"hotaru/sandbox/sandboxtest"
)

func TestNewRefuses(t *testing.T) {
	needRoot(t)
	for name, config := range map[string]namespace.Config{
		"relative state directory": {StateDir: "state", Stage1: []byte("x")},
		"a file as directory":      {StateDir: "/dev/null", Stage1: []byte("x")},
	} {
		if driver, err := namespace.New(config); err == nil {
			t.Errorf("%s: made", name)
			driver.Close()
		}
	}
}

// A stage-1 that is no program fails each Create, and nothing is left of it.
func TestBrokenStage1(t *testing.T) {
	needRoot(t)
	sandboxtest.CheckLeaks(t)
	dir := t.TempDir()
	driver, err := namespace.New(namespace.Config{StateDir: dir, Stage1: []byte("#!/no/such/program")})
	if err != nil {
		t.Fatal(err)
	}
	root := sandboxtest.Root(t)
	for range 3 {
		if _, err := driver.Create(t.Context(), sandbox.Spec{ID: "broken", Root: root}); err == nil {
			t.Error("created")
		}
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "sandboxes")); err != nil || len(entries) > 0 {
		t.Errorf("sandboxes has %v, %v", entries, err)
	}
	if err := driver.Close(); err != nil {
		t.Error(err) // it could not remove its control groups if one of a sandbox were left
	}
}

// A root that lacks what a sandbox needs is an error that says what.
func TestBadRoot(t *testing.T) {
	sandboxtest.CheckLeaks(t)
	driver := newDriver(t)
	good := sandboxtest.Root(t)
	for name, root := range map[string]sandbox.Root{
		"/":              {},
		"/no/such":       {Dir: "/no/such"},
		"/dev":           {Dir: t.TempDir()},
		"/no/such/bind":  {Dir: good.Dir, Binds: []sandbox.Bind{{Source: "/usr", Target: "/no/such/bind"}}},
		"/no/such/thing": {Dir: good.Dir, Binds: []sandbox.Bind{{Source: "/no/such/thing", Target: "/usr"}}},
	} {
		_, err := driver.Create(t.Context(), sandbox.Spec{ID: "bad-root", Root: root})
		if err == nil || name != "/" && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Symbolic links in a root that lead out of it do not lead a bind out of it.
func TestLinksInRoot(t *testing.T) {
	sandboxtest.CheckLeaks(t)
	driver := newDriver(t)
	root := sandboxtest.Root(t)
	if err := errors.Join(os.RemoveAll(filepath.Join(root.Dir, "var/task")), os.Symlink("../../../../../../../opt", filepath.Join(root.Dir, "var/task"))); err != nil {
		t.Fatal(err)
	}
	code := sandboxtest.Helper(t)
	box, err := driver.Create(t.Context(), sandbox.Spec{ID: "links", Root: root, Binds: []sandbox.Bind{{Source: code, Target: "/var/task"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := runShell(t, box, "ls /opt/helper"); got != "/opt/helper\n" {
		t.Errorf("/opt has %q", got)
	}
}

// When stage-1 dies, everything inside has died: callers are told so, and Destroy cleans up.
func TestEnded(t *testing.T) {
	sandboxtest.CheckLeaks(t)
	driver := newDriver(t)
	box, err := driver.Create(t.Context(), sandbox.Spec{ID: "ended", Root: sandboxtest.Root(t)})
	if err != nil {
		t.Fatal(err)
	}
	p, err := box.Start(t.Context(), sandbox.Command{Path: "/bin/sh", Args: []string{"sh", "-c", "sleep 1000"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(stage1Of(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the process goes on")
	}
	if status := p.Status(); status != (sandbox.ExitStatus{Signal: syscall.SIGKILL}) {
		t.Errorf("it ended with %+v", status)
	}
	_, err = box.Start(t.Context(), sandbox.Command{Path: "/bin/sh", Args: []string{"sh"}})
	for what, err := range map[string]error{
		"start": err, "reset": box.Reset(t.Context()), "attach": box.Attach(t.Context(), []sandbox.Bind{{Source: "/usr", Target: "/opt"}}),
	} {
		if !errors.Is(err, sandbox.ErrEnded) {
			t.Errorf("%s: %v, want %v", what, err, sandbox.ErrEnded)
		}
	}
	if err := box.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
}

// stage1Of finds the only stage-1 of this process, a child of its launcher.
func stage1Of(t *testing.T) int {
	t.Helper()
	for _, launcher := range childrenOf(t, os.Getpid()) {
		for _, child := range childrenOf(t, launcher) {
			if line, err := os.ReadFile("/proc/" + strconv.Itoa(child) + "/cmdline"); err == nil && strings.HasPrefix(string(line), "stage1") {
				return child
			}
		}
	}
	t.Fatal("there is no stage-1")
	return 0
}

func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	tasks, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, task := range tasks {
		children, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(children)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, child)
		}
	}
	return all
}

// When the launcher dies, what it started dies, and the next sandbox gets a new launcher.
func TestLauncherDies(t *testing.T) {
	sandboxtest.CheckLeaks(t)
	driver := newDriver(t)
	root := sandboxtest.Root(t)
	first, err := driver.Create(t.Context(), sandbox.Spec{ID: "first", Root: root})
	if err != nil {
		t.Fatal(err)
	}
	p, err := first.Start(t.Context(), sandbox.Command{Path: "/bin/sh", Args: []string{"sh", "-c", "sleep 1000"}})
	if err != nil {
		t.Fatal(err)
	}
	launchers := childrenOf(t, os.Getpid())
	if len(launchers) != 1 {
		t.Fatalf("children %v", launchers)
	}
	if err := syscall.Kill(launchers[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the process goes on")
	}
	second, err := driver.Create(t.Context(), sandbox.Spec{ID: "second", Root: root})
	if err != nil {
		t.Fatal(err)
	}
	if got := runShell(t, second, "echo alive"); got != "alive\n" {
		t.Errorf("%q", got)
	}
}
