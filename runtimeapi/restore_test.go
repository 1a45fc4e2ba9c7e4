package runtimeapi_test

import (
	"errors"
	"fmt"
	"testing"

	"hotaru/runtimeapi"
	rt "hotaru/runtimeapi/runtimeapitest"
)

// TestRestoreHooks: a runtime that waits for a restore is let go on at once, and its hooks may fail.
func TestRestoreHooks(t *testing.T) {
	expect := func(h *rt.HTTP, method, path string, status int, want string) error {
		got, answer, header, err := h.Do(method, path, []byte(`{"errorType":"HookError"}`), "Lambda-Runtime-Function-Error-Type", "Runtime.HookError")
		if err != nil || got != status || answer != want || header.Get("Content-Type") != "application/json" {
			return fmt.Errorf("%s: %d %q %v, %w", path, got, answer, header, err)
		}
		return nil
	}
	hooks := func(h *rt.HTTP) error {
		return errors.Join(
			expect(h, "POST", "restore/error", 403, transition("Started", "RestoreError")),
			expect(h, "GET", "restore/next", 200, ""),
			expect(h, "GET", "restore/next", 403, transition("Restoring", "Restoring")),
			expect(h, "POST", "init/error", 403, transition("Restoring", "InitError")),
		)
	}
	session := serve(t, func(h *rt.HTTP) error {
		if err := hooks(h); err != nil {
			return err
		}
		_, _, _, err := h.Next()
		return hangUp(err)
	})
	if err := session.Init(t.Context(), runtimeapi.Start{}); err != nil {
		t.Error(err)
	}
	session = serve(t, func(h *rt.HTTP) error {
		return errors.Join(hooks(h), expect(h, "POST", "restore/error", 202, `{"status":"OK"}`+"\n"))
	})
	var fault *runtimeapi.FunctionError
	if err := session.Init(t.Context(), runtimeapi.Start{}); !errors.As(err, &fault) || fault.Type != "Runtime.HookError" || !fault.Init {
		t.Error(err)
	}
}
