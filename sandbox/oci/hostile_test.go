//go:build linux && (amd64 || arm64)

package oci_test

import (
	"io"
	"os"
	"testing"

	"hotaru/sandbox"
	"hotaru/sandbox/sandboxtest"
)

// TestStage1OutOfReach: user code cannot get at process 1, at its socket to the driver, or at what the runtime left.
func TestStage1OutOfReach(t *testing.T) {
	for _, runtime := range []string{"runc", "runsc"} {
		t.Run(runtime, func(t *testing.T) {
			sandboxtest.CheckLeaks(t)
			driver := newDriver(t, runtime)
			box, err := driver.Create(t.Context(), sandbox.Spec{ID: "hostile", Root: sandboxtest.Root(t)})
			if err != nil {
				t.Fatal(err)
			}
			lines := map[string]string{
				"a signal":               "kill -STOP 1",
				"the end":                "kill -KILL 1",
				"its control socket":     "exec 3<>/proc/1/fd/0",
				"its memory":             "cat /proc/1/mem",
				"its root":               "cd /proc/1/root/etc",
				"its program, to change": "echo x >/dev/init",
				"a second of it":         "/dev/init </dev/null & wait $! && kill -0 1",
				"a new device":           "mknod /tmp/disk b 254 0 && cat /tmp/disk",
				"a new file in /dev":     "echo x >/dev/x",
				"the host's settings":    "echo x >/proc/sys/kernel/core_pattern",
				"the kernel's trigger":   "echo b >/proc/sysrq-trigger",
				"control groups":         "mkdir /tmp/c && mount -t cgroup2 none /tmp/c",
				"a new user namespace":   "unshare --user true",
				"more files":             "ulimit -Hn 4096",
			}
			if runtime == "runc" { // gVisor shows both, and nothing is in them
				lines["its environment"], lines["its descriptors"] = "cat /proc/1/environ", "cd /proc/1/fd && echo *"
			}
			for what, line := range lines {
				if status, out := run(t, box, line); status == (sandbox.ExitStatus{}) {
					t.Errorf("%s: done: %s", what, out)
				}
			}
			if status, out := run(t, box, "echo still there"); out != "still there\n" || status != (sandbox.ExitStatus{}) {
				t.Errorf("afterwards: %+v, %q", status, out)
			}
		})
	}
}

// run runs a line of shell to its end.
func run(t *testing.T, box sandbox.Sandbox, line string) (sandbox.ExitStatus, string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := command(line)
	cmd.Stdout, cmd.Stderr = w, w
	p, err := box.Start(t.Context(), cmd)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return wait(t, p), string(out)
}
