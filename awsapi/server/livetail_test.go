package server

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"hotaru/awsapi/logs"
)

// TestEventsOverRPC has the SDK read an event stream of a JSON service: the output comes first, as a message, and an
// exception may be an event.
func TestEventsOverRPC(t *testing.T) {
	s, err := New(Options{}, logs.Handlers{StartLiveTail: func(context.Context, *logs.StartLiveTailRequest) (*logs.StartLiveTailResponse, error) {
		return &logs.StartLiveTailResponse{ResponseStream: func(yield func(*logs.StartLiveTailResponseStream, error) bool) {
			_ = yield(&logs.StartLiveTailResponseStream{SessionStart: &logs.LiveTailSessionStart{SessionId: new("one")}}, nil) &&
				yield(&logs.StartLiveTailResponseStream{SessionUpdate: &logs.LiveTailSessionUpdate{SessionResults: []logs.LiveTailSessionLogEvent{{Message: new("hello")}}}}, nil) &&
				yield(&logs.StartLiveTailResponseStream{SessionTimeoutException: &logs.SessionTimeoutException{Message: new("over")}}, nil)
		}}, nil
	}}.Binding())
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/", strings.NewReader(`{"logGroupIdentifiers":["arn:aws:logs:us-east-1:123456789012:log-group:g"]}`))
	r.Header.Set("X-Amz-Target", "Logs_20140328.StartLiveTail")
	w := do(s, r)
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/vnd.amazon.eventstream" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	client := cloudwatchlogs.NewFromConfig(aws.Config{Region: "us-east-1", HTTPClient: &snapshotClient{answer: w}, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(testKey, testSecret, "")})
	out, err := client.StartLiveTail(t.Context(), &cloudwatchlogs.StartLiveTailInput{LogGroupIdentifiers: []string{"arn:aws:logs:us-east-1:123456789012:log-group:g"}})
	if err != nil {
		t.Fatal(err)
	}
	stream := out.GetStream()
	defer stream.Close()
	var got []string
	for event := range stream.Events() {
		switch e := event.(type) {
		case *types.StartLiveTailResponseStreamMemberSessionStart:
			got = append(got, aws.ToString(e.Value.SessionId))
		case *types.StartLiveTailResponseStreamMemberSessionUpdate:
			for _, line := range e.Value.SessionResults {
				got = append(got, aws.ToString(line.Message))
			}
		}
	}
	var timeout *types.SessionTimeoutException
	if strings.Join(got, " ") != "one hello" || !errors.As(stream.Err(), &timeout) || timeout.ErrorMessage() != "over" {
		t.Errorf("the SDK reads %q, %v", got, stream.Err())
	}
}
