package pebble

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/store"
)

func newWitness(t testing.TB, dir string) *witness {
	t.Helper()
	path := filepath.Join(dir, witnessFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := createWitness(path); err != nil {
			t.Fatal(err)
		}
	}
	w, err := openWitness(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.file.Close() })
	return w
}

func noted(notes map[string]note) map[string]string {
	text := make(map[string]string)
	for name, n := range notes {
		text[name] = fmt.Sprintf("%d bytes, %08x", n.length, n.crc)
	}
	return text
}

func TestWitnessRefuses(t *testing.T) {
	if _, err := openWitness(filepath.Join(t.TempDir(), witnessFile)); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("missing: %v", err)
	}
	dir := t.TempDir()
	w := newWitness(t, dir)
	if err := w.record("000001.log", note{length: 3, crc: crc32.Checksum([]byte("abc"), castagnoli)}); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"gone": "", "short": "ab", "changed": "abd"} {
		db := t.TempDir()
		if content != "" {
			if err := os.WriteFile(filepath.Join(db, "000001.log"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.verify(db); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, size := range []int64{0, 100, 4096 + 100} {
		path := filepath.Join(t.TempDir(), witnessFile)
		if err := errors.Join(os.WriteFile(path, make([]byte, 8192), 0o600), os.Truncate(path, size)); err != nil {
			t.Fatal(err)
		}
		if _, err := openWitness(path); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%d zero bytes: %v", size, err)
		}
	}
	for i := range 40 {
		if err := w.record(fmt.Sprintf("%06d.log", i), note{}); err != nil {
			return
		}
	}
	t.Error("40 files fit into one sector")
}

// TestWitnessOutlivesATornSlot spoils the slot that was written last: the one before it counts.
func TestWitnessOutlivesATornSlot(t *testing.T) {
	dir := t.TempDir()
	w := newWitness(t, dir)
	older, newer := note{length: 1, crc: 1}, note{length: 2, crc: 2}
	if err := errors.Join(w.record("MANIFEST-000001", older), w.record("MANIFEST-000001", newer)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(noted(map[string]note{"MANIFEST-000001": newer}), noted(newWitness(t, dir).notes)); diff != "" {
		t.Error(diff)
	}
	if _, err := w.file.WriteAt([]byte("torn"), int64(w.sequence%2)*slotSpacing+200); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(noted(map[string]note{"MANIFEST-000001": older}), noted(newWitness(t, dir).notes)); diff != "" {
		t.Error(diff)
	}
}

// TestStaleWitness opens a store with a witness from some commits ago, as a power cut may leave it: it vouches
// for less, and refuses nothing that is whole.
func TestStaleWitness(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	commit := func(key store.Key) {
		t.Helper()
		if _, err := s.Commit(context.Background(), store.Change{Key: key, Value: make([]byte, 100)}); err != nil {
			t.Fatal(err)
		}
	}
	commit("a")
	stale, err := os.ReadFile(filepath.Join(dir, witnessFile))
	if err != nil {
		t.Fatal(err)
	}
	commit("b")
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), os.WriteFile(filepath.Join(copied, witnessFile), stale, 0o600)); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), Options{Dir: copied}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, key := range []store.Key{"a", "b"} {
		if _, err := s.Get(t.Context(), key); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestForgetIsDurableOrder has a noted file go away: no slot that could be read afterwards names it, unless a
// newer one does not.
func TestForgetIsDurableOrder(t *testing.T) {
	dir := t.TempDir()
	w := newWitness(t, dir)
	kept := note{length: 7, crc: 7}
	err := errors.Join(w.record("000001.log", note{length: 1}), w.record("000002.log", kept), w.forget("000001.log"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(noted(map[string]note{"000002.log": kept}), noted(newWitness(t, dir).notes)); diff != "" {
		t.Error(diff)
	}
}

func FuzzDecodeSlot(f *testing.F) {
	whole := make([]byte, slotBytes)
	if err := encodeSlot(whole, 9, map[string]note{"000001.log": {length: 5, crc: 6}}); err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(make([]byte, slotBytes))
	f.Fuzz(func(t *testing.T, slot []byte) {
		if len(slot) == slotBytes { // make the checksum right, so that the rest is reached
			sum := crc32.Checksum(slot[:slotBytes-4], castagnoli)
			slot[slotBytes-4], slot[slotBytes-3], slot[slotBytes-2], slot[slotBytes-1] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
		}
		sequence, notes, ok := decodeSlot(slot)
		if !ok {
			return
		}
		again := make([]byte, slotBytes)
		if err := encodeSlot(again, sequence, notes); err != nil {
			t.Fatal(err)
		}
		if s, n, ok := decodeSlot(again); !ok || s != sequence || !cmp.Equal(noted(notes), noted(n)) {
			t.Fatalf("%d, %v came back as %d, %v", sequence, notes, s, n)
		}
	})
}
