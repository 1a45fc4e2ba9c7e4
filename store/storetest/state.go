package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/store"
)

// State runs every test of a store.State.
func State(t *testing.T, open Opener) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Opener)
	}{
		{"refuses what makes no sense", stateRefuses},
		{"refuses a commit whose expectation does not hold", stateConflicts},
		{"does nothing of a refused commit", stateAtomic},
		{"refuses everything after Close", stateClosed},
		{"refuses a context that has ended", stateContext},
		{"gives growing revisions", stateRevisions},
		{"counts right under contention", stateContention},
		{"lists in order", stateListOrder},
		{"lists one consistent moment", stateListConsistent},
		{"keeps what it has acknowledged", stateReopen},
		{"keeps values of every size", stateSizes},
		{"behaves like a map", stateModel},
		{"watch", stateWatch},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open) })
	}
}

func stateRefuses(t *testing.T, open Opener) {
	s := open.fresh(t).State
	_, err := s.Get(soon(t), "absent")
	wantError(t, "Get of nothing", err, store.ErrNotFound)
	_, err = s.Commit(soon(t))
	wantError(t, "empty commit", err, store.ErrInvalid)
	for _, key := range []store.Key{"", "a:b", "a//b", "/", "\xff"} {
		_, err := s.Commit(soon(t), set(key, "v"))
		wantError(t, fmt.Sprintf("key %q", string(key)), err, store.ErrInvalid)
	}
	_, err = s.Commit(soon(t), set("a", "1"), set("a", "2"))
	wantError(t, "key twice", err, store.ErrInvalid)
	if got := listed(t, s, "", ""); got != nil {
		t.Errorf("refused commits left %v", got)
	}
}

func stateConflicts(t *testing.T, open Opener) {
	s := open.fresh(t).State
	first := mustCommit(t, s, store.Change{Key: "a", Value: []byte("1"), Expect: store.Absent()})
	_, err := s.Commit(soon(t), store.Change{Key: "a", Value: []byte("2"), Expect: store.Absent()})
	wantConflict(t, err, store.ConflictError{Key: "a", Revision: first})
	_, err = s.Commit(soon(t), store.Change{Key: "b", Value: []byte("2"), Expect: store.At(first)})
	wantConflict(t, err, store.ConflictError{Key: "b"})
	second := mustCommit(t, s, store.Change{Key: "a", Value: []byte("2"), Expect: store.At(first)})
	_, err = s.Commit(soon(t), store.Change{Key: "a", Delete: true, Expect: store.At(first)})
	wantConflict(t, err, store.ConflictError{Key: "a", Revision: second})
	mustCommit(t, s, store.Change{Key: "a", Delete: true, Expect: store.At(second)})
	_, err = s.Commit(soon(t), store.Change{Key: "a", Value: []byte("3"), Expect: store.At(second)})
	wantConflict(t, err, store.ConflictError{Key: "a"})
	mustCommit(t, s, store.Change{Key: "a", Value: []byte("4"), Expect: store.Absent()})
}

func stateAtomic(t *testing.T, open Opener) {
	s := open.fresh(t).State
	mustCommit(t, s, set("a", "1"), set("b", "1"))
	_, err := s.Commit(soon(t), set("a", "2"), store.Change{Key: "b", Delete: true},
		store.Change{Key: "c", Value: []byte("2"), Expect: store.At(99)})
	wantConflict(t, err, store.ConflictError{Key: "c"})
	if diff := cmp.Diff([]string{"a=1", "b=1"}, listed(t, s, "", "")); diff != "" {
		t.Error(diff)
	}
}

func stateClosed(t *testing.T, open Opener) {
	e := open(t, t.TempDir())
	for range 2 {
		if err := e.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	_, err := e.State.Get(soon(t), "a")
	wantError(t, "Get", err, store.ErrClosed)
	_, err = e.State.Commit(soon(t), set("a", "1"))
	wantError(t, "Commit", err, store.ErrClosed)
	for _, err := range e.State.List(soon(t), "", "") {
		wantError(t, "List", err, store.ErrClosed)
	}
	for _, err := range e.State.Watch(soon(t), "", 0) {
		wantError(t, "Watch", err, store.ErrClosed)
	}
}

func stateContext(t *testing.T, open Opener) {
	s := open.fresh(t).State
	mustCommit(t, s, set("a", "1"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.Get(ctx, "a")
	wantError(t, "Get", err, context.Canceled)
	_, err = s.Commit(ctx, set("b", "1"))
	wantError(t, "Commit", err, context.Canceled)
	turns := 0
	for _, err := range s.List(ctx, "", "") {
		turns++
		wantError(t, "List", err, context.Canceled)
	}
	for _, err := range s.Watch(ctx, "", 0) {
		turns++
		wantError(t, "Watch", err, context.Canceled)
	}
	if turns != 2 {
		t.Errorf("List and Watch yielded %d times, want one error each", turns)
	}
}

func stateRevisions(t *testing.T, open Opener) {
	dir := t.TempDir()
	e := open(t, dir)
	last := store.Revision(0)
	commit := func(changes ...store.Change) {
		t.Helper()
		revision := mustCommit(t, e.State, changes...)
		if revision <= last {
			t.Errorf("revision %d after %d", revision, last)
		}
		last = revision
		for _, c := range changes {
			if r, err := e.State.Get(soon(t), c.Key); !c.Delete && (err != nil || r.Revision != revision) {
				t.Errorf("Get(%s) = revision %d, %v; want %d", c.Key, r.Revision, err, revision)
			}
		}
	}
	commit(set("a", "1"), set("b", "1"))
	commit(set("a", "2"))
	commit(store.Change{Key: "a", Delete: true}, store.Change{Key: "b", Delete: true})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = open.at(t, dir)
	commit(set("a", "3")) // a deletion's revision is not given again either
}

func stateContention(t *testing.T, open Opener) {
	const writers, increments = 8, 25
	s := open.fresh(t).State
	mustCommit(t, s, set("counter", "0"))
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range increments {
				if err := increment(soon(t), s); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if diff := cmp.Diff([]string{fmt.Sprintf("counter=%d", writers*increments)}, listed(t, s, "", "")); diff != "" {
		t.Error(diff)
	}
}

func increment(ctx context.Context, s store.State) error {
	for {
		r, err := s.Get(ctx, "counter")
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(r.Value))
		if err != nil {
			return err
		}
		_, err = s.Commit(ctx, store.Change{Key: "counter", Value: []byte(strconv.Itoa(n + 1)), Expect: store.At(r.Revision)})
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) {
			return err
		}
	}
}

func stateListOrder(t *testing.T, open Opener) {
	s := open.fresh(t).State
	for _, key := range []store.Key{"b/2", "a/1", "ab/1", "a", "b/10", "a/2", "a-b"} {
		mustCommit(t, s, set(key, "v"))
	}
	for _, c := range []struct {
		prefix, after store.Key
		want          []string
	}{
		{"", "", []string{"a=v", "a-b=v", "a/1=v", "a/2=v", "ab/1=v", "b/10=v", "b/2=v"}},
		{store.NewPrefix("a"), "", []string{"a/1=v", "a/2=v"}},
		{store.NewPrefix("a"), "a/1", []string{"a/2=v"}},
		{store.NewPrefix("a"), "a/2", nil},
		{store.NewPrefix("a"), "z", nil},
		{store.NewPrefix("b"), "a", []string{"b/10=v", "b/2=v"}},
		{"", "ab/1", []string{"b/10=v", "b/2=v"}},
		{store.NewPrefix("c"), "", nil},
	} {
		if diff := cmp.Diff(c.want, listed(t, s, c.prefix, c.after)); diff != "" {
			t.Errorf("List(%q, %q): %s", c.prefix, c.after, diff)
		}
	}
	for _, err := range s.List(soon(t), "", "") {
		if err != nil {
			t.Error(err)
		}
		break // ending a list early is fine, as Close will show
	}
}

// stateListConsistent changes two keys together, again and again: a list never sees them differ, and does
// not see what is committed while it runs.
func stateListConsistent(t *testing.T, open Opener) {
	s := open.fresh(t).State
	mustCommit(t, s, set("a", "0"), set("z", "0"))
	for i := 1; i <= 20; i++ {
		values := make(map[store.Key]string)
		for r, err := range s.List(soon(t), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			values[r.Key] = string(r.Value)
			if r.Key == "a" {
				value := strconv.Itoa(i)
				mustCommit(t, s, set("a", value), set("m", value), set("z", value))
			}
		}
		if values["a"] != values["z"] {
			t.Fatalf("one list saw %v", values)
		}
	}
}

func stateReopen(t *testing.T, open Opener) {
	dir := t.TempDir()
	e := open(t, dir)
	mustCommit(t, e.State, set("a", "1"), set("b", "1"))
	mustCommit(t, e.State, store.Change{Key: "a", Delete: true}, set("c", ""))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b=1", "c="}, listed(t, open.at(t, dir).State, "", "")); diff != "" {
		t.Error(diff)
	}
}

func stateSizes(t *testing.T, open Opener) {
	s := open.fresh(t).State
	for _, size := range []int{0, 1, 4095, 1 << 16, 900 << 10} {
		value := make([]byte, size)
		for i := range value {
			value[i] = byte(i * 7)
		}
		key := store.NewKey("size", strconv.Itoa(size))
		mustCommit(t, s, store.Change{Key: key, Value: value})
		r, err := s.Get(soon(t), key)
		if err != nil || !cmp.Equal(value, r.Value) {
			t.Errorf("a value of %d bytes came back with %d, %v", size, len(r.Value), err)
		}
	}
}
