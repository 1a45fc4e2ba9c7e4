package logstore

import (
	"math"
	"slices"
	"time"
)

// selection keeps the first events of a query's order among all that it is shown.
type selection struct {
	query Query
	// names are the wanted streams by number; one is the only one's number, or 0; all takes every stream.
	names     map[uint32]string
	one       uint32
	all, none bool
	from, to  int64
	limit     int
	events    []StoredEvent
	bytes     int
	damage    []Damage
	// more: something was left out. stop is where reading ended early.
	more bool
	stop Position
}

func newSelection(g *group, q Query) *selection {
	sel := &selection{query: q, from: math.MinInt64, to: math.MaxInt64, limit: q.Limit}
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
	sel.all = q.Stream == "" && q.Streams == nil
	sel.names, sel.one, sel.none = g.names(q.Stream, q.Streams)
	return sel
}

// names maps the numbers of the wanted streams to their names. number is the one stream's, if it is one that was asked
// for; none says that it is not there.
func (g *group) names(stream string, takes func(string) bool) (names map[uint32]string, number uint32, none bool) {
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
		if takes == nil || takes(s.name) {
			names[number] = s.name
		}
	}
	return names, 0, false
}

// mayBeIn says whether a block may hold events of a wanted stream.
func (sel *selection) mayBeIn(b *block) bool {
	if sel.all || sel.one != 0 || b.damaged {
		return b.has(sel.one)
	}
	return slices.ContainsFunc(b.streams, func(number uint32) bool { return sel.names[number] != "" })
}

func (sel *selection) compare(a, b Position) int {
	if sel.query.Backward {
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
	if sel.query.After != (Position{}) && sel.compare(at, sel.query.After) <= 0 {
		return
	}
	if sel.query.Match != nil && !sel.query.Match(r.text) {
		return
	}
	event := stored(r, name)
	sel.events = append(sel.events, event)
	sel.bytes += EventBytes(event.Message)
}

func stored(r record, name string) StoredEvent {
	return StoredEvent{Stream: name, Time: time.UnixMilli(r.time), Ingested: time.UnixMilli(r.ingested),
		Message: string(r.text), Position: Position{r.time, r.seq}}
}

func (sel *selection) damaged(d Damage) { sel.damage = append(sel.damage, d) }

// full says whether the page needs no further events; others may still come before those it has.
func (sel *selection) full() bool { return sel.fills(len(sel.events), sel.bytes) }

// fills says whether so many events of so many bytes are a page.
func (sel *selection) fills(events, bytes int) bool {
	return events >= sel.limit || sel.query.MaxBytes > 0 && bytes >= sel.query.MaxBytes
}

// trim lets go of what more than fills the page.
func (sel *selection) trim() {
	if !sel.full() {
		return
	}
	sel.sort()
	keep := 0
	for sel.bytes = 0; keep < len(sel.events) && !sel.fills(keep, sel.bytes); keep++ {
		sel.bytes += EventBytes(sel.events[keep].Message)
	}
	sel.more = sel.more || keep < len(sel.events)
	clear(sel.events[keep:])
	sel.events = sel.events[:keep]
}

func (sel *selection) sort() {
	slices.SortFunc(sel.events, func(a, b StoredEvent) int { return sel.compare(a.Position, b.Position) })
}

// beyond says that every event of the block comes after the last of a full page. Blocks come in order, so that all
// others are beyond as well.
func (sel *selection) beyond(b block) bool {
	if b.damaged && b.events == 0 {
		return false
	}
	last := slices.MaxFunc(sel.events, func(x, y StoredEvent) int { return sel.compare(x.Position, y.Position) })
	if sel.query.Backward {
		return b.maxTime < last.Position.Time
	}
	return b.minTime > last.Position.Time
}

// stopBefore ends the page in front of a block if the page has then got anywhere. What is as late as the block's first
// event is not complete and is left for the next page.
func (sel *selection) stopBefore(b block) bool {
	stop := Position{b.minTime - 1, math.MaxUint64}
	progress := b.minTime > sel.from
	if sel.query.Backward {
		stop = Position{b.maxTime + 1, 0}
		progress = b.maxTime < sel.to-1
	}
	if after := sel.query.After; after != (Position{}) && sel.compare(stop, after) <= 0 {
		progress = false
	}
	if !progress || b.damaged && b.events == 0 {
		return false
	}
	sel.stop, sel.more = stop, true
	sel.events = slices.DeleteFunc(sel.events, func(e StoredEvent) bool { return sel.compare(e.Position, stop) > 0 })
	return true
}

func (sel *selection) page() Page {
	sel.sort()
	p := Page{Events: sel.events, Damage: sel.damage, Next: sel.query.After, More: sel.more}
	if n := len(sel.events); n > 0 {
		p.Next = sel.events[n-1].Position
	}
	if sel.stop != (Position{}) {
		p.Next = sel.stop
	}
	return p
}
