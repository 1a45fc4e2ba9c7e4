package process_test

import (
	"log/slog"
	"testing"

	"hotaru/sandbox/process"
	"hotaru/sandbox/sandboxtest"
)

func TestSuite(t *testing.T) {
	sandboxtest.Run(t, func(t testing.TB) sandboxtest.Fixture {
		driver := process.New(slog.New(slog.NewTextHandler(t.Output(), nil)))
		t.Cleanup(func() {
			if err := driver.Close(); err != nil {
				t.Error(err)
			}
		})
		return sandboxtest.Fixture{Driver: driver, Root: sandboxtest.Root(t)}
	})
}
