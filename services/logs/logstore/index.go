package logstore

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
)

// blockBytes is how much of a segment one entry of its sparse index covers, about.
const blockBytes = 64 << 10

// index says where in one segment the events of a time, of a stream and of a sequence range are.
type index struct {
	// size is how many bytes of the segment the index covers.
	size int64
	// blocks are complete and in file order; open is the one that still grows.
	blocks []block
	open   block
	// numbers are the streams in open.
	numbers map[uint32]bool

	streams map[uint32]*streamStats
	deleted map[uint32]bool
	lastSeq uint64
}

// block is a run of records. Its times and numbers cover its events; a block without events has none.
type block struct {
	offset, length    int64
	minTime, maxTime  int64
	firstSeq, lastSeq uint64
	// streams are sorted.
	streams []uint32
	events  int
	// damaged: some of its bytes were no records when they were indexed, so that it may hold more than it says.
	damaged bool
}

// streamStats are what a segment knows of one stream.
type streamStats struct {
	name    string
	created int64
	// first and last are event times, ingested the last arrival; all 0 without events.
	first, last, ingested int64
	events                int64
	bytes                 int64
}

func newIndex() *index {
	return &index{numbers: map[uint32]bool{}, streams: map[uint32]*streamStats{}, deleted: map[uint32]bool{}}
}

// add notes the record that takes the next length bytes of the segment.
func (x *index) add(r record, length int) {
	switch r.kind {
	case kindStream:
		if x.streams[r.stream] == nil {
			x.streams[r.stream] = &streamStats{name: string(r.text), created: r.time}
		}
	case kindDeleted:
		x.deleted[r.stream] = true
	case kindEvent:
		x.open.cover(r.time, r.seq)
		x.numbers[r.stream] = true
		if stats := x.streams[r.stream]; stats != nil {
			stats.cover(r)
		}
	}
	x.lastSeq = max(x.lastSeq, r.seq)
	x.open.length += int64(length)
	x.size += int64(length)
	if x.open.length >= blockBytes {
		x.closeBlock()
	}
}

// addDamage notes bytes that are no records. Whoever reads the block finds them again and says so.
func (x *index) addDamage(length int) {
	x.open.length += int64(length)
	x.open.damaged = true
	x.size += int64(length)
}

func (x *index) closeBlock() {
	if x.open.length > 0 {
		x.blocks = append(x.blocks, x.openBlock())
	}
	x.open = block{offset: x.size}
	clear(x.numbers)
}

// openBlock is the growing block as it is now.
func (x *index) openBlock() block {
	b := x.open
	b.streams = slices.Sorted(maps.Keys(x.numbers))
	return b
}

// all are the blocks so far; the slice stays as it is while the index grows.
func (x *index) all() []block {
	if x.open.length == 0 {
		return x.blocks[:len(x.blocks):len(x.blocks)]
	}
	return append(slices.Clip(x.blocks), x.openBlock())
}

// span is the earliest and the latest event time of the segment. Damage makes it reach everywhere.
func (x *index) span() (earliest, latest int64) {
	earliest, latest = math.MaxInt64, math.MinInt64
	for _, b := range x.all() {
		if b.damaged {
			return math.MinInt64, math.MaxInt64
		}
		if b.events > 0 {
			earliest, latest = min(earliest, b.minTime), max(latest, b.maxTime)
		}
	}
	return earliest, latest
}

func (b *block) cover(time int64, seq uint64) {
	if b.events == 0 {
		b.minTime, b.maxTime, b.firstSeq = time, time, seq
	}
	b.minTime, b.maxTime, b.lastSeq = min(b.minTime, time), max(b.maxTime, time), seq
	b.events++
}

// has says whether the block may hold events of the stream; every stream matches 0.
func (b *block) has(stream uint32) bool {
	if b.damaged {
		return true
	}
	if stream == 0 {
		return b.events > 0
	}
	_, found := slices.BinarySearch(b.streams, stream)
	return found
}

func (s *streamStats) cover(r record) {
	if s.events == 0 {
		s.first, s.last = r.time, r.time
	}
	s.first, s.last, s.ingested = min(s.first, r.time), max(s.last, r.time), r.ingested
	s.events++
	s.bytes += int64(len(r.text))
}

// overlaps says whether the block may hold events from from to to, both in milliseconds, to not included.
func (b *block) overlaps(from, to int64) bool {
	if b.damaged && b.events == 0 {
		return true
	}
	return b.maxTime >= from && b.minTime < to
}

// encode writes the index as a checkpoint, to be framed by the caller. The open block is closed first.
func (x *index) encode() []byte {
	x.closeBlock()
	b := binary.AppendUvarint(nil, uint64(x.size))
	b = binary.AppendUvarint(b, x.lastSeq)
	b = binary.AppendUvarint(b, uint64(len(x.streams)))
	for _, number := range slices.Sorted(maps.Keys(x.streams)) {
		b = x.streams[number].encode(binary.AppendUvarint(b, uint64(number)))
	}
	b = binary.AppendUvarint(b, uint64(len(x.deleted)))
	for _, number := range slices.Sorted(maps.Keys(x.deleted)) {
		b = binary.AppendUvarint(b, uint64(number))
	}
	b = binary.AppendUvarint(b, uint64(len(x.blocks)))
	for i := range x.blocks {
		b = x.blocks[i].encode(b)
	}
	return b
}

func (s *streamStats) encode(b []byte) []byte {
	b = appendBytes(b, s.name)
	for _, v := range []int64{s.created, s.first, s.last, s.ingested, s.events, s.bytes} {
		b = binary.AppendVarint(b, v)
	}
	return b
}

func (b *block) encode(to []byte) []byte {
	damaged := int64(0)
	if b.damaged {
		damaged = 1
	}
	for _, v := range []int64{b.length, b.minTime, b.maxTime, int64(b.firstSeq), int64(b.lastSeq), int64(b.events), damaged} {
		to = binary.AppendVarint(to, v)
	}
	to = binary.AppendUvarint(to, uint64(len(b.streams)))
	for _, number := range b.streams {
		to = binary.AppendUvarint(to, uint64(number))
	}
	return to
}

// decodeIndex reads what encode wrote. The bytes passed a checksum; it still trusts no count.
func decodeIndex(b []byte) (*index, bool) {
	f := &fields{rest: b}
	x := newIndex()
	x.size = int64(f.uvarint())
	x.lastSeq = f.uvarint()
	for n := f.uvarint(); n > 0 && !f.bad; n-- {
		number := uint32(f.uvarint())
		x.streams[number] = &streamStats{name: string(f.bytes()), created: f.varint(), first: f.varint(),
			last: f.varint(), ingested: f.varint(), events: f.varint(), bytes: f.varint()}
	}
	for n := f.uvarint(); n > 0 && !f.bad; n-- {
		x.deleted[uint32(f.uvarint())] = true
	}
	offset := int64(0)
	for n := f.uvarint(); n > 0 && !f.bad; n-- {
		next := decodeBlock(f)
		next.offset = offset
		offset += next.length
		x.blocks = append(x.blocks, next)
	}
	x.open.offset = offset
	return x, !f.bad && len(f.rest) == 0 && offset == x.size && offset >= 0
}

func decodeBlock(f *fields) block {
	b := block{length: f.varint(), minTime: f.varint(), maxTime: f.varint(), firstSeq: uint64(f.varint()),
		lastSeq: uint64(f.varint()), events: int(f.varint()), damaged: f.varint() == 1}
	for n := f.uvarint(); n > 0 && !f.bad; n-- {
		b.streams = append(b.streams, uint32(f.uvarint()))
	}
	f.bad = f.bad || b.length < 0
	return b
}
