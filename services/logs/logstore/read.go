package logstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
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
	// Stream is one stream's name; empty for all streams of the group.
	Stream string
	// From and To bound the events' time, in whole milliseconds, To not included. Zero is no bound.
	From, To time.Time
	// After is where an earlier page ended: Read goes on behind it, in the query's direction.
	After Position
	// Backward reads the newest events first.
	Backward bool
	// Limit is how many events to return at most; 0 or more than MaxLimit means MaxLimit.
	Limit int
}

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
		return Page{}, nil
	}
	parts, err := g.parts(sel)
	if err != nil {
		return Page{}, err
	}
	reader := blockReader{}
	defer reader.close()
	for _, p := range parts {
		if err := ctx.Err(); err != nil {
			return Page{}, err
		}
		if sel.full() && sel.beyond(p.block) {
			break
		}
		if err := reader.read(p, sel.add, sel.damaged); err != nil {
			return Page{}, err
		}
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
			if b.has(sel.number) && b.overlaps(sel.from, sel.to) {
				parts = append(parts, part{v.path, b})
			}
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int {
		if sel.backward {
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

// selection keeps the first events of a query's order among all that it is shown.
type selection struct {
	number   uint32
	none     bool
	from, to int64
	after    Position
	backward bool
	limit    int
	names    map[uint32]string
	events   []StoredEvent
	damage   []Damage
}

func newSelection(g *group, q Query) *selection {
	sel := &selection{from: math.MinInt64, to: math.MaxInt64, after: q.After, backward: q.Backward, limit: q.Limit}
	if sel.limit <= 0 || sel.limit > MaxLimit {
		sel.limit = MaxLimit
	}
	if !q.From.IsZero() {
		sel.from = q.From.UnixMilli()
	}
	if !q.To.IsZero() {
		sel.to = q.To.UnixMilli()
	}
	if q.After != (Position{}) && q.Backward {
		sel.to = min(sel.to, q.After.Time+1)
	} else if q.After != (Position{}) {
		sel.from = max(sel.from, q.After.Time)
	}
	sel.names, sel.number, sel.none = g.names(q.Stream)
	return sel
}

// names maps the numbers of the wanted streams to their names; number is 0 if that is all streams.
func (g *group) names(stream string) (names map[uint32]string, number uint32, none bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if stream != "" {
		s := g.streams[stream]
		if s == nil {
			return nil, 0, true
		}
		return map[uint32]string{s.number: stream}, s.number, false
	}
	names = make(map[uint32]string, len(g.byNumber))
	for number, s := range g.byNumber {
		names[number] = s.name
	}
	return names, 0, false
}

func (sel *selection) compare(a, b Position) int {
	if sel.backward {
		return b.Compare(a)
	}
	return a.Compare(b)
}

// add takes the record if it matches and may be among the first.
func (sel *selection) add(r record, _ int) {
	name, wanted := sel.names[r.stream]
	if r.kind != kindEvent || !wanted || r.time < sel.from || r.time >= sel.to {
		return
	}
	at := Position{r.time, r.seq}
	if sel.after != (Position{}) && sel.compare(at, sel.after) <= 0 {
		return
	}
	sel.events = append(sel.events, stored(r, name))
}

func stored(r record, name string) StoredEvent {
	return StoredEvent{Stream: name, Time: time.UnixMilli(r.time), Ingested: time.UnixMilli(r.ingested),
		Message: string(r.text), Position: Position{r.time, r.seq}}
}

func (sel *selection) damaged(d Damage) { sel.damage = append(sel.damage, d) }

// trim lets go of what more than fills the page.
func (sel *selection) trim() {
	if len(sel.events) > sel.limit {
		sel.sort()
		clear(sel.events[sel.limit:])
		sel.events = sel.events[:sel.limit]
	}
}

func (sel *selection) sort() {
	slices.SortFunc(sel.events, func(a, b StoredEvent) int { return sel.compare(a.Position, b.Position) })
}

func (sel *selection) full() bool { return len(sel.events) >= sel.limit }

// beyond says that every event of the block comes after the last of a full page. Blocks come in order, so that all
// others are beyond as well.
func (sel *selection) beyond(b block) bool {
	if b.damaged && b.events == 0 {
		return false
	}
	last := slices.MaxFunc(sel.events, func(x, y StoredEvent) int { return sel.compare(x.Position, y.Position) })
	if sel.backward {
		return b.maxTime < last.Position.Time
	}
	return b.minTime > last.Position.Time
}

func (sel *selection) page() Page {
	sel.sort()
	return Page{Events: sel.events, Damage: sel.damage}
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
