package code

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/store"
)

func sample(t testing.TB, content string) []byte {
	return build(t, crafted{name: "d/f", mode: regular644, content: content})
}

func mustPut(t testing.TB, h *harness, zip []byte) Package {
	t.Helper()
	p, err := h.Put(t.Context(), zip)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustRoot(t testing.TB, h *harness, digest string) string {
	t.Helper()
	dir, err := h.Root(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func wantContent(t testing.TB, dir, content string) {
	t.Helper()
	got := snapshot(t, dir)
	want := map[string]string{".": isDirectory, "d": isDirectory, "d/f": "-rw-r--r-- " + content}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("root (-want +got):\n%s", diff)
	}
}

func wantEmpty(t testing.TB, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != 0 {
			t.Errorf("%s holds %v, want nothing", filepath.Base(dir), entries)
		}
	}
}

func (h *harness) path(names ...string) string {
	return filepath.Join(append([]string{h.dir, "code"}, names...)...)
}

func TestUnknownDigests(t *testing.T) {
	h := open(t)
	for _, digest := range []string{"", "..", "../records", strings.Repeat("a", 63), strings.Repeat("A", 64), strings.Repeat("0", 64)} {
		if _, err := h.Root(t.Context(), digest); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Root(%q): %v, want ErrNotFound", digest, err)
		}
		if _, err := h.Open(t.Context(), digest); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Open(%q): %v, want ErrNotFound", digest, err)
		}
	}
	wantEmpty(t, h.path(tmpDir), h.path(rootsDir))
}

func TestOpenRefusesADirectoryThatCannotBe(t *testing.T) {
	h := open(t)
	if _, err := Open(filepath.Join(h.dir, "no", "such"), h.blobs); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want ErrNotExist", err)
	}
}

func TestPutThenOpen(t *testing.T) {
	h, zip := open(t), sample(t, "x")
	got := mustPut(t, h, zip)
	sum := sha256.Sum256(zip)
	want := Package{
		SHA256: base64.StdEncoding.EncodeToString(sum[:]), Digest: hex.EncodeToString(sum[:]), Size: int64(len(zip)), Unzipped: 1,
	}
	if got != want {
		t.Errorf("package %+v, want %+v", got, want)
	}
	if again := mustPut(t, h, zip); again != want {
		t.Errorf("put again: %+v, want %+v", again, want)
	}
	r, err := h.Open(t.Context(), got.Digest)
	if err != nil {
		t.Fatal(err)
	}
	read, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(read, zip) {
		t.Errorf("read %d bytes, error %v; want the %d that were put", len(read), err, len(zip))
	}
	for name, want := range map[string]os.FileMode{".": 0o700, rootsDir: 0o700, recordsDir: 0o700, tmpDir: 0o700} {
		if info, err := os.Stat(h.path(name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, error %v; want mode %v", name, info.Mode(), err, want)
		}
	}
}

func TestCrashLeftovers(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, h *harness, digest string){
		"nothing": func(*testing.T, *harness, string) {},
		"no marker": func(t *testing.T, h *harness, digest string) {
			must(t, os.Remove(h.path(rootsDir, digest, markerName)))
			must(t, os.Truncate(h.path(rootsDir, digest, rootName, "d", "f"), 0))
		},
		"torn marker": func(t *testing.T, h *harness, digest string) {
			must(t, os.Truncate(h.path(rootsDir, digest, markerName), 5))
			must(t, os.RemoveAll(h.path(rootsDir, digest, rootName, "d")))
		},
		"marker of another life": func(t *testing.T, h *harness, digest string) {
			must(t, os.WriteFile(h.path(rootsDir, digest, markerName), []byte("another"), 0o600))
			must(t, os.Truncate(h.path(rootsDir, digest, rootName, "d", "f"), 0))
		},
		"marker without a root": func(t *testing.T, h *harness, digest string) {
			must(t, os.RemoveAll(h.path(rootsDir, digest, rootName)))
		},
		"half made and half removed": func(t *testing.T, h *harness, digest string) {
			must(t, os.Rename(h.path(rootsDir, digest), h.path(tmpDir, "make-1")))
			must(t, os.MkdirAll(h.path(tmpDir, "remove-1", rootName, "d"), 0o755))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			p := mustPut(t, h, sample(t, "whole"))
			mustRoot(t, h, p.Digest)
			spoil(t, h, p.Digest)
			h = openOn(t, h.dir, h.blobs)
			wantEmpty(t, h.path(tmpDir))
			wantContent(t, mustRoot(t, h, p.Digest), "whole")
			wantEmpty(t, h.path(tmpDir))
		})
	}
}

func TestRootOfAnEarlierProcessIsKept(t *testing.T) {
	h := open(t)
	p := mustPut(t, h, sample(t, "x"))
	mustRoot(t, h, p.Digest)
	counted := &countingBlobs{Blobs: h.blobs}
	h = openOn(t, h.dir, counted)
	wantContent(t, mustRoot(t, h, p.Digest), "x")
	if n := counted.opened.Load(); n != 0 {
		t.Errorf("unpacked %d times, want the root that was there", n)
	}
}

func TestConcurrentRootsUnpackOnce(t *testing.T) {
	h := open(t)
	p := mustPut(t, h, sample(t, "x"))
	counted := &countingBlobs{Blobs: h.blobs}
	h = openOn(t, h.dir, counted)
	var callers sync.WaitGroup
	for range 32 {
		callers.Go(func() {
			dir, err := h.Root(t.Context(), p.Digest)
			if err != nil {
				t.Error(err)
				return
			}
			wantContent(t, dir, "x")
		})
	}
	callers.Wait()
	if n := counted.opened.Load(); n != 1 {
		t.Errorf("unpacked %d times, want once", n)
	}
	if len(h.locks.digest) != 0 {
		t.Errorf("%d locks are left", len(h.locks.digest))
	}
}

// TestRootOutlivesTheCallerThatMakesIt: the one that unpacks gives up, one that waits goes on.
func TestRootOutlivesTheCallerThatMakesIt(t *testing.T) {
	h := open(t)
	p := mustPut(t, h, sample(t, "x"))
	gate := &gatedBlobs{Blobs: h.blobs, arrived: make(chan struct{}, 2), proceed: make(chan struct{})}
	h = openOn(t, h.dir, gate)
	ctx, giveUp := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := h.Root(ctx, p.Digest)
		failed <- err
	}()
	<-gate.arrived
	waiting, stopWaiting := context.WithCancel(t.Context())
	stopWaiting()
	if _, err := h.Root(waiting, p.Digest); !errors.Is(err, context.Canceled) {
		t.Errorf("a waiter whose context is done: %v, want context.Canceled", err)
	}
	made := make(chan string, 1)
	go func() {
		dir, err := h.Root(t.Context(), p.Digest)
		if err != nil {
			t.Error(err)
		}
		made <- dir
	}()
	giveUp()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	close(gate.proceed)
	wantContent(t, <-made, "x")
	wantEmpty(t, h.path(tmpDir))
}

func TestFailedPutLeavesNoRecord(t *testing.T) {
	h := open(t)
	h = openOn(t, h.dir, failingBlobs{h.blobs})
	if _, err := h.Put(t.Context(), sample(t, "x")); !errors.Is(err, store.ErrFull) {
		t.Errorf("error %v, want ErrFull", err)
	}
	wantEmpty(t, h.path(recordsDir), h.path(rootsDir), h.path(tmpDir))
}

func BenchmarkRootThatIsThere(b *testing.B) {
	h := open(b)
	p := mustPut(b, h, sample(b, "x"))
	mustRoot(b, h, p.Digest)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Root(b.Context(), p.Digest); err != nil {
			b.Fatal(err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// countingBlobs counts how often a blob is opened.
type countingBlobs struct {
	store.Blobs
	opened atomic.Int64
}

func (c *countingBlobs) Open(ctx context.Context, digest string) (io.ReadCloser, error) {
	c.opened.Add(1)
	return c.Blobs.Open(ctx, digest)
}

// gatedBlobs holds Put and Open until proceed is closed or their context is done.
type gatedBlobs struct {
	store.Blobs
	arrived, proceed chan struct{}
}

func (g *gatedBlobs) wait(ctx context.Context) error {
	g.arrived <- struct{}{}
	select {
	case <-g.proceed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gatedBlobs) Open(ctx context.Context, digest string) (io.ReadCloser, error) {
	if err := g.wait(ctx); err != nil {
		return nil, err
	}
	return g.Blobs.Open(ctx, digest)
}

func (g *gatedBlobs) Put(ctx context.Context, r io.Reader) (string, int64, error) {
	if err := g.wait(ctx); err != nil {
		return "", 0, err
	}
	return g.Blobs.Put(ctx, r)
}

// failingBlobs have no room.
type failingBlobs struct{ store.Blobs }

func (failingBlobs) Put(context.Context, io.Reader) (string, int64, error) {
	return "", 0, store.ErrFull
}

func digestOf(zip []byte) string {
	sum := sha256.Sum256(zip)
	return hex.EncodeToString(sum[:])
}
