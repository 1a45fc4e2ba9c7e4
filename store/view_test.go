package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"hotaru/store"
	"hotaru/store/pebble"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openState(t testing.TB) *pebble.Store {
	t.Helper()
	s, err := pebble.Open(context.Background(), pebble.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func decodeNumber(r store.Record) (int, error) { return strconv.Atoi(string(r.Value)) }

func startView(t testing.TB, s store.State, prefix store.Key) *store.View[int] {
	t.Helper()
	v := store.NewView(s, prefix, decodeNumber)
	if err := v.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func commit(t testing.TB, s store.State, changes ...store.Change) store.Revision {
	t.Helper()
	revision, err := s.Commit(context.Background(), changes...)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func number(key store.Key, n int) store.Change {
	return store.Change{Key: key, Value: []byte(strconv.Itoa(n))}
}

func TestViewStopsAtWhatItCannotDecode(t *testing.T) {
	s := openState(t)
	v := startView(t, s, "v/")
	good := commit(t, s, number("v/a", 1))
	bad := commit(t, s, store.Change{Key: "v/b", Value: []byte("no number")})
	commit(t, s, number("v/a", 2))
	if err := v.Wait(t.Context(), bad); !errors.Is(err, strconv.ErrSyntax) {
		t.Errorf("Wait: %v, want the decoder's error", err)
	}
	<-v.Failed()
	if err := v.Err(); !errors.Is(err, strconv.ErrSyntax) {
		t.Errorf("Err: %v", err)
	}
	if item, ok := v.Get("v/a"); !ok || item.Value != 1 || item.Revision != good {
		t.Errorf("Get: %+v, %v; want the last good moment", item, ok)
	}
	if err := store.NewView(s, "v/", decodeNumber).Start(t.Context()); !errors.Is(err, strconv.ErrSyntax) {
		t.Errorf("Start: %v", err)
	}
}

func TestViewEnds(t *testing.T) {
	s := openState(t)
	v := startView(t, s, "v/")
	waiting, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	if err := v.Wait(waiting, 99); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait: %v", err)
	}
	v.Close()
	v.Close()
	if err := v.Wait(t.Context(), 99); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Wait after Close: %v", err)
	}
	other := startView(t, s, "v/")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	<-other.Failed()
	if err := other.Err(); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Err after the engine's Close: %v", err)
	}
}

func viewed(v *store.View[int], prefix, after store.Key) []string {
	var got []string
	for item := range v.List(prefix, after) {
		got = append(got, fmt.Sprintf("%s=%d", item.Key, item.Value))
	}
	return got
}

func TestViewFollows(t *testing.T) {
	s := openState(t)
	commit(t, s, number("v/c", 3), number("v/a/x", 1), number("w", 9))
	v := startView(t, s, "v/")
	if diff := cmp.Diff([]string{"v/a/x=1", "v/c=3"}, viewed(v, "v/", "")); diff != "" {
		t.Error(diff)
	}
	commit(t, s, number("v/a/y", 2), number("v/b", 2))
	revision := commit(t, s, number("v/c", 4), store.Change{Key: "v/a/x", Delete: true})
	if err := v.Wait(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		prefix, after store.Key
		want          []string
	}{
		{"", "", []string{"v/a/y=2", "v/b=2", "v/c=4"}},
		{"v/a/", "", []string{"v/a/y=2"}},
		{"v/", "v/a/y", []string{"v/b=2", "v/c=4"}},
		{"v/b", "a", []string{"v/b=2"}},
		{"v/", "z", nil},
		{"x", "", nil},
	} {
		if diff := cmp.Diff(c.want, viewed(v, c.prefix, c.after)); diff != "" {
			t.Errorf("List(%q, %q): %s", c.prefix, c.after, diff)
		}
	}
	if _, ok := v.Get("v/a/x"); ok {
		t.Error("a deleted record is still there")
	}
}

// TestViewUnderConcurrentCommits has writers read their own writes through the view.
func TestViewUnderConcurrentCommits(t *testing.T) {
	s := openState(t)
	v := startView(t, s, "v/")
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			key := store.NewKey("v", strconv.Itoa(w))
			for n := range 50 {
				revision, err := s.Commit(t.Context(), number(key, n))
				if err == nil {
					err = v.Wait(t.Context(), revision)
				}
				if err != nil {
					t.Error(err)
					return
				}
				if item, ok := v.Get(key); !ok || item.Value != n || item.Revision != revision {
					t.Errorf("wrote %d at %d, read %+v", n, revision, item)
				}
				if got := viewed(v, "v/", ""); !slices.IsSorted(got) {
					t.Errorf("out of order: %v", got)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkViewGet(b *testing.B) {
	s := openState(b)
	commit(b, s, number("v/a", 1))
	v := startView(b, s, "v/")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok := v.Get("v/a"); !ok {
				b.Error("absent")
			}
		}
	})
}
