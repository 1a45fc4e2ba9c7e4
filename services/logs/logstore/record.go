package logstore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A record is framed as length (4 bytes, of the payload), checksum (4 bytes, CRC-32C of length and payload) and
// payload. A payload is one byte of kind and then fields, integers as varints, the last text without a length.
const (
	frameBytes = 8
	// maxPayload is above every legal one: a length beyond it is damage and not a large record.
	maxPayload = 2 << 20
	// MaxMessage is the longest message of one event, in bytes; Append splits longer ones. CloudWatch's own limit.
	MaxMessage = 1 << 20
	// maxName is the longest group, stream or scope name, in bytes.
	maxName = 4096
)

// The kinds of records. The values are on disk.
const (
	kindHeader  = 1 // first in a segment: which group this is
	kindStream  = 2 // gives a stream its number, in each segment that has events of it
	kindEvent   = 3
	kindDeleted = 4 // hides all events of a stream's number, in older segments too
)

// errTorn says that the bytes end before the record does; errBad that they are no record.
var (
	errTorn = errors.New("logstore: record is cut off")
	errBad  = errors.New("logstore: not a record")
)

// record is any kind of record; which fields count depends on the kind.
type record struct {
	kind byte
	// stream is the number that the group gave to a stream; numbers are never given twice.
	stream uint32
	// seq orders the events of a group by arrival.
	seq uint64
	// time and ingested are Unix milliseconds; for kindHeader and kindStream, time is the creation.
	time, ingested int64
	// text is an event's message, a stream's name or an encoded groupKey. Decoded, it aliases the input.
	text []byte
}

// appendRecord adds the framed record to b.
func appendRecord(b []byte, r record) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, r.kind)
	b = binary.AppendUvarint(b, uint64(r.stream))
	b = binary.AppendUvarint(b, r.seq)
	b = binary.AppendVarint(b, r.time)
	b = binary.AppendVarint(b, r.ingested)
	b = append(b, r.text...)
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-frameBytes))
	binary.LittleEndian.PutUint32(b[start+4:], checksum(b[start:]))
	return b
}

// decodeRecord reads the record at the start of b and says how many bytes it takes. It answers errTorn if b may be
// the beginning of a record, and errBad otherwise.
func decodeRecord(b []byte) (record, int, error) {
	size, err := frameSize(b)
	if err != nil {
		return record{}, 0, err
	}
	if binary.LittleEndian.Uint32(b[4:]) != checksum(b[:size]) {
		return record{}, 0, errBad
	}
	r, ok := decodePayload(b[frameBytes:size])
	if !ok {
		return record{}, 0, errBad
	}
	return r, size, nil
}

// frameSize is the length of the framed record at the start of b, checksum not looked at.
func frameSize(b []byte) (int, error) {
	if len(b) < frameBytes {
		return 0, errTorn
	}
	length := binary.LittleEndian.Uint32(b)
	if length == 0 || length > maxPayload {
		return 0, errBad
	}
	if size := frameBytes + int(length); size <= len(b) {
		return size, nil
	}
	return 0, errTorn
}

func decodePayload(p []byte) (record, bool) {
	r := record{kind: p[0]}
	f := fields{rest: p[1:]}
	stream := f.uvarint()
	r.stream = uint32(stream)
	r.seq = f.uvarint()
	r.time = f.varint()
	r.ingested = f.varint()
	r.text = f.rest
	known := r.kind >= kindHeader && r.kind <= kindDeleted
	return r, !f.bad && known && stream == uint64(r.stream)
}

// checksum covers a frame's length and payload.
func checksum(frame []byte) uint32 {
	table := castagnoli()
	return crc32.Update(crc32.Update(0, table, frame[:4]), table, frame[frameBytes:])
}

// protect puts a checksum before a checkpoint's bytes; unprotect checks and removes it.
func protect(body []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, crc32.Checksum(body, castagnoli()))
	return append(b, body...)
}

func unprotect(b []byte) ([]byte, bool) {
	if len(b) < 4 || binary.LittleEndian.Uint32(b) != crc32.Checksum(b[4:], castagnoli()) {
		return nil, false
	}
	return b[4:], true
}

// castagnoli is the polynomial that processors have an instruction for.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// fields reads varints until one is bad.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) uvarint() uint64 {
	v, n := binary.Uvarint(f.rest)
	if n <= 0 {
		f.bad = true
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

func (f *fields) varint() int64 {
	v, n := binary.Varint(f.rest)
	if n <= 0 {
		f.bad = true
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

// bytes reads a length and that many bytes, which alias the input.
func (f *fields) bytes() []byte {
	n := f.uvarint()
	if f.bad || n > uint64(len(f.rest)) {
		f.bad = true
		return nil
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

func appendBytes[T string | []byte](b []byte, v T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// walk decodes all records of b in order. Bytes that are no record but have records behind them go to damage with
// their offset and length. It returns how many bytes at the end hold no record.
func walk(b []byte, each func(r record, size int), damage func(offset, length int)) (tail int) {
	for at := 0; at < len(b); {
		r, size, err := decodeRecord(b[at:])
		if err != nil {
			gap := resync(b[at:])
			if gap < 0 {
				return len(b) - at
			}
			damage(at, gap)
			at += gap
			continue
		}
		each(r, size)
		at += size
	}
	return 0
}

// resync finds the next whole record after the start of b, or answers -1.
func resync(b []byte) int {
	for at := 1; at+frameBytes < len(b); at++ {
		if kind := b[at+frameBytes]; kind < kindHeader || kind > kindDeleted {
			continue
		}
		if _, _, err := decodeRecord(b[at:]); err == nil {
			return at
		}
	}
	return -1
}
