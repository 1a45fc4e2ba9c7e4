package sandboxtest

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Stage1 returns the namespace driver's init program for this machine, for a test that was not started through
// `make`: the one that `make build` left, or a fresh one where that is missing or older than its sources.
func Stage1(t testing.TB) []byte {
	t.Helper()
	driver := sourceDir(t, "hotaru/sandbox/namespace")
	binary := filepath.Join(driver, "bin", "stage1-linux-"+runtime.GOARCH)
	if outdated(t, binary, filepath.Join(driver, "stage1"), filepath.Join(driver, "wire")) {
		// Built beside it and renamed: other packages' tests may want it at the same moment.
		fresh := filepath.Join(t.TempDir(), "stage1")
		build(t, fresh, "hotaru/sandbox/namespace/stage1")
		next, err := os.CreateTemp(filepath.Dir(binary), "stage1-next-")
		must(t, err)
		image, err := os.ReadFile(fresh)
		must(t, err)
		_, err = next.Write(image)
		must(t, err)
		must(t, next.Chmod(0o755))
		must(t, next.Close())
		must(t, os.Rename(next.Name(), binary))
	}
	image, err := os.ReadFile(binary)
	must(t, err)
	return image
}

// Helper builds the program that the suite runs inside sandboxes and returns the directory that holds it, as
// "helper", beside what Copier needs. It can be read by every user.
func Helper(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	build(t, filepath.Join(dir, "helper"), "hotaru/sandbox/sandboxtest/helper")
	WriteCopier(t, dir)
	return dir
}

// build makes a static program.
func build(t testing.TB, output, pkg string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", output, pkg)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
}

func sourceDir(t testing.TB, pkg string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", pkg).Output()
	if err != nil {
		t.Fatalf("find %s: %v", pkg, err)
	}
	return strings.TrimSpace(string(out))
}

// outdated says whether the binary is missing or older than a source file.
func outdated(t testing.TB, binary string, sources ...string) bool {
	t.Helper()
	info, err := os.Stat(binary)
	if err != nil {
		return true
	}
	var newest time.Time
	for _, dir := range sources {
		must(t, filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			source, err := entry.Info()
			if err == nil && source.ModTime().After(newest) {
				newest = source.ModTime()
			}
			return err
		}))
	}
	return newest.After(info.ModTime())
}
