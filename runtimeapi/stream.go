package runtimeapi

import (
	"context"
	"errors"
	"io"
	"net/http"

	"hotaru/runtimeapi/refusal"
)

// MaxStreamed is the most bytes of a streamed response: 200 MB
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html).
const MaxStreamed = 200 * 1024 * 1024

// TypeTruncated is the error type of a streamed response whose end never came.
const TypeTruncated = "Runtime.TruncatedResponse"

// Truncated is what Lambda makes of a streamed response whose end never came.
func Truncated() *FunctionError {
	return &FunctionError{
		Type:    TypeTruncated,
		Payload: []byte(`{"errorMessage":"The response was truncated.","errorType":"` + TypeTruncated + `"}`),
	}
}

// errStreamAborted reads on after a stream has failed.
var errStreamAborted = errors.New("runtimeapi: read after the end of a failed stream")

// openStream takes the beginning of a streamed answer, whose frame has length bytes.
func (f *frames) openStream(length int) (*Response, error) {
	a, left, err := f.reader.answerHead(length)
	if err != nil {
		return nil, err
	}
	if a.number != f.number {
		return nil, protocolError("an answer to another event")
	}
	f.stream = &frameBody{frames: f, left: left}
	return &Response{ContentType: a.tag, Stream: f.stream}, nil
}

// frameBody reads a streamed answer off its frames.
type frameBody struct {
	frames *frames
	left   int   // the bytes of the current frame that are still to come
	end    error // what ended it
}

func (b *frameBody) Read(p []byte) (int, error) {
	for b.end == nil {
		if b.left > 0 {
			n, err := b.frames.reader.read(p[:min(len(p), b.left)])
			b.left -= n
			if err != nil {
				err = b.fail(err)
			}
			return n, err
		}
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	return 0, b.end
}

// next takes the head of the next frame of the stream.
func (b *frameBody) next() error {
	typ, length, err := b.frames.nextFrame()
	switch {
	case err != nil:
		return b.fail(err)
	case typ == frameChunk:
		b.left = length
		return nil
	case typ == frameEnd:
		b.close(io.EOF)
		return io.EOF
	case typ != frameError:
		return b.fail(protocolError("a stream that does not end"))
	}
	a, err := b.frames.reader.answer(length)
	if err == nil && a.number != b.frames.number {
		err = protocolError("an answer to another event")
	}
	if err != nil {
		return b.fail(err)
	}
	b.close(errStreamAborted)
	return a.asError()
}

// fail breaks the session.
func (b *frameBody) fail(err error) error {
	f := b.frames
	f.stop()
	f.stop = nil
	err = f.finish(err)
	b.close(gone(err))
	return err
}

func (b *frameBody) close(end error) {
	b.end = end
	b.frames.stream = nil
}

// streamLocked hands on a streamed answer and waits until it has been read.
func (s *server) streamLocked(w http.ResponseWriter, r *http.Request) {
	body := &httpBody{server: s, request: r, turn: s.turn}
	s.stream = body
	s.response = &Response{ContentType: contentType(r.Header), Stream: body}
	s.changeLocked()
	// Also when the runtime hangs up: what it sent is read first, and what that means decided then.
	if err := s.waitLocked(context.WithoutCancel(r.Context()), func() bool { return body.end != nil }); err != nil {
		panic(http.ErrAbortHandler) // the runtime is about to be ended
	}
	s.state = stateSent
	s.changeLocked()
	if isTruncated(body.end) {
		refusal.Write(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
		return
	}
	refusal.Accepted(w)
}

// httpBody reads a streamed answer off a request of the runtime's.
type httpBody struct {
	server  *server
	request *http.Request
	turn    context.Context //nolint:containedctx // it is of one invocation, between two calls
	stop    func() bool
	end     error // what ended it; guarded by server.mu
}

func (b *httpBody) Read(p []byte) (int, error) {
	if b.stop == nil {
		b.stop = context.AfterFunc(b.turn, func() {
			b.server.mu.Lock()
			defer b.server.mu.Unlock()
			b.server.breakLocked(gone(context.Cause(b.turn)))
		})
	}
	if end := b.ended(); end != nil {
		return 0, end
	}
	n, err := b.request.Body.Read(p)
	if err == nil {
		return n, nil
	}
	return n, b.finish(err)
}

func (b *httpBody) ended() error {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	if errors.As(b.end, new(*FunctionError)) {
		return errStreamAborted
	}
	return b.end
}

// finish says what the end of the request's body means.
func (b *httpBody) finish(err error) error {
	b.stop()
	s := b.server
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.changeLocked()
	s.stream = nil
	switch {
	case b.turn.Err() != nil:
		b.end = context.Cause(b.turn)
	case s.broken != nil:
		b.end = s.broken
	case !errors.Is(err, io.EOF):
		b.end = Truncated()
	case b.request.Trailer.Get(headerErrorType) != "":
		b.end = faultOf(b.request.Trailer, decodeTrailer(b.request.Trailer.Get(headerErrorBody)))
	default:
		b.end = io.EOF
	}
	return b.end
}

func isTruncated(err error) bool {
	fault := (*FunctionError)(nil)
	return errors.As(err, &fault) && fault.Type == TypeTruncated
}
