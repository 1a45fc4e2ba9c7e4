package logs

import (
	"context"
	"fmt"
	"sort"
	"time"

	"hotaru/awsapi"
	api "hotaru/awsapi/logs"
	"hotaru/services/logs/logstore"
)

// The limits of PutLogEvents
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html).
const (
	maxBatchBytes = 1 << 20
	maxEventBytes = 1 << 20
	maxBatchSpan  = 24 * time.Hour
	maxAge        = 14 * 24 * time.Hour
	maxAhead      = 2 * time.Hour
)

// putPatience is how long a batch may wait for a slow disk.
const putPatience = 10 * time.Second

func (s *Service) putLogEvents(ctx context.Context, in *api.PutLogEventsRequest) (*api.PutLogEventsResponse, error) {
	if err := checkBatch(in.LogEvents); err != nil {
		return nil, err
	}
	g, err := s.group(ctx, *in.LogGroupName)
	if err != nil {
		return nil, err
	}
	stream, err := s.logs.LookUp(g.scope, g.Name, *in.LogStreamName)
	if err != nil {
		return nil, translate(err)
	}
	now := s.now()
	valid, rejected := g.accept(in.LogEvents, now)
	if n := len(valid); n > 0 && *valid[n-1].Timestamp-*valid[0].Timestamp > maxBatchSpan.Milliseconds() {
		return nil, awsapi.Errorf(api.InvalidParameterException,
			"The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	events := make([]logstore.Event, len(valid))
	for i, e := range valid {
		events[i] = logstore.Event{Time: time.UnixMilli(*e.Timestamp), Message: []byte(*e.Message)}
	}
	if len(events) > 0 {
		waiting, cancel := context.WithTimeout(ctx, putPatience)
		defer cancel()
		if err := stream.Put(waiting, events...); err != nil {
			return nil, translate(err)
		}
	}
	// Tokens are ignored, but older clients want one to send with the next batch.
	token := fmt.Sprintf("%056d", now.UnixNano())
	return &api.PutLogEventsResponse{NextSequenceToken: &token, RejectedLogEventsInfo: rejected}, nil
}

func checkBatch(events []api.InputLogEvent) error {
	total := 0
	for i, e := range events {
		size := logstore.EventBytes(*e.Message)
		if size > maxEventBytes {
			return awsapi.Errorf(api.InvalidParameterException, "Log event too large: %d bytes exceeds limit of %d", size, maxEventBytes)
		}
		if i > 0 && *e.Timestamp < *events[i-1].Timestamp {
			return awsapi.Errorf(api.InvalidParameterException,
				"Log events in a single PutLogEvents request must be in chronological order.")
		}
		total += size
	}
	if total > maxBatchBytes {
		return awsapi.Errorf(api.InvalidParameterException, "Upload too large: %d bytes exceeds limit of %d", total, maxBatchBytes)
	}
	return nil
}

// accept leaves out the events, in the order of time, that are too old, expired or too new, and says which.
func (g *group) accept(events []api.InputLogEvent, now time.Time) ([]api.InputLogEvent, *api.RejectedLogEventsInfo) {
	first := func(at time.Time) int {
		return sort.Search(len(events), func(i int) bool { return *events[i].Timestamp >= at.UnixMilli() })
	}
	var info api.RejectedLogEventsInfo
	start, end := first(now.Add(-maxAge)), first(now.Add(maxAhead+time.Millisecond))
	if start > 0 {
		info.TooOldLogEventEndIndex = new(int32(start))
	}
	if end < len(events) {
		info.TooNewLogEventStartIndex = new(int32(end))
	}
	if expired := first(g.horizon(now)); expired > start {
		start = expired
		info.ExpiredLogEventEndIndex = new(int32(expired))
	}
	if info == (api.RejectedLogEventsInfo{}) {
		return events, nil
	}
	return events[start:max(start, end)], &info
}
