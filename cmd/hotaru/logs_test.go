package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"hotaru/awsapi"
	"hotaru/awsapi/logs"
	"hotaru/awsapi/server"
)

// TestFollowLogs follows a group that comes into being later, whose events come in pages and not in the order of time.
func TestFollowLogs(t *testing.T) {
	const start = 1_700_000_000_000
	event := func(second int64, id string) logs.FilteredLogEvent {
		return logs.FilteredLogEvent{Timestamp: aws.Int64(start + second*1000), EventId: &id, Message: aws.String("message " + id + "\n")}
	}
	ctx, interrupt := context.WithCancel(t.Context())
	var asked []string
	handlers := logs.Handlers{FilterLogEvents: func(_ context.Context, in *logs.FilterLogEventsRequest) (*logs.FilterLogEventsResponse, error) {
		asked = append(asked, fmt.Sprintf("%s %d %s", *in.LogGroupName, *in.StartTime-start, aws.ToString(in.NextToken)))
		switch len(asked) {
		case 1:
			return nil, awsapi.Errorf(logs.ResourceNotFoundException, "The specified log group does not exist.")
		case 2:
			return &logs.FilterLogEventsResponse{Events: []logs.FilteredLogEvent{event(1, "a"), event(10, "b")}, NextToken: aws.String("more")}, nil
		case 3:
			return &logs.FilterLogEventsResponse{Events: []logs.FilteredLogEvent{event(20, "d")}}, nil
		case 4:
			return &logs.FilterLogEventsResponse{Events: []logs.FilteredLogEvent{event(16, "c"), event(20, "d"), event(21, "e")}}, nil
		default:
			interrupt() // which may overtake this answer
			return nil, nil
		}
	}}
	s, err := server.New(server.Options{}, handlers.Binding())
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s)
	defer front.Close()
	var out strings.Builder
	r := logReader{
		client: cloudwatchlogs.New(cloudwatchlogs.Options{BaseEndpoint: &front.URL, Region: "us-east-1", RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider("key", "secret", "")}),
		group: logsCommand{Name: "f"}.group(), start: start, out: &out, seen: map[string]int64{},
	}
	ticks := make(chan time.Time)
	close(ticks)
	if err := r.follow(ctx, ticks); err != nil {
		t.Fatal(err)
	}
	want := "2023-11-14T22:13:21.000Z message a\n2023-11-14T22:13:30.000Z message b\n2023-11-14T22:13:40.000Z message d\n"
	late := "2023-11-14T22:13:36.000Z message c\n2023-11-14T22:13:41.000Z message e\n"
	if got := out.String(); got != want+late {
		t.Errorf("printed %q, want %q", got, want+late)
	}
	const requests = "[/aws/lambda/f 0  /aws/lambda/f 0  /aws/lambda/f 0 more /aws/lambda/f 15000  /aws/lambda/f 16000 ]"
	if got := fmt.Sprint(asked); got != requests {
		t.Errorf("asked %s, want %s", got, requests)
	}
}
