//go:build linux && (amd64 || arm64)

package oci_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hotaru/sandbox"
	"hotaru/sandbox/oci"
	"hotaru/sandbox/sandboxtest"
)

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"fails": "#!/bin/sh\necho why >&2; exit 3", "text": "not a program"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "runc"), nil, 0o644); err != nil { // cannot be executed: not found
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		runtime string
		path    []string
		want    string
	}{
		"nothing on the path":   {"", []string{dir, "relative", ""}, string(oci.ErrNoRuntime)},
		"no such name":          {"other", []string{"/usr/bin"}, "other is not there"},
		"no such file":          {"/no/such/runtime", nil, "/no/such/runtime is not there"},
		"a directory":           {dir, nil, "is not there"},
		"says no version":       {"fails", []string{dir}, "why"},
		"is not even a program": {filepath.Join(dir, "text"), nil, "text --version"},
	} {
		config := oci.Config{StateDir: t.TempDir(), Runtime: test.runtime, SearchPath: test.path, Stage1: []byte("x"), Log: slog.New(slog.DiscardHandler)}
		driver, err := oci.New(config)
		if err == nil {
			t.Errorf("%s: made", name)
			driver.Close()
		} else if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// A container that cannot be made is an error that says what the runtime said, and nothing is left of it.
func TestLaunchFails(t *testing.T) {
	sandboxtest.CheckLeaks(t)
	driver := newDriver(t, "runc")
	if _, err := driver.Create(t.Context(), sandbox.Spec{ID: "no-root"}); err == nil {
		t.Error("made without a root")
	}
	root := sandboxtest.Root(t)
	missing := []sandbox.Bind{{Source: "/no/such/code", Target: "/var/task"}}
	if _, err := driver.Create(t.Context(), sandbox.Spec{ID: "no-code", Root: root, Binds: missing}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("made without what is to be mounted: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(root.Dir, "proc")); err != nil { // read-only: nobody makes it
		t.Fatal(err)
	}
	box, err := driver.Create(t.Context(), sandbox.Spec{ID: "no-proc", Root: root})
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Attach(t.Context(), missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("attached what is not there: %v", err)
	}
	_, err = box.Start(t.Context(), command("true"))
	if err == nil || !strings.Contains(err.Error(), "runc") || !strings.Contains(err.Error(), "proc") {
		t.Errorf("start: %v", err)
	}
	if _, err := box.Start(t.Context(), command("true")); !errors.Is(err, sandbox.ErrEnded) {
		t.Errorf("start again: %v, want %v", err, sandbox.ErrEnded)
	}
	if err := box.Reset(t.Context()); !errors.Is(err, sandbox.ErrEnded) {
		t.Errorf("reset: %v, want %v", err, sandbox.ErrEnded)
	}
	if err := box.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
}

// When the container ends by itself, Reset makes room for another in the same place: /tmp and the sockets stay.
func TestResetAfterTheEnd(t *testing.T) {
	for _, runtime := range []string{"runc", "runsc"} {
		t.Run(runtime, func(t *testing.T) {
			sandboxtest.CheckLeaks(t)
			dir := t.TempDir()
			driver := openDriver(t, runtime, dir)
			box, err := driver.Create(t.Context(), sandbox.Spec{ID: "ends", Root: sandboxtest.Root(t), Listen: []string{"127.0.0.1:9001"}})
			if err != nil {
				t.Fatal(err)
			}
			p := start(t, box, "echo kept >/tmp/f; echo; sleep 1000")
			for _, pid := range membersOf(t, dir, "ends") {
				_ = syscall.Kill(pid, syscall.SIGKILL) // some end with others
			}
			if status := wait(t, p); status.Signal != syscall.SIGKILL || status.OOMKilled {
				t.Errorf("%+v", status)
			}
			if _, err := box.Start(t.Context(), command("true")); !errors.Is(err, sandbox.ErrEnded) {
				t.Errorf("start: %v, want %v", err, sandbox.ErrEnded)
			}
			if err := box.Reset(t.Context()); err != nil {
				t.Fatal(err)
			}
			accepted := make(chan error, 1)
			go func() {
				conn, err := box.Listener("127.0.0.1:9001").Accept()
				if err == nil {
					err = conn.Close()
				}
				accepted <- err
			}()
			p = start(t, box, `read kept </tmp/f; echo; exec python3 -c 'import socket; socket.create_connection(("127.0.0.1", 9001))'`)
			if status := wait(t, p); status != (sandbox.ExitStatus{}) {
				t.Fatalf("%+v", status)
			}
			if err := <-accepted; err != nil && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
	}
}

func command(line string) sandbox.Command {
	return sandbox.Command{Path: "/bin/sh", Args: []string{"sh", "-ec", line}, Env: []string{"PATH=/usr/bin:/bin"}}
}

// start starts a line of shell and waits until that says something.
func start(t *testing.T, box sandbox.Sandbox, line string) sandbox.Process {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := command(line)
	cmd.Stdout = w
	p, err := box.Start(t.Context(), cmd)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return p
}

func wait(t *testing.T, p sandbox.Process) sandbox.ExitStatus {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the process does not end")
	}
	return p.Status()
}

// groupsOf are the control groups of a sandbox.
func groupsOf(t *testing.T, dir, id string) []string {
	t.Helper()
	record, err := os.ReadFile(filepath.Join(dir, "cgroups.json"))
	if err != nil {
		t.Fatal(err)
	}
	var parents, groups []string
	if err := json.Unmarshal(record, &parents); err != nil {
		t.Fatal(err)
	}
	for _, parent := range parents {
		found, err := filepath.Glob(filepath.Join(parent, id))
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, found...)
	}
	return groups
}

// membersOf are the processes of a sandbox, as the host sees them.
func membersOf(t *testing.T, dir, id string) []int {
	t.Helper()
	var pids []int
	for _, group := range groupsOf(t, dir, id) {
		content, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range strings.Fields(string(content)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	if len(pids) == 0 {
		t.Fatal("nobody is in the sandbox: the test does not test")
	}
	return pids
}

// stateOfDaemon tells this test binary to be the daemon that dies; its value is the state directory.
const stateOfDaemon = "HOTARU_TEST_STATE_DIR"

// TestDaemonThatDies is that daemon: it makes two sandboxes, a running and a frozen one, and waits to be killed.
func TestDaemonThatDies(t *testing.T) {
	dir := os.Getenv(stateOfDaemon)
	if dir == "" {
		t.Skip("runs as a child of TestSweep only")
	}
	driver := openDriver(t, os.Getenv("HOTARU_TEST_RUNTIME"), dir)
	root := sandboxtest.Root(t)
	for _, id := range []string{"left-running", "left-frozen"} {
		box, err := driver.Create(t.Context(), sandbox.Spec{ID: id, Root: root})
		if err != nil {
			t.Fatal(err)
		}
		start(t, box, "echo x >/tmp/x; echo; sleep 1000 & sleep 1000")
		if id == "left-frozen" {
			if err := box.Freeze(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	fmt.Println("ready")
	select {}
}

func TestSweep(t *testing.T) {
	for _, runtime := range []string{"runc", "runsc"} {
		t.Run(runtime, func(t *testing.T) {
			sandboxtest.CheckLeaks(t)
			newDriver(t, runtime) // or skips
			dir := t.TempDir()
			killedDaemon(t, dir, runtime)
			groups := groupsOf(t, dir, "left-*")
			left := membersOf(t, dir, "left-frozen")

			driver := openDriver(t, runtime, dir)
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
				if _, err := os.Stat(group); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s: %v", group, err)
				}
			}
			if entries, err := os.ReadDir(filepath.Join(dir, "sandboxes")); err != nil || len(entries) > 0 {
				t.Errorf("sandboxes has %v, %v", entries, err)
			}
			box, err := driver.Create(t.Context(), sandbox.Spec{ID: "left-running", Root: sandboxtest.Root(t)})
			if err != nil {
				t.Fatal(err)
			}
			if status := wait(t, start(t, box, "test ! -e /tmp/x; echo")); status != (sandbox.ExitStatus{}) {
				t.Errorf("in the same place: %+v", status)
			}
		})
	}
}

// killedDaemon runs TestDaemonThatDies until it is ready and kills it.
func killedDaemon(t *testing.T, dir, runtime string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestDaemonThatDies$")
	cmd.Env = append(os.Environ(), stateOfDaemon+"="+dir, "HOTARU_TEST_RUNTIME="+runtime, "TMPDIR="+t.TempDir())
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
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), syscall.SIGKILL.String()) {
		t.Fatalf("the daemon ended with %v", err)
	}
}
