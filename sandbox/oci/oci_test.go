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
	"hotaru/sandbox/sandboxtest"
)

// newDriver makes a driver over a runtime, or skips the test where there is none.
func newDriver(t testing.TB, runtime string) sandbox.Driver {
	t.Helper()
	return openDriver(t, runtime, t.TempDir())
}

func openDriver(t testing.TB, runtime, dir string) sandbox.Driver {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the oci driver makes control groups and network namespaces")
	}
	driver, err := oci.New(oci.Config{
		StateDir: dir, Runtime: runtime, SearchPath: filepath.SplitList(os.Getenv("PATH")),
		Stage1: sandboxtest.Stage1(t), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
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
	sandboxtest.Run(t, func(t testing.TB) sandboxtest.Fixture {
		return sandboxtest.Fixture{Driver: newDriver(t, runtime), Root: sandboxtest.Root(t)}
	})
}
