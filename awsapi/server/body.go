package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"runtime/debug"

	"hotaru/awsapi"
	"hotaru/awsapi/sigv4"
)

// The limits of Lambda's own endpoint, in bytes.
const (
	// generalLimit holds a base64 deployment package of 50 MB; Lambda names this number.
	generalLimit = 70167211
	// invokeLimit is the payload's 6 MB; Lambda names this number.
	invokeLimit = 6291456
	// formLimit bounds a query request, which has no payloads.
	formLimit = 1 << 20
	// firstBuffer is the most memory that a declared length gets before any byte has come.
	firstBuffer = 8 << 20
)

// DefaultBodyLimit are the limits that AWS's endpoints have.
func DefaultBodyLimit(service, operation string) int64 {
	if service == "lambda" {
		switch operation {
		case "Invoke", "InvokeWithResponseStream", "InvokeAsync":
			return invokeLimit
		}
	}
	return generalLimit
}

// body is what has been read of the request.
type body struct {
	read   bool
	data   []byte
	err    error
	summed bool
	sum    [sha256.Size]byte
	// declared is the signed SHA-256 in hex; empty where the payload is not signed.
	declared string
}

// read takes the whole body, once.
func (x *exchange) read(limit int64) ([]byte, error) {
	if x.body.read {
		return x.body.data, x.body.err
	}
	x.body.read = true
	x.body.data, x.body.err = readAll(x.r, limit)
	if errors.Is(x.body.err, errTooLarge) {
		x.body.err = x.tooLarge(limit)
		// What is left is not worth reading.
		x.w.Header().Set("Connection", "close")
	}
	return x.body.data, x.body.err
}

var errTooLarge = errors.New("server: body too large")

func readAll(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, errTooLarge
	}
	if r.ContentLength == 0 || r.Body == nil {
		return nil, nil
	}
	if r.ContentLength > 0 && r.ContentLength <= firstBuffer {
		data := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, data); err != nil {
			return nil, truncated(err)
		}
		return data, nil
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	switch {
	case err != nil:
		return nil, truncated(err)
	case int64(len(data)) > limit:
		return nil, errTooLarge
	case r.ContentLength >= 0 && int64(len(data)) < r.ContentLength:
		return nil, truncated(io.ErrUnexpectedEOF)
	}
	return data, nil
}

// truncated is a body that ended early: the caller is gone or broken, so the words hardly matter.
func truncated(err error) error {
	return fmt.Errorf("%w: %w", awsapi.Errorf("IncompleteBody", "The request body terminated unexpectedly"), err)
}

func (x *exchange) tooLarge(limit int64) error {
	operation := "request"
	if x.op != nil {
		operation = x.op.Name
		if operation == "Invoke" && x.service.Name == "lambda" {
			operation = "InvokeFunction" // Lambda's own name for it.
		}
	}
	return &awsapi.Error{Code: "RequestEntityTooLargeException", Status: http.StatusRequestEntityTooLarge,
		Message: fmt.Sprintf("Request must be smaller than %d bytes for the %s operation", limit, operation)}
}

func (x *exchange) limit() int64 {
	if x.service.Protocol == "query" {
		return formLimit
	}
	if x.server.options.BodyLimit != nil {
		return x.server.options.BodyLimit(x.service.Name, x.op.Name)
	}
	return DefaultBodyLimit(x.service.Name, x.op.Name)
}

func (x *exchange) digest() ([sha256.Size]byte, error) {
	data, err := x.read(x.limit())
	if err != nil {
		return x.body.sum, err
	}
	if !x.body.summed {
		x.body.sum, x.body.summed = sha256.Sum256(data), true
	}
	return x.body.sum, nil
}

// authenticate sets the caller. Operations that the model lets callers leave unsigned pass without a signature.
func (x *exchange) authenticate() error {
	if x.server.options.Authenticator == nil || x.op.Unsigned && !sigv4.Signed(x.r) {
		return nil
	}
	result, err := x.server.options.Authenticator.Verify(x.r, sigv4.Expect{
		Service: x.service.SigningName, Global: x.service.GlobalEndpoint, Query: x.service.Protocol == "query",
	}, x.digest)
	if err != nil {
		return err
	}
	x.call.Caller = result.Identity
	if result.Identity.Account != "" {
		x.call.Scope.Account = result.Identity.Account
	}
	if result.Region != "" {
		x.call.Scope.Region = result.Region
	}
	x.body.declared = result.PayloadHash
	return nil
}

// readBody reads the body for the protocol, or leaves a checked stream for an operation whose payload streams.
func (x *exchange) readBody() error {
	if p := x.op.Input.Payload; p != nil && x.op.Input.Type.Field(p.Index).Type.Kind() == reflectInterface && !x.body.read {
		x.body.read, x.body.err = true, errNoBody
		x.request.HTTP = x.r
		x.request.Stream = x.stream()
		return nil
	}
	data, err := x.read(x.limit())
	if err != nil {
		return err
	}
	if x.body.declared != "" {
		sum, err := x.digest()
		if err != nil {
			return err
		}
		if !sameHash(x.body.declared, sum[:]) {
			return sigv4.Mismatch(sigv4.Expect{Query: x.service.Protocol == "query"})
		}
	}
	x.request.HTTP, x.request.Body = x.r, data
	if x.op.Input.Payload != nil {
		x.request.Stream = bytes.NewReader(data)
	}
	return nil
}

func sameHash(declared string, sum []byte) bool {
	var text [2 * sha256.Size]byte
	hex.Encode(text[:], sum)
	return subtle.ConstantTimeCompare([]byte(declared), text[:]) == 1
}

// stream reads the body within its limit and, at its end, compares the signed hash: a reader that got io.EOF has read
// what was signed.
func (x *exchange) stream() io.Reader {
	s := &checkedStream{r: x.r.Body, left: x.limit(), declared: x.body.declared, tooLarge: x.tooLarge(x.limit()),
		mismatch: sigv4.Mismatch(sigv4.Expect{})}
	if s.declared != "" {
		s.hash = sha256.New()
	}
	return s
}

type checkedStream struct {
	r                  io.Reader
	left               int64
	hash               hash.Hash
	declared           string
	tooLarge, mismatch error
}

func (s *checkedStream) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if s.left -= int64(n); s.left < 0 {
		return 0, s.tooLarge
	}
	if s.hash != nil {
		s.hash.Write(p[:n])
		if err == io.EOF && !sameHash(s.declared, s.hash.Sum(nil)) {
			return n, s.mismatch
		}
	}
	return n, err
}

func stack() []byte { return debug.Stack() }
