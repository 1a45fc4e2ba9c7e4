//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotaru/code/tree"
	"hotaru/sandbox"
	"hotaru/sandbox/sandboxtest"
)

// imageOf writes an image of one file.
func imageOf(t *testing.T, name, content string) string {
	t.Helper()
	root := tree.Directory(0o755, time.Time{})
	root.Children[name] = tree.File(0o644, time.Time{}, tree.Bytes([]byte(content)))
	path := filepath.Join(t.TempDir(), "image")
	if err := root.WriteImageFile(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestImages shows images as root and as binds, from the start and to a sandbox that runs, and leaves nothing.
func TestImages(t *testing.T) {
	sandboxtest.CheckLeaks(t)
	d := newDriver(t)
	if !d.MountsImages() {
		t.Skip("no EROFS images on this host")
	}
	from := sandboxtest.Root(t)
	root := tree.Directory(0o755, time.Time{})
	for _, dir := range []string{"proc", "dev", "tmp", "usr", "opt", "var"} {
		root.Children[dir] = tree.Directory(0o755, time.Time{})
	}
	root.Children["var"].Children["task"] = tree.Directory(0o755, time.Time{})
	for _, name := range []string{"bin", "lib", "lib64"} {
		if target, err := os.Readlink(filepath.Join(from.Dir, name)); err == nil {
			root.Children[name] = tree.Link(target, time.Time{})
		}
	}
	path := filepath.Join(t.TempDir(), "root")
	if err := root.WriteImageFile(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	box, err := d.Create(t.Context(), sandbox.Spec{
		ID: "images", Root: sandbox.Root{Dir: path, Image: true, Binds: from.Binds},
		Binds: []sandbox.Bind{{Source: imageOf(t, "code", "the code"), Target: "/var/task", Image: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := box.Destroy(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const line = "cat /var/task/code; while ! cat /opt/layer 2>/dev/null; do :; done; echo x >/var/task/code; id -u; stat -c %u /var/task/code"
	process, err := box.Start(t.Context(), sandbox.Command{
		Path: "/bin/sh", Args: []string{"sh", "-c", line}, Env: []string{"PATH=/bin:/usr/bin"}, Stdout: w, Stderr: w,
	})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	layer := []sandbox.Bind{{Source: imageOf(t, "layer", "+layer"), Target: "/opt", Image: true}}
	if err := box.Attach(t.Context(), layer); err != nil {
		t.Fatal(err)
	}
	if err := r.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil || !strings.HasPrefix(string(out), "the code+layer") || !strings.Contains(string(out), "Read-only file system") ||
		!strings.HasSuffix(string(out), "\n993\n65534\n") {
		t.Errorf("%q, %v", out, err)
	}
	<-process.Done()
	if missing := []sandbox.Bind{{Source: "/no/such/image", Target: "/opt", Image: true}}; box.Attach(t.Context(), missing) == nil {
		t.Error("an image that is not there was attached")
	}
}
