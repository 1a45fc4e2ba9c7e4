package control

import (
	"context"
	"errors"
	"io"
	"strings"

	"hotaru/awsapi/lambda"
	"hotaru/invoke"
)

// streamBuffer is the most bytes of one chunk of a streamed response.
const streamBuffer = 64 << 10

// InvokeWithResponseStream implements https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html.
// Each chunk leaves as soon as the function has written it.
func (l *Lambda) InvokeWithResponseStream(ctx context.Context,
	in *lambda.InvokeWithResponseStreamRequest) (*lambda.InvokeWithResponseStreamResponse, error) {
	t, err := resolve(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	request, err := newInvocation(t, in.Payload, in.ClientContext, in.TenantId, in.LogType)
	if err != nil {
		return nil, err
	}
	request.Streams = true
	result, err := l.run(ctx, t, request, in.InvocationType)
	if err != nil {
		return nil, err
	}
	if result == nil {
		return &lambda.InvokeWithResponseStreamResponse{StatusCode: ptr(int32(204))}, nil
	}
	out := &lambda.InvokeWithResponseStreamResponse{
		StatusCode: ptr(int32(200)), ExecutedVersion: ptr(result.Version.Version),
		EventStream: wholeResponse(request, result),
	}
	if result.Stream != nil {
		out.EventStream = streamedResponse(ctx, request, result)
	}
	return out, nil
}

type responseEvent = lambda.InvokeWithResponseStreamResponseEvent

func chunk(b []byte) *responseEvent {
	return &responseEvent{PayloadChunk: &lambda.InvokeResponseStreamUpdate{Payload: b}}
}

// wholeResponse are the events of an answer that came whole.
func wholeResponse(request *invoke.Request, result *invoke.Result) func(func(*responseEvent, error) bool) {
	return func(yield func(*responseEvent, error) bool) {
		if len(result.Payload) > 0 && result.FunctionError == "" && !yield(chunk(result.Payload), nil) {
			return
		}
		yield(complete(request, result), nil)
	}
}

// streamedResponse are the events of an answer that is still coming. The invocation ends with them; if nobody ever asks
// for them, with the request.
func streamedResponse(ctx context.Context, request *invoke.Request,
	result *invoke.Result) func(func(*responseEvent, error) bool) {
	abandoned := context.AfterFunc(ctx, func() { result.Complete(ctx) })
	return func(yield func(*responseEvent, error) bool) {
		if !abandoned() {
			return
		}
		err := copyChunks(result.Stream, yield)
		result.Complete(ctx)
		switch {
		case errors.Is(err, errCallerGone):
		case err != nil && !errors.Is(err, invoke.ErrStreamFailed):
			yield(nil, err)
		default:
			yield(complete(request, result), nil)
		}
	}
}

var errCallerGone = errors.New("control: nobody reads the stream any more")

// copyChunks hands on what it reads, as it comes.
func copyChunks(stream io.Reader, yield func(*responseEvent, error) bool) error {
	buffer := make([]byte, streamBuffer)
	for {
		n, err := stream.Read(buffer)
		if n > 0 && !yield(chunk(buffer[:n]), nil) {
			return errCallerGone
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// complete is the last event. ErrorCode is the platform's error type, or "Unhandled" for what the code itself reported;
// clients tell the two apart.
func complete(request *invoke.Request, result *invoke.Result) *responseEvent {
	e := &lambda.InvokeWithResponseStreamCompleteEvent{LogResult: logResult(request, result)}
	if result.FunctionError != "" {
		e.ErrorCode, e.ErrorDetails = &result.FunctionError, ptr(string(result.Payload))
		for _, platform := range []string{"Runtime.", "Sandbox.", "Function.", "Extension."} {
			if strings.HasPrefix(result.ErrorType, platform) {
				e.ErrorCode = &result.ErrorType
			}
		}
	}
	return &responseEvent{InvokeComplete: e}
}
