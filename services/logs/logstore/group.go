package logstore

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"hotaru/store"
)

// group is one log group: streams, what waits to be written, and segments.
type group struct {
	store *Store
	key   groupKey
	dir   string

	// stuck is a batch that could not be written yet. Only the writer touches it.
	stuck []byte
	// taken and written are how many deletions were in batches, and in those that are written. Only the writer touches them.
	taken, written int

	mu      sync.Mutex
	created int64
	streams map[string]*Stream
	// byNumber holds the same streams as streams.
	byNumber map[uint32]*Stream
	// deleted are the numbers of streams whose events are hidden.
	deleted    map[uint32]bool
	lastNumber uint32
	lastSeq    uint64
	// pending are encoded records in the order of arrival.
	pending []byte
	// deletions of streams there have been. As long as one waits, everything that waits is written whatever the reserve is:
	// that is no more than may wait at all, and logging alone does not ask for it.
	deletions int
	// dirty: the group is in the store's list of groups to flush.
	dirty bool
	// room is closed when pending was taken by the writer.
	room chan struct{}
	// losing are the streams that dropped events since pending was taken last.
	losing []*Stream
	// segments are sealed but for the last. Only the writer changes them.
	segments []*segment
	// changed is closed when new events can be read.
	changed chan struct{}
	gone    bool
}

func newGroup(s *Store, key groupKey, created int64) *group {
	return &group{
		store: s, key: key, created: created, dir: filepath.Join(s.dir, key.dir()),
		streams: map[string]*Stream{}, byNumber: map[uint32]*Stream{}, deleted: map[uint32]bool{},
		room: make(chan struct{}), changed: make(chan struct{}),
	}
}

// openGroup reads a group's directory. It answers nil if a crash left a directory in which nothing was ever whole.
func openGroup(s *Store, dir string) (*group, error) {
	segments, err := openSegments(dir)
	if err != nil {
		return nil, err
	}
	if len(segments) == 0 {
		return nil, os.RemoveAll(dir)
	}
	g := newGroup(s, segments[0].key, segments[0].created)
	for _, seg := range segments {
		if seg.key != g.key || g.dir != dir {
			return nil, fmt.Errorf("logstore: %s belongs to another group: %w", seg.path, store.ErrDamaged)
		}
		g.lastSeq = max(g.lastSeq, seg.lastSeq)
		maps.Copy(g.deleted, seg.deleted)
	}
	for _, seg := range segments {
		for number, stats := range seg.streams {
			g.lastNumber = max(g.lastNumber, number)
			if !g.deleted[number] {
				g.addStreamLocked(stats.name, number, stats.created)
			}
		}
	}
	g.segments = segments
	return g, nil
}

func openSegments(dir string) ([]*segment, error) {
	paths, err := segmentPaths(dir)
	if err != nil {
		return nil, err
	}
	var segments []*segment
	for i, path := range paths {
		last := i == len(paths)-1
		seg, err := openSegment(path, last)
		if last && errors.Is(err, io.ErrUnexpectedEOF) {
			if err := (&segment{path: path}).remove(); err != nil {
				return nil, err
			}
			break
		}
		if err != nil {
			return nil, err
		}
		if !last {
			seg.seal()
		}
		segments = append(segments, seg)
	}
	// A sealed segment is never appended to, so the last one may stay sealed: the next batch begins another.
	return segments, nil
}

// streamLocked returns the stream, declaring it if it is new.
func (g *group) streamLocked(name string, now time.Time) *Stream {
	if s := g.streams[name]; s != nil {
		return s
	}
	s := g.addStreamLocked(name, g.lastNumber+1, now.UnixMilli())
	g.lastNumber++
	g.appendLocked(record{kind: kindStream, stream: s.number, time: s.created, text: []byte(name)})
	return s
}

func (g *group) addStreamLocked(name string, number uint32, created int64) *Stream {
	s := &Stream{group: g, name: name, number: number, created: created}
	g.streams[name] = s
	g.byNumber[number] = s
	return s
}

// deleteStreamLocked hides the stream's events and forgets its name.
func (g *group) deleteStreamLocked(s *Stream) {
	delete(g.streams, s.name)
	delete(g.byNumber, s.number)
	g.deleted[s.number] = true
	g.deletions++
	s.gone = true
	g.appendLocked(record{kind: kindDeleted, stream: s.number})
}

// appendLocked encodes the record into pending, whatever room there is, and calls the writer.
func (g *group) appendLocked(r record) {
	if g.pending == nil {
		g.pending = g.store.buffer()
	}
	g.lastSeq++
	r.seq = g.lastSeq
	before := len(g.pending)
	g.pending = appendRecord(g.pending, r)
	g.store.pending.Add(int64(len(g.pending) - before))
	g.markLocked()
}

// markLocked puts the group on the writer's list, and hurries the writer if much is waiting.
func (g *group) markLocked() {
	if !g.dirty {
		g.dirty = true
		g.store.markDirty(g)
	}
	if len(g.pending) >= g.store.options.FlushBytes {
		signal(g.store.hurry)
	}
}

// hasRoomLocked says whether n more bytes may wait.
func (g *group) hasRoomLocked(n int) bool {
	o := &g.store.options
	return len(g.pending)+n <= o.MaxPending && g.store.pending.Load()+int64(n) <= int64(o.MaxPendingTotal)
}

// take gives the writer what is pending and makes room for more. Each stream that lost events says so at the end.
func (g *group) take(now time.Time) (batch []byte, gone bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.losing {
		text := fmt.Sprintf("hotaru: %d log events are missing here: they came faster than they could be stored", s.dropped)
		s.dropped = 0
		g.appendLocked(record{kind: kindEvent, stream: s.number, time: now.UnixMilli(), ingested: now.UnixMilli(), text: []byte(text)})
	}
	batch, g.pending, g.losing, g.dirty = g.pending, nil, nil, false
	g.taken = g.deletions
	g.store.pending.Add(-int64(len(batch)))
	close(g.room)
	g.room = make(chan struct{})
	return batch, g.gone
}

// deleting says whether a deletion waits. Only the writer calls it.
func (g *group) deleting() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.deletions != g.written
}

// declarations are the records that a segment lacks before it may hold the batch: the names of its streams.
func (g *group) declarations(seg *segment, batch []byte) []byte {
	var numbers []uint32
	declared := map[uint32]bool{}
	walk(batch, func(r record, _ int) {
		if r.kind == kindEvent && !declared[r.stream] && seg.streams[r.stream] == nil {
			numbers = append(numbers, r.stream)
		}
		declared[r.stream] = true
	}, func(int, int) {})
	var b []byte
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, number := range numbers {
		if s := g.byNumber[number]; s != nil {
			b = appendRecord(b, record{kind: kindStream, stream: s.number, time: s.created, text: []byte(s.name)})
		}
	}
	return b
}

// wrote makes what was written to the end of the segment readable.
func (g *group) wrote(seg *segment, parts ...[]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, part := range parts {
		walk(part, seg.add, func(int, int) {})
	}
	if !slices.Contains(g.segments, seg) {
		g.segments = append(slices.Clip(g.segments), seg)
	}
	g.changedLocked()
}

// seal ends a segment.
func (g *group) seal(seg *segment) {
	g.mu.Lock()
	defer g.mu.Unlock()
	seg.seal()
}

// nextSeq is a number that no record on disk has yet, for the name of a new segment.
func (g *group) nextSeq() uint64 {
	if n := len(g.segments); n > 0 {
		return g.segments[n-1].lastSeq + 1
	}
	return 1
}

// changedLocked wakes everybody who waits for new events.
func (g *group) changedLocked() {
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *group) wakeTails() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changedLocked()
}

// end marks the group deleted: what waits is dropped, and tails stop.
func (g *group) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone {
		return
	}
	g.gone = true
	g.store.pending.Add(-int64(len(g.pending)))
	g.pending, g.losing = nil, nil
	close(g.room)
	g.room = make(chan struct{})
	g.changedLocked()
}
