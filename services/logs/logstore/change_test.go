package logstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotaru/store"
)

func TestDeleteGroup(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	held := stream(t, s, "g", "s")
	held.Append(event(0, "old"))
	flush(t, s)
	tail, err := s.Tail(here, "g", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteGroup(t.Context(), here, "g"); err != nil {
		t.Fatal(err)
	}
	if n := held.Append(event(1, "into the void")); n != 1 {
		t.Errorf("a stream of a deleted group dropped %d", n)
	}
	if _, err := tail.Next(t.Context()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a tail of a deleted group: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	stream(t, s, "g", "s").Append(event(2, "new"))
	flush(t, s)
	same(t, "events of the new group", []string{"new"}, read(t, s, Query{Group: "g"}))
}

func TestInterruptedDeletionIsFinishedAtOpen(t *testing.T) {
	dir := t.TempDir()
	doomed := filepath.Join(dir, deletedPrefix+"g")
	if err := os.MkdirAll(filepath.Join(doomed, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, Options{})
	if _, err := os.Stat(doomed); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
	same(t, "groups", 0, len(s.Groups(here)))
}

func TestDeleteStream(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	stream(t, s, "g", "keep").Append(event(0, "kept"))
	held := stream(t, s, "g", "s")
	held.Append(event(1, "old"))
	flush(t, s)
	if err := s.DeleteStream(t.Context(), here, "g", "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a missing stream: %v", err)
	}
	if err := s.DeleteStream(t.Context(), here, "g", "s"); err != nil {
		t.Fatal(err)
	}
	same(t, "events", []string{"kept"}, read(t, s, Query{Group: "g"}))
	if n := held.Append(event(2, "late")); n != 1 {
		t.Errorf("a deleted stream dropped %d", n)
	}
	stream(t, s, "g", "s").Append(event(3, "new"))
	flush(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mistreat(t, dir, "lost")
	s = open(t, dir, Options{})
	same(t, "events of the new stream", []string{"new"}, read(t, s, Query{Group: "g", Stream: "s"}))
	same(t, "all events", []string{"kept", "new"}, read(t, s, Query{Group: "g"}))
}

func TestTrim(t *testing.T) {
	s := open(t, t.TempDir(), Options{SegmentBytes: 4 << 10})
	st := stream(t, s, "g", "s")
	for i := range 100 {
		st.Append(event(i, strings.Repeat("x", 1000)))
		flush(t, s)
	}
	if err := s.Trim(t.Context(), here, "g", at(50)); err != nil {
		t.Fatal(err)
	}
	left := len(read(t, s, Query{Group: "g"}))
	if left < 50 || left > 55 {
		t.Errorf("%d events are left; 50 and at most one segment more are right", left)
	}
	if err := s.Trim(t.Context(), here, "g", at(1000)); err != nil {
		t.Fatal(err)
	}
	if left := len(read(t, s, Query{Group: "g"})); left == 0 || left > 5 {
		t.Errorf("%d events are left of the newest segment", left)
	}
	same(t, "first event", true, mustStream(t, s, 0).FirstEvent.After(at(90)))
}

func TestTail(t *testing.T) {
	s := open(t, t.TempDir(), Options{FlushInterval: time.Millisecond, SegmentBytes: 4 << 10})
	if _, err := s.CreateGroup(t.Context(), here, "g"); err != nil {
		t.Fatal(err)
	}
	if made, err := s.CreateGroup(t.Context(), here, "g"); made || err != nil {
		t.Errorf("the second creation: %v, %v", made, err)
	}
	all, err := s.Tail(here, "g", "")
	if err != nil {
		t.Fatal(err)
	}
	one, err := s.Tail(here, "g", "b")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := range 200 {
			name := []string{"a", "b"}[i%2]
			stream(t, s, "g", name).Append(event(-i, fmt.Sprintf("%s%d%s", name, i, strings.Repeat(".", 200))))
		}
	}()
	same(t, "all streams", true, follow(t, all, 200, func(i int, e StoredEvent) bool {
		return strings.HasPrefix(e.Message, fmt.Sprintf("%s%d.", e.Stream, i))
	}))
	same(t, "one stream", true, follow(t, one, 100, func(i int, e StoredEvent) bool {
		return strings.HasPrefix(e.Message, fmt.Sprintf("b%d.", 2*i+1))
	}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := one.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled tail: %v", err)
	}
	late, err := s.Tail(here, "g", "")
	if err != nil {
		t.Fatal(err)
	}
	stream(t, s, "g", "a").Append(event(0, "late"))
	events, err := late.Next(t.Context())
	if err != nil || len(events) != 1 || events[0].Message != "late" {
		t.Errorf("a late tail: %v, %v", events, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := late.Next(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a tail of a closed store: %v", err)
	}
}

// follow takes n events and says whether each is right and no more came.
func follow(t *testing.T, tail *Tail, n int, right func(int, StoredEvent) bool) bool {
	t.Helper()
	seen := 0
	for seen < n {
		events, err := tail.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if !right(seen, e) {
				t.Errorf("event %d is %.20q of %s", seen, e.Message, e.Stream)
				return false
			}
			seen++
		}
	}
	return seen == n
}

// TestDropsAreToldAndCounted holds the writer still, so that nothing makes room.
func TestDropsAreToldAndCounted(t *testing.T) {
	s := open(t, t.TempDir(), Options{MaxPending: 1000, FlushInterval: time.Hour, MaxWait: time.Millisecond})
	st := stream(t, s, "g", "s")
	release := hold(t, s)
	dropped := 0
	for i := range 20 {
		dropped += st.Append(event(i, strings.Repeat("x", 100)))
	}
	if dropped == 0 || dropped == 20 || s.Dropped() != uint64(dropped) {
		t.Fatalf("%d of 20 events were dropped, %d counted", dropped, s.Dropped())
	}
	release()
	flush(t, s)
	got := read(t, s, Query{Group: "g"})
	same(t, "events", 20-dropped+1, len(got))
	notice := fmt.Sprintf("hotaru: %d log events are missing here: they came faster than they could be stored", dropped)
	same(t, "the last event", notice, got[len(got)-1])
	if n := st.Append(event(100, "room again")); n != 0 {
		t.Errorf("with room again, %d were dropped", n)
	}
}

// TestAppendWaitsForRoom: with a writer that comes along within MaxWait nothing is lost.
func TestAppendWaitsForRoom(t *testing.T) {
	s := open(t, t.TempDir(), Options{MaxPending: 1000, FlushInterval: time.Hour, MaxWait: time.Minute})
	st := stream(t, s, "g", "s")
	for i := range 200 {
		if n := st.Append(event(i, strings.Repeat("x", 100))); n != 0 {
			t.Fatalf("event %d was dropped", i)
		}
	}
	flush(t, s)
	same(t, "events", 200, len(read(t, s, Query{Group: "g"})))
}

// hold keeps the writer busy until release is called.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	began, end, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.request(context.WithoutCancel(t.Context()), func(*writer) error {
			close(began)
			<-end
			return nil
		})
	}()
	<-began
	return func() {
		close(end)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestUnwritableDiskKeepsEvents replaces the group's directory by a file for a while.
func TestUnwritableDiskKeepsEvents(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{FlushInterval: time.Hour})
	blocked := filepath.Join(dir, groupKey{here, "g"}.dir())
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	st := stream(t, s, "g", "s")
	st.Append(event(0, "first"))
	if err := s.Flush(t.Context()); err == nil {
		t.Fatal("the flush claims to have written")
	}
	st.Append(event(1, "second"))
	if err := s.Flush(t.Context()); err == nil {
		t.Fatal("the second flush claims to have written")
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	flush(t, s)
	same(t, "events", []string{"first", "second"}, read(t, s, Query{Group: "g"}))
}
