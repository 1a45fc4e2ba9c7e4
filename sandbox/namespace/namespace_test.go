//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"hotaru/sandbox/namespace"
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
	needRoot(t)
	driver, err := namespace.New(namespace.Config{
		StateDir: t.TempDir(), Stage1: sandboxtest.Stage1(t), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
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

func TestSuite(t *testing.T) {
	needRoot(t)
	sandboxtest.Run(t, func(t testing.TB) sandboxtest.Fixture {
		return sandboxtest.Fixture{Driver: newDriver(t), Root: sandboxtest.Root(t)}
	})
}
