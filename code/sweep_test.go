package code

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/store"
)

func none(string) bool { return false }

func sweep(t testing.TB, h *harness, keep func(string) bool) {
	t.Helper()
	if err := h.Sweep(t.Context(), keep); err != nil {
		t.Fatal(err)
	}
}

func wantStored(t testing.TB, h *harness, digest string, want bool) {
	t.Helper()
	r, err := h.Open(t.Context(), digest)
	if err == nil {
		err = r.Close()
	}
	if want && err != nil || !want && !errors.Is(err, store.ErrNotFound) {
		t.Errorf("open %s: error %v, want stored: %v", digest, err, want)
	}
	_, err = os.Stat(h.path(recordsDir, digest))
	if want != (err == nil) {
		t.Errorf("record of %s: error %v, want stored: %v", digest, err, want)
	}
	if _, err := os.Stat(h.path(rootsDir, digest)); !want && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("root of %s: error %v, want it gone", digest, err)
	}
}

func TestSweepSparesWhatWasPutLately(t *testing.T) {
	h := open(t)
	p := mustPut(t, h, sample(t, "x"))
	sweep(t, h, none)
	wantStored(t, h, p.Digest, true)

	old := time.Now().Add(-DefaultGrace)
	must(t, os.Chtimes(h.path(recordsDir, p.Digest), old, old))
	mustPut(t, h, sample(t, "x"))
	sweep(t, h, none)
	wantStored(t, h, p.Digest, true) // the second Put was lately

	must(t, os.Chtimes(h.path(recordsDir, p.Digest), old, old))
	sweep(t, h, none)
	wantStored(t, h, p.Digest, false)
}

func TestSweepRemovesWhatKeepDenies(t *testing.T) {
	h := open(t)
	h.Grace = 0
	kept, rooted, unrooted := mustPut(t, h, sample(t, "1")), mustPut(t, h, sample(t, "2")), mustPut(t, h, sample(t, "3"))
	keptRoot := mustRoot(t, h, kept.Digest)
	mustRoot(t, h, rooted.Digest)
	asked := map[string]int{}
	sweep(t, h, func(digest string) bool { asked[digest]++; return digest == kept.Digest })
	if diff := cmp.Diff(map[string]int{kept.Digest: 1, rooted.Digest: 1, unrooted.Digest: 1}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	wantStored(t, h, kept.Digest, true)
	wantContent(t, keptRoot, "1")
	wantStored(t, h, rooted.Digest, false)
	wantStored(t, h, unrooted.Digest, false)
	if _, err := h.Root(t.Context(), rooted.Digest); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Root of what was removed: %v, want ErrNotFound", err)
	}
	wantEmpty(t, h.path(tmpDir))

	mustPut(t, h, sample(t, "2"))
	wantContent(t, mustRoot(t, h, rooted.Digest), "2")
}

func TestSweepFindsWhatAnEarlierProcessPut(t *testing.T) {
	h := open(t)
	p := mustPut(t, h, sample(t, "x"))
	h = openOn(t, h.dir, h.blobs)
	h.Grace = 0
	sweep(t, h, none)
	wantStored(t, h, p.Digest, false)
}

func TestSweepTriesAgain(t *testing.T) {
	h := open(t)
	p := mustPut(t, h, sample(t, "x"))
	broken := openOn(t, h.dir, undeletable{h.blobs})
	broken.Grace = 0
	if err := broken.Sweep(t.Context(), none); !errors.Is(err, errUndeletable) {
		t.Errorf("error %v, want the blobs' own", err)
	}
	wantStored(t, h, p.Digest, true)
	h.Grace = 0
	sweep(t, h, none)
	wantStored(t, h, p.Digest, false)
}

func TestSweepEndsWithItsContext(t *testing.T) {
	h := open(t)
	h.Grace = 0
	p := mustPut(t, h, sample(t, "x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Sweep(ctx, none); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	wantStored(t, h, p.Digest, true)
}

// TestSweepSparesWhatIsBeingMade holds a Put, then a Root, in the middle and sweeps.
func TestSweepSparesWhatIsBeingMade(t *testing.T) {
	for name, call := range map[string]func(h *harness, zip []byte, digest string) error{
		"Put": func(h *harness, zip []byte, _ string) error { _, err := h.Put(t.Context(), zip); return err },
		"Root": func(h *harness, _ []byte, digest string) error {
			_, err := h.Root(t.Context(), digest)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, zip := open(t), sample(t, "x")
			p := mustPut(t, h, zip)
			gate := &gatedBlobs{Blobs: h.blobs, arrived: make(chan struct{}, 8), proceed: make(chan struct{})}
			h = openOn(t, h.dir, gate)
			h.Grace = 0
			done := make(chan error, 1)
			go func() { done <- call(h, zip, p.Digest) }()
			<-gate.arrived
			sweep(t, h, func(string) bool { t.Error("asked for what is being made"); return false })
			close(gate.proceed)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			wantStored(t, h, p.Digest, true)
			wantContent(t, mustRoot(t, h, p.Digest), "x")
		})
	}
}

// TestSweepAmongPutsAndRoots has many of each on few digests. A digest that is wanted is so before its Put.
func TestSweepAmongPutsAndRoots(t *testing.T) {
	h := open(t)
	h.Grace = 0
	var mu sync.Mutex
	wanted := map[string]int{}
	want := func(digest string, by int) {
		mu.Lock()
		defer mu.Unlock()
		wanted[digest] += by
	}
	stop := make(chan struct{})
	var sweeper, users sync.WaitGroup
	sweeper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			err := h.Sweep(t.Context(), func(digest string) bool {
				mu.Lock()
				defer mu.Unlock()
				return wanted[digest] > 0
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 8 {
		users.Go(func() {
			for round := range 15 {
				content := fmt.Sprint((i + round) % 3)
				zip := sample(t, content)
				digest := digestOf(zip)
				want(digest, 1)
				p, err := h.Put(t.Context(), zip)
				if err != nil {
					t.Error(err)
					return
				}
				dir, err := h.Root(t.Context(), p.Digest)
				if err != nil {
					t.Error(err)
					return
				}
				wantContent(t, dir, content)
				want(digest, -1)
			}
		})
	}
	users.Wait()
	close(stop)
	sweeper.Wait()
	sweep(t, h, none)
	wantEmpty(t, h.path(recordsDir), h.path(rootsDir), h.path(tmpDir))
}

var errUndeletable = errors.New("no")

type undeletable struct{ store.Blobs }

func (undeletable) Delete(context.Context, string) error { return errUndeletable }
