package logstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hotaru/store"
)

// TestPagesAddUp reads groups of random events in pages of every kind, which together must be what one sorted list says.
func TestPagesAddUp(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 12 {
		s := open(t, t.TempDir(), Options{SegmentBytes: 300 << 10})
		type known struct {
			ms     int
			stream string
			text   string
		}
		var all []known
		spread := []int{1, 50, 100_000}[round%3] // many, some and few events in the same millisecond
		for i := range 6000 {
			k := known{ms: i/100 + random.IntN(spread), stream: "s" + strconv.Itoa(random.IntN(4)), text: fmt.Sprint(i, strings.Repeat("x", random.IntN(300)))}
			all = append(all, k)
			if lost := stream(t, s, "g", k.stream).Append(event(k.ms, k.text)); lost > 0 {
				t.Fatal("events were dropped")
			}
			if i%500 == 0 {
				flush(t, s)
			}
		}
		flush(t, s)
		slices.SortStableFunc(all, func(a, b known) int { return a.ms - b.ms })
		for range 12 {
			q := Query{Scope: here, Group: "g", Limit: 1 + random.IntN(4000), MaxBytes: random.IntN(2) * (1 + random.IntN(200_000)),
				MaxScan: int64(random.IntN(2) * (1 + random.IntN(500_000))), Backward: random.IntN(2) == 0, From: at(random.IntN(30)), To: at(40 + random.IntN(spread))}
			digit := strconv.Itoa(random.IntN(10))
			q.Match = func(message []byte) bool { return bytes.Contains(message[:1], []byte(digit)) }
			q.Streams = func(name string) bool { return name != "s1" }
			var want []string
			for _, k := range all {
				if !at(k.ms).Before(q.From) && at(k.ms).Before(q.To) && k.stream != "s1" && strings.HasPrefix(k.text, digit) {
					want = append(want, k.text)
				}
			}
			if q.Backward {
				slices.Reverse(want)
			}
			same(t, fmt.Sprintf("pages of %+v", q), want, readAll(t, s, q))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// readAll follows pages to the end, each within its bounds.
func readAll(t *testing.T, s *Store, q Query) []string {
	t.Helper()
	var got []string
	for {
		page, err := s.Read(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for i, e := range page.Events {
			if q.MaxBytes > 0 && size >= q.MaxBytes || i >= q.Limit {
				t.Fatalf("a page of %d events with more than %d bytes for %+v", len(page.Events), size, q)
			}
			size += EventBytes(e.Message)
			got = append(got, e.Message)
		}
		if !page.More {
			return got
		}
		if page.Next == q.After {
			t.Fatalf("no way on from %v for %+v", page.Next, q)
		}
		q.After = page.Next
	}
}

func TestPut(t *testing.T) {
	s := open(t, t.TempDir(), Options{MaxPending: 100})
	if _, err := s.LookUp(here, "g", "a"); !errors.Is(err, store.ErrNotFound) || errors.Is(err, ErrNoStream) {
		t.Errorf("stream of a missing group: %v", err)
	}
	if _, err := s.CreateStream(t.Context(), here, "g", "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("creating a stream in a missing group: %v", err)
	}
	if made, err := s.CreateGroup(t.Context(), here, "g"); !made || err != nil {
		t.Fatal(made, err)
	}
	if _, err := s.LookUp(here, "g", "a"); !errors.Is(err, ErrNoStream) {
		t.Errorf("missing stream: %v", err)
	}
	for _, first := range []bool{true, false} {
		if made, err := s.CreateStream(t.Context(), here, "g", "a"); made != first || err != nil {
			t.Errorf("creating a stream: made %v, want %v: %v", made, first, err)
		}
	}
	st, err := s.LookUp(here, "g", "a")
	if err != nil {
		t.Fatal(err)
	}

	release := hold(t, s)
	if err := st.tryAppend(event(0, "in the way")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := st.Put(ctx, event(1, "one"), event(2, "two")); !errors.Is(err, context.Canceled) {
		t.Errorf("put without room: %v", err)
	}
	release()
	if err := st.Put(t.Context(), event(1, "one"), event(2, strings.Repeat("two", 100))); err != nil {
		t.Error(err)
	}
	same(t, "events", []string{"in the way", "one", strings.Repeat("two", 100)}, read(t, s, Query{Group: "g", Stream: "a"}))

	if err := s.DeleteStream(t.Context(), here, "g", "a"); err != nil {
		t.Fatal(err)
	}
	if err := st.Put(t.Context(), event(3, "late")); !errors.Is(err, ErrNoStream) {
		t.Errorf("put to a deleted stream: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := st.Put(t.Context(), event(3, "late")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("put to a closed store: %v", err)
	}
}

// tryAppend appends without waiting for the writer.
func (s *Stream) tryAppend(e Event) error {
	_, err := s.tryPut(1, []Event{e})
	return err
}

// BenchmarkReadByTime reads a minute out of a day's events: what it must, whatever the group's size.
func BenchmarkReadByTime(b *testing.B) {
	for _, events := range []int{20_000, 200_000} {
		b.Run(strconv.Itoa(events), func(b *testing.B) {
			s := open(b, b.TempDir(), Options{SegmentBytes: 4 << 20, MaxPending: 1 << 30, MaxPendingTotal: 1 << 30})
			st := stream(b, s, "g", "a")
			for i := range events {
				st.Append(event(i*1000, "REPORT RequestId: 4b0f0d1c-0000-0000-0000-000000000000\tDuration: 1.02 ms\n"))
			}
			flush(b, s)
			q := Query{Scope: here, Group: "g", From: at(events * 500), To: at(events*500 + 60_000), Match: func(m []byte) bool { return m[0] == 'R' }}
			b.ReportAllocs()
			for b.Loop() {
				page, err := s.Read(b.Context(), q)
				if err != nil || len(page.Events) != 60 {
					b.Fatal(len(page.Events), err)
				}
			}
		})
	}
}
