package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"hotaru/awsapi"
)

const (
	// share is how much of the memory of bodies a request takes at a time, and at once for a declared length. No
	// reader may take more before anything has come.
	share = 8 << 20
	// firstShare is what a body of unknown length begins with; it doubles.
	firstShare = 64 << 10
	// progress is after how many bytes a body's deadline is moved.
	progress = 64 << 10
)

// guarded is a request with a body: it cuts off one that comes too slowly and accounts for the memory of what has come.
// It is the request's response writer, too, because the first byte of an answer ends the patience with the body.
//
// The handler gets a copy of the request, since net/http looks at its own request's body when it answers.
type guarded struct {
	http.ResponseWriter
	request http.Request
	door    *door
	control *http.ResponseController
	started time.Time
	ctx     context.Context
	source  io.ReadCloser

	declared int64
	// received counts the bytes of the body; charged is how many of them the memory was taken for, and held what was
	// taken of it.
	received, charged, held int64
	// extended is what had been received when the deadline was last moved.
	extended int64
	// err is what every further read answers; ended says that it is the body's end.
	err     error
	ended   bool
	settled bool
}

// guard takes a request's body into care. Release it.
func (d *door) guard(w http.ResponseWriter, r *http.Request) *guarded {
	g := &guarded{
		ResponseWriter: w, request: *r, door: d, control: http.NewResponseController(w), started: time.Now(),
		ctx: r.Context(), source: r.Body, declared: r.ContentLength,
	}
	g.request.Body = (*guardedBody)(g)
	g.extend()
	return g
}

// release gives the memory back: nobody may use the body any more.
func (g *guarded) release() {
	g.door.memory.give(g.held)
	g.held = 0
}

// extend moves the deadline as far as what has come deserves. Its errors are those of a connection that has ended, and
// the next read tells.
func (g *guarded) extend() {
	g.extended = g.received
	earned := time.Duration(g.received) * time.Second / time.Duration(g.door.limits.BodyRate)
	_ = g.control.SetReadDeadline(g.started.Add(g.door.limits.BodyTime + earned))
}

// errBusy is the refusal of a request whose body has no room in memory now.
func errBusy() *awsapi.Error {
	return &awsapi.Error{Code: "ServiceUnavailableException", Status: http.StatusServiceUnavailable,
		Message: "Too many request bodies are in memory at the moment. Please try again."}
}

// errSlow is the refusal of a body that comes too slowly.
func errSlow() *awsapi.Error {
	return &awsapi.Error{Code: "RequestTimeoutException", Status: http.StatusRequestTimeout,
		Message: "The request body came too slowly."}
}

// charge takes memory for the next part of the body.
func (g *guarded) charge() error {
	next := int64(share)
	switch {
	case g.declared > g.charged:
		next = min(next, g.declared-g.charged)
	case g.declared >= 0:
		g.charged++ // the declared length has come: only the end is missing, which takes nothing
		return nil
	case g.charged == 0:
		next = firstShare
	default:
		next = min(next, g.charged)
	}
	taken := g.door.memory.take(g.ctx, next, g.door.limits.BodyWait)
	if taken == 0 {
		return errBusy()
	}
	g.held += taken
	g.charged += next
	return nil
}

// guardedBody is the body that the handler reads.
type guardedBody guarded

// Read implements io.Reader. Its refusals are *awsapi.Error.
func (b *guardedBody) Read(p []byte) (int, error) {
	g := (*guarded)(b)
	if g.err == nil && g.received >= g.charged {
		g.err = g.charge()
	}
	if g.err != nil {
		return 0, g.err
	}
	if room := g.charged - g.received; int64(len(p)) > room {
		p = p[:room]
	}
	n, err := g.source.Read(p)
	g.received += int64(n)
	switch {
	case err == io.EOF:
		// The deadline goes: net/http has lifted it to watch whether the client is still there, however long the
		// answer takes; HTTP/2's concerns the body alone.
		g.err, g.ended = err, true
	case errors.Is(err, os.ErrDeadlineExceeded):
		g.err = errSlow()
		err = g.err
	case err != nil:
		g.err = err
	case g.received-g.extended >= progress:
		g.extend()
	}
	return n, err
}

// Close implements io.Closer.
func (b *guardedBody) Close() error { return b.source.Close() }

// settle is called before the answer: what is missing of the body is awaited for a moment, so that a connection whose
// client has sent it anyway can be kept, and no longer, so that a client that waits for the answer gets it.
func (g *guarded) settle() {
	if !g.settled && !g.ended && g.request.ProtoMajor == 1 {
		_ = g.control.SetReadDeadline(time.Now().Add(lingerTime))
	}
	g.settled = true
}

// WriteHeader implements http.ResponseWriter.
func (g *guarded) WriteHeader(status int) {
	g.settle()
	if status == http.StatusServiceUnavailable {
		g.Header().Set("Retry-After", "1")
	}
	g.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (g *guarded) Write(p []byte) (int, error) {
	g.settle()
	return g.ResponseWriter.Write(p)
}

// ReadFrom keeps net/http's own way for files.
func (g *guarded) ReadFrom(r io.Reader) (int64, error) {
	g.settle()
	return io.Copy(g.ResponseWriter, r)
}

// Unwrap serves http.ResponseController.
func (g *guarded) Unwrap() http.ResponseWriter { return g.ResponseWriter }
