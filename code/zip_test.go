package code

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
	"testing"
)

// crafted is an entry as a test wants it, true or not. The zero values of the fields after content mean what
// is right for the content.
type crafted struct {
	name    string
	mode    uint32 // Unix's, type included
	content string

	localName  string
	creator    byte   // with attrs; both zero is Unix and mode
	attrs      uint32 // default made of mode
	flags      uint16
	method     uint16
	packed     string // default is the content, packed as method says
	size       *uint32
	crc        *uint32
	offset     *uint32
	extra      string // central only
	localExtra string
	descriptor bool
	date, time uint16
}

const (
	regular644   = 0o100644
	regular755   = 0o100755
	directory755 = 0o040755
	symlink      = 0o120777
)

// archiveParts are what a zip file has besides its entries.
type archiveParts struct {
	prefix string
	// relative: offsets count from the end of prefix, as when a program was put before a finished zip file.
	relative bool
	comment  string
	entries  *uint16
	zip64    bool
	diskNo   uint16
	gap      string // between the directory and its end
}

func pointer[T any](v T) *T { return &v }

func build(t testing.TB, entries ...crafted) []byte { return buildWith(t, archiveParts{}, entries...) }

func buildWith(t testing.TB, parts archiveParts, entries ...crafted) []byte {
	t.Helper()
	out := bytes.NewBufferString(parts.prefix)
	central := &bytes.Buffer{}
	base := 0
	if parts.relative {
		base = len(parts.prefix)
	}
	for _, e := range entries {
		e.write(t, out, central, base, parts.zip64)
	}
	at := uint64(out.Len() - base)
	size := uint64(central.Len())
	out.Write(central.Bytes())
	out.WriteString(parts.gap)
	count := uint16(len(entries))
	if parts.entries != nil {
		count = *parts.entries
	}
	size32, at32 := uint32(size), uint32(at)
	if parts.zip64 {
		end64 := uint64(out.Len() - base)
		put(out, uint32(end64Signature), uint64(end64Len-12), uint16(45), uint16(45), uint32(0), uint32(0),
			uint64(count), uint64(count), size, at)
		put(out, uint32(locator64Signature), uint32(0), end64, uint32(1))
		count, size32, at32 = full16, full32, full32
	}
	put(out, uint32(endSignature), parts.diskNo, parts.diskNo, count, count, size32, at32, uint16(len(parts.comment)))
	out.WriteString(parts.comment)
	return out.Bytes()
}

func (e crafted) write(t testing.TB, out, central *bytes.Buffer, base int, zip64 bool) {
	t.Helper()
	packed := e.packed
	if packed == "" {
		packed = e.content
		if e.method == methodDeflated {
			packed = deflate(t, e.content)
		}
	}
	size, crc, offset := uint32(len(e.content)), crc32.ChecksumIEEE([]byte(e.content)), uint32(out.Len()-base)
	override(&size, e.size)
	override(&crc, e.crc)
	localName, attrs, creator := e.name, e.mode<<16, byte(creatorUnix)
	if e.localName != "" {
		localName = e.localName
	}
	if e.attrs != 0 || e.creator != 0 {
		attrs, creator = e.attrs, e.creator
	}
	flags, localSize, localPacked, localCRC := e.flags, size, uint32(len(packed)), crc
	if e.descriptor {
		flags |= 1 << 3
		localSize, localPacked, localCRC = 0, 0, 0
	}
	put(out, uint32(localSignature), uint16(20), flags, e.method, e.time, e.date, localCRC, localPacked, localSize,
		uint16(len(localName)), uint16(len(e.localExtra)))
	out.WriteString(localName + e.localExtra + packed)
	if e.descriptor {
		put(out, uint32(0x08074b50), crc, uint32(len(packed)), size)
	}
	override(&offset, e.offset)
	extra, packedSize := e.extra, uint32(len(packed))
	if zip64 {
		field := &bytes.Buffer{}
		put(field, uint16(extraZip64), uint16(24), uint64(size), uint64(packedSize), uint64(offset))
		extra += field.String()
		size, packedSize, offset = full32, full32, full32
	}
	put(central, uint32(directorySignature), byte(20), creator, uint16(20), flags, e.method, e.time, e.date, crc,
		packedSize, size, uint16(len(e.name)), uint16(len(extra)), uint16(0), uint16(0), uint16(0), attrs, offset)
	central.WriteString(e.name + extra)
}

func override[T any](value, with *T) {
	if with != nil {
		*value = *with
	}
}

func put(w io.Writer, values ...any) {
	for _, v := range values {
		_ = binary.Write(w, binary.LittleEndian, v) // into memory
	}
}

func deflate(t testing.TB, content string) string {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
