package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestGate(t *testing.T) {
	for _, closed := range []gate{"exit 3", "cat >/dev/null; exit 3", "/no/such/command"} {
		ctx, cancel := context.WithCancel(t.Context())
		if closed == "cat >/dev/null; exit 3" {
			cancel() // it would wait for ever
		}
		if err := closed.through(ctx, func() error { t.Errorf("%s lets through", closed); return nil }); err == nil {
			t.Errorf("%s: no error", closed)
		}
		cancel()
	}
	broken := errors.New("broken")
	if err := gate("echo; cat >/dev/null").through(t.Context(), func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("what is inside fails with %v", err)
	}
	held := filepath.Join(t.TempDir(), "held")
	for _, open := range []gate{"", gate("touch " + held + "; echo; cat >/dev/null; rm " + held)} {
		err := open.through(t.Context(), func() error {
			if _, err := os.Stat(held); open != "" && err != nil {
				t.Errorf("it is not held: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(held); err == nil {
		t.Error("it is held afterwards")
	}
}
