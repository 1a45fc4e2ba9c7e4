package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// pinned installs a package once, under .tools, from its list of pinned versions. Without a network the test is skipped,
// except where everything must run.
func pinned(t *testing.T, name string, install, pins []string) string {
	t.Helper()
	sum := sha256.New()
	for _, pin := range pins {
		text, err := os.ReadFile(pin)
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(text)
	}
	cache, err := filepath.Abs(filepath.Join("..", ".tools", "old-sdks"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, name+"-"+hex.EncodeToString(sum.Sum(nil))[:12])
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	tmp, err := os.MkdirTemp(cache, ".new-") //nolint:usetesting // it becomes dir, so it must be beside it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	for _, pin := range pins {
		text, err := os.ReadFile(pin)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tmp, filepath.Base(pin)), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, install[0], install[1:]...)
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v: %v\n%s", install, err, out)
		}
		t.Skipf("%s cannot be installed here: %v: %v\n%s", name, install, err, out)
	}
	if err := os.Rename(tmp, dir); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	return dir
}

// filesBelow reads the wanted files below a directory.
func filesBelow(t *testing.T, dir string, wanted func(path string) bool) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || !wanted(filepath.ToSlash(name)) {
			return err
		}
		text, err := os.ReadFile(path)
		files[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
