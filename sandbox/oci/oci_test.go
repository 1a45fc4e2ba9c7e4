//go:build linux && (amd64 || arm64)

package oci_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"hotaru/sandbox"
	"hotaru/sandbox/oci"
	"hotaru/sandbox/router"
	"hotaru/sandbox/router/routertest"
	"hotaru/sandbox/sandboxtest"
)

// newDriver makes a driver over a runtime, or skips the test where there is none.
func newDriver(t testing.TB, runtime string) sandbox.Driver {
	t.Helper()
	return openDriver(t, runtime, t.TempDir())
}

func openDriver(t testing.TB, runtime, dir string, change ...func(*oci.Config)) sandbox.Driver {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the oci driver makes control groups and network namespaces")
	}
	config := oci.Config{
		StateDir: dir, Runtime: runtime, SearchPath: filepath.SplitList(os.Getenv("PATH")),
		Stage1: sandboxtest.Stage1(t), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, f := range change {
		f(&config)
	}
	driver, err := oci.New(config)
	if errors.Is(err, oci.ErrNoRuntime) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
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

func TestSuiteRunc(t *testing.T) { testSuite(t, "runc") }

func TestSuiteRunsc(t *testing.T) { testSuite(t, "runsc") }

func testSuite(t *testing.T, runtime string) {
	newDriver(t, runtime) // skips all of the suite at once
	if !routertest.InHost(t) {
		return
	}
	outside := routertest.Echo(t, routertest.Furnish(t))
	sandboxtest.Run(t, func(t testing.TB) sandboxtest.Fixture {
		driver := openDriver(t, runtime, t.TempDir(), func(c *oci.Config) { c.Network = newRouter(t) })
		return sandboxtest.Fixture{Driver: driver, Root: sandboxtest.Root(t), Outside: outside}
	})
}

// newRouter makes a way out. It is closed after what is made later.
func newRouter(t testing.TB) *router.Router {
	t.Helper()
	r, err := router.New(router.Config{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}
