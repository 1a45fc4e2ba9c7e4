package blob_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"hotaru/store/blob"
	"hotaru/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func path(dir, digest string) string { return filepath.Join(dir, digest[:2], digest[2:4], digest) }

func openEngine(t testing.TB, dir string) storetest.BlobsEngine {
	b, err := blob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return storetest.BlobsEngine{
		Blobs: b,
		Spoil: func(t testing.TB, digest string, content []byte) {
			if err := os.WriteFile(path(dir, digest), content, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		Leftovers: func(t testing.TB) int {
			entries, err := os.ReadDir(filepath.Join(dir, "tmp"))
			if err != nil {
				t.Fatal(err)
			}
			return len(entries)
		},
	}
}

func TestBlobs(t *testing.T) { storetest.Blobs(t, openEngine) }

func TestOpenSweepsLeftoversOfACrash(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, dir)
	digest, _, err := e.Blobs.Put(t.Context(), strings.NewReader("content"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tmp", "put-1"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	e = openEngine(t, dir)
	if n := e.Leftovers(t); n != 0 {
		t.Errorf("%d leftovers", n)
	}
	if r, err := e.Blobs.Open(t.Context(), digest); err != nil {
		t.Error(err)
	} else if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	e := openEngine(t, dir)
	if _, _, err := e.Blobs.Put(t.Context(), strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = fs.ModeDir | 0o700
		} else {
			files++
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		return nil
	})
	if err != nil || files != 1 {
		t.Errorf("%d files, %v", files, err)
	}
}
