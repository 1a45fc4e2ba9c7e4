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
	if u.buf == nil {
		u.buf = make([]byte, copySize)
	}
	r, err := u.open(ctx, e)
	if err != nil {
		return err
	}
	for {
		n, err := r.Read(u.buf)
		if _, err := w.Write(u.buf[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// open reads an entry's content, which is done with before the next one is opened.
func (u *unpacker) open(ctx context.Context, e *entry) (io.Reader, error) {
	u.source.Reset(e.packed)
	r, err := u.reader(e.method)
	return &entryReader{ctx: ctx, u: u, e: e, from: r}, err
}

// entryReader reads an entry and checks its size and checksum at its end.
type entryReader struct {
	ctx  context.Context //nolint:containedctx // io.Reader has none
	u    *unpacker
	e    *entry
	from io.Reader
	n    uint64
	crc  uint32
}

func (r *entryReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	read, err := r.from.Read(b)
	if r.n += uint64(read); r.n > r.e.size {
		return 0, refuse("%q is larger than it says", r.e.name)
	}
	if r.u.left -= int64(read); r.u.left < 0 {
		return 0, refuseUnzippedSize()
	}
	r.crc = crc32.Update(r.crc, crc32.IEEETable, b[:read])
	switch {
	case errors.Is(err, io.EOF):
		if r.n != r.e.size || r.crc != r.e.crc {
			return 0, refuse("%q does not match its size or checksum", r.e.name)
		}
		return read, io.EOF
	case err != nil:
		return 0, refuse("%q: %w", r.e.name, err)
	}
	return read, nil
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
