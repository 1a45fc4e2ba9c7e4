package code

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzExtract unpacks arbitrary bytes beside files that must not change, and looks at what came of it.
func FuzzExtract(f *testing.F) {
	for _, c := range refusals(f) {
		f.Add(c.zip)
	}
	plain := crafted{name: "d/f", mode: regular755, content: "x"}
	f.Add(build(f, plain, crafted{name: "l", mode: symlink, content: "d/../d/f"}))
	f.Add(build(f, crafted{name: "l", mode: symlink, content: "../beside/canary"}, crafted{name: "a", mode: regular644, content: "x"}))
	f.Add(build(f, crafted{name: "../beside/canary", mode: regular644, content: "x"}))
	f.Add(buildWith(f, archiveParts{zip64: true, prefix: "#!", relative: true, comment: "c"}, plain))
	f.Add(build(f, crafted{name: "f", mode: regular644, content: strings.Repeat("x", 999), method: 8, descriptor: true}))
	f.Fuzz(extractBesideCanary)
}

// FuzzNames unpacks well-formed archives with two entries of arbitrary names and links, in both orders.
func FuzzNames(f *testing.F) {
	f.Add("d/f", "l", "d/../d/f", uint32(regular644), uint32(symlink))
	f.Add("a/b/up", "l", "../..", uint32(symlink), uint32(symlink))
	f.Add("a/b/up", "a/c", "b/up/../x", uint32(symlink), uint32(symlink))
	f.Add("l", "l/canary", "../beside", uint32(symlink), uint32(regular755))
	f.Add("./d//f", "d/./f/", "x", uint32(directory755), uint32(regular644))
	f.Add("C:\\f", "/f", "/x", uint32(0o107777), uint32(0o010666))
	f.Fuzz(func(t *testing.T, first, second, content string, firstMode, secondMode uint32) {
		if max(len(first), len(second), len(content)) > full16 {
			t.Skip("longer than a name can be")
		}
		one := crafted{name: first, mode: firstMode & 0xffff, content: content}
		other := crafted{name: second, mode: secondMode & 0xffff, content: content}
		if strings.HasSuffix(second, "/") {
			other.content = "" // else no directory would be good
		}
		extractBesideCanary(t, build(t, one, other))
		extractBesideCanary(t, build(t, other, one))
	})
}

// extractBesideCanary unpacks data beside a file that must not change.
func extractBesideCanary(t *testing.T, data []byte) {
	base := t.TempDir()
	inside, beside := filepath.Join(base, "root"), filepath.Join(base, "beside")
	must(t, errors.Join(os.Mkdir(beside, 0o700), os.Mkdir(inside, 0o700)))
	must(t, os.WriteFile(filepath.Join(beside, "canary"), []byte("alive"), 0o600))
	root, err := os.OpenRoot(inside)
	must(t, err)
	defer root.Close()

	c, _, err := read(t.Context(), data)
	if err == nil {
		err = c.tree(t.Context()).WriteDirectory(t.Context(), inside)
	}
	_, checked := check(t.Context(), data)

	want := map[string]string{".": "drwx------ ", "canary": "-rw------- alive"}
	if diff := cmp.Diff(want, snapshot(t, beside)); diff != "" {
		t.Fatalf("outside of the root (-before +after):\n%s", diff)
	}
	if entries, err := os.ReadDir(base); err != nil || len(entries) != 2 {
		t.Fatalf("beside the root is %v, error %v", entries, err)
	}
	var refusal *Error
	if err != nil && !errors.As(err, &refusal) {
		t.Fatalf("not a refusal: %v", err)
	}
	if (err == nil) != (checked == nil) {
		t.Fatalf("extract says %v, check says %v", err, checked)
	}
	checkTree(t, root, err == nil)
	if err == nil {
		compareWithGo(t, data, inside)
	}
}

// checkTree wants nothing but harmless files, and links that os.Root, too, finds to stay inside.
func checkTree(t *testing.T, root *os.Root, whole bool) {
	t.Helper()
	must(t, filepath.WalkDir(root.Name(), func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path, err = filepath.Rel(root.Name(), path); err != nil {
			return err
		}
		info, err := root.Lstat(path)
		if err != nil {
			return err
		}
		switch mode := info.Mode(); {
		case !whole && mode.IsDir(), mode == fs.ModeDir|directoryMode, mode == fileMode, mode == executableMode:
		case mode.Type() == fs.ModeSymlink:
			if _, err := root.Stat(path); err != nil && strings.Contains(err.Error(), "escapes") {
				t.Errorf("link %s: %v", path, err)
			}
		default:
			t.Errorf("%s has mode %v", path, mode)
		}
		return nil
	}))
}

// compareWithGo reads an accepted archive with Go's reader, where that accepts it too.
func compareWithGo(t *testing.T, data []byte, dir string) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return
	}
	for _, f := range r.File {
		path, _, err := cleanName(f.Name)
		if err != nil {
			t.Errorf("Go reads an entry %q", f.Name)
			continue
		}
		info, err := os.Lstat(filepath.Join(dir, path))
		if err != nil {
			t.Errorf("Go reads an entry %q: %v", f.Name, err)
			continue
		}
		if !info.Mode().IsRegular() {
			continue
		}
		content, err := f.Open()
		if err != nil {
			continue
		}
		want, err := io.ReadAll(content)
		if err != nil {
			continue
		}
		if got, err := os.ReadFile(filepath.Join(dir, path)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s has %d bytes, error %v; Go reads %d", path, len(got), err, len(want))
		}
	}
}
