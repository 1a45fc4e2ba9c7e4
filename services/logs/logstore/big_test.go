package logstore

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bytesRead is how much this process has read from files so far, in bytes.
func bytesRead(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skip("the kernel does not count what is read: ", err)
	}
	var n int64
	if _, err := fmt.Sscanf(string(text), "rchar: %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// bigGroup writes a group of segments of 32 MiB each. It has a block of events for every ten seconds; the files are holes but
// for the headers, the indexes and the block of second wanted, whose events it returns.
func bigGroup(t *testing.T, dir string, segments, wanted int) (messages []string) {
	t.Helper()
	key := groupKey{here, "big"}
	if err := os.MkdirAll(filepath.Join(dir, key.dir()), 0o700); err != nil {
		t.Fatal(err)
	}
	seq, second := uint64(1), 0
	for range segments {
		seg, header := newSegment(filepath.Join(dir, key.dir()), key, noon.UnixMilli(), seq)
		head := appendRecord(header, record{kind: kindStream, stream: 1, time: noon.UnixMilli(), text: []byte("s")})
		walk(head, seg.add, func(int, int) {})
		parts := map[int64][]byte{0: head}
		for ; seg.size < 32<<20; second += 10 {
			if second != wanted {
				for _, ms := range []int{second * 1000, second*1000 + 9999} {
					seg.add(record{kind: kindEvent, stream: 1, seq: seq, time: at(ms).UnixMilli()}, blockBytes/2)
					seq++
				}
				continue
			}
			seg.closeBlock()
			var block []byte
			for i := 0; len(block) < blockBytes; i++ {
				text := fmt.Sprintf("event %d %s", i, strings.Repeat("x", 500))
				messages = append(messages, text)
				block = appendRecord(block, record{kind: kindEvent, stream: 1, seq: seq, time: at(second*1000 + i).UnixMilli(), text: []byte(text)})
				seq++
			}
			parts[seg.size] = block
			walk(block, seg.add, func(int, int) {})
		}
		for offset, part := range parts {
			if err := writeAt(seg.path, offset, part); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Truncate(seg.path, seg.size); err != nil {
			t.Fatal(err)
		}
		if err := seg.writeCheckpoint(seg.encode(), seg.size); err != nil {
			t.Fatal(err)
		}
	}
	return messages
}

// TestGigabyteByTime: whoever asks for ten seconds out of a gigabyte of logs costs no reading of the gigabyte, and neither
// does a start.
func TestGigabyteByTime(t *testing.T) {
	dir := t.TempDir()
	const wanted = 80_000
	messages := bigGroup(t, dir, 32, wanted)
	start := bytesRead(t)
	s := open(t, dir, Options{})
	info, err := s.Group(here, "big")
	if err != nil || info.StoredBytes < 1<<30 {
		t.Fatalf("%d bytes, %v", info.StoredBytes, err)
	}
	opened := bytesRead(t)
	if read := opened - start; read > 8<<20 {
		t.Errorf("the start read %d bytes", read)
	}
	q := Query{Group: "big", From: at(wanted * 1000), To: at((wanted + 10) * 1000)}
	same(t, "events", messages, read(t, s, q))
	searched := bytesRead(t)
	if read := searched - opened; read > 1<<20 {
		t.Errorf("the search read %d bytes", read)
	}
	q.Backward, q.Limit = true, 3
	n := len(messages)
	same(t, "the last events", []string{messages[n-1], messages[n-2], messages[n-3]}, read(t, s, q))
	if read := bytesRead(t) - searched; read > 1<<20 {
		t.Errorf("the search backward read %d bytes", read)
	}
	t.Logf("of %d bytes the start read %d and a search %d", info.StoredBytes, opened-start, searched-opened)
}

// TestTailOfGigabyte: a follower who was away reads what came since, and no more.
func TestTailOfGigabyte(t *testing.T) {
	dir := t.TempDir()
	bigGroup(t, dir, 32, -1)
	s := open(t, dir, Options{})
	tail, err := s.Tail(here, "big", "")
	if err != nil {
		t.Fatal(err)
	}
	position := tail.Position()
	stream(t, s, "big", "s").Append(Event{Time: time.Now(), Message: []byte("new")})
	flush(t, s)
	if tail, err = s.Tail(here, "big", ""); err != nil {
		t.Fatal(err)
	}
	tail.Seek(position)
	before := bytesRead(t)
	events, err := tail.Next(t.Context())
	if err != nil || len(events) != 1 || events[0].Message != "new" {
		t.Fatalf("%v, %v", events, err)
	}
	if read := bytesRead(t) - before; read > 1<<20 {
		t.Errorf("following read %d bytes", read)
	}
}
