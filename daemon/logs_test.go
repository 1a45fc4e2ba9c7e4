package daemon

import (
	"context"
	"encoding/base64"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"hotaru/internal/recorded"
)

// cloudwatch is a client of CloudWatch Logs.
func (h *harness) cloudwatch() *cloudwatchlogs.Client {
	c := h.Endpoint().Credential
	return h.cloudwatchAs(c.AccessKeyID, c.SecretAccessKey)
}

func (h *harness) cloudwatchAs(key, secret string) *cloudwatchlogs.Client {
	return cloudwatchlogs.New(cloudwatchlogs.Options{
		Region: h.config.Region, BaseEndpoint: aws.String(h.Endpoint().URL), RetryMaxAttempts: 1, HTTPClient: h.http,
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""),
	})
}

// logged waits for a group to have as many REPORT lines, and returns all events of it.
func (h *harness) logged(group string, reports int) []types.FilteredLogEvent {
	h.t.Helper()
	return h.loggedWhen(group, func(events []types.FilteredLogEvent) bool {
		seen := 0
		for _, e := range events {
			if strings.HasPrefix(*e.Message, "REPORT ") {
				seen++
			}
		}
		return seen == reports
	})
}

// loggedWhen waits until a group has what is wanted, and returns all events of it. What processes print, and what is told
// after an answer, comes when it comes.
func (h *harness) loggedWhen(group string, wanted func([]types.FilteredLogEvent) bool) []types.FilteredLogEvent {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), settling)
	defer cancel()
	client := h.cloudwatch()
	for {
		if err := h.logs.Flush(ctx); err != nil {
			h.t.Fatal(err)
		}
		var events []types.FilteredLogEvent
		var err error
		in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &group}
		for pages := cloudwatchlogs.NewFilterLogEventsPaginator(client, in); err == nil && pages.HasMorePages(); {
			var page *cloudwatchlogs.FilterLogEventsOutput
			if page, err = pages.NextPage(ctx); err == nil {
				events = append(events, page.Events...)
			}
		}
		if err == nil && wanted(events) {
			return events
		}
		if err != nil && ctx.Err() == nil {
			h.t.Fatal(err)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			h.t.Fatalf("the log of %s has not what is wanted:\n%s", group, strings.Join(messages(events), ""))
		}
	}
}

func messages(events []types.FilteredLogEvent) []string {
	var texts []string
	for _, e := range events {
		texts = append(texts, *e.Message)
	}
	return texts
}

// TestFunctionLogs reads what functions print, and compares it with AWS's records.
func TestFunctionLogs(t *testing.T) {
	h := start(t)
	h.createPython("prints", "def handler(event, context):\n    print('multi\\nline\\nstring\\nanother\\rline')\n")
	h.ok("prints", `{}`)
	var got []any
	events := h.logged("/aws/lambda/prints", 1)
	for _, e := range events {
		if *e.Timestamp <= 0 || *e.IngestionTime < *e.Timestamp || *e.EventId == "" {
			t.Errorf("%q at %d, ingested %d, ID %s", *e.Message, *e.Timestamp, *e.IngestionTime, *e.EventId)
		}
		// The version of Python is this machine's.
		message := strings.Replace(*e.Message, strings.Replace(h.python, "python", "python:", 1), "python:3.13", 1)
		got = append(got, map[string]any{"logStreamName": *e.LogStreamName, "timestamp": "timestamp", "message": message,
			"ingestionTime": "timestamp", "eventId": "event-id"})
	}
	s := record(t, "lambda_runtimes", "TestCloudwatchLogs::test_multi_line_prints")
	for _, line := range recorded.Diff(s["log-events"], got) {
		t.Error(line)
	}

	h.createPython("logger", `
import logging
logging.getLogger().setLevel(logging.INFO)
def handler(event, context):
    logging.getLogger().info("RequestId log message")
    return context.aws_request_id
`)
	s = record(t, "lambda", "TestRequestIdHandling::test_request_id_invoke")
	answered := h.invokeRaw("logger", nil, nil)
	id := fmt.Sprint(answered["Payload"])
	answered["Payload"] = fmt.Sprintf("%q", id) // the record has the text
	same(t, s, "invoke_result", answered)
	var lines []any
	for _, text := range messages(h.logged("/aws/lambda/logger", 1)) {
		if !strings.HasPrefix(text, "INIT_START") {
			lines = append(lines, strings.TrimSpace(text))
			if !strings.Contains(text, id) {
				t.Errorf("%q is not of %s", text, id)
			}
		}
	}
	for _, line := range recorded.Diff(s["log_entries"], map[string]any{"logs": lines}) {
		t.Error(line)
	}

	streams, err := h.cloudwatch().DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{
		LogGroupName: aws.String("/aws/lambda/prints"), OrderBy: types.OrderByLastEventTime, Descending: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(streams.LogStreams); n != 1 || !strings.Contains(*streams.LogStreams[0].LogStreamName, "/[$LATEST]") {
		t.Errorf("streams: %v", streams.LogStreams)
	}
	out, err := h.cloudwatch().GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: aws.String("/aws/lambda/prints"), LogStreamName: streams.LogStreams[0].LogStreamName, Limit: aws.Int32(2)})
	if err != nil {
		t.Fatal(err)
	}
	want := messages(events[len(events)-2:])
	if got := []string{*out.Events[0].Message, *out.Events[1].Message}; !slices.Equal(got, want) {
		t.Errorf("the last two events: %q, want %q", got, want)
	}
}

// TestLogResultIsInTheLog: what Invoke returns as the log's tail is what the log has.
func TestLogResultIsInTheLog(t *testing.T) {
	h := start(t)
	h.createPython("f", "def handler(event, context):\n    print('hello', event)\n")
	out := h.invoke("f", `"there"`)
	tail, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(messages(h.logged("/aws/lambda/f", 1)), ""); !strings.HasSuffix(text, string(tail)) || !strings.Contains(text, "hello there\n") {
		t.Errorf("log %q, tail %q", text, tail)
	}
}

// TestAWSCLILogs reads a function's log with the AWS CLI.
func TestAWSCLILogs(t *testing.T) {
	cli, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("there is no AWS CLI")
	}
	h := start(t)
	h.createPython("f", "def handler(event, context):\n    print('hello', event)\n")
	h.ok("f", `"one"`)
	h.ok("f", `"two"`)
	h.logged("/aws/lambda/f", 2)
	run := func(args ...string) string {
		command := exec.CommandContext(t.Context(), cli, append([]string{"logs", "--output", "text"}, args...)...)
		command.Env = append(h.Endpoint().Variables(), "PATH=/usr/bin:/bin", "HOME="+t.TempDir(), "AWS_PAGER=")
		text, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("aws logs %q: %v\n%s", args, err, text)
		}
		return strings.TrimSpace(string(text))
	}
	if got := run("describe-log-groups", "--query", "logGroups[].logGroupName"); got != "/aws/lambda/f" {
		t.Errorf("groups: %q", got)
	}
	stream := run("describe-log-streams", "--log-group-name", "/aws/lambda/f", "--order-by", "LastEventTime", "--query", "logStreams[].logStreamName")
	if got := run("filter-log-events", "--log-group-name", "/aws/lambda/f", "--filter-pattern", "hello -two", "--query", "events[].message"); got != "hello one" {
		t.Errorf("events: %q", got)
	}
	if got := run("get-log-events", "--log-group-name", "/aws/lambda/f", "--log-stream-name", stream, "--limit", "2", "--query", "events[].message"); !strings.HasPrefix(got, "END RequestId: ") {
		t.Errorf("last events: %q", got)
	}
}

// TestLogsRefuseStrangers: CloudWatch Logs is behind the same door as everything else.
func TestLogsRefuseStrangers(t *testing.T) {
	h := start(t)
	if _, err := h.cloudwatchAs("AKIAIOSFODNN7EXAMPLE", "wrong").DescribeLogGroups(t.Context(), nil); err == nil ||
		!strings.Contains(err.Error(), "UnrecognizedClientException") {
		t.Errorf("a wrong key: %v", err)
	}
	_, key := h.user("reader", `{"Effect":"Allow","Action":"logs:FilterLogEvents","Resource":"arn:aws:logs:us-east-1:000000000000:log-group:g:*"}`)
	reader := h.cloudwatchAs(*key.AccessKeyId, *key.SecretAccessKey)
	for _, group := range []string{"g", "other"} {
		if _, err := h.cloudwatch().CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &group}); err != nil {
			t.Fatal(err)
		}
		_, err := reader.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &group})
		if refused := err != nil && strings.Contains(err.Error(), "AccessDeniedException"); refused != (group == "other") || !refused && err != nil {
			t.Errorf("reading %s: %v", group, err)
		}
	}
}
