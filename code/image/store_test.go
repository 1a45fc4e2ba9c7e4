package image

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// other is an architecture that is not this machine's.
func other() string {
	if runtime.GOARCH == "arm64" {
		return "amd64"
	}
	return "arm64"
}

// flip changes one byte of the blob of a layout that has the digest.
func flip(t *testing.T, path string, digest v1.Hash) {
	t.Helper()
	blob := filepath.Join(path, "blobs", digest.Algorithm, digest.Hex)
	content, err := os.ReadFile(blob)
	must(t, err)
	content[len(content)/2] ^= 1
	must(t, os.WriteFile(blob, content, 0o600))
}

// saved writes an image as docker save does.
func saved(t *testing.T, img v1.Image) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "saved.tar")
	tag, err := name.NewTag("hotaru.test/base:1")
	must(t, err)
	must(t, tarball.WriteToFile(path, tag, img))
	return path
}

func TestRefusals(t *testing.T) {
	img := build(t, entries{file("f", strings.Repeat("content", 300))})
	manifest, err := img.Manifest()
	must(t, err)
	digest, err := img.Digest()
	must(t, err)
	damaged := func(d v1.Hash) string {
		path := layoutOf(t, img)
		flip(t, path, d)
		return path
	}
	text := filepath.Join(t.TempDir(), "text")
	must(t, os.WriteFile(text, []byte("no archive"), 0o600))
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	for name, test := range map[string]struct{ source, want string }{
		"missing":                 {filepath.Join(t.TempDir(), "none"), "no such file"},
		"an empty directory":      {t.TempDir(), "no OCI image layout"},
		"no archive":              {text, text},
		"no image":                {layoutOf(t), "0 images for linux/" + runtime.GOARCH},
		"two images":              {layoutOf(t, img, build(t, nil)), "2 images for linux/" + runtime.GOARCH},
		"another machine":         {layoutOf(t, configured(t, img, other())), "0 images for"},
		"another machine's tar":   {saved(t, configured(t, img, other())), "it is for linux/" + other()},
		"a damaged layer":         {damaged(manifest.Layers[0].Digest), "layer sha256:"},
		"damaged config":          {damaged(manifest.Config.Digest), ""},
		"damaged manifest":        {damaged(digest), ""},
		"hostile layer":           {layoutOf(t, build(t, entries{file("../x", "x")})), "leads upwards"},
		"unknown to its registry": {host + "/nobody/nothing:1", "nobody/nothing"},
		"no registry":             {"127.0.0.1:1/nobody/nothing:1", "refused"},
	} {
		for _, erofs := range []bool{false, true} {
			s := store(t, Options{EROFS: erofs})
			_, err := s.Root(t.Context(), source(t, test.source), nil)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "image: "+test.source+": ") {
				t.Errorf("%s: %v, want %q", name, err, test.want)
			}
			for _, dir := range []string{rootsDir, tmpDir, sourcesDir} {
				if left, err := os.ReadDir(filepath.Join(s.dir, dir)); err != nil || len(left) > 0 {
					t.Errorf("%s: left in %s: %v, %v", name, dir, left, err)
				}
			}
		}
	}
	for _, bad := range []string{"", "UPPER/case", "a b", "x@sha256:12"} {
		if s, err := ParseSource(bad); err == nil {
			t.Errorf("%q became %v", bad, s)
		}
	}
	small := store(t, Options{})
	small.limit = 1000
	if _, err := small.Root(t.Context(), source(t, layoutOf(t, img)), nil); err == nil || !strings.Contains(err.Error(), "unpacks to more") {
		t.Errorf("too large: %v", err)
	}
}

// TestSources: one image is one root, wherever it comes from, and is made once.
func TestSources(t *testing.T) {
	img := build(t, entries{dir("etc", 0o755), file("etc/hosts", "image's"), link("lib", "usr/lib")}, entries{file("lib/x", "2")})
	foreign := configured(t, build(t, entries{file("other", "")}), other())
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	reference, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/base:1")
	must(t, err)
	must(t, remote.Write(reference, img, remote.WithTransport(quiet())))
	s := store(t, Options{})
	additions := []Addition{
		{Path: "/proc", Dir: 0o555}, {Path: "/lib/deep/mount", Dir: 0o755}, {Path: "/etc/hosts", Content: []byte("ours")},
		{Path: "/etc/absent", Content: []byte("x"), Present: true},
	}
	want := map[string]string{
		"etc": "d755", "etc/hosts": "f644 ours", "lib": "l usr/lib", "usr": "d755", "usr/lib": "d755", "usr/lib/x": "f644 2",
		"usr/lib/deep": "d755", "usr/lib/deep/mount": "d755", "proc": "d555",
	}
	var first Root
	var made os.FileInfo
	for i, text := range []string{layoutOf(t, img, foreign), saved(t, img), reference.String()} {
		root, err := s.Root(t.Context(), source(t, text), additions)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(root.Path)
		must(t, err)
		if i == 0 {
			first, made = root, info
		}
		if diff := cmp.Diff(first, root); diff != "" || !os.SameFile(made, info) {
			t.Errorf("%s became another root: %s", text, diff)
		}
		if diff := cmp.Diff(want, look(t, root.Path)); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	if diff := cmp.Diff([]string{"PATH=/x", "A=b"}, first.Env); diff != "" {
		t.Error(diff)
	}
	// Without its registry the root is what it was; with other additions it cannot be made.
	server.Close()
	if root, err := s.Root(t.Context(), source(t, reference.String()), additions); err != nil || root.Path != first.Path {
		t.Errorf("without its registry: %v, %v", root, err)
	}
	if _, err := s.Root(t.Context(), source(t, reference.String()), nil); err == nil {
		t.Error("a root was made of nothing")
	}
}

func TestAdditions(t *testing.T) {
	s := store(t, Options{})
	path := layoutOf(t, build(t, entries{
		dir("d", 0o750), file("bundle", "theirs"), link("to", "elsewhere/bundle"), link("loop", "loop"),
	}))
	for _, bad := range []Addition{
		{Path: "/bundle", Dir: 0o755}, {Path: "/d", Content: []byte("x")}, {Path: "/bundle/x"}, {Path: "/loop", Content: []byte("x")}, {Path: "/", Content: []byte("x")},
	} {
		if _, err := s.Root(t.Context(), source(t, path), []Addition{bad}); err == nil {
			t.Errorf("%+v was made", bad)
		}
	}
	root, err := s.Root(t.Context(), source(t, path), []Addition{
		{Path: "/d", Dir: 0o755}, {Path: "/", Dir: 0o755}, {Path: "/bundle", After: []string{"/none", "/d", "/loop/x", "/bundle"}, Content: []byte("ours\n")},
		{Path: "/to", After: []string{"/to"}, Content: []byte("linked")}, {Path: "/loop/x", Content: []byte("x"), Present: true},
	})
	must(t, err)
	want := map[string]string{"d": "d750", "bundle": "f644 theirs\nours\n", "to": "l elsewhere/bundle", "loop": "l loop", "elsewhere": "d755", "elsewhere/bundle": "f644 linked"}
	if diff := cmp.Diff(want, look(t, root.Path)); diff != "" {
		t.Error(diff)
	}
}

// TestSweep keeps what was asked for and nothing else, half-made roots of a crash included.
func TestSweep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	first, second := layoutOf(t, build(t, entries{file("f", "1")})), layoutOf(t, build(t, entries{file("f", "2")}))
	s, err := Open(dir, Options{EROFS: true})
	must(t, err)
	old, err := s.Root(t.Context(), source(t, first), nil)
	must(t, err)
	must(t, os.Mkdir(filepath.Join(dir, tmpDir, "make-1"), 0o700))
	s, err = Open(dir, Options{EROFS: true})
	must(t, err)
	kept, err := s.Root(t.Context(), source(t, second), nil)
	must(t, err)
	half := filepath.Join(dir, rootsDir, "half")
	must(t, os.Mkdir(half, 0o700))
	must(t, s.Sweep())
	for _, gone := range []string{old.Path, half, filepath.Join(dir, tmpDir, "make-1")} {
		if _, err := os.Lstat(gone); !os.IsNotExist(err) {
			t.Errorf("%s: %v", gone, err)
		}
	}
	content, err := os.ReadFile(kept.Path)
	if err != nil || !bytes.Equal(content[1024:1028], []byte{0xe2, 0xe1, 0xf5, 0xe0}) {
		t.Errorf("what is kept is no EROFS image: %v", err)
	}
}
