package code

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"time"
)

// The zip format as PKWARE's APPNOTE.TXT 6.3.10 has it. Go's archive/zip hides where an entry's local header
// is, so it can tell neither overlapping entries nor names that differ between the two headers, and it
// allocates whatever number of entries the file claims.
const (
	localSignature     = 0x04034b50
	directorySignature = 0x02014b50
	endSignature       = 0x06054b50
	end64Signature     = 0x06064b50
	locator64Signature = 0x07064b50

	localLen     = 30
	directoryLen = 46
	endLen       = 22
	end64Len     = 56
	locator64Len = 20

	methodStored   = 0
	methodDeflated = 8

	// flagsRefused: encrypted (0), patch data (5), strong encryption (6), masked local headers (13).
	flagsRefused = 1<<0 | 1<<5 | 1<<6 | 1<<13

	extraZip64     = 0x0001
	extraTimestamp = 0x5455

	full16 = 0xffff
	full32 = 0xffffffff
)

// entry is what a zip file's central directory says of one entry. Nothing of it is believed before it proves
// true.
type entry struct {
	name     string
	creator  byte // the system whose attributes these are
	attrs    uint32
	method   uint16
	crc      uint32
	size     uint64
	packed   []byte
	modified time.Time

	// from and to are the bytes of the file that the entry takes, its local header included.
	from, to uint64
}

// directory is where the entries are listed.
type directory struct {
	offset, entries uint64
	// end is where the record after the list starts.
	end uint64
	// base is how many bytes stand before the zip file proper, as in a self-extracting one.
	base uint64
}

var little = binary.LittleEndian

// parse reads a zip file's central directory and checks that its entries have whole local headers with the
// same names, lie inside the file and do not overlap.
func parse(zip []byte) ([]entry, error) {
	dir, err := findDirectory(zip)
	if err != nil {
		return nil, err
	}
	if dir.entries == 0 {
		return nil, refuseEmpty()
	}
	if dir.entries > maxEntries {
		return nil, refuse("%d entries are more than %d", dir.entries, maxEntries)
	}
	// The claimed number is believed only as far as the bytes could hold it.
	entries := make([]entry, 0, min(dir.entries, (dir.end-dir.offset)/directoryLen))
	rest := zip[dir.offset:dir.end]
	for range dir.entries {
		var e entry
		if rest, err = e.parse(rest, dir.base); err != nil {
			return nil, err
		}
		if err := e.locate(zip, dir.offset); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, checkOverlap(entries)
}

// findDirectory reads the record at the end, which a comment may follow.
func findDirectory(zip []byte) (directory, error) {
	tail := zip[max(0, len(zip)-endLen-full16):]
	for i := len(tail) - endLen; i >= 0; i-- {
		if little.Uint32(tail[i:]) != endSignature || i+endLen+int(little.Uint16(tail[i+20:])) > len(tail) {
			continue
		}
		return readEnd(zip, uint64(len(zip)-len(tail)+i))
	}
	return directory{}, refuse("not a zip file")
}

// readEnd reads the end record at an offset, and the one of zip64 before it if that is needed.
func readEnd(zip []byte, at uint64) (directory, error) {
	end := zip[at:]
	dir := directory{entries: uint64(little.Uint16(end[10:])), end: at}
	size, offset := uint64(little.Uint32(end[12:])), uint64(little.Uint32(end[16:]))
	disks := uint32(little.Uint16(end[4:])) | uint32(little.Uint16(end[6:]))
	if dir.entries == full16 || size == full32 || offset == full32 {
		at64, found := findEnd64(zip, at)
		if found {
			end = zip[at64:]
			dir.entries, dir.end = little.Uint64(end[32:]), at64
			size, offset = little.Uint64(end[40:]), little.Uint64(end[48:])
			disks = little.Uint32(end[16:]) | little.Uint32(end[20:])
		}
	}
	if disks != 0 {
		return directory{}, refuse("one of several volumes")
	}
	// Written so that no sum can overflow.
	if size > dir.end || offset > dir.end-size {
		return directory{}, refuse("the central directory lies outside of the file")
	}
	dir.base = dir.end - size - offset
	if dir.base > 0 && hasSignature(zip, offset, directorySignature) {
		dir.base = 0 // something stands between the directory and its end, not before the zip file
	}
	dir.offset = dir.base + offset
	return dir, nil
}

// findEnd64 says where the end record of zip64 is. Its offset counts from the start of the zip file proper, so
// in a self-extracting one it is looked for right before its locator, too.
func findEnd64(zip []byte, end uint64) (uint64, bool) {
	if end < locator64Len || !hasSignature(zip, end-locator64Len, locator64Signature) {
		return 0, false
	}
	locator := end - locator64Len
	at := little.Uint64(zip[locator+8:])
	if at <= locator && locator-at >= end64Len && hasSignature(zip, at, end64Signature) {
		return at, true
	}
	if locator >= end64Len && hasSignature(zip, locator-end64Len, end64Signature) {
		return locator - end64Len, true
	}
	return 0, false
}

func hasSignature(zip []byte, at uint64, signature uint32) bool {
	return at <= uint64(len(zip)) && uint64(len(zip))-at >= 4 && little.Uint32(zip[at:]) == signature
}

// parse reads one header of the central directory and returns what follows it.
func (e *entry) parse(b []byte, base uint64) ([]byte, error) {
	if len(b) < directoryLen || little.Uint32(b) != directorySignature {
		return nil, refuse("central directory: %w", errCut)
	}
	nameEnd := directoryLen + int(little.Uint16(b[28:]))
	extraEnd := nameEnd + int(little.Uint16(b[30:]))
	end := extraEnd + int(little.Uint16(b[32:]))
	if len(b) < end {
		return nil, refuse("central directory: %w", errCut)
	}
	e.name = string(b[directoryLen:nameEnd])
	if flags := little.Uint16(b[8:]); flags&flagsRefused != 0 {
		return nil, refuse("%q is encrypted or a patch (flags %#x)", e.name, flags)
	}
	e.creator = b[5]
	e.method = little.Uint16(b[10:])
	if e.method != methodStored && e.method != methodDeflated {
		return nil, refuse("%q: unknown compression method %d", e.name, e.method)
	}
	e.modified = dosTime(little.Uint16(b[14:]), little.Uint16(b[12:]))
	e.crc = little.Uint32(b[16:])
	e.size = uint64(little.Uint32(b[24:]))
	e.attrs = little.Uint32(b[38:])
	packed, offset := uint64(little.Uint32(b[20:])), uint64(little.Uint32(b[42:]))
	if err := e.parseExtra(b[nameEnd:extraEnd], &packed, &offset); err != nil {
		return nil, err
	}
	e.from = base + offset
	e.to = packed // locate turns it into an offset
	if e.from < offset {
		return nil, refuse("%q lies outside of the file", e.name)
	}
	return b[end:], nil
}

// parseExtra takes zip64's numbers and the time in UTC from the extra fields. A torn field ends the search, as
// with other readers: tools have padded the fields with zeros.
func (e *entry) parseExtra(b []byte, packed, offset *uint64) error {
	for len(b) >= 4 {
		id, n := little.Uint16(b), int(little.Uint16(b[2:]))
		if b = b[4:]; len(b) < n {
			break
		}
		field := b[:n]
		b = b[n:]
		switch id {
		case extraZip64:
			for _, number := range []*uint64{&e.size, packed, offset} {
				if *number != full32 {
					continue
				}
				if len(field) < 8 {
					return refuse("%q: torn zip64 field", e.name)
				}
				*number, field = little.Uint64(field), field[8:]
			}
		case extraTimestamp:
			if len(field) >= 5 && field[0]&1 != 0 {
				e.modified = time.Unix(int64(int32(little.Uint32(field[1:]))), 0)
			}
		}
	}
	return nil
}

// locate finds the packed bytes behind the local header.
func (e *entry) locate(zip []byte, limit uint64) error {
	packed := e.to
	if e.from > limit || limit-e.from < localLen || little.Uint32(zip[e.from:]) != localSignature {
		return refuse("%q has no local header", e.name)
	}
	header := zip[e.from:limit]
	nameEnd := localLen + uint64(little.Uint16(header[26:]))
	start := nameEnd + uint64(little.Uint16(header[28:]))
	if start > uint64(len(header)) || packed > uint64(len(header))-start {
		return refuse("%q: %w", e.name, errCut)
	}
	if name := header[localLen:nameEnd]; !bytes.Equal(name, []byte(e.name)) {
		return refuse("%q is called %q in its local header", e.name, name)
	}
	if e.method == methodStored && packed != e.size {
		return refuse("%q is stored but has two sizes", e.name)
	}
	e.to = e.from + start + packed
	e.packed = header[start : start+packed : start+packed]
	return nil
}

// checkOverlap refuses entries that share bytes: a few of them can otherwise be unpacked over and over.
func checkOverlap(entries []entry) error {
	order := make([]*entry, len(entries))
	for i := range entries {
		order[i] = &entries[i]
	}
	slices.SortFunc(order, func(a, b *entry) int { return cmp.Compare(a.from, b.from) })
	for i := 1; i < len(order); i++ {
		if order[i].from < order[i-1].to {
			return refuse("%q and %q share bytes", order[i-1].name, order[i].name)
		}
	}
	return nil
}

// dosTime reads MS-DOS's date and time, which name no zone, as UTC. Numbers out of range carry over.
func dosTime(date, clock uint16) time.Time {
	return time.Date(int(date>>9)+1980, time.Month(date>>5&0xf), int(date&0x1f),
		int(clock>>11), int(clock>>5&0x3f), int(clock&0x1f)*2, 0, time.UTC)
}
