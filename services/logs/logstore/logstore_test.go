package logstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"hotaru/awsapi"
	"hotaru/store"
)

func TestMain(m *testing.M) {
	if os.Getenv(crashDir) != "" {
		crashChild(os.Getenv(crashDir))
		return
	}
	goleak.VerifyTestMain(m)
}

var here = awsapi.Scope{Partition: "aws", Account: "123456789012", Region: "eu-west-1"}

// noon is the time of most events; ms later ones follow it.
var noon = time.UnixMilli(1_700_000_000_000)

func at(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

func open(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
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

func stream(t testing.TB, s *Store, group, name string) *Stream {
	t.Helper()
	st, err := s.Stream(here, group, name)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func flush(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func event(ms int, message string) Event { return Event{Time: at(ms), Message: []byte(message)} }

// read returns the messages that a query finds.
func read(t testing.TB, s *Store, q Query) []string {
	t.Helper()
	q.Scope = here
	page, err := s.Read(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Damage) > 0 {
		t.Errorf("damage: %v", page.Damage)
	}
	var messages []string
	for _, e := range page.Events {
		messages = append(messages, e.Message)
	}
	return messages
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestRefusals(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for name, call := range map[string]func() error{
		"read":          func() error { _, err := s.Read(t.Context(), Query{Scope: here, Group: "none"}); return err },
		"tail":          func() error { _, err := s.Tail(here, "none", ""); return err },
		"streams":       func() error { _, err := s.Streams(here, "none"); return err },
		"delete group":  func() error { return s.DeleteGroup(t.Context(), here, "none") },
		"delete stream": func() error { return s.DeleteStream(t.Context(), here, "none", "none") },
		"trim":          func() error { return s.Trim(t.Context(), here, "none", noon) },
	} {
		if err := call(); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s of a missing group: %v", name, err)
		}
	}
	for _, name := range []string{"", strings.Repeat("x", 5000)} {
		if _, err := s.Stream(here, name, "s"); err == nil {
			t.Errorf("a group name of %d bytes was taken", len(name))
		}
		if _, err := s.Stream(here, "g", name); err == nil {
			t.Errorf("a stream name of %d bytes was taken", len(name))
		}
	}
	st := stream(t, s, "g", "s")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := st.Append(event(0, "late")); n != 1 {
		t.Errorf("after Close, Append dropped %d", n)
	}
	if _, err := s.Stream(here, "g", "s"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after Close, Stream: %v", err)
	}
	if err := s.Flush(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after Close, Flush: %v", err)
	}
}

func TestReadByTimeAndStream(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	a, b := stream(t, s, "g", "a"), stream(t, s, "g", "b")
	a.Append(event(10, "a10"), event(30, "a30"))
	b.Append(event(20, "b20"), event(30, "b30"))
	a.Append(event(5, "a05"))
	flush(t, s)
	for _, c := range []struct {
		name string
		q    Query
		want []string
	}{
		{"all, by time, then arrival", Query{}, []string{"a05", "a10", "b20", "a30", "b30"}},
		{"one stream", Query{Stream: "a"}, []string{"a05", "a10", "a30"}},
		{"a missing stream", Query{Stream: "c"}, nil},
		{"another group", Query{Group: "h"}, nil},
		{"from is in, to is out", Query{From: at(10), To: at(30)}, []string{"a10", "b20"}},
		{"the first two", Query{Limit: 2}, []string{"a05", "a10"}},
		{"the last two, newest first", Query{Limit: 2, Backward: true}, []string{"b30", "a30"}},
		{"nothing before the beginning", Query{To: at(5)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.q.Group == "" {
				c.q.Group = "g"
			} else {
				stream(t, s, c.q.Group, "x")
			}
			same(t, "messages", c.want, read(t, s, c.q))
		})
	}
}

// TestPages walks through many small blocks and segments in both directions, with times out of order.
func TestPages(t *testing.T) {
	s := open(t, t.TempDir(), Options{SegmentBytes: 100 << 10})
	st := stream(t, s, "g", "s")
	const events = 5000
	filler := strings.Repeat(".", 100)
	for i := range events {
		late := i ^ 63 // each 64 arrive in reverse
		st.Append(event(late, fmt.Sprintf("%04d%s", late, filler)))
		if i%500 == 499 {
			flush(t, s)
		}
	}
	paths, err := segmentPaths(filepath.Join(s.dir, groupKey{here, "g"}.dir()))
	if err != nil || len(paths) < 4 {
		t.Fatalf("%d segments, %v; the test wants several", len(paths), err)
	}
	for _, backward := range []bool{false, true} {
		q := Query{Scope: here, Group: "g", Stream: "s", Limit: 333, Backward: backward}
		var got []int64
		for {
			page, err := s.Read(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				got = append(got, e.Time.UnixMilli()-noon.UnixMilli())
			}
			if len(page.Events) < q.Limit {
				break
			}
			q.After = page.Events[len(page.Events)-1].Position
		}
		checkOrder(t, got, backward)
	}
}

func checkOrder(t *testing.T, got []int64, backward bool) {
	t.Helper()
	last := int64(63 | 4999)
	seen := map[int64]bool{}
	for i, ms := range got {
		seen[ms] = true
		if i > 0 && (ms > got[i-1]) == backward {
			t.Fatalf("backward=%v: %d ms after %d ms", backward, ms, got[i-1])
		}
	}
	if len(got) != 5000 || len(seen) != 5000 || !seen[last] {
		t.Errorf("backward=%v: %d events, %d different, last seen: %v", backward, len(got), len(seen), seen[last])
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{SegmentBytes: 64 << 10})
	for i := range 3000 {
		stream(t, s, "g", fmt.Sprintf("s%d", i%3)).Append(event(i, fmt.Sprintf("%d %s", i, strings.Repeat("x", 80))))
		if i%300 == 0 {
			flush(t, s)
		}
	}
	if _, err := s.CreateGroup(t.Context(), here, "empty"); err != nil {
		t.Fatal(err)
	}
	flush(t, s)
	want := read(t, s, Query{Group: "g"})
	wantStreams, err := s.Streams(here, "g")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, checkpoints := range []string{"kept", "lost", "damaged"} {
		mistreat(t, dir, checkpoints)
		s := open(t, dir, Options{SegmentBytes: 64 << 10})
		same(t, "events, checkpoints "+checkpoints, want, read(t, s, Query{Group: "g"}))
		streams, err := s.Streams(here, "g")
		if err != nil {
			t.Fatal(err)
		}
		same(t, "streams, checkpoints "+checkpoints, wantStreams, streams)
		same(t, "number of groups", 2, len(s.Groups(here)))
		st := stream(t, s, "g", "s1")
		st.Append(event(100_000, "again"))
		flush(t, s)
		want = append(want, "again")
		wantStreams[1].Events++
		wantStreams[1].StoredBytes += 5
		wantStreams[1].LastEvent = at(100_000)
		wantStreams[1].LastIngestion = mustStream(t, s, 1).LastIngestion
		same(t, "events after a new one", want, read(t, s, Query{Group: "g"}))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func mustStream(t *testing.T, s *Store, i int) StreamInfo {
	t.Helper()
	infos, err := s.Streams(here, "g")
	if err != nil {
		t.Fatal(err)
	}
	return infos[i]
}

// mistreat does to all checkpoint files what a crash or a bad disk may do.
func mistreat(t *testing.T, dir, how string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != checkpointSuffix {
			return err
		}
		switch how {
		case "lost":
			return os.Remove(path)
		case "damaged":
			return flipByte(path, 8)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func flipByte(path string, offset int) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[offset] ^= 0x10
	return os.WriteFile(path, b, 0o600)
}

func TestHostileNames(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "logs"), Options{})
	names := []string{"../../etc", "/", ".", "..", "a/b", "A/b", "a\x00b", "a\nb", strings.Repeat("ö", 2000), ".deleted-x",
		"/aws/lambda/f", "~", "con"}
	for _, name := range names {
		stream(t, s, name, name).Append(event(0, name))
	}
	other := here
	other.Region = "us-east-1"
	elsewhere, err := s.Stream(other, names[0], "s")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere.Append(event(0, "elsewhere"))
	flush(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, filepath.Join(dir, "logs"), Options{})
	for _, name := range names {
		same(t, "events of a group", []string{name}, read(t, s, Query{Group: name, Stream: name}))
	}
	same(t, "groups here", len(names), len(s.Groups(here)))
	same(t, "groups elsewhere", []string{names[0]}, []string{s.Groups(other)[0].Name})
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the store: %v, %v", entries, err)
	}
}

func TestConcurrentAppendersKeepOrder(t *testing.T) {
	s := open(t, t.TempDir(), Options{FlushInterval: time.Millisecond, MaxWait: time.Minute})
	const writers, each = 16, 2000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			st := stream(t, s, fmt.Sprintf("g%d", w%2), fmt.Sprintf("s%d", w))
			for i := range each {
				if n := st.Append(event(0, fmt.Sprint(i))); n != 0 {
					t.Errorf("dropped %d", n)
				}
			}
		})
	}
	wg.Wait()
	flush(t, s)
	for w := range writers {
		got := read(t, s, Query{Group: fmt.Sprintf("g%d", w%2), Stream: fmt.Sprintf("s%d", w)})
		if len(got) != each {
			t.Fatalf("stream %d has %d events", w, len(got))
		}
		for i, message := range got {
			if message != fmt.Sprint(i) {
				t.Fatalf("stream %d: event %d is %s", w, i, message)
			}
		}
	}
}

func TestLongMessagesAreSplitBetweenCharacters(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	long := strings.Repeat("ö", MaxMessage/2) + "€uro"
	long = "x" + long
	if n := stream(t, s, "g", "s").Append(event(0, long)); n != 0 {
		t.Fatalf("dropped %d", n)
	}
	flush(t, s)
	got := read(t, s, Query{Group: "g"})
	if len(got) != 2 || strings.Join(got, "") != long {
		t.Fatalf("%d events, whole: %v", len(got), strings.Join(got, "") == long)
	}
	if len(got[0]) != MaxMessage-1 {
		t.Errorf("the first piece has %d bytes", len(got[0]))
	}
}

func TestThousandsOfStreamsCostNoFiles(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	before := openFiles(t)
	for i := range 5000 {
		stream(t, s, fmt.Sprintf("g%d", i%50), fmt.Sprintf("s%d", i)).Append(event(i, "x"))
	}
	flush(t, s)
	if now := openFiles(t); now > before+3 {
		t.Errorf("%d files are open, %d were before", now, before)
	}
	infos, err := s.Streams(here, "g7")
	if err != nil || len(infos) != 100 {
		t.Errorf("%d streams, %v", len(infos), err)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc: ", err)
	}
	return len(entries)
}
