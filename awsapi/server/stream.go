package server

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"net/http"

	"hotaru/awsapi/sigv4"
)

// stream reads the body within its limit and, at its end, compares the signed hash: a reader that got io.EOF has read
// what was signed.
func (x *exchange) stream() io.Reader {
	source, _ := x.source()
	s := &checkedStream{r: source, left: x.limit(), declared: x.body.declared, tooLarge: x.tooLarge(x.limit()),
		mismatch: sigv4.Mismatch(x.expect())}
	if s.declared != "" {
		s.hash = sha256.New()
	}
	return s
}

// checkedStream is an awsapi.Trailed.
type checkedStream struct {
	r                  io.Reader
	left               int64
	hash               hash.Hash
	declared           string
	tooLarge, mismatch error
	// err is what the first failure was: it stays.
	err error
}

// Read implements io.Reader. Its errors are APIErrors, io.EOF aside.
func (s *checkedStream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if s.left -= int64(n); s.left < 0 {
		s.err = s.tooLarge
		return 0, s.err
	}
	if s.hash != nil {
		s.hash.Write(p[:n])
	}
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		s.err = truncated(err)
	case s.hash != nil && !sameHash(s.declared, s.hash.Sum(nil)):
		s.err = s.mismatch
	default:
		s.err = io.EOF
	}
	return n, s.err
}

// Trailer implements awsapi.Trailed.
func (s *checkedStream) Trailer() http.Header {
	if chunks, ok := s.r.(*sigv4.ChunkReader); ok {
		return chunks.Trailer()
	}
	return nil
}
