package pebble_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/store"
	"hotaru/store/pebble"
)

// fill makes a store whose records and messages lie in tables and in a log, and returns what was
// acknowledged. It always writes the same.
func fill(dir string) (*pebble.Store, map[string]string, error) {
	ctx := context.Background()
	want := make(map[string]string)
	s, err := pebble.Open(ctx, pebble.Options{Dir: dir})
	if err == nil {
		err = errors.Join(fillPart(ctx, s, 0, 100, want), s.Close())
	}
	if err == nil {
		s, err = pebble.Open(ctx, pebble.Options{Dir: dir}) // what was in the log goes to tables
	}
	if err == nil {
		err = fillPart(ctx, s, 100, 160, want)
	}
	return s, want, err
}

func fillPart(ctx context.Context, s *pebble.Store, from, to int, want map[string]string) error {
	random := rand.New(rand.NewPCG(uint64(from), 2))
	for i := from; i < to; i++ {
		value := make([]byte, 10)
		if i%10 < 2 {
			value = make([]byte, 20<<10)
		}
		for j := range value {
			value[j] = byte(random.Uint32())
		}
		key := store.NewKey("k", fmt.Sprint(i%150))
		if _, err := s.Commit(ctx, store.Change{Key: key, Value: value}); err != nil {
			return err
		}
		want[string(key)] = string(value)
		if i%10 == 0 {
			body := fmt.Sprint("message ", i)
			if err := s.Queue("q").Append(ctx, store.Message{Body: []byte(body)}); err != nil {
				return err
			}
			want[body] = ""
		}
	}
	return nil
}

// readAll returns what fill's map would hold, or the first error.
func readAll(s *pebble.Store, messages int) (map[string]string, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	got := make(map[string]string)
	for r, err := range s.List(ctx, "", "") {
		if err != nil {
			return nil, err
		}
		got[string(r.Key)] = string(r.Value)
	}
	leased, err := leaseNow(s.Queue("q"), messages+1)
	for _, l := range leased {
		got[string(l.Body)] = ""
	}
	return got, err
}

// leaseNow leases up to n of what is due and does not wait for more.
func leaseNow(q store.Queue, n int) ([]store.Leased, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	leased, err := q.Lease(ctx, n, time.Hour)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return leased, err
}

func snapshotOf(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = fmt.Sprintf("%d bytes, %x", len(content), sha256.Sum256(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// offsets picks bytes to spoil: all of a small file's edges, and a spread over the rest.
func offsets(size int64) []int64 {
	spread := map[int64]bool{}
	for _, at := range []int64{0, 1, 5, 7, 40, 4096, size / 4, size / 3, size / 2, size - size/3, size - 200, size - 60,
		size - 20, size - 12, size - 2, size - 1} {
		if at >= 0 && at < size {
			spread[at] = true
		}
	}
	var all []int64
	for at := range spread {
		all = append(all, at)
	}
	return all
}

// TestFlippedBits spoils one bit at a time in every file of a store that was closed and of one whose process
// was killed: either everything acknowledged is there, or the answer is ErrDamaged, and Open's refusal
// changes no file.
func TestFlippedBits(t *testing.T) {
	for name, build := range map[string]func(*testing.T, string) map[string]string{"closed": fillAndClose, "killed": fillAndKill} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			want := build(t, dir)
			messages := 0
			for key := range want {
				if strings.HasPrefix(key, "message") {
					messages++
				}
			}
			refusals, kinds := 0, map[string]int{}
			for file := range snapshotOf(t, dir) {
				info, err := os.Stat(dir + file)
				if err != nil {
					t.Fatal(err)
				}
				for _, at := range offsets(info.Size()) {
					copied := filepath.Join(t.TempDir(), "copy")
					if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
						t.Fatal(err)
					}
					flipBit(t, copied+file, at)
					refused := checkSpoiled(t, fmt.Sprintf("%s at %d of %d", file, at, info.Size()), copied, messages, want)
					if refused {
						refusals++
						kinds[kindOf(file)]++
					}
					if err := os.RemoveAll(copied); err != nil {
						t.Fatal(err)
					}
				}
			}
			t.Logf("%d refusals: %v", refusals, kinds)
			for _, kind := range []string{"log", "manifest", "table", "FORMAT"} {
				if kinds[kind] == 0 {
					t.Errorf("no flipped bit in a %s was noticed: the test does not reach it", kind)
				}
			}
		})
	}
}

func kindOf(file string) string {
	switch base := filepath.Base(file); {
	case strings.HasSuffix(base, ".log"):
		return "log"
	case strings.HasPrefix(base, "MANIFEST"):
		return "manifest"
	case strings.HasSuffix(base, ".sst"), strings.HasSuffix(base, ".blob"):
		return "table"
	default:
		return base
	}
}

func flipBit(t testing.TB, path string, at int64) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[at] ^= 1 << (at % 8)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func checkSpoiled(t *testing.T, what, dir string, messages int, want map[string]string) (refused bool) {
	t.Helper()
	before := snapshotOf(t, dir)
	s, err := pebble.Open(t.Context(), pebble.Options{Dir: dir})
	if err != nil {
		if !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: Open: %v, want ErrDamaged", what, err)
		}
		if guardedByWitness(what) {
			if diff := cmp.Diff(before, snapshotOf(t, dir)); diff != "" {
				t.Errorf("%s: the refusal changed files: %s", what, diff)
			}
		}
		return true
	}
	got, err := readAll(s, messages)
	if err := s.Close(); err != nil && !errors.Is(err, store.ErrDamaged) {
		t.Logf("%s: Close: %v", what, err)
	}
	if err != nil {
		if !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: read: %v, want ErrDamaged", what, err)
		}
		return true
	}
	if !cmp.Equal(want, got) {
		t.Errorf("%s: quiet loss: %d of %d records", what, len(got), len(want))
	}
	return false
}

// guardedByWitness says whether Open finds the damage before pebble looks at anything.
func guardedByWitness(what string) bool {
	return strings.Contains(what, ".log") || strings.Contains(what, "MANIFEST") || strings.Contains(what, "FORMAT")
}

func fillAndClose(t *testing.T, dir string) map[string]string {
	t.Helper()
	s, want, err := fill(dir)
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return want
}

func fillAndKill(t *testing.T, dir string) map[string]string {
	t.Helper()
	child := startChild(t, "fill", dir)
	if line, _ := child.line(); line != "filled" {
		t.Fatalf("the child says %q", line)
	}
	child.kill()
	return fillAndClose(t, filepath.Join(t.TempDir(), "same"))
}

// TestShortenedFiles cuts the end off what is guarded: after Close nothing may be missing.
func TestShortenedFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	fillAndClose(t, dir)
	for file := range snapshotOf(t, dir) {
		kind := kindOf(file)
		if kind != "log" && kind != "manifest" && kind != "table" {
			continue
		}
		for _, name := range []string{"one byte", "half", "all", "the file"} {
			copied := filepath.Join(t.TempDir(), "copy")
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(copied + file)
			if err != nil {
				t.Fatal(err)
			}
			size := map[string]int64{"one byte": info.Size() - 1, "half": info.Size() / 2}[name]
			err = os.Truncate(copied+file, max(size, 0))
			if name == "the file" {
				err = os.Remove(copied + file)
			}
			if err != nil {
				t.Fatal(err)
			}
			if info.Size() == 0 && name != "the file" {
				continue
			}
			s, err := pebble.Open(t.Context(), pebble.Options{Dir: copied})
			if err == nil {
				_, err = readAll(s, 16)
				_ = s.Close()
			}
			if !errors.Is(err, store.ErrDamaged) {
				t.Errorf("%s without %s: %v, want ErrDamaged", file, name, err)
			}
		}
	}
}

// TestTornTailIsRepaired adds what a crash in the middle of a write leaves: bytes behind the fsynced ones.
func TestTornTailIsRepaired(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	want := fillAndKill(t, dir)
	logs, err := filepath.Glob(filepath.Join(dir, "db", "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("logs: %v, %v", logs, err)
	}
	newest := logs[len(logs)-1]
	f, err := os.OpenFile(newest, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(strings.Repeat("torn", 30)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	defer s.Close()
	if got, err := readAll(s, 16); err != nil || !cmp.Equal(want, got) {
		t.Errorf("%d of %d records, %v", len(got), len(want), err)
	}
}
