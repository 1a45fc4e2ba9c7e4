//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hotaru/sandbox"
	"hotaru/sandbox/sandboxtest"
)

// compileProbe compiles testdata/probe.c into a directory that can be bound.
func compileProbe(t *testing.T) string {
	t.Helper()
	compiler, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("these probes are C: ", err)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), compiler, "-O1", "-Wall", "-Wextra", "-pthread", "-o", filepath.Join(dir, "probe"), "testdata/probe.c")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// TestBreakOutInC makes the attempts that need threads and exact system calls.
func TestBreakOutInC(t *testing.T) {
	needRoot(t)
	sandboxtest.CheckLeaks(t)
	dir := compileProbe(t)
	driver := newDriver(t)
	box, err := driver.Create(t.Context(), sandbox.Spec{
		ID: "attacker-in-c", Root: sandboxtest.Root(t), Binds: []sandbox.Bind{{Source: dir, Target: "/opt"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"race-links": "0", "leave-chroot": "EPERM", "clone3-namespace": "ENOSYS", "clone-high-bits": "EPERM",
		"socket-high-bits": "EAFNOSUPPORT", "run-memory": "993", "trace-child": "EPERM", "read-child": "EPERM", "forge-sender": "EPERM",
		"dirty-pipe": "0", "dirty-cow": "0", "keyring": "EPERM", "perf": "EPERM", "bpf-map": "EPERM", "page-faults": "ENOSYS",
		"uring": "ENOSYS", "by-handle": "EPERM", "stop-everybody": "ESRCH EPERM",
	} {
		t.Run(name, func(t *testing.T) {
			out := runIn(t, box, sandbox.Command{Path: "/opt/probe", Args: []string{"probe", name}, Dir: "/tmp"})
			if got := strings.Join(strings.Fields(out), " "); got != want {
				t.Errorf("it says %q, want %q", got, want)
			}
		})
	}
	if got := runShell(t, box, "echo alive"); got != "alive\n" {
		t.Errorf("afterwards: %q", got)
	}
}

// A command comes from an image: its program and directory may be links that lead into stage-1's own descriptors
// (CVE-2024-21626, CVE-2019-5736).
func TestCommandsOfStrangers(t *testing.T) {
	sandboxtest.CheckLeaks(t)
	driver := newDriver(t)
	root := sandboxtest.Root(t)
	for name, target := range map[string]string{"exe": "/proc/self/exe", "root": "/proc/1/root", "three": "/proc/self/fd/3", "cwd": "/proc/self/cwd/../.."} {
		if err := os.Symlink(target, filepath.Join(root.Dir, "opt", name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root.Dir, "opt", "script"), []byte("#!/proc/self/exe\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	box, err := driver.Create(t.Context(), sandbox.Spec{ID: "strangers", Root: root})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/proc/self/exe", "/proc/1/exe", "/opt/exe", "/opt/three", "/proc/self/fd/3"} {
		if p, err := box.Start(t.Context(), sandbox.Command{Path: path, Args: []string{"x"}}); err == nil {
			<-p.Done()
			t.Errorf("%s starts, and ended with %+v", path, p.Status())
		}
	}
	dirs := []string{"/opt/root", "/opt/three", "/proc/1/root", "/proc/1/cwd", "/proc/self/fd/0", "/proc/self/fd/3", "/proc/self/fd/4",
		"/proc/self/fd/5", "/proc/self/fd/6", "/proc/self/fd/7", "/proc/self/fd/8", "/proc/self/fd/9", "/proc/self/fd/10"}
	for _, dir := range dirs {
		cmd := sandbox.Command{Path: "/bin/sh", Args: []string{"sh", "-c", "pwd"}, Dir: dir, Env: []string{"PATH=/usr/bin"}}
		if p, err := box.Start(t.Context(), cmd); err == nil {
			<-p.Done()
			t.Errorf("a program starts in %s, and ended with %+v", dir, p.Status())
		}
	}
	// The kernel follows a script's first line by itself. What runs is stage-1's program as nobody, in memory that is sealed
	// (TestSealed): it finds nobody to talk to, and ends.
	p, err := box.Start(t.Context(), sandbox.Command{Path: "/opt/script", Args: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if status := p.Status(); status != (sandbox.ExitStatus{}) {
		t.Errorf("stage-1's program ended with %+v", status)
	}
	if got := runShell(t, box, "ls /opt/cwd 2>/dev/null; echo alive"); !strings.HasSuffix(got, "alive\n") {
		t.Errorf("afterwards: %q", got)
	}
}
