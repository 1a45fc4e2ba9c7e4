package runtime_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hotaru/runtime"
	"hotaru/runtime/sdk"
)

// TestSDK: what is installed is in the runtime's own directory, and makes it another version of the runtime; what was there
// before stays until the sweep.
func TestSDK(t *testing.T) {
	state, store := t.TempDir(), sdk.Store{Dir: filepath.Join(t.TempDir(), "sdk")}
	resolve := func() *runtime.Runtime {
		c := &runtime.Catalog{Search: machine(), StateDir: state, SDKs: store}
		if err := c.SweepSDKs(); err != nil {
			t.Fatal(err)
		}
		return resolved(t, c, "nodejs20.x")
	}
	install := func(client string) {
		t.Helper()
		_, err := store.Install(t.Context(), "nodejs20", func(_ context.Context, dir string) error {
			modules := filepath.Join(dir, "node_modules", "@aws-sdk", client)
			if err := os.MkdirAll(modules, 0o700); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(modules, "package.json"), []byte(`{"name":"@aws-sdk/`+client+`","version":"3.1"}`), 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	versions, dirs := map[string]bool{}, []string{}
	see := func() string {
		t.Helper()
		r := resolve()
		versions[r.VersionID()] = true
		program := r.Program(runtime.Options{TaskRoot: "/code", LayerRoot: "/layers"})
		dir := filepath.Dir(program.Args[len(program.Args)-1])
		dirs = append(dirs, dir)
		if r.Interpreter.SDK() != "nodejs20" {
			t.Errorf("%s", r.Interpreter.SDK())
		}
		found, err := filepath.Glob(filepath.Join(dir, "node_modules/@aws-sdk/*/package.json"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimPrefix(strings.Join(found, " "), dir)
	}
	if got := see(); got != "" {
		t.Errorf("before: %s", got)
	}
	for _, client := range []string{"client-s3", "client-sts"} {
		install(client)
		for range 2 {
			if got := see(); got != "/node_modules/@aws-sdk/"+client+"/package.json" {
				t.Errorf("%s: %s", client, got)
			}
		}
	}
	if len(versions) != 3 {
		t.Errorf("%d versions, want 3", len(versions))
	}
	if err := store.Remove("nodejs20"); err != nil {
		t.Fatal(err)
	}
	if got := see(); got != "" {
		t.Errorf("removed: %s", got)
	}
	for i, dir := range dirs {
		_, err := os.Stat(dir)
		if gone := os.IsNotExist(err); gone != (dir != dirs[0]) {
			t.Errorf("%d %s: %v", i, dir, err)
		}
	}
}

// resolved skips the test where a runtime is not installed.
func resolved(t *testing.T, c *runtime.Catalog, id string) *runtime.Runtime {
	t.Helper()
	r, err := c.Resolve(t.Context(), id)
	if err != nil {
		t.Skip(err)
	}
	return r
}
