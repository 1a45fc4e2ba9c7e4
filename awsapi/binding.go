package awsapi

import (
	"context"
	"iter"
	"net/http"
	"reflect"
)

// Binding joins a service with the handlers of its operations. The generated Handlers types make one.
type Binding struct {
	Service *Service
	// Handlers has one entry per operation, in the order of Service.Operations.
	Handlers []Handler
}

// Handler is an operation's handler without its types.
type Handler struct {
	// Input and Output are the generated structures, not pointers to them.
	Input, Output reflect.Type
	// New makes a pointer to an empty input.
	New func() any
	// Call takes what New made and answers a pointer to the output. It is nil where nobody has built the operation.
	Call func(context.Context, any) (any, error)
}

// Built says whether the operation has a handler.
func (h Handler) Built() bool { return h.Call != nil }

// Handle wraps a typed handler; a nil one makes a Handler that is not built.
func Handle[In, Out any](f func(context.Context, *In) (*Out, error)) Handler {
	h := Handler{
		Input:  reflect.TypeFor[In](),
		Output: reflect.TypeFor[Out](),
		New:    func() any { return new(In) },
	}
	if f != nil {
		h.Call = func(ctx context.Context, in any) (any, error) {
			out, err := f(ctx, in.(*In))
			if err != nil {
				return nil, err
			}
			if out == nil {
				out = new(Out)
			}
			return out, nil
		}
	}
	return h
}

// Trailed is what a streaming payload is besides an io.Reader. After io.EOF it has the trailers that the caller sent
// with an aws-chunked body: checksums, which were found right.
type Trailed interface {
	Trailer() http.Header
}

// Events is a member that is an event stream: a sequence of unions, of which each has exactly one member set. The
// answer's head is sent before the first event. An error ends the stream with an exception event.
type Events[T any] iter.Seq2[*T, error]

// EventSequence is an Events of any type.
type EventSequence interface {
	// All yields pointers to the union.
	All() iter.Seq2[any, error]
}

// All implements EventSequence.
func (e Events[T]) All() iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for event, err := range e {
			if !yield(event, err) {
				return
			}
		}
	}
}
