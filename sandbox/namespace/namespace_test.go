//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace"
	"hotaru/sandbox/router/routertest"
	"hotaru/sandbox/sandboxtest"
)

// needRoot skips where the driver cannot work.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the namespace driver makes namespaces and control groups")
	}
}

func newDriver(t testing.TB) *namespace.Driver {
	t.Helper()
	return openDriver(t, namespace.Config{StateDir: t.TempDir()})
}

func openDriver(t testing.TB, config namespace.Config) *namespace.Driver {
	t.Helper()
	needRoot(t)
	if config.Stage1 == nil {
		config.Stage1 = sandboxtest.Stage1(t)
	}
	config.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	driver, err := namespace.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	return driver
}

func quantile(times []time.Duration, percent int) float64 {
	slices.Sort(times)
	return float64(times[min(len(times)-1, len(times)*percent/100)]) / float64(time.Millisecond)
}

// allMemory is what the suite's sandboxes may use together.
const allMemory = 512 << 20

// TestSuite runs on a host of its own, with a way to an Internet of its own.
func TestSuite(t *testing.T) {
	needRoot(t)
	if !routertest.InHost(t) {
		return
	}
	outside := routertest.Echo(t, routertest.Furnish(t))
	for name, hull := range hulls() {
		t.Run(name, func(t *testing.T) {
			sandboxtest.Run(t, func(t testing.TB) sandboxtest.Fixture {
				driver := openDriver(t, namespace.Config{
					StateDir: t.TempDir(), Network: newRouter(t), MemoryBytes: allMemory, ForcedHull: hull,
				})
				return sandboxtest.Fixture{Driver: driver, Root: sandboxtest.Root(t), Outside: outside, MemoryBytes: allMemory}
			})
		})
	}
}

// hulls are the ways to make a sandbox: from nothing, and from a hull that was made for another.
func hulls() map[string]*sandbox.Limits {
	return map[string]*sandbox.Limits{
		"from nothing": nil, "from a hull": {MemoryBytes: 48 << 20, MilliCPU: 300, PIDs: 40},
	}
}

// The same on version 1 control groups alone, which freeze and count differently.
func TestSuiteCgroupV1(t *testing.T) {
	needRoot(t)
	if _, err := os.Stat("/sys/fs/cgroup/memory/cgroup.procs"); err != nil {
		t.Skip("this host has no version 1 control groups: ", err)
	}
	sandboxtest.Run(t, func(t testing.TB) sandboxtest.Fixture {
		driver := openDriver(t, namespace.Config{StateDir: t.TempDir(), CgroupV1: true, MemoryBytes: allMemory})
		return sandboxtest.Fixture{Driver: driver, Root: sandboxtest.Root(t), MemoryBytes: allMemory}
	})
}
