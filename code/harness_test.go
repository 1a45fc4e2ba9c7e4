package code

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"hotaru/store"
	"hotaru/store/blob"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is a store whose blobs a test can look into.
type harness struct {
	*Store
	dir   string // holds the store and the blobs
	blobs store.Blobs
}

func open(t testing.TB) *harness {
	t.Helper()
	dir := t.TempDir()
	blobs, err := blob.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	return openOn(t, dir, blobs)
}

func openOn(t testing.TB, dir string, blobs store.Blobs) *harness {
	t.Helper()
	s, err := Open(filepath.Join(dir, "code"), blobs)
	if err != nil {
		t.Fatal(err)
	}
	return &harness{Store: s, dir: dir, blobs: blobs}
}
