package logstore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"hotaru/store"
)

// crashDir is set for the child process of TestKill.
const crashDir = "LOGSTORE_CRASH_DIR"

// crashChild appends numbered lines to four streams for ever and says on its standard output which round it flushed.
func crashChild(dir string) {
	s, err := Open(dir, Options{SegmentBytes: 256 << 10})
	if err != nil {
		fmt.Println("open:", err)
		return
	}
	streams := make([]*Stream, 4)
	for i := range streams {
		if streams[i], err = s.Stream(here, "g", fmt.Sprint(i)); err != nil {
			fmt.Println("stream:", err)
			return
		}
	}
	for round := 0; ; round++ {
		for _, st := range streams {
			st.Append(event(round, fmt.Sprintf("%d %s", round, strings.Repeat("x", round%300))))
		}
		if round%100 == 99 {
			if err := s.Flush(context.Background()); err != nil {
				fmt.Println("flush:", err)
				return
			}
			fmt.Println(round)
		}
	}
}

// TestKill ends a writing process with SIGKILL, again and again, in the same directory. What was flushed is there, and
// each stream is a gapless beginning of what was written.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	for run := range 4 {
		flushed := killedChild(t, filepath.Join(dir, fmt.Sprint(run)), 5+20*run)
		s := open(t, filepath.Join(dir, fmt.Sprint(run)), Options{})
		for i := range 4 {
			checkGapless(t, s, fmt.Sprint(i), flushed)
		}
		stream(t, s, "g", "0").Append(event(1<<30, "life goes on"))
		flush(t, s)
		last := read(t, s, Query{Group: "g", Backward: true, Limit: 1})
		same(t, "the newest event", []string{"life goes on"}, last)
	}
}

// killedChild runs the child until it has flushed some rounds and returns the last round that it told of.
func killedChild(t *testing.T, dir string, reports int) int {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	last := -1
	for n := 0; lines.Scan(); n++ {
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			t.Errorf("the child says: %s", lines.Text())
			break
		}
		if n == reports {
			if err := child.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := child.Wait(); err == nil {
		t.Error("the child ended by itself")
	}
	return last
}

func checkGapless(t *testing.T, s *Store, name string, flushed int) {
	t.Helper()
	q := Query{Scope: here, Group: "g", Stream: name}
	round := 0
	for {
		page, err := s.Read(t.Context(), q)
		if err != nil || len(page.Damage) > 0 {
			t.Fatalf("after a kill: %v, %v", err, page.Damage)
		}
		for _, e := range page.Events {
			if want := fmt.Sprintf("%d %s", round, strings.Repeat("x", round%300)); e.Message != want {
				t.Fatalf("stream %s: event %d is %q", name, round, e.Message)
			}
			round++
		}
		if len(page.Events) < MaxLimit {
			break
		}
		q.After = page.Events[len(page.Events)-1].Position
	}
	if round <= flushed {
		t.Errorf("stream %s ends before round %d, but %d was flushed", name, round, flushed)
	}
}

// TestTornTail cuts the only segment at every length that a crash may leave.
func TestTornTail(t *testing.T) {
	whole, ends := smallSegment(t)
	for size := range whole {
		dir := t.TempDir()
		path := plant(t, dir, whole[:size])
		s := open(t, dir, Options{})
		want := 0
		for _, end := range ends {
			if size >= end {
				want++
			}
		}
		if size < ends[0] {
			if groups := s.Groups(here); len(groups) != 0 {
				t.Fatalf("%d bytes are a group: %v", size, groups)
			}
			continue
		}
		// The records are header, stream, three events.
		if got := read(t, s, Query{Group: "g"}); len(got) != max(0, want-2) {
			t.Fatalf("%d bytes have %d events, %d records are whole", size, len(got), want)
		}
		if info, err := os.Stat(path); err != nil || int(info.Size()) != ends[want-1] {
			t.Fatalf("%d bytes became %v, %v", size, info.Size(), err)
		}
		stream(t, s, "g", "s").Append(event(9, "next"))
		flush(t, s)
		got := read(t, s, Query{Group: "g", Backward: true, Limit: 1})
		same(t, "the next event", []string{"next"}, got)
	}
}

// TestFlippedBit flips a bit in every byte of a segment: the damage is named, or the store refuses, and the file stays
// as it is; and no event that was never written comes out.
func TestFlippedBit(t *testing.T) {
	whole, ends := smallSegment(t)
	for offset := range whole {
		bad := append([]byte(nil), whole...)
		bad[offset] ^= 1
		dir := t.TempDir()
		path := plant(t, dir, bad)
		s, err := Open(dir, Options{})
		if err != nil {
			if offset >= ends[0] || !errors.Is(err, store.ErrDamaged) {
				t.Fatalf("byte %d: %v", offset, err)
			}
			continue
		}
		if offset < ends[0] {
			t.Fatalf("byte %d: the header is damaged, and nobody says so", offset)
		}
		last := offset >= ends[len(ends)-2]
		page, err := s.Read(t.Context(), Query{Scope: here, Group: "g"})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Damage) == 0 && !last {
			t.Errorf("byte %d: nobody says that it is damaged", offset)
		}
		for _, e := range page.Events {
			if !strings.HasPrefix(e.Message, "event ") {
				t.Errorf("byte %d: an event %q", offset, e.Message)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if now, err := os.ReadFile(path); err != nil || !last && !bytes.Equal(now, bad) {
			t.Errorf("byte %d: the file was changed, %v", offset, err)
		}
	}
}

// smallSegment is a segment with a header, a stream and three events, and where each record ends.
func smallSegment(t *testing.T) (whole []byte, ends []int) {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir, Options{})
	stream(t, s, "g", "s").Append(event(0, "event 0"), event(1, "event 1"), event(2, "event 2"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	paths, err := segmentPaths(filepath.Join(dir, groupKey{here, "g"}.dir()))
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	whole, err = os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	end := 0
	walk(whole, func(_ record, size int) { end += size; ends = append(ends, end) }, func(int, int) {})
	if len(ends) != 5 || end != len(whole) {
		t.Fatalf("records end at %v of %d", ends, len(whole))
	}
	return whole, ends
}

// plant writes a segment of group g into a store's directory.
func plant(t *testing.T, dir string, content []byte) string {
	t.Helper()
	group := filepath.Join(dir, groupKey{here, "g"}.dir())
	if err := os.MkdirAll(group, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(group, fmt.Sprintf("%016x%s", 1, segmentSuffix))
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
