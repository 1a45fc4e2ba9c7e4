package wholefile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFilesAreWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	read := func() string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if err := Create(filepath.Join(dir, "missing", "file"), []byte("x"), 0o600); err == nil {
		t.Error("created in a directory that is not there")
	}
	if err := Create(path, []byte("first"), 0o600); err != nil || read() != "first" {
		t.Fatalf("%v, %s", err, read())
	}
	if err := Create(path, []byte("second"), 0o644); err != nil || read() != "first" {
		t.Errorf("over one that is there: %v, %s", err, read())
	}
	if err := Replace(path, []byte("third"), 0o644); err != nil || read() != "third" {
		t.Errorf("replaced: %v, %s", err, read())
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode: %v %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left: %v %v", entries, err)
	}
}
