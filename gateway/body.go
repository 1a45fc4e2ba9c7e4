package gateway

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"strings"
	"time"

	"hotaru/awsapi"
)

const (
	// share is how much of the memory of bodies a request takes at a time, and at once for a declared length. No
	// reader may take more before anything has come.
	share = 8 << 20
	// firstShare is what a body of unknown length begins with; it doubles.
	firstShare = 64 << 10
	// mostKept is more than any operation keeps of a body in memory: what has more is streamed.
	mostKept = 80 << 20
	// progress is after how many bytes a body's deadline is moved.
	progress = 64 << 10
)

// guarded is a request with a body: it cuts off one that comes too slowly and accounts for the memory of what has come.
// It is the request's response writer, too, because the first byte of an answer ends the patience with the body.
//
// A body is kept, and then takes memory and has its time, when its sender's key is known, or when it is a form, which
// is read to learn what is asked for. Before that nobody keeps any of it: whoever reads it throws it away to get to its
// end, and for that it gets no patience.
//
// The handler gets a copy of the request, since net/http looks at its own request's body when it answers.
type guarded struct {
	http.ResponseWriter
	request http.Request
	limits  Limits
	memory  *budget
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
	err   error
	ended bool
	// kept says that the body is kept; streams that it may take its time, but is not.
	kept, streams bool
	settled       bool
}

// guard takes a request's body into care. Release it.
func (d *door) guard(w http.ResponseWriter, r *http.Request) *guarded {
	g := &guarded{
		ResponseWriter: w, request: *r, limits: d.limits, memory: d.memory, control: http.NewResponseController(w),
		started: time.Now(), ctx: r.Context(), source: r.Body, declared: r.ContentLength,
	}
	g.request.Body = (*guardedBody)(g)
	if strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "application/x-www-form-urlencoded") {
		g.memory, g.kept = d.strangers, true
		g.extend()
	}
	return g
}

// keep is called when it is known who sends the body, before any of it is read.
func (g *guarded) keep() error {
	if g.kept || g.streams {
		return nil
	}
	if err := g.charge(); err != nil {
		return err
	}
	g.kept = true
	g.extend()
	return nil
}

// release gives the memory back: nobody keeps any of the body any more.
func (g *guarded) release() {
	g.memory.give(g.held)
	g.held = 0
}

// deadline is until when the body may take, by what has come of it.
func (g *guarded) deadline() time.Time {
	earned := time.Duration(g.received) * time.Second / time.Duration(g.limits.BodyRate)
	return g.started.Add(g.limits.BodyTime + earned)
}

// extend moves the deadline as far as what has come deserves. Its errors are those of a connection that has ended, and
// the next read tells.
func (g *guarded) extend() {
	g.extended = g.received
	_ = g.control.SetReadDeadline(g.deadline())
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
	case g.streams || g.charged >= mostKept:
		g.charged = math.MaxInt64
		return nil
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
	taken := g.memory.take(g.ctx, next, g.limits.BodyWait)
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
	if g.err != nil {
		return 0, g.err
	}
	switch {
	case !g.kept && !g.streams:
		_ = g.control.SetReadDeadline(earlier(time.Now().Add(lingerTime), g.deadline()))
	case g.received >= g.charged:
		if err := g.charge(); err != nil {
			g.kept = false // the rest may still be thrown away
			return 0, err
		}
	}
	if room := g.charged - g.received; g.kept && int64(len(p)) > room {
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
	case g.kept && g.received-g.extended >= progress:
		g.extend()
	}
	return n, err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Stream is called by whoever hands the body on as it comes instead of keeping it: it takes no memory then.
func (b *guardedBody) Stream() {
	b.streams = true
	g := (*guarded)(b)
	g.release()
	g.extend()
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
