package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hotaru/internal/client"
)

// withoutVersion1 runs a command with mounts of its own, in which control groups are version 2 and nothing else.
const withoutVersion1 = `set -e
! mountpoint -q /sys/fs/cgroup || umount --lazy /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
exec "$@"`

// unenforced is what doctor says then of limits.
const unenforced = `namespace memory not enforced no control group hierarchy on this host has the memory controller; to mend it: mount cgroup2 at /sys/fs/cgroup, with that controller in cgroup.controllers
namespace all-memory not enforced no control group hierarchy on this host has the memory controller; to mend it: mount cgroup2 at /sys/fs/cgroup, with that controller in cgroup.controllers
namespace cpu not enforced no control group hierarchy on this host has the cpu controller; to mend it: mount cgroup2 at /sys/fs/cgroup, with that controller in cgroup.controllers
namespace pids not enforced no control group hierarchy on this host has the pids controller; to mend it: mount cgroup2 at /sys/fs/cgroup, with that controller in cgroup.controllers
namespace disk-bandwidth not enforced no control group hierarchy on this host has the io (version 1: blkio) controller; to mend it: mount cgroup2 at /sys/fs/cgroup, with io in cgroup.controllers
`

// TestDoctorWithoutControllers: on a host whose control groups cannot limit memory, CPU and processes doctor says so, and
// fails if they are required.
func TestDoctorWithoutControllers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for mounts of its own")
	}
	root, err := client.Root()
	if err != nil {
		t.Fatal(err)
	}
	doctor := func(args ...string) (stdout, stderr string, status int) {
		t.Helper()
		hotaru := []string{"--mount", "sh", "-c", withoutVersion1, "sh", filepath.Join(root, "bin", "hotaru"), "doctor", "--sandbox=namespace"}
		cmd := exec.CommandContext(t.Context(), "unshare", append(hotaru, args...)...)
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), said.String(), cmd.ProcessState.ExitCode()
	}
	stdout, stderr, status := doctor()
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	limits := []string{"memory", "cpu", "all-memory", "pids", "disk-bandwidth"}
	var got []string
	for line := range strings.Lines(stdout) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "namespace" && slices.Contains(limits, fields[1]) {
			got = append(got, strings.Join(fields, " "))
		}
	}
	if strings.Contains(strings.Join(got, "\n"), "memory enforced") {
		t.Skip("this machine's control groups version 2 have controllers")
	}
	if got := strings.Join(got, "\n") + "\n"; got != unenforced {
		t.Errorf("doctor says\n%swant\n%s", got, unenforced)
	}
	for _, tc := range []struct {
		require, stderr string
		status          int
	}{
		{"memory", "not enforced: namespace memory", 1},
		{"cpu,pids", "not enforced: namespace cpu, namespace pids", 1},
		{"files", "", 0},
	} {
		_, stderr, status := doctor("--require=" + tc.require)
		if status != tc.status || !strings.Contains(stderr, tc.stderr) || tc.stderr == "" && stderr != "" {
			t.Errorf("--require=%s: status %d, %q, want %d, %q", tc.require, status, stderr, tc.status, tc.stderr)
		}
	}
}
