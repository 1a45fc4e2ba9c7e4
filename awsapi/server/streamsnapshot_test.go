package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdklambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/plan"
	"hotaru/awsapi/lambda"
	"hotaru/awsapi/protocol"
)

// snapshotClient sends a request nowhere: it keeps it and gives the answer that it was made with.
type snapshotClient struct {
	answer  *httptest.ResponseRecorder
	request *http.Request
	body    []byte
}

func (c *snapshotClient) Do(r *http.Request) (*http.Response, error) {
	c.request = r
	var err error
	if r.Body != nil {
		c.body, err = io.ReadAll(r.Body)
	}
	return c.answer.Result(), err
}

// invokeStream has the SDK send InvokeWithResponseStream with every member filled.
func invokeStream(t *testing.T, answer *httptest.ResponseRecorder) (*snapshotClient, *sdklambda.InvokeWithResponseStreamOutput, error) {
	t.Helper()
	c := &snapshotClient{answer: answer}
	client := sdklambda.NewFromConfig(aws.Config{Region: "us-east-1", HTTPClient: c, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(testKey, testSecret, "")})
	out, err := client.InvokeWithResponseStream(t.Context(), &sdklambda.InvokeWithResponseStreamInput{
		FunctionName: aws.String("arn:aws:lambda:us-east-1:123456789012:function:f"), ClientContext: aws.String("e30="),
		InvocationType: types.ResponseStreamingInvocationTypeRequestResponse, LogType: types.LogTypeTail, Payload: []byte(`{"a":1}`),
		Qualifier: aws.String("live"), TenantId: aws.String("tenant"),
	})
	return c, out, err
}

// TestSDKStreamSnapshots stand in for the one operation of which the SDK's module has none: what the SDK sends must
// decode to all members, and what we encode must be all that it reads.
func TestSDKStreamSnapshots(t *testing.T) {
	s := boundLambda(t)
	i, ok := s.index("InvokeWithResponseStream")
	if !ok {
		t.Fatal("no operation")
	}
	op := s.operations[i]
	if err := op.ready(); err != nil {
		t.Fatal(err)
	}
	refused, _, err := invokeStream(t, answerOf(t, nil))
	if refusal := (*types.TooManyRequestsException)(nil); !errors.As(err, &refusal) || refusal.Reason != types.ThrottleReasonConcurrentInvocationLimitExceeded ||
		aws.ToString(refusal.RetryAfterSeconds) != "3" {
		t.Errorf("the SDK reads %#v", err)
	}
	match, ok := s.router.Find(refused.request.Method, refused.request.URL.EscapedPath(), refused.request.URL.RawQuery)
	if !ok || s.operations[match.ID] != op {
		t.Fatalf("%s is routed to %d", refused.request.URL, match.ID)
	}
	input := reflect.ValueOf(op.handler.New()).Elem()
	if err := s.dialects[0].Decode(&op.Operation, &protocol.Request{HTTP: refused.request, Match: match, Body: refused.body}, input); err != nil {
		t.Fatal(err)
	}
	for i := range op.Input.Fields {
		f := &op.Input.Fields[i]
		if _, ok := plan.Present(f.Of(input)); !ok {
			t.Errorf("%s is not decoded from %s %v", f.Name, refused.request.URL, refused.request.Header)
		}
	}
	_, out, err := invokeStream(t, answerOf(t, &lambda.InvokeWithResponseStreamResponse{
		StatusCode: new(int32(200)), ExecutedVersion: new("7"), ResponseStreamContentType: new("text/event-stream"),
		EventStream: func(yield func(*lambda.InvokeWithResponseStreamResponseEvent, error) bool) {
			_ = yield(&lambda.InvokeWithResponseStreamResponseEvent{PayloadChunk: &lambda.InvokeResponseStreamUpdate{Payload: []byte{0, 0xff}}}, nil) &&
				yield(&lambda.InvokeWithResponseStreamResponseEvent{PayloadChunk: &lambda.InvokeResponseStreamUpdate{}}, nil) &&
				yield(&lambda.InvokeWithResponseStreamResponseEvent{InvokeComplete: &lambda.InvokeWithResponseStreamCompleteEvent{
					ErrorCode: new("Unhandled"), ErrorDetails: new("details"), LogResult: new("bG9n")}}, nil)
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	// Both the output's member and the stream itself want the Content-Type; the stream's must win, or no client reads it.
	if out.StatusCode != 200 || aws.ToString(out.ExecutedVersion) != "7" || aws.ToString(out.ResponseStreamContentType) != "application/vnd.amazon.eventstream" {
		t.Errorf("the SDK reads %+v", out)
	}
	stream := out.GetStream()
	defer stream.Close()
	var payload bytes.Buffer
	var complete types.InvokeWithResponseStreamCompleteEvent
	for event := range stream.Events() {
		switch e := event.(type) {
		case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
			payload.Write(e.Value.Payload)
		case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
			complete = e.Value
		}
	}
	if err := stream.Err(); err != nil || payload.String() != "\x00\xff" {
		t.Errorf("payload is %q, %v", payload.String(), err)
	}
	got := []string{aws.ToString(complete.ErrorCode), aws.ToString(complete.ErrorDetails), aws.ToString(complete.LogResult)}
	if d := cmp.Diff([]string{"Unhandled", "details", "bG9n"}, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// answerOf has a server answer InvokeWithResponseStream; without an output it throttles.
func answerOf(t *testing.T, output *lambda.InvokeWithResponseStreamResponse) *httptest.ResponseRecorder {
	t.Helper()
	server, err := New(Options{}, lambda.Handlers{
		InvokeWithResponseStream: func(context.Context, *lambda.InvokeWithResponseStreamRequest) (*lambda.InvokeWithResponseStreamResponse, error) {
			if output == nil {
				return nil, &awsapi.Error{Code: lambda.TooManyRequestsException, Message: "Rate Exceeded.",
					Fields: map[string]any{"Reason": lambda.ThrottleReasonConcurrentInvocationLimitExceeded, "retryAfterSeconds": "3"}}
			}
			return output, nil
		},
	}.Binding())
	if err != nil {
		t.Fatal(err)
	}
	return do(server, httptest.NewRequest("POST", streamPath, strings.NewReader("{}")))
}
