//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace"
	"hotaru/sandbox/router/routertest"
	"hotaru/sandbox/sandboxtest"
)

const groupsV2 = "/sys/fs/cgroup"

// inPureV2 runs the calling test in a process with mounts of its own, in which /sys/fs/cgroup is version 2 and nothing else,
// and says whether this is that process. Which controllers it has is the machine's: on one that keeps them in version 1 none.
func inPureV2(t *testing.T) bool {
	t.Helper()
	if !routertest.InHost(t) {
		return false
	}
	if err := unix.Unmount(groupsV2, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) { // nothing is mounted
		t.Fatal(err)
	}
	if err := unix.Mount("none", groupsV2, "cgroup2", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		t.Skip("this kernel has no control groups version 2: ", err)
	}
	return true
}

// TestSuitePureV2 is the whole suite with version 2 alone, by the kernel's own and not by files that look like it.
func TestSuitePureV2(t *testing.T) {
	needRoot(t)
	if !inPureV2(t) {
		return
	}
	outside := routertest.Echo(t, routertest.Furnish(t))
	sandboxtest.Run(t, func(t testing.TB) sandboxtest.Fixture {
		driver := openDriver(t, namespace.Config{StateDir: t.TempDir(), Network: newRouter(t)})
		return sandboxtest.Fixture{Driver: driver, Root: sandboxtest.Root(t), Outside: outside}
	})
}

// TestPureV2: a sandbox lives in one group of version 2, is frozen and killed by it, and leaves none.
func TestPureV2(t *testing.T) {
	needRoot(t)
	if !inPureV2(t) {
		return
	}
	for name, hull := range hulls() {
		t.Run(name, func(t *testing.T) { pureV2(t, hull) })
	}
}

func pureV2(t *testing.T, hull *sandbox.Limits) {
	t.Helper()
	sandboxtest.CheckLeaks(t)
	state := t.TempDir()
	driver := openDriver(t, namespace.Config{StateDir: state, ForcedHull: hull})
	checkLimits(t, driver.Capabilities())
	// Limits that are not enforced are no reason to refuse: the daemon says at its start that they are not.
	box, err := driver.Create(t.Context(), sandbox.Spec{
		ID: "left-v2", Root: sandboxtest.Root(t), Limits: sandbox.Limits{MemoryBytes: 64 << 20, MilliCPU: 100, PIDs: 50},
	})
	if err != nil {
		t.Fatal(err)
	}
	groups := groupsOf(t, state)
	if len(groups) != 1 || !strings.HasPrefix(groups[0], groupsV2+"/") {
		t.Fatalf("the sandbox is in %v", groups)
	}
	events := filepath.Join(groups[0], "cgroup.events")
	if _, err := box.Start(t.Context(), sandbox.Command{Path: "/bin/sh", Args: []string{"sh", "-c", "while :; do :; done"}}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		do   func() error
		want string // in cgroup.events
	}{
		{"freeze", func() error { return box.Freeze(t.Context()) }, "populated 1\nfrozen 1\n"},
		{"thaw", func() error { return box.Thaw(t.Context()) }, "populated 1\nfrozen 0\n"},
		{"freeze again", func() error { return box.Freeze(t.Context()) }, "populated 1\nfrozen 1\n"},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got, err := os.ReadFile(events); err != nil || string(got) != step.want {
			t.Errorf("after %s: %q, %v, want %q", step.name, got, err, step.want)
		}
	}
	stats, err := box.Stats(t.Context())
	if err != nil || stats.CPUTime == 0 {
		t.Errorf("it used %v of CPU time, %v", stats.CPUTime, err)
	}
	if err := box.Destroy(t.Context()); err != nil { // a frozen one
		t.Error(err)
	}
	if left := groupsOf(t, state); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestSweepPureV2: what a killed daemon left is found and removed in version 2 alone.
func TestSweepPureV2(t *testing.T) {
	needRoot(t)
	if inPureV2(t) {
		sweepAfterKill(t, "")
	}
}

// TestDelegatedPureV2: in a service that the service manager has delegated, the driver moves this process into a group of its
// own in there, and makes all others beside it.
func TestDelegatedPureV2(t *testing.T) {
	needRoot(t)
	if !inPureV2(t) {
		return
	}
	service := fmt.Sprintf("%s/hotaru-test-%d.service", groupsV2, os.Getpid())
	move := func(group string) error { return os.WriteFile(group+"/cgroup.procs", []byte("0"), 0) }
	if err := os.Mkdir(service, 0o755); err != nil {
		t.Fatal(err)
	}
	var leaf string
	t.Cleanup(func() {
		err := move(groupsV2)
		for _, group := range []string{leaf, service} {
			err = errors.Join(err, unix.Rmdir(group))
		}
		if err != nil {
			t.Error(err)
		}
	})
	// As systemd marks it: https://systemd.io/CGROUP_DELEGATION/
	if err := errors.Join(unix.Setxattr(service, "trusted.delegate", []byte("1"), 0), move(service)); err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	driver := openDriver(t, namespace.Config{StateDir: state})
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	_, group, _ := strings.Cut(string(own), "0::")
	leaf = groupsV2 + strings.TrimSpace(group)
	if filepath.Dir(leaf) != service || !strings.HasSuffix(leaf, "-daemon") {
		t.Fatalf("this process is in %s", leaf)
	}
	box, err := driver.Create(t.Context(), sandbox.Spec{ID: "left-v2", Root: sandboxtest.Root(t)})
	if err != nil {
		t.Fatal(err)
	}
	if groups := groupsOf(t, state); len(groups) != 1 || filepath.Dir(filepath.Dir(groups[0])) != service {
		t.Errorf("the sandbox is in %v", groups)
	}
	if got := runShell(t, box, "echo alive"); got != "alive\n" {
		t.Errorf("it says %q", got)
	}
	if err := box.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
}

// checkLimits compares what is said to be enforced with the controllers that there are.
func checkLimits(t *testing.T, all []sandbox.Capability) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(groupsV2, "cgroup.controllers"))
	if err != nil {
		t.Fatal(err)
	}
	controllers := strings.Fields(string(content))
	const mend = "mount cgroup2 at /sys/fs/cgroup, with "
	missing := func(what string) string {
		return "no control group hierarchy on this host has the " + what + " controller"
	}
	for boundary, want := range map[sandbox.Boundary]struct{ controller, reason, mend string }{
		sandbox.LimitMemory:        {"memory", missing("memory"), mend + "that controller in cgroup.controllers"},
		sandbox.LimitAllMemory:     {"memory", missing("memory"), mend + "that controller in cgroup.controllers"},
		sandbox.LimitCPU:           {"cpu", missing("cpu"), mend + "that controller in cgroup.controllers"},
		sandbox.LimitPIDs:          {"pids", missing("pids"), mend + "that controller in cgroup.controllers"},
		sandbox.LimitDiskBandwidth: {"io", missing("io (version 1: blkio)"), mend + "io in cgroup.controllers"},
	} {
		at := slices.IndexFunc(all, func(c sandbox.Capability) bool { return c.Boundary == boundary })
		if at < 0 {
			t.Errorf("nothing is said of %s", boundary)
			continue
		}
		if slices.Contains(controllers, want.controller) {
			continue // what follows is the suite's to check
		}
		if got, want := all[at], (sandbox.Capability{Boundary: boundary, Reason: want.reason, Mend: want.mend}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
