package logstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"hotaru/awsapi"
)

// MaxLimit is the most events that one Read returns, and its default.
const MaxLimit = 10_000

// Query says which events to read.
type Query struct {
	Scope awsapi.Scope
	Group string
	// Stream is one stream's name; empty for all streams of the group, or those that Streams takes.
	Stream  string
	Streams func(name string) bool
	// From and To bound the events' time, in whole milliseconds, To not included. Zero is no bound.
	From, To time.Time
	// After is where an earlier page ended: Read goes on behind it, in the query's direction.
	After Position
	// Backward reads the newest events first.
	Backward bool
	// Limit is how many events to return at most; 0 or more than MaxLimit means MaxLimit.
	Limit int
	// MaxBytes ends the page with the event that reaches it, counted as EventBytes does; 0 is no bound.
	MaxBytes int
	// MaxScan is how much of the segments to look at, in bytes, before a page ends early; 0 is no bound.
	MaxScan int64
	// Match says which messages to return; nil takes all. It must not keep the message.
	Match func(message []byte) bool
}

// EventBytes is what an event counts for, in bytes: its message and 26 more, as in CloudWatch Logs.
func EventBytes(message string) int { return len(message) + 26 }

// StoredEvent is an event that was read.
type StoredEvent struct {
	Stream string
	// Time is the event's own, Ingested its arrival here; milliseconds.
	Time, Ingested time.Time
	Message        string
	Position       Position
}

// Position is an event's place in the order of a group: by time, then by arrival. The zero Position is before all.
type Position struct {
	// Time is in Unix milliseconds.
	Time int64
	// Seq is the event's number in its group, from 1.
	Seq uint64
}

// Compare orders positions as cmp.Compare does.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Time, q.Time), cmp.Compare(p.Seq, q.Seq))
}

// Page is what one Read found, in the query's direction.
type Page struct {
	Events []StoredEvent
	// Damage are bytes that Read had to look at and that are not what was written. Events may be missing there.
	Damage []Damage
	// Next is how far Read came: the After of the query that goes on, now or when there are further events.
	Next Position
	// More says that there may be further events already.
	More bool
}

// Damage is a run of bytes of a file that holds no records.
type Damage struct {
	Path           string
	Offset, Length int64
}

// Read returns the first events that match, ordered by time and, within a millisecond, by arrival. It sees what was
// flushed. It reads the parts of segments that may hold a match and no others. It answers store.ErrNotFound for a
// group that is not there; a missing stream just has no events.
func (s *Store) Read(ctx context.Context, q Query) (Page, error) {
	g, _, err := s.group(groupKey{q.Scope, q.Group}, false)
	if err != nil {
		return Page{}, err
	}
	sel := newSelection(g, q)
	if sel.none {
		return sel.page(), nil
	}
	parts, err := g.parts(sel)
	if err != nil {
		return Page{}, err
	}
	reader := blockReader{}
	defer reader.close()
	var scanned int64
	for _, p := range parts {
		if err := ctx.Err(); err != nil {
			return Page{}, err
		}
		if sel.full() && sel.beyond(p.block) {
			sel.more = true
			break
		}
		if q.MaxScan > 0 && scanned >= q.MaxScan && sel.stopBefore(p.block) {
			break
		}
		if err := reader.read(p, sel.add, sel.damaged); err != nil {
			return Page{}, err
		}
		scanned += p.block.length
		sel.trim()
	}
	return sel.page(), nil
}

// part is one block of one segment.
type part struct {
	path  string
	block block
}

// parts are the blocks that may hold a match, in the order in which a reader wants them.
func (g *group) parts(sel *selection) ([]part, error) {
	var parts []part
	for _, v := range g.view() {
		if v.sealed && (v.latest < sel.from || v.earliest >= sel.to) {
			continue
		}
		blocks, err := v.load()
		if err != nil {
			return nil, err
		}
		for _, b := range blocks {
			if sel.mayBeIn(&b) && b.overlaps(sel.from, sel.to) {
				parts = append(parts, part{v.path, b})
			}
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int {
		if sel.query.Backward {
			return cmp.Compare(b.block.maxTime, a.block.maxTime)
		}
		return cmp.Compare(a.block.minTime, b.block.minTime)
	})
	return parts, nil
}

// view is a segment at one moment.
type view struct {
	path             string
	sealed           bool
	earliest, latest int64
	lastSeq          uint64
	blocks           []block
}

// view is all segments at one moment, oldest first.
func (g *group) view() []view {
	g.mu.Lock()
	defer g.mu.Unlock()
	views := make([]view, 0, len(g.segments))
	for _, seg := range g.segments {
		v := view{path: seg.path, sealed: seg.sealed, earliest: seg.earliest, latest: seg.latest, lastSeq: seg.lastSeq}
		if !seg.sealed {
			v.blocks = seg.all()
		}
		views = append(views, v)
	}
	return views
}

// load returns the segment's blocks. A segment that was trimmed meanwhile has none.
func (v view) load() ([]block, error) {
	if !v.sealed {
		return v.blocks, nil
	}
	seg, err := openSegment(v.path, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return seg.all(), nil
}

// blockReader reads blocks and keeps the last file open, because the next block is mostly in it.
type blockReader struct {
	path string
	file *os.File
	buf  []byte
}

// read decodes one block. A file that is gone was trimmed or deleted meanwhile and has nothing to say.
func (br *blockReader) read(p part, each func(record, int), damaged func(Damage)) error {
	if br.path != p.path {
		br.close()
		file, err := os.Open(p.path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("logstore: reading: %w", err)
		}
		br.path, br.file = p.path, file
	}
	br.buf = slices.Grow(br.buf[:0], int(p.block.length))[:p.block.length]
	n, err := br.file.ReadAt(br.buf, p.block.offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("logstore: reading: %w", err)
	}
	note := func(offset, length int) {
		damaged(Damage{p.path, p.block.offset + int64(offset), int64(length)})
	}
	if tail := walk(br.buf[:n], each, note); tail > 0 {
		note(n-tail, tail)
	}
	if missing := len(br.buf) - n; missing > 0 {
		note(n, missing)
	}
	return nil
}

func (br *blockReader) close() {
	if br.file != nil {
		br.file.Close()
	}
	br.path, br.file = "", nil
}
