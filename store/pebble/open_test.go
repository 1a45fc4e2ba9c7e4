package pebble_test

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/store"
	"hotaru/store/pebble"
)

func format(line string) string {
	return fmt.Sprintf("%s\ncrc32c %08x\n", line, crc32.Checksum([]byte(line), crc32.MakeTable(crc32.Castagnoli)))
}

func TestOpenRefusesForeignDirectories(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"other files":   {"readme": "hello"},
		"newer version": {"FORMAT": format("hotaru store, engine pebble, version 2")},
		"other engine":  {"FORMAT": format("hotaru store, engine nats, version 1")},
	} {
		dir := t.TempDir()
		for file, content := range files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		before := snapshotOf(t, dir)
		if _, err := pebble.Open(t.Context(), pebble.Options{Dir: dir}); !errors.Is(err, store.ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
		if diff := cmp.Diff(before, snapshotOf(t, dir)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if _, err := pebble.Open(t.Context(), pebble.Options{Dir: filepath.Join(t.TempDir(), "no", "parent")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a parent directory: %v", err)
	}
}

// TestOpenStartsOverAfterACrashInTheFirst leaves what a first Open leaves when it is killed half-way.
func TestOpenStartsOverAfterACrashInTheFirst(t *testing.T) {
	for _, left := range [][]string{{"INIT"}, {"INIT", "SYNCED"}, {"INIT", "SYNCED", "FORMAT"}} {
		dir := t.TempDir()
		for _, file := range left {
			if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, dir)
		if _, err := s.Commit(t.Context(), store.Change{Key: "a"}); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		s = open(t, dir)
		if _, err := s.Get(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	fillAndClose(t, dir)
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
		}
		if info.Mode() != want && info.Size() > 0 {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestFullDiskIsRefusedBeforeItIsFull(t *testing.T) {
	s, err := pebble.Open(t.Context(), pebble.Options{Dir: t.TempDir(), ReserveBytes: 1 << 62})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Commit(t.Context(), store.Change{Key: "a"}); !errors.Is(err, store.ErrFull) {
		t.Errorf("Commit: %v, want ErrFull", err)
	}
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
}

// TestCloseWaitsForLists closes while a list is between two records.
func TestCloseWaitsForLists(t *testing.T) {
	s := open(t, t.TempDir())
	for _, key := range []store.Key{"a", "b"} {
		if _, err := s.Commit(t.Context(), store.Change{Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	closed := make(chan error, 1)
	turns := 0
	for _, err := range s.List(t.Context(), "", "") {
		if turns++; turns == 1 {
			go func() { closed <- s.Close() }()
			for {
				if _, err := s.Get(t.Context(), "a"); errors.Is(err, store.ErrClosed) {
					break
				}
			}
			select {
			case err := <-closed:
				t.Errorf("Close did not wait: %v", err)
			case <-time.After(time.Millisecond):
			}
		} else if err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
