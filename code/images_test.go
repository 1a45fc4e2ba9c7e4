package code

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/code/tree"
)

// unpackedImage says what the image of a root has: content by path, links with "-> ".
func unpackedImage(t *testing.T, path string) map[string]string {
	t.Helper()
	files, opened, err := tree.Open(path)
	must(t, err)
	defer opened.Close()
	found := map[string]string{}
	must(t, fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if entry.Type() == fs.ModeSymlink {
			target, err := fs.ReadLink(files, name)
			found[name] = "-> " + target
			return err
		}
		info, err := entry.Info()
		must(t, err)
		content, err := fs.ReadFile(files, name)
		found[name] = info.Mode().String() + " " + string(content)
		return err
	}))
	return found
}

// TestImages: a root may be an image instead of a directory, and becomes the other when the store is told so.
func TestImages(t *testing.T) {
	h := open(t)
	h.Images = true
	long := strings.Repeat("long ", 5000)
	p := mustPut(t, h, build(t, crafted{name: "d/f", mode: regular644, method: methodDeflated, content: long},
		crafted{name: "bootstrap", mode: 0o100755, content: "#!"}, crafted{name: "empty", mode: regular644}, linkTo("l", "d/f")))
	want := map[string]string{"d/f": "-rw-r--r-- " + long, "bootstrap": "-rwxr-xr-x #!", "empty": "-rw-r--r-- ", "l": "-> d/f"}
	path := mustRoot(t, h, p.Digest)
	if diff := cmp.Diff(want, unpackedImage(t, path)); diff != "" {
		t.Error(diff)
	}
	over := mustPut(t, h, build(t, plain("d/g", "over"), plain("empty", "no more")))
	merged, err := h.Merged(t.Context(), []string{p.Digest, over.Digest})
	must(t, err)
	want["d/g"], want["empty"] = "-rw-r--r-- over", "-rw-r--r-- no more"
	if diff := cmp.Diff(want, unpackedImage(t, merged)); diff != "" {
		t.Errorf("merged: %s", diff)
	}

	again := openOn(t, h.dir, h.blobs)
	if info, err := os.Stat(mustRoot(t, again, p.Digest)); err != nil || !info.IsDir() {
		t.Errorf("as a directory it is %v, %v", info, err)
	}
	images := openOn(t, h.dir, h.blobs)
	images.Images = true
	if info, err := os.Stat(mustRoot(t, images, p.Digest)); err != nil || !info.Mode().IsRegular() {
		t.Errorf("as an image again it is %v, %v", info, err)
	}
	images.Grace = 0
	sweep(t, images, none)
	wantEmpty(t, filepath.Join(h.dir, "code", rootsDir), filepath.Join(h.dir, "code", tmpDir))
}

// TestImageOfADamagedPackage: what fails leaves nothing, and its reason is the package's.
func TestImageOfADamagedPackage(t *testing.T) {
	h := open(t)
	h.Images = true
	zip := sample(t, "content")
	at := bytes.Index(zip, []byte("content"))
	digest, _, err := h.blobs.Put(t.Context(), strings.NewReader(string(edit(zip, at, 'X'))))
	must(t, err)
	var refusal *Error
	if _, err := h.Root(t.Context(), digest); !errors.As(err, &refusal) {
		t.Errorf("%v", err)
	}
	wantEmpty(t, h.path(rootsDir), h.path(tmpDir))
}
