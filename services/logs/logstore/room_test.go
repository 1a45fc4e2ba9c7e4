package logstore

import (
	"errors"
	"strings"
	"testing"

	"hotaru/store"
)

// A disk that is down to its reserve gets no more events. They wait, as many as may, and groups can still be deleted; when
// there is room again, what has waited is written.
func TestReserve(t *testing.T) {
	s := open(t, t.TempDir(), Options{MaxPending: 4 << 10, ReserveBytes: 1 << 62})
	st := stream(t, s, "g", "s")
	for i := range 100 {
		st.Append(event(i, strings.Repeat("x", 100)))
	}
	if err := s.Flush(t.Context()); !errors.Is(err, store.ErrFull) {
		t.Fatalf("%v, want %v", err, store.ErrFull)
	}
	// A batch that could not be written is kept; behind it waits what there is room for.
	if pending := s.Pending(); s.Dropped() == 0 || pending > 8<<10 {
		t.Errorf("%d were dropped and %d bytes wait", s.Dropped(), pending)
	}
	if segments, err := segmentPaths(st.group.dir); err == nil && len(segments) > 0 {
		t.Errorf("there are %v", segments)
	}
	// So can streams: what waits in their group is written with that, and nothing after it.
	stream(t, s, "shrinks", "doomed").Append(event(0, "x"))
	stays := stream(t, s, "shrinks", "stays")
	stays.Append(event(1, "y"))
	if err := s.DeleteStream(t.Context(), here, "shrinks", "doomed"); err != nil {
		t.Error(err)
	}
	stays.Append(event(2, "z"))
	if err := s.Flush(t.Context()); !errors.Is(err, store.ErrFull) {
		t.Errorf("%v, want %v", err, store.ErrFull)
	}
	if got := read(t, s, Query{Group: "shrinks"}); len(got) != 1 {
		t.Errorf("%q can be read", got)
	}
	stream(t, s, "doomed", "s").Append(event(0, "x"))
	if err := s.DeleteGroup(t.Context(), here, "doomed"); err != nil {
		t.Error(err)
	}
	err := s.request(t.Context(), func(w *writer) error {
		w.s.options.ReserveBytes = 1
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	flush(t, s)
	got := read(t, s, Query{Group: "g"})
	if kept := 100 - int(s.Dropped()); len(got) != kept+1 {
		t.Errorf("%d events, want the %d that were kept and a word on the others", len(got), kept)
	}
}
