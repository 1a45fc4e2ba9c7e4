package code

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"hash/crc32"
	"io"
)

// unpacker unpacks the bytes of entries, one after the other, and counts them: what the archive says of its
// sizes must prove true, and is not asked whether all is too much.
type unpacker struct {
	// left is how many bytes may still come, over all entries.
	left   int64
	source bytes.Reader
	flate  io.ReadCloser
	buf    []byte
}

const copySize = 64 << 10

// unpack writes an entry's content and checks its size and checksum. The writer's errors come back as they are.
func (u *unpacker) unpack(ctx context.Context, e *entry, w io.Writer) error {
	u.source.Reset(e.packed)
	if u.buf == nil {
		u.buf = make([]byte, copySize)
	}
	r, err := u.reader(e.method)
	if err != nil {
		return err
	}
	var n uint64
	var crc uint32
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		read, err := r.Read(u.buf)
		chunk := u.buf[:read]
		if n += uint64(read); n > e.size {
			return refuse("%q is larger than it says", e.name)
		}
		if u.left -= int64(read); u.left < 0 {
			return refuseUnzippedSize()
		}
		crc = crc32.Update(crc, crc32.IEEETable, chunk)
		if _, err := w.Write(chunk); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return refuse("%q: %w", e.name, err)
		}
	}
	if n != e.size || crc != e.crc {
		return refuse("%q does not match its size or checksum", e.name)
	}
	return nil
}

func (u *unpacker) reader(method uint16) (io.Reader, error) {
	if method == methodStored {
		return &u.source, nil
	}
	if u.flate == nil {
		u.flate = flate.NewReader(&u.source)
		return u.flate, nil
	}
	if resetter, ok := u.flate.(flate.Resetter); ok {
		return u.flate, resetter.Reset(&u.source, nil)
	}
	u.flate = flate.NewReader(&u.source)
	return u.flate, nil
}
