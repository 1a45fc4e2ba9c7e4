package sigv4

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"hotaru/awsapi/checksum"
)

const (
	// maxChunk is the largest chunk with a signature, in bytes: all of it must be held before any of it is believed.
	maxChunk = 16 << 20
	// minChunk is the smallest chunk but the last.
	minChunk = 8 << 10
	// lineLimit bounds a chunk's head and a trailer.
	lineLimit = 4 << 10
	// maxTrailerLines bounds the trailers.
	maxTrailerLines = 16
	// firstChunkBuffer is the most memory that a chunk's stated size gets before any byte has come.
	firstChunkBuffer = 128 << 10

	chunkSignatureMark = "chunk-signature="
	trailerSignature   = "x-amz-trailer-signature"
)

// ChunkReader is an io.Reader of what an aws-chunked body carries.
type ChunkReader struct {
	*Chunks
	r *bufio.Reader
	// ready are verified bytes that nobody has read yet; chunk is the memory behind them.
	ready []byte
	chunk bytes.Buffer
	// open is what is left of a chunk that has no signature.
	open int64
	// previous is the signature that the next one follows.
	previous []byte
	carried  int64
	// short says that the chunk before was smaller than any but the last may be.
	short   bool
	sums    []*checksum.Sum
	trailer http.Header
	err     error
}

func newChunkReader(c *Chunks, body io.Reader) *ChunkReader {
	r := &ChunkReader{Chunks: c, r: bufio.NewReaderSize(body, lineLimit), previous: c.seed}
	for _, name := range c.announced {
		sum, _ := checksum.New(name)
		r.sums = append(r.sums, sum)
	}
	return r
}

// Trailer has the trailers after io.EOF: checksums that are right.
func (c *ChunkReader) Trailer() http.Header { return c.trailer }

// Read implements io.Reader. Its errors, io.EOF aside, are *awsapi.Error or the connection's.
func (c *ChunkReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		switch {
		case len(c.ready) > 0:
			n := copy(p, c.ready)
			c.ready = c.ready[n:]
			return n, nil
		case c.err != nil:
			return 0, c.err
		case c.open > 0:
			n, err := c.r.Read(p[:min(int64(len(p)), c.open)])
			c.sum(p[:n])
			if c.open -= int64(n); c.open == 0 && err == nil {
				err = c.lineEnd()
			}
			c.err = ended(err)
			if n > 0 {
				return n, nil
			}
		default:
			c.err = c.next()
		}
	}
}

func (c *ChunkReader) sum(b []byte) {
	for _, s := range c.sums {
		_, _ = s.Write(b) // A hash takes everything.
	}
}

// next reads a chunk's head and, where it is signed, the chunk.
func (c *ChunkReader) next() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	size, signature, err := c.head(line)
	if err != nil {
		return err
	}
	if c.short && size > 0 {
		return shortChunk()
	}
	c.short = size < minChunk
	if c.carried += size; c.carried > c.Length {
		return wrongLength()
	}
	if c.signed {
		if err := c.verified(size, signature); err != nil {
			return err
		}
	}
	switch {
	case size == 0:
		return c.finish()
	case c.signed:
		return c.lineEnd()
	default:
		c.open = size
		return nil
	}
}

// head reads the size in hexadecimals and the signature.
func (c *ChunkReader) head(line string) (size int64, signature string, err error) {
	digits, extension, found := strings.Cut(line, ";")
	if digits == "" || digits[0] == '+' || digits[0] == '-' || found != c.signed {
		return 0, "", incompleteBody()
	}
	if size, err = strconv.ParseInt(digits, 16, 64); err != nil {
		return 0, "", incompleteBody()
	}
	if c.signed {
		if signature, found = strings.CutPrefix(extension, chunkSignatureMark); !found {
			return 0, "", incompleteBody()
		}
		if size > maxChunk {
			return 0, "", longChunk()
		}
	}
	return size, signature, nil
}

// verified reads a chunk with a signature and checks it.
func (c *ChunkReader) verified(size int64, signature string) error {
	c.chunk.Reset()
	c.chunk.Grow(int(min(size, firstChunkBuffer)))
	if _, err := io.CopyN(&c.chunk, c.r, size); err != nil {
		return ended(err)
	}
	if c.key != nil {
		want := c.chunkSignature(c.previous, c.chunk.Bytes())
		if !equalHex(signature, want) {
			return c.words.mismatch()
		}
		c.previous = want
	}
	c.ready = c.chunk.Bytes()
	c.sum(c.ready)
	return nil
}

// finish reads what follows the last chunk and answers io.EOF where the whole body is as it should be.
func (c *ChunkReader) finish() error {
	if c.carried != c.Length {
		return wrongLength()
	}
	trailers, signature, err := c.trailers()
	if err != nil {
		return err
	}
	if c.trailing && c.signed && c.key != nil {
		if !equalHex(signature, c.trailerSignature(c.previous, canonicalTrailers(trailers))) {
			return c.words.mismatch()
		}
	}
	if err := c.checkSums(trailers); err != nil {
		return err
	}
	c.trailer = trailers
	if _, err := c.r.ReadByte(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = incompleteBody()
		}
		return err
	}
	return io.EOF
}

// trailers reads lines up to an empty one or the end. The last chunk's own line end may stand before them: clients
// differ.
func (c *ChunkReader) trailers() (trailers http.Header, signature string, err error) {
	trailers = http.Header{}
	for count := 0; ; count++ {
		line, err := c.line()
		switch {
		case err != nil && errors.Is(err, errEndOfBody):
			return trailers, signature, nil
		case err != nil:
			return nil, "", err
		case line == "" && count == 0 && c.trailing:
			continue
		case line == "":
			return trailers, signature, nil
		case count == maxTrailerLines:
			return nil, "", malformedTrailer()
		}
		name, value, found := strings.Cut(line, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch {
		case found && name == trailerSignature && c.signed && signature == "":
			signature = value
		case !found || !slices.Contains(c.announced, name) || trailers.Get(name) != "":
			return nil, "", malformedTrailer()
		default:
			trailers.Set(name, value)
		}
	}
}

// canonicalTrailers writes trailers as they are signed.
func canonicalTrailers(trailers http.Header) []byte {
	lines := make([]string, 0, len(trailers))
	for name := range trailers {
		lines = append(lines, strings.ToLower(name)+":"+trailers.Get(name)+"\n")
	}
	slices.Sort(lines)
	return []byte(strings.Join(lines, ""))
}

func (c *ChunkReader) checkSums(trailers http.Header) error {
	for _, s := range c.sums {
		text := trailers.Get(s.Header)
		if text == "" {
			return malformedTrailer()
		}
		switch valid, equal := s.Matches(text); {
		case !valid:
			return invalidChecksum(s.Header)
		case !equal:
			return badDigest(s.Algorithm())
		}
	}
	return nil
}

// line reads a line without its end; the last line of a body may lack one.
func (c *ChunkReader) line() (string, error) {
	b, err := c.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", incompleteBody()
	case err != nil && (len(b) == 0 || !errors.Is(err, io.EOF)):
		return "", ended(err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// lineEnd reads what must follow a chunk.
func (c *ChunkReader) lineEnd() error {
	line, err := c.line()
	if err == nil && line != "" {
		err = incompleteBody()
	}
	return err
}

// ended turns the end of a body that should have gone on into AWS's refusal.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errEndOfBody
	}
	return err
}
