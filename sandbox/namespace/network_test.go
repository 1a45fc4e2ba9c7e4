//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"log/slog"
	"testing"

	"hotaru/sandbox/router"
)

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
