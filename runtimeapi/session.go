// Package runtimeapi is the conversation between an execution environment and the runtime process inside it:
// Lambda's Runtime API over HTTP for custom runtimes, and the same meaning in frames over a socketpair for
// our own bootstraps. Two transports, one Session. It must not know sandboxes, functions or how a runtime is
// started.
package runtimeapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// MaxPayload is the most bytes of a synchronous request or response: 6 MB as Lambda counts them
// (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const MaxPayload = 6*1024*1024 + 100

// Session is one runtime process's side of the conversation. Init comes first and succeeds once, then for each event
// Invoke and Ready, one at a time. Close may be called at any time, by anyone.
//
// When the transport breaks, the runtime speaks out of turn, or Close is called, each answers an error that is
// ErrRuntimeGone, from then on. When ctx ends first they answer context.Cause(ctx), and the session is gone as
// well, because the runtime is still busy with what nobody waits for any more.
type Session interface {
	// Init tells the runtime what it serves (where the transport can) and waits until it asks for its first
	// event. A runtime that reports an initialization error answers a *FunctionError with Init set.
	Init(ctx context.Context, start Start) error

	// Invoke hands over one event and waits for the answer, which the runtime may give before it is ready for the
	// next event. The code's own failure is a *FunctionError, which ends nothing. ctx bounds the whole event: Ready
	// too. The event's payload is not kept after Invoke returns. Where Ready has not been called after the last
	// event, Invoke begins with it.
	Invoke(ctx context.Context, event *Event) (*Response, error)

	// Ready waits until the runtime asks for its next event, under the ctx of the Invoke before. A runtime can answer
	// and then go away, or stay busy until ctx ends. After Init, an error, or a Ready, it returns at once.
	Ready() error

	// Close ends the conversation; it does not end the process. It is how the owner of the process tells a
	// waiting Init or Invoke that the process has ended. Idempotent.
	Close() error
}

// Start is what a runtime must know before its function's Init.
type Start struct {
	// Handler as configured: "app.handler".
	Handler string
	// Env are the environment variables as NAME=value, the function's and Lambda's.
	Env []string
}

// Event is one invocation as the runtime sees it.
type Event struct {
	RequestID   string
	FunctionARN string
	Deadline    time.Time
	TraceID     string
	// ClientContext and CognitoIdentity are JSON texts; empty when the caller sent none.
	ClientContext   string
	CognitoIdentity string
	TenantID        string
	Payload         []byte
}

// Response is what the function returned.
type Response struct {
	ContentType string
	// Payload is the whole answer, and belongs to the caller; nil where there is a Stream.
	Payload []byte
	// Stream is an answer that the runtime is still sending. It ends with io.EOF, with a *FunctionError when the code
	// fails on the way, or with one of the errors of a Session. Ready skips what has not been read.
	Stream io.Reader
	// Ready says that the runtime is known to have asked for its next event already: the Session's Ready will not wait.
	Ready bool
}

// Gather waits for the whole of a streamed answer and makes it the Payload: what a caller gets who does not take a
// stream. One over MaxPayload is a *FunctionError, as is the code's failure on the way; the other errors are a Session's.
func (r *Response) Gather() error {
	if r.Stream == nil {
		return nil
	}
	payload, err := io.ReadAll(io.LimitReader(r.Stream, MaxPayload+1))
	if err != nil {
		return err
	}
	if len(payload) > MaxPayload {
		return ResponseTooLarge(MaxPayload)
	}
	r.Payload, r.Stream = payload, nil
	return nil
}

// FunctionError is a failure of the function's own code, reported by the runtime.
type FunctionError struct {
	// Type is the error's type: "ValueError", "Runtime.ImportModuleError".
	Type string
	// Payload is the body that the caller gets: {"errorMessage", "errorType", "stackTrace", ...}. It is what
	// the runtime sent: JSON by custom, but nothing has checked it.
	Payload json.RawMessage
	// Init says that it happened before the runtime asked for its first event.
	Init bool
}

func (e *FunctionError) Error() string { return "function error: " + e.Type }

// Error is a session error that callers tell apart with errors.Is.
type Error string

func (e Error) Error() string { return string(e) }

// ErrRuntimeGone says that the conversation is over: the runtime's end is closed or broke the rules.
const ErrRuntimeGone Error = "runtimeapi: the runtime is gone"

// LogSink takes log records that a runtime frames itself, each kept whole. It must not block, and must copy
// what it keeps: record is valid during the call only.
type LogSink interface {
	Log(record []byte)
}

// TypeResponseTooLarge is the error type of an answer over MaxPayload.
const TypeResponseTooLarge = "Function.ResponseSizeTooLarge"

// ResponseTooLarge is what Lambda answers in place of a response of more than limit bytes.
func ResponseTooLarge(limit int) *FunctionError {
	return &FunctionError{
		Type: TypeResponseTooLarge,
		Payload: fmt.Appendf(nil, `{"errorMessage":"Response payload size exceeded maximum allowed payload size (%d bytes).","errorType":%q}`,
			limit, TypeResponseTooLarge),
	}
}
