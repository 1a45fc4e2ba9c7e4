package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"

	"hotaru/awsapi"
	"hotaru/awsapi/sigv4"
)

// The limits of Lambda's own endpoint, in bytes.
const (
	// generalLimit holds a base64 deployment package of 50 MB; Lambda names this number.
	generalLimit = 70167211
	// invokeLimit is the payload's 6 MB; Lambda names this number.
	invokeLimit = 6291456
	// objectLimit is S3's for one object or part that is sent at once: 5 GiB.
	objectLimit = 5 << 30
	// formLimit bounds a query request: a batch of SQS messages, 1 MiB, with every byte escaped, fits.
	formLimit = 4 << 20
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
	if service == "s3" && (operation == "PutObject" || operation == "UploadPart") {
		return objectLimit
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
	// chunks describe an aws-chunked body; nil where it is plain.
	chunks *sigv4.Chunks
}

// read takes the whole body, once.
func (x *exchange) read(limit int64) ([]byte, error) {
	if x.body.read {
		return x.body.data, x.body.err
	}
	x.body.read = true
	source, length := x.source()
	x.body.data, x.body.err = readAll(source, length, limit)
	if errors.Is(x.body.err, errTooLarge) {
		x.body.err = x.tooLarge(limit)
	}
	return x.body.data, x.body.err
}

// drainLimit is how much of a refused request's body is taken before its answer is sent.
const drainLimit = 16 << 20

// drain takes the rest of a refused request's body: many clients write all of it before they read an answer, and
// see a broken connection instead of the refusal if it is not taken. One who waits for 100 Continue sends nothing;
// one who sends more than the limit has its connection closed.
func (x *exchange) drain() {
	if x.r.Body == nil || x.r.Header.Get("Expect") != "" {
		return
	}
	if n, err := io.CopyN(io.Discard, x.r.Body, drainLimit); err == nil && n == drainLimit {
		x.w.Header().Set("Connection", "close")
	}
}

var errTooLarge = errors.New("server: body too large")

// source is the body as the caller meant it, and its length; -1 where nobody said.
func (x *exchange) source() (io.Reader, int64) {
	switch {
	case x.r.Body == nil:
		return http.NoBody, 0
	case x.body.chunks != nil:
		return x.body.chunks.Reader(x.r.Body), x.body.chunks.Length
	default:
		return x.r.Body, x.r.ContentLength
	}
}

// readAll reads up to io.EOF, at which chunks have been verified.
func readAll(body io.Reader, length, limit int64) ([]byte, error) {
	switch {
	case length > limit:
		return nil, errTooLarge
	case length >= 0 && length <= firstBuffer:
		// One byte more is for the read that meets the end.
		data := make([]byte, length+1)
		n, err := io.ReadFull(body, data)
		if int64(n) != length || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, truncated(err)
		}
		return data[:length:length], nil
	}
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	switch {
	case err != nil:
		return nil, truncated(err)
	case int64(len(data)) > limit:
		return nil, errTooLarge
	case length >= 0 && int64(len(data)) < length:
		return nil, truncated(io.ErrUnexpectedEOF)
	}
	return data, nil
}

// truncated is a body that ended early or badly: the caller is gone or broken. Chunks say themselves what is wrong.
func truncated(err error) error {
	if errors.As(err, new(awsapi.APIError)) {
		return err
	}
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
	if x.dialect.name == awsapi.ProtocolQuery {
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

// expect says what a signature must be good for.
func (x *exchange) expect() sigv4.Expect {
	return sigv4.Expect{
		Service: x.service.SigningName, Global: x.service.GlobalEndpoint, Query: x.dialect.name == awsapi.ProtocolQuery,
	}
}

// authenticate sets the caller. Operations that the model lets callers leave unsigned pass without a signature.
func (x *exchange) authenticate() error {
	if x.server.options.Authenticator == nil || x.op.Unsigned && !sigv4.Signed(x.r) {
		var err error
		x.body.chunks, err = sigv4.Chunked(x.r, x.expect())
		return err
	}
	result, err := x.server.options.Authenticator.Verify(x.r, x.expect(), x.digest)
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
	x.body.declared, x.body.chunks = result.PayloadHash, result.Chunks
	if x.body.chunks != nil && x.body.read {
		return sigv4.Mismatch(x.expect()) // It was read before it could be verified: nothing may come of it.
	}
	return nil
}

// readBody reads the body for the protocol, or leaves a checked stream for an operation whose payload streams.
func (x *exchange) readBody() error {
	x.request.HTTP = x.r
	if x.body.chunks != nil {
		x.request.HTTP = withoutChunks(x.r)
	}
	if p := x.op.Input.Payload; p != nil && x.op.Input.Type.Field(p.Index).Type.Kind() == reflectInterface && !x.body.read {
		x.body.read, x.body.err = true, errNoBody
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
			return sigv4.Mismatch(x.expect())
		}
	}
	if x.request.Body, err = x.expand(data, x.limit()); err != nil {
		return err
	}
	if x.op.Input.Payload != nil {
		x.request.Stream = bytes.NewReader(data)
	}
	return nil
}

// withoutChunks is the request as it was before its body was framed: S3 keeps what Content-Encoding says besides.
func withoutChunks(r *http.Request) *http.Request {
	plain := r.WithContext(r.Context())
	plain.Header = r.Header.Clone()
	if names := encodings(r); len(names) > 0 {
		plain.Header.Set("Content-Encoding", strings.Join(names, ","))
	} else {
		plain.Header.Del("Content-Encoding")
	}
	return plain
}

func sameHash(declared string, sum []byte) bool {
	var text [2 * sha256.Size]byte
	hex.Encode(text[:], sum)
	return subtle.ConstantTimeCompare([]byte(declared), text[:]) == 1
}

func stack() []byte { return debug.Stack() }
