package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"hotaru/awsapi/checksum"
)

// The marks, in X-Amz-Content-Sha256, of bodies that are sent in chunks (aws-chunked,
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and sigv4-streaming-trailers.html).
const (
	StreamingSigned          = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	StreamingSignedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	StreamingUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	// streamingA starts the marks of chunks that are signed with version 4A.
	streamingA = "STREAMING-AWS4-ECDSA-P256-SHA256"
)

// Chunks describe an aws-chunked body: what it carries, which trailers follow it, and how each chunk is signed.
type Chunks struct {
	// Length is how many bytes the chunks carry together (X-Amz-Decoded-Content-Length).
	Length int64

	signed bool
	// trailing says that checksums follow the last chunk.
	trailing bool
	// announced are the names of the trailers to come, in lower case.
	announced []string
	words     words
	// key, seed and the two texts verify chunks; without a key they pass unverified.
	key             []byte
	seed            []byte
	dateText, scope string
}

// Chunked describes the chunks of a request; it is nil where the body is sent as it is. Its errors are *awsapi.Error.
// What it answers verifies no signature: Verify's Result.Chunks does.
func Chunked(r *http.Request, expect Expect) (*Chunks, error) {
	words := wordsFor(expect)
	mark := r.Header.Get("X-Amz-Content-Sha256")
	announced := strings.TrimSpace(strings.Join(r.Header["X-Amz-Trailer"], ","))
	if !strings.HasPrefix(mark, streaming) {
		if announced != "" {
			return nil, malformedTrailer()
		}
		return nil, nil
	}
	c := &Chunks{words: words}
	switch mark {
	case StreamingSigned:
		c.signed = true
	case StreamingSignedTrailer:
		c.signed, c.trailing = true, true
	case StreamingUnsignedTrailer:
		c.trailing = true
	default:
		if strings.HasPrefix(mark, streamingA) {
			return nil, words.signatureA()
		}
		return nil, unknownMark(mark)
	}
	if err := c.announce(announced); err != nil {
		return nil, err
	}
	var err error
	if c.Length, err = strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64); err != nil || c.Length < 0 {
		return nil, missingLength()
	}
	return c, nil
}

// announce reads the names of the trailers: checksums, at least one where the mark says so and none where it does not.
func (c *Chunks) announce(names string) error {
	if (names != "") != c.trailing {
		return malformedTrailer()
	}
	if names == "" {
		return nil
	}
	for name := range strings.SplitSeq(strings.ToLower(names), ",") {
		name = strings.TrimSpace(name)
		if _, ok := checksum.New(name); !ok {
			return unsupportedTrailer()
		}
		if slices.Contains(c.announced, name) {
			return malformedTrailer()
		}
		c.announced = append(c.announced, name)
	}
	return nil
}

// follow makes the chunks go on from a signature that was found right.
func (c *Chunks) follow(claim *claim, key, signature []byte) {
	c.key, c.seed, c.dateText, c.scope = key, signature, claim.dateText, claim.scope.String()
}

// mustSign are the headers that say how the body is framed: unsigned, anybody on the way could change it.
func (c *Chunks) mustSign() []string {
	if c.trailing {
		return []string{"x-amz-decoded-content-length", "x-amz-trailer"}
	}
	return []string{"x-amz-decoded-content-length"}
}

// emptyHash is the SHA-256 of nothing in hex, which stands for the headers that chunks do not have.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// chunkSignature signs a chunk after the signature before it.
func (c *Chunks) chunkSignature(previous, chunk []byte) []byte {
	return c.after("AWS4-HMAC-SHA256-PAYLOAD", previous, emptyHash, chunk)
}

// trailerSignature signs the trailers, which are written one to a line, after the last chunk's signature.
func (c *Chunks) trailerSignature(previous, trailers []byte) []byte {
	return c.after("AWS4-HMAC-SHA256-TRAILER", previous, "", trailers)
}

func (c *Chunks) after(what string, previous []byte, headers string, content []byte) []byte {
	b := make([]byte, 0, 320)
	b = append(append(append(append(b, what...), '\n'), c.dateText...), '\n')
	b = append(append(b, c.scope...), '\n')
	b = append(hex.AppendEncode(b, previous), '\n')
	if headers != "" {
		b = append(append(b, headers...), '\n')
	}
	sum := sha256.Sum256(content)
	return hmacSHA256(c.key, hex.AppendEncode(b, sum[:]))
}

// Reader reads what the chunks of a body carry. Bytes of a signed chunk come out only after its signature was found
// right, and io.EOF only after the whole body was: length, trailers and checksums.
func (c *Chunks) Reader(body io.Reader) *ChunkReader { return newChunkReader(c, body) }
