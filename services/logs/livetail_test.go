package logs_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"hotaru/services/logs/logstore"
)

// live starts a live tail with a client of its own: the SDK's decoder belongs to one stream at a time.
func (h *house) live(in client.StartLiveTailInput) (*client.StartLiveTailEventStream, error) {
	out, err := h.in("us-east-1").StartLiveTail(h.t.Context(), &in)
	if err != nil {
		return nil, err
	}
	return out.GetStream(), nil
}

func TestStartLiveTail(t *testing.T) {
	h := newHouse(t, t.TempDir(), logstore.Options{})
	h.fill("g", "s1", "a")
	h.createStream("g", "s2")
	h.fill("other", "s1", "a")
	const other = "arn:aws:logs:us-east-1:" + account + ":log-group:other"
	for what, tc := range map[string]struct {
		in            client.StartLiveTailInput
		code, message string
	}{
		"no group": {client.StartLiveTailInput{LogGroupIdentifiers: []string{arnG + "x"}}, missing, noGroup},
		"no pattern": {client.StartLiveTailInput{LogGroupIdentifiers: []string{arnG}, LogEventFilterPattern: aws.String("a.b")},
			invalid, "Invalid filter pattern: Invalid character(s) in term 'a.b'"},
		"names and prefixes": {client.StartLiveTailInput{LogGroupIdentifiers: []string{arnG}, LogStreamNames: []string{"a"}, LogStreamNamePrefixes: []string{"a"}},
			invalid, "LogStream names and LogStream name prefixes are mutually exclusive parameters."},
		"streams of two groups": {client.StartLiveTailInput{LogGroupIdentifiers: []string{arnG, other}, LogStreamNames: []string{"a"}},
			invalid, "LogStream names and prefixes can be given for one LogGroup only."},
	} {
		_, err := h.live(tc.in)
		refused(t, what, err, tc.code, tc.message)
	}

	one := must(h.live(client.StartLiveTailInput{LogGroupIdentifiers: []string{arnG}, LogStreamNamePrefixes: []string{"s2"}, LogEventFilterPattern: aws.String("-quiet")}))(t)
	both := must(h.live(client.StartLiveTailInput{LogGroupIdentifiers: []string{arnG, other}, LogEventFilterPattern: aws.String("loud")}))(t)
	for _, stream := range []*client.StartLiveTailEventStream{one, both} {
		if start, ok := (<-stream.Events()).(*types.StartLiveTailResponseStreamMemberSessionStart); !ok || *start.Value.SessionId == "" {
			t.Fatalf("the first event: %v %v", start, stream.Err())
		}
	}
	h.put("g", "s1", 0, "loud one")
	h.put("g", "s2", 0, "quiet two", "loud two")
	h.put("other", "s1", 0, "loud three")
	same(t, "one group", map[string]string{"loud two": account + ":g s2"}, updates(one, 1))
	same(t, "two groups", map[string]string{"loud one": account + ":g s1", "loud two": account + ":g s2", "loud three": account + ":other s1"}, updates(both, 3))
	if err := one.Close(); err != nil {
		t.Error(err)
	}

	// Whoever is still there when the service stops is let go.
	close(h.stopping)
	for range both.Events() {
	}
	if err := both.Close(); err != nil {
		t.Error(err)
	}
}

// updates gathers events, by message, until there are n.
func updates(stream *client.StartLiveTailEventStream, n int) map[string]string {
	got := map[string]string{}
	for event := range stream.Events() {
		if update, ok := event.(*types.StartLiveTailResponseStreamMemberSessionUpdate); ok {
			for _, e := range update.Value.SessionResults {
				got[*e.Message] = *e.LogGroupIdentifier + " " + *e.LogStreamName
			}
		}
		if len(got) >= n {
			break
		}
	}
	return got
}
