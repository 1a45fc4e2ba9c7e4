package logs_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"hotaru/services/logs"
	"hotaru/services/logs/logstore"
	"hotaru/store"
)

const functionARN = "arn:aws:lambda:us-east-1:" + account + ":function:"

// delivery is what a function has got.
type delivery struct {
	to string
	deliveredMessage
}

type deliveredMessage struct {
	MessageType, Owner, LogGroup, LogStream string
	SubscriptionFilters                     []string
	LogEvents                               []deliveredEvent
}

type deliveredEvent struct {
	ID, Message     string
	Timestamp       int64
	ExtractedFields map[string]string
}

// texts are a delivery's messages in short.
func (d delivery) texts() string {
	var all []string
	for _, e := range d.LogEvents {
		all = append(all, e.Message)
	}
	return d.to + " " + d.LogStream + ": " + strings.Join(all, ",")
}

// sink is an account's functions: of every name but "nope", each with a log group of its own.
type sink struct {
	t          testing.TB
	deliveries chan delivery

	mu  sync.Mutex
	err error
}

// fail makes deliveries fail until it is told otherwise.
func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// LogGroup implements logs.Functions.
func (s *sink) LogGroup(_ context.Context, arn string) (string, error) {
	name := strings.TrimPrefix(arn, functionARN)
	if name == "nope" {
		return "", logs.ErrNoFunction
	}
	return "/aws/lambda/" + name, nil
}

// Allows implements logs.Functions: all but one are for the groups of the account.
func (s *sink) Allows(arn, group string) bool {
	return arn != functionARN+"private" && strings.HasPrefix(group, "arn:aws:logs:us-east-1:"+account+":log-group:")
}

// Deliver implements logs.Functions.
func (s *sink) Deliver(_ context.Context, arn string, event []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	var outer struct{ AWSLogs struct{ Data []byte } }
	err := json.Unmarshal(event, &outer)
	if err == nil {
		var plain *gzip.Reader
		if plain, err = gzip.NewReader(bytes.NewReader(outer.AWSLogs.Data)); err == nil {
			got := delivery{to: strings.TrimPrefix(arn, functionARN)}
			decoder := json.NewDecoder(plain)
			decoder.DisallowUnknownFields()
			err = decoder.Decode(&got.deliveredMessage)
			s.deliveries <- got
		}
	}
	if err != nil {
		s.t.Errorf("%s: %v", event, err)
	}
	return nil
}

// next waits for a delivery.
func (s *sink) next() delivery {
	s.t.Helper()
	select {
	case d := <-s.deliveries:
		return d
	case <-time.After(30 * time.Second):
		s.t.Fatal("no delivery")
		return delivery{}
	}
}

func (h *house) subscribe(group, name, pattern, function string) {
	h.t.Helper()
	must(h.PutSubscriptionFilter(h.t.Context(), &client.PutSubscriptionFilterInput{
		LogGroupName: &group, FilterName: &name, FilterPattern: &pattern, DestinationArn: aws.String(functionARN + function),
	}))(h.t)
}

func (h *house) subscriptions(in client.DescribeSubscriptionFiltersInput) *client.DescribeSubscriptionFiltersOutput {
	h.t.Helper()
	in.LogGroupName = aws.String("g")
	return must(h.DescribeSubscriptionFilters(h.t.Context(), &in))(h.t)
}

func TestSubscriptionFilterRefusals(t *testing.T) {
	h := newHouse(t, t.TempDir(), logstore.Options{})
	h.createGroup("g")
	h.createGroup("/aws/lambda/self")
	const unable = "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute your function."
	for what, tc := range map[string]struct {
		change        func(*client.PutSubscriptionFilterInput)
		code, message string
	}{
		"no group":   {func(in *client.PutSubscriptionFilterInput) { in.LogGroupName = aws.String("nope") }, missing, noGroup},
		"no pattern": {func(in *client.PutSubscriptionFilterInput) { in.FilterPattern = aws.String("a.b") }, invalid, "Invalid character(s) in term 'a.b'"},
		"a role": {func(in *client.PutSubscriptionFilterInput) { in.RoleArn = aws.String("arn:aws:iam::1:role/r") }, invalid,
			"destinationArn for vendor lambda cannot be used with roleArn"},
		"no ARN": {func(in *client.PutSubscriptionFilterInput) { in.DestinationArn = aws.String("f") }, invalid, "Invalid destinationArn: f"},
		"a queue": {func(in *client.PutSubscriptionFilterInput) {
			in.DestinationArn = aws.String("arn:aws:sqs:us-east-1:" + account + ":q")
		}, invalid, "PutSubscriptionFilter operation cannot work with destinationArn for vendor sqs"},
		"no function":        {func(in *client.PutSubscriptionFilterInput) { in.DestinationArn = aws.String(functionARN + "nope") }, invalid, unable},
		"a private function": {func(in *client.PutSubscriptionFilterInput) { in.DestinationArn = aws.String(functionARN + "private") }, invalid, unable},
		"another account": {func(in *client.PutSubscriptionFilterInput) {
			in.DestinationArn = aws.String("arn:aws:lambda:us-east-1:999999999999:function:f")
		}, invalid, unable},
		"another region": {func(in *client.PutSubscriptionFilterInput) {
			in.DestinationArn = aws.String("arn:aws:lambda:eu-west-1:" + account + ":function:f")
		}, invalid, unable},
		"its own log": {func(in *client.PutSubscriptionFilterInput) {
			in.LogGroupName, in.DestinationArn = aws.String("/aws/lambda/self"), aws.String(functionARN+"self")
		}, invalid, "The function logs to this log group itself: every delivery would cause the next one, without end."},
		"a stream": {func(in *client.PutSubscriptionFilterInput) {
			in.DestinationArn = aws.String("arn:aws:kinesis:us-east-1:" + account + ":stream/s")
		},
			"NotImplementedException", "A subscription filter with a destination of kinesis is not built yet in this version of Hotaru."},
		"transformed": {func(in *client.PutSubscriptionFilterInput) { in.ApplyOnTransformedLogs = true },
			"NotImplementedException", "ApplyOnTransformedLogs of a subscription filter is not built yet in this version of Hotaru."},
		"system fields": {func(in *client.PutSubscriptionFilterInput) { in.EmitSystemFields = []string{"@aws.account"} },
			"NotImplementedException", "EmitSystemFields of a subscription filter is not built yet in this version of Hotaru."},
		"criteria": {func(in *client.PutSubscriptionFilterInput) {
			in.FieldSelectionCriteria = aws.String(`@aws.account = "1"`)
		},
			"NotImplementedException", "FieldSelectionCriteria of a subscription filter is not built yet in this version of Hotaru."},
	} {
		in := client.PutSubscriptionFilterInput{
			LogGroupName: aws.String("g"), FilterName: aws.String("f"), FilterPattern: aws.String(""), DestinationArn: aws.String(functionARN + "f"),
		}
		tc.change(&in)
		_, err := h.PutSubscriptionFilter(t.Context(), &in)
		refused(t, what, err, tc.code, tc.message)
	}
	if left := h.subscriptions(client.DescribeSubscriptionFiltersInput{}).SubscriptionFilters; len(left) != 0 {
		t.Errorf("refusals left %v", left)
	}
	for what, do := range map[string]func() error{
		noGroup: call(h.DescribeSubscriptionFilters, &client.DescribeSubscriptionFiltersInput{LogGroupName: aws.String("nope")}),
		"The specified subscription filter does not exist.": call(h.DeleteSubscriptionFilter,
			&client.DeleteSubscriptionFilterInput{LogGroupName: aws.String("g"), FilterName: aws.String("nope")}),
	} {
		refused(t, "what is not there", do(), missing, what)
	}
}

func TestSubscriptionFilterLife(t *testing.T) {
	h := newHouse(t, t.TempDir(), logstore.Options{})
	h.createGroup("g")
	h.subscribe("g", "b", "", "one")
	h.subscribe("g", "a", "x", "one")
	_, err := h.PutSubscriptionFilter(t.Context(), &client.PutSubscriptionFilterInput{
		LogGroupName: aws.String("g"), FilterName: aws.String("c"), FilterPattern: aws.String(""), DestinationArn: aws.String(functionARN + "f"),
	})
	refused(t, "a third", err, "LimitExceededException", "Resource limit exceeded.")
	h.clock.Add(5)
	must(h.PutSubscriptionFilter(t.Context(), &client.PutSubscriptionFilterInput{
		LogGroupName: aws.String("g"), FilterName: aws.String("b"), FilterPattern: aws.String("y"),
		DestinationArn: aws.String(functionARN + "two:alias"), Distribution: types.DistributionRandom,
	}))(t)
	want := []types.SubscriptionFilter{
		{FilterName: aws.String("a"), LogGroupName: aws.String("g"), FilterPattern: aws.String("x"), DestinationArn: aws.String(functionARN + "one"),
			Distribution: types.DistributionByLogStream, CreationTime: ms(0)},
		{FilterName: aws.String("b"), LogGroupName: aws.String("g"), FilterPattern: aws.String("y"), DestinationArn: aws.String(functionARN + "two:alias"),
			Distribution: types.DistributionRandom, CreationTime: ms(0)},
	}
	show := func(filters []types.SubscriptionFilter) []string {
		var all []string
		for _, f := range filters {
			all = append(all, fmt.Sprint(*f.FilterName, *f.LogGroupName, *f.FilterPattern, *f.DestinationArn, f.Distribution, *f.CreationTime, f.ApplyOnTransformedLogs))
		}
		return all
	}
	same(t, "all", show(want), show(h.subscriptions(client.DescribeSubscriptionFiltersInput{}).SubscriptionFilters))
	same(t, "by prefix", show(want[1:]), show(h.subscriptions(client.DescribeSubscriptionFiltersInput{FilterNamePrefix: aws.String("b")}).SubscriptionFilters))
	page := h.subscriptions(client.DescribeSubscriptionFiltersInput{Limit: aws.Int32(1)})
	same(t, "first page", show(want[:1]), show(page.SubscriptionFilters))
	page = h.subscriptions(client.DescribeSubscriptionFiltersInput{Limit: aws.Int32(1), NextToken: page.NextToken})
	if same(t, "second page", show(want[1:]), show(page.SubscriptionFilters)); page.NextToken != nil {
		t.Error("there is a third page")
	}

	must(h.DeleteSubscriptionFilter(t.Context(), &client.DeleteSubscriptionFilterInput{LogGroupName: aws.String("g"), FilterName: aws.String("a")}))(t)
	same(t, "after a deletion", show(want[1:]), show(h.subscriptions(client.DescribeSubscriptionFiltersInput{}).SubscriptionFilters))
	// Nothing of a deleted group's comes back with its name.
	must(h.DeleteLogGroup(t.Context(), &client.DeleteLogGroupInput{LogGroupName: aws.String("g")}))(t)
	h.createGroup("g")
	if left := h.subscriptions(client.DescribeSubscriptionFiltersInput{}).SubscriptionFilters; len(left) != 0 {
		t.Errorf("a new group has %v", left)
	}
	for r, err := range h.state.List(t.Context(), store.NewPrefix("logposition"), "") {
		t.Errorf("a position is left at %s (%v)", r.Key, err)
	}
}

func TestDelivery(t *testing.T) {
	h := newHouse(t, t.TempDir(), logstore.Options{})
	h.fill("g", "s1", "a")
	h.createStream("g", "s2")
	h.subscribe("g", "all", "", "one")
	h.subscribe("g", "fields", "[level=ERROR, text]", "two")
	h.put("g", "s1", 0, "INFO quiet")
	same(t, "one event", "one s1: INFO quiet", h.sink.next().texts())

	h.put("g", "s2", 1000, "ERROR <loud>")
	got := map[string]delivery{}
	for range 2 {
		d := h.sink.next()
		got[d.to] = d
	}
	event := deliveredEvent{Message: "ERROR <loud>", Timestamp: *ms(1000)}
	for name, d := range got {
		if len(d.LogEvents) != 1 || len(d.LogEvents[0].ID) != 56 {
			t.Fatalf("%s got %+v", name, d)
		}
		d.LogEvents[0].ID = ""
	}
	message := deliveredMessage{MessageType: "DATA_MESSAGE", Owner: account, LogGroup: "g", LogStream: "s2",
		SubscriptionFilters: []string{"all"}, LogEvents: []deliveredEvent{event}}
	same(t, "of all", message, got["one"].deliveredMessage)
	message.SubscriptionFilters = []string{"fields"}
	message.LogEvents = []deliveredEvent{event}
	message.LogEvents[0].ExtractedFields = map[string]string{"level": "ERROR", "text": "<loud>"}
	same(t, "of fields", message, got["two"].deliveredMessage)

	// A changed filter goes on where it is, to the new function.
	h.subscribe("g", "all", "-INFO", "three")
	h.put("g", "s1", 2000, "INFO again", "more")
	same(t, "after a change", "three s1: more", h.sink.next().texts())
	must(h.DeleteSubscriptionFilter(t.Context(), &client.DeleteSubscriptionFilterInput{LogGroupName: aws.String("g"), FilterName: aws.String("all")}))(t)
	h.put("g", "s1", 3000, "nobody wants this", "ERROR but(this)")
	same(t, "after a deletion", "two s1: ERROR but(this)", h.sink.next().texts())
	h.close()
	if delivered, lost := h.service.Deliveries(); delivered != 5 || lost != 0 {
		t.Errorf("%d delivered, %d lost; want 5 and 0", delivered, lost)
	}
}

// TestDeliveryAfterRestart: what was logged while nothing could be delivered is delivered by the next process, and
// nothing twice.
func TestDeliveryAfterRestart(t *testing.T) {
	dir := t.TempDir()
	h := newHouse(t, dir, logstore.Options{})
	h.fill("g", "s", "a")
	h.subscribe("g", "all", "", "f")
	h.put("g", "s", 0, "first")
	same(t, "at once", "f s: first", h.sink.next().texts())
	h.sink.fail(errors.New("throttled"))
	h.put("g", "s", 1000, "second", "third")
	h.close()

	h = newHouse(t, dir, logstore.Options{})
	same(t, "after a restart", "f s: second,third", h.sink.next().texts())
	h.close()

	// A power failure may cost the end of the log but not the position: what comes then is delivered.
	h = newHouse(t, dir, logstore.Options{})
	key := store.NewKey("logposition", "aws", account, "us-east-1", "g", "all")
	record := must(h.state.Get(t.Context(), key))(t)
	far := bytes.Replace(record.Value, []byte(`"seq":`), []byte(`"seq":9`), 1)
	if bytes.Equal(far, record.Value) {
		t.Fatalf("no position in %s", record.Value)
	}
	must(h.state.Commit(t.Context(), store.Change{Key: key, Value: far}))(t)
	h.close()
	h = newHouse(t, dir, logstore.Options{})
	h.put("g", "s", 2000, "fourth")
	same(t, "after a power failure", "f s: fourth", h.sink.next().texts())
}

// TestSkippedIsHandled: what did not match does not come back when the filter goes on with another pattern.
func TestSkippedIsHandled(t *testing.T) {
	dir := t.TempDir()
	h := newHouse(t, dir, logstore.Options{})
	h.createGroup("g")
	h.createStream("g", "s")
	h.subscribe("g", "all", "", "f")
	h.subscribe("g", "errors", "ERROR", "f")
	for round := 0; ; round++ {
		h.put("g", "s", int64(round), "quiet")
		same(t, "of all", "f s: quiet", h.sink.next().texts())
		h.service.Drain(t.Context())
		var positions []string
		for r, err := range h.state.List(t.Context(), store.NewPrefix("logposition"), "") {
			if err != nil {
				t.Fatal(err)
			}
			var p struct{ Seq uint64 }
			if err := json.Unmarshal(r.Value, &p); err != nil {
				t.Fatal(err)
			}
			positions = append(positions, fmt.Sprint(p.Seq))
		}
		if len(positions) == 2 && positions[0] == positions[1] {
			return
		}
		if round > 20 {
			t.Fatalf("the positions are %q", positions)
		}
		// It was stopped before it had looked.
		h.close()
		h = newHouse(t, dir, logstore.Options{})
	}
}

// TestDeliveryOfMuch: many events make few deliveries of a bounded size, with each event once and in order.
func TestDeliveryOfMuch(t *testing.T) {
	h := newHouse(t, t.TempDir(), logstore.Options{})
	h.createGroup("g")
	h.createStream("g", "s")
	h.subscribe("g", "all", "", "f")
	long := strings.Repeat("x", 60_000)
	var sent, got []string
	for i := range 80 {
		sent = append(sent, fmt.Sprint(i, long))
	}
	for i := 0; i < len(sent); i += 16 {
		h.put("g", "s", int64(i)*100, sent[i:i+16]...)
	}
	for len(got) < len(sent) {
		size := 0
		for _, e := range h.sink.next().LogEvents {
			got = append(got, e.Message)
			size += len(e.Message)
		}
		if size > 2<<20 {
			t.Errorf("a delivery of %d bytes", size)
		}
	}
	same(t, "events", sent, got)
}
