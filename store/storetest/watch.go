package storetest

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/store"
)

func stateWatch(t *testing.T, open Opener) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Opener)
	}{
		{"ends with the engine", watchClose},
		{"ends with its context", watchContext},
		{"shows what is present, then changes", watchOrder},
		{"begins after a revision", watchFrom},
		{"coalesces for a slow reader", watchCoalesces},
		{"loses nothing under concurrent commits", watchConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open) })
	}
}

// watching pulls events one by one.
type watching struct {
	t    testing.TB
	next func() (store.Event, error, bool)
}

func watch(t testing.TB, ctx context.Context, s store.State, prefix store.Key, from store.Revision) watching {
	next, stop := iter.Pull2(s.Watch(ctx, prefix, from))
	t.Cleanup(stop)
	return watching{t: t, next: next}
}

// event returns the next event as "key=value", "-key" for a deletion or "synced".
func (w watching) event() string {
	w.t.Helper()
	e := w.raw()
	switch {
	case e.Synced:
		return "synced"
	case e.Deleted:
		return "-" + string(e.Key)
	default:
		return fmt.Sprintf("%s=%s", e.Key, e.Value)
	}
}

func (w watching) raw() store.Event {
	w.t.Helper()
	e, err, ok := w.next()
	if err != nil || !ok {
		w.t.Fatalf("Watch ended: %v", err)
	}
	return e
}

func (w watching) want(events ...string) {
	w.t.Helper()
	for _, want := range events {
		if got := w.event(); got != want {
			w.t.Fatalf("event %s, want %s", got, want)
		}
	}
}

func watchClose(t *testing.T, open Opener) {
	e := open(t, t.TempDir())
	w := watch(t, soon(t), e.State, "", 0)
	w.want("synced")
	closed := make(chan error, 1)
	go func() { closed <- e.Close() }()
	_, err, _ := w.next()
	wantError(t, "Watch during Close", err, store.ErrClosed)
	if _, _, more := w.next(); more {
		t.Error("Watch goes on after its error")
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
}

func watchContext(t *testing.T, open Opener) {
	s := open.fresh(t).State
	ctx, cancel := context.WithCancel(soon(t))
	w := watch(t, ctx, s, "", 0)
	w.want("synced")
	cancel()
	_, err, _ := w.next()
	wantError(t, "Watch", err, context.Canceled)
}

func watchOrder(t *testing.T, open Opener) {
	s := open.fresh(t).State
	mustCommit(t, s, set("p/b", "1"))
	mustCommit(t, s, set("p/a", "1"), set("q/a", "1"), set("pp", "1"))
	mustCommit(t, s, set("p/c", "1"))
	mustCommit(t, s, store.Change{Key: "p/c", Delete: true})
	w := watch(t, soon(t), s, "p/", 0)
	w.want("p/b=1", "p/a=1", "synced")
	mustCommit(t, s, set("q/a", "2"))
	mustCommit(t, s, store.Change{Key: "p/b", Delete: true})
	w.want("-p/b")
	revision := mustCommit(t, s, set("p/b", "2"), set("p/d", "1"))
	for _, want := range []store.Key{"p/b", "p/d"} {
		if e := w.raw(); e.Key != want || e.Revision != revision || e.Deleted {
			t.Errorf("event %+v, want %s at revision %d", e, want, revision)
		}
	}
}

func watchFrom(t *testing.T, open Opener) {
	s := open.fresh(t).State
	mustCommit(t, s, set("a", "1"))
	from := mustCommit(t, s, set("b", "1"))
	last := mustCommit(t, s, set("c", "1"))
	w := watch(t, soon(t), s, "", from)
	w.want("c=1")
	if e := w.raw(); !e.Synced || e.Revision < last || e.Key != "" {
		t.Errorf("event %+v, want Synced at revision %d or later", e, last)
	}
	mustCommit(t, s, set("a", "2"))
	w.want("a=2")
	watch(t, soon(t), s, "", mustCommit(t, s, set("a", "3"))).want("synced")
}

// watchCoalesces changes a few keys often behind a reader's back: the reader sees the last change of each,
// in revision order, and perhaps some before it.
func watchCoalesces(t *testing.T, open Opener) {
	const changes = 300
	s := open.fresh(t).State
	w := watch(t, soon(t), s, "", 0)
	w.want("synced")
	last := make(map[store.Key]store.Revision)
	var final store.Revision
	for i := range changes {
		c := set(store.NewKey("k", strconv.Itoa(i%3)), strconv.Itoa(i))
		if i == changes-1 {
			c = store.Change{Key: "k/0", Delete: true}
		}
		final = mustCommit(t, s, c)
		last[c.Key] = final
	}
	seen := make(map[store.Key]store.Revision)
	events := 0
	for previous := store.Revision(0); previous < final; events++ {
		e := w.raw()
		if e.Revision <= previous {
			t.Fatalf("revision %d after %d", e.Revision, previous)
		}
		previous = e.Revision
		seen[e.Key] = e.Revision
	}
	if diff := cmp.Diff(last, seen); diff != "" {
		t.Error(diff)
	}
	if events > changes/2 {
		t.Errorf("%d events for 3 keys: nothing was coalesced", events)
	}
}

// watchConcurrent has writers change keys of their own while watchers follow from the start and from the
// middle: each ends with exactly what is there.
func watchConcurrent(t *testing.T, open Opener) {
	const writers, each = 4, 40
	s := open.fresh(t).State
	mustCommit(t, s, set("w/seed", "1"))
	var writing, reading sync.WaitGroup
	for i := range writers {
		writing.Go(func() {
			for n := range each {
				key := store.NewKey("w", strconv.Itoa(i), strconv.Itoa(n%7))
				change := store.Change{Key: key, Value: []byte(strconv.Itoa(n)), Delete: n%5 == 4}
				if _, err := s.Commit(soon(t), change); err != nil {
					t.Error(err)
				}
			}
		})
		reading.Go(func() { followToEnd(t, s) })
	}
	writing.Wait()
	mustCommit(t, s, set("w/end", "1"))
	reading.Wait()
}

func followToEnd(t *testing.T, s store.State) {
	got := make(map[store.Key]string)
	synced, last := false, store.Revision(0)
	for e, err := range s.Watch(soon(t), "w/", 0) {
		if err != nil {
			t.Error(err)
			return
		}
		if e.Revision < last {
			t.Errorf("revision %d after %d", e.Revision, last)
		}
		last = e.Revision
		switch {
		case e.Synced:
			synced = true
		case e.Deleted:
			delete(got, e.Key)
		default:
			got[e.Key] = string(e.Value)
		}
		if e.Key == "w/end" && synced || e.Synced && got["w/end"] != "" {
			break
		}
	}
	want := make(map[store.Key]string)
	for r, err := range s.List(soon(t), "w/", "") {
		if err != nil {
			t.Error(err)
		}
		want[r.Key] = string(r.Value)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a watcher's picture differs: %s", diff)
	}
}
