package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"hotaru/store"
)

// BlobsEngine is an engine of store.Blobs that is open on a directory.
type BlobsEngine struct {
	Blobs store.Blobs
	// Spoil changes the stored bytes of a blob behind the engine's back to the given ones.
	Spoil func(t testing.TB, digest string, content []byte)
	// Leftovers counts what is stored besides whole blobs.
	Leftovers func(t testing.TB) int
}

// BlobsOpener opens the engine under test on a directory, any number of times.
type BlobsOpener func(t testing.TB, dir string) BlobsEngine

// Blobs runs every test of a store.Blobs.
func Blobs(t *testing.T, open BlobsOpener) {
	for _, c := range []struct {
		name string
		test func(*testing.T, BlobsOpener)
	}{
		{"refuses digests that are none", blobsRefuse},
		{"refuses damaged content", blobsDamaged},
		{"keeps nothing of a Put that fails", blobsFailedPut},
		{"gives back what was put", blobsRoundTrip},
		{"takes the same content again", blobsIdempotent},
		{"deletes", blobsDelete},
		{"serves many at once", blobsConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open) })
	}
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func mustPut(t testing.TB, b store.Blobs, content []byte) string {
	t.Helper()
	digest, size, err := b.Put(soon(t), bytes.NewReader(content))
	if err != nil || digest != digestOf(content) || size != int64(len(content)) {
		t.Fatalf("Put: %s, %d, %v", digest, size, err)
	}
	return digest
}

func readBlob(t testing.TB, b store.Blobs, digest string) ([]byte, error) {
	t.Helper()
	r, err := b.Open(soon(t), digest)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(r)
	return content, errors.Join(err, r.Close())
}

func blobsRefuse(t *testing.T, open BlobsOpener) {
	b := open(t, t.TempDir()).Blobs
	digest := mustPut(t, b, []byte("content"))
	for _, d := range []string{"", "abc", strings.ToUpper(digest), digest[1:] + "g", "../" + digest[3:], digest + "0",
		strings.Repeat("/", 64), strings.Repeat("0", 64)} {
		_, err := b.Open(soon(t), d)
		wantError(t, "Open of "+d, err, store.ErrNotFound)
		if err := b.Delete(soon(t), d); err != nil {
			t.Errorf("Delete of %s: %v", d, err)
		}
	}
	if _, err := readBlob(t, b, digest); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := b.Open(ctx, digest)
	wantError(t, "Open", err, context.Canceled)
	wantError(t, "Delete", b.Delete(ctx, digest), context.Canceled)
}

func blobsDamaged(t *testing.T, open BlobsOpener) {
	e := open(t, t.TempDir())
	content := bytes.Repeat([]byte("0123456789abcdef"), 10_000)
	flipped := bytes.Clone(content)
	flipped[77] ^= 4
	for name, spoiled := range map[string][]byte{
		"a flipped bit": flipped, "shorter": content[:len(content)-1], "longer": append(bytes.Clone(content), 0), "empty": {},
	} {
		digest := mustPut(t, e.Blobs, content)
		e.Spoil(t, digest, spoiled)
		got, err := readBlob(t, e.Blobs, digest)
		wantError(t, name, err, store.ErrDamaged)
		if len(got) >= len(spoiled) && len(spoiled) > 0 {
			t.Errorf("%s: all %d bytes were returned before the refusal", name, len(got))
		}
	}
	digest := mustPut(t, e.Blobs, content)
	if got, err := readBlob(t, e.Blobs, digest); err != nil || !bytes.Equal(got, content) {
		t.Errorf("putting the content again did not mend it: %v", err)
	}
}

func blobsFailedPut(t *testing.T, open BlobsOpener) {
	dir := t.TempDir()
	e := open(t, dir)
	broken := errors.New("broken")
	_, _, err := e.Blobs.Put(soon(t), io.MultiReader(strings.NewReader("start"), iotest.ErrReader(broken)))
	wantError(t, "Put of a broken reader", err, broken)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err = e.Blobs.Put(ctx, strings.NewReader("content"))
	wantError(t, "Put", err, context.Canceled)
	_, err = e.Blobs.Open(soon(t), digestOf([]byte("content")))
	wantError(t, "Open", err, store.ErrNotFound)
	if n := e.Leftovers(t); n != 0 {
		t.Errorf("%d leftovers", n)
	}
}

func blobsRoundTrip(t *testing.T, open BlobsOpener) {
	dir := t.TempDir()
	b := open(t, dir).Blobs
	contents := [][]byte{{}, {0}, []byte("content"), bytes.Repeat([]byte{7}, 1<<20+1)}
	for _, c := range contents {
		mustPut(t, b, c)
	}
	b = open(t, dir).Blobs
	for _, c := range contents {
		if got, err := readBlob(t, b, digestOf(c)); err != nil || !bytes.Equal(got, c) {
			t.Errorf("%d bytes came back as %d, %v", len(c), len(got), err)
		}
		r, err := b.Open(soon(t), digestOf(c))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(iotest.OneByteReader(io.LimitReader(r, 100))); err != nil || !bytes.Equal(got, c[:min(len(c), 100)]) {
			t.Errorf("%d bytes, one by one: %d, %v", len(c), len(got), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func blobsIdempotent(t *testing.T, open BlobsOpener) {
	e := open(t, t.TempDir())
	digest := mustPut(t, e.Blobs, []byte("content"))
	r, err := e.Blobs.Open(soon(t), digest)
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, e.Blobs, []byte("content"))
	if got, err := io.ReadAll(r); err != nil || string(got) != "content" {
		t.Errorf("a reader from before: %q, %v", got, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if n := e.Leftovers(t); n != 0 {
		t.Errorf("%d leftovers", n)
	}
}

func blobsDelete(t *testing.T, open BlobsOpener) {
	b := open(t, t.TempDir()).Blobs
	kept, gone := mustPut(t, b, []byte("kept")), mustPut(t, b, []byte("gone"))
	for range 2 {
		if err := b.Delete(soon(t), gone); err != nil {
			t.Fatal(err)
		}
	}
	_, err := b.Open(soon(t), gone)
	wantError(t, "Open of what is deleted", err, store.ErrNotFound)
	if _, err := readBlob(t, b, kept); err != nil {
		t.Error(err)
	}
}

func blobsConcurrent(t *testing.T, open BlobsOpener) {
	e := open(t, t.TempDir())
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			content := []byte{byte(i % 4)}
			digest, _, err := e.Blobs.Put(soon(t), bytes.NewReader(content))
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := readBlob(t, e.Blobs, digest); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	wg.Wait()
	if n := e.Leftovers(t); n != 0 {
		t.Errorf("%d leftovers", n)
	}
}
