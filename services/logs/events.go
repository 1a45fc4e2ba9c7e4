package logs

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"hotaru/awsapi"
	api "hotaru/awsapi/logs"
	"hotaru/services/logs/filter"
	"hotaru/services/logs/logstore"
)

// pageBytes is how large a page of events may be.
const pageBytes = 1 << 20

// scanBytes is how much one page may cost to look for: callers come back with the token rather than wait.
const scanBytes = 32 << 20

// newestFirstSince is the start time from which FilterLogEvents can begin at the end.
const newestFirstSince = 1_704_067_200_000 // 2024-01-01

func (s *Service) getLogEvents(ctx context.Context, in *api.GetLogEventsRequest) (*api.GetLogEventsResponse, error) {
	g, err := s.identified(ctx, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	if _, err := s.logs.LookUp(g.scope, g.Name, *in.LogStreamName); err != nil {
		return nil, translate(err)
	}
	from := place{backward: !value(in.StartFromHead)}
	if in.NextToken != nil {
		if from, err = parsePlace(*in.NextToken); err != nil {
			return nil, err
		}
	}
	q := s.query(g, in.StartTime, from, in.Limit)
	q.Stream = *in.LogStreamName
	if in.EndTime != nil {
		q.To = time.UnixMilli(*in.EndTime)
	}
	var page logstore.Page
	if in.NextToken == nil || !from.backward || from.at != (logstore.Position{}) { // nothing is before the beginning
		if page, err = s.read(ctx, q); err != nil {
			return nil, err
		}
	}
	if from.backward {
		slices.Reverse(page.Events)
	}
	// An empty page ends where it began: a caller who gets back the token that it sent knows that there is no more.
	first, last := from.at, from.at
	out := &api.GetLogEventsResponse{Events: make([]api.OutputLogEvent, 0, len(page.Events))}
	for i, e := range page.Events {
		if i == 0 {
			first = e.Position
		}
		last = e.Position
		out.Events = append(out.Events, api.OutputLogEvent{
			Timestamp: new(e.Time.UnixMilli()), Message: new(e.Message), IngestionTime: new(e.Ingested.UnixMilli()),
		})
	}
	out.NextForwardToken, out.NextBackwardToken = new(place{false, last}.String()), new(place{true, first}.String())
	return out, nil
}

func (s *Service) filterLogEvents(ctx context.Context, in *api.FilterLogEventsRequest) (*api.FilterLogEventsResponse, error) {
	pattern, err := filter.Parse(value(in.FilterPattern))
	if err != nil {
		return nil, awsapi.Errorf(api.InvalidParameterException, "%s", err)
	}
	if in.LogStreamNames != nil && in.LogStreamNamePrefix != nil {
		return nil, awsapi.Errorf(api.InvalidParameterException, "LogStream names and LogStream name prefix are mutually exclusive parameters.")
	}
	from := place{backward: in.StartFromHead != nil && !*in.StartFromHead}
	if from.backward && value(in.StartTime) < newestFirstSince {
		return nil, awsapi.Errorf(api.InvalidParameterException, "startFromHead can be false only with a startTime of 2024-01-01 or later.")
	}
	if in.NextToken != nil {
		if from, err = parseOpaque(*in.NextToken); err != nil {
			return nil, err
		}
	}
	g, err := s.identified(ctx, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	q := s.query(g, in.StartTime, from, in.Limit)
	q.MaxScan = scanBytes
	if in.EndTime != nil && *in.EndTime < math.MaxInt64 {
		q.To = time.UnixMilli(*in.EndTime + 1)
	}
	if q.Streams, err = s.streams(g, in); err != nil {
		return nil, err
	}
	if !pattern.All() {
		q.Match = pattern.Match
	}
	page, err := s.read(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &api.FilterLogEventsResponse{
		Events: make([]api.FilteredLogEvent, 0, len(page.Events)), SearchedLogStreams: []api.SearchedLogStream{},
	}
	for _, e := range page.Events {
		out.Events = append(out.Events, api.FilteredLogEvent{
			LogStreamName: new(e.Stream), Timestamp: new(e.Time.UnixMilli()), Message: new(e.Message),
			IngestionTime: new(e.Ingested.UnixMilli()), EventId: new(digits(e.Position)),
		})
	}
	if page.More {
		out.NextToken = place{from.backward, page.Next}.opaque()
	}
	return out, nil
}

// streams says which streams a request is about; nil is all of them.
func (s *Service) streams(g *group, in *api.FilterLogEventsRequest) (func(string) bool, error) {
	if prefix := in.LogStreamNamePrefix; prefix != nil {
		return func(name string) bool { return strings.HasPrefix(name, *prefix) }, nil
	}
	if in.LogStreamNames == nil {
		return nil, nil
	}
	names := map[string]bool{}
	for _, name := range in.LogStreamNames {
		if _, err := s.logs.LookUp(g.scope, g.Name, name); err != nil {
			return nil, translate(err)
		}
		names[name] = true
	}
	return func(name string) bool { return names[name] }, nil
}

// query is what both operations ask: events from a time on that have not expired.
func (s *Service) query(g *group, start *int64, from place, limit *int32) logstore.Query {
	earliest := g.horizon(s.now())
	if start != nil && *start > earliest.UnixMilli() {
		earliest = time.UnixMilli(*start)
	}
	return logstore.Query{
		Scope: g.scope, Group: g.Name, From: earliest, After: from.at, Backward: from.backward,
		Limit: int(value(limit)), MaxBytes: pageBytes,
	}
}

func (s *Service) read(ctx context.Context, q logstore.Query) (logstore.Page, error) {
	page, err := s.logs.Read(ctx, q)
	for _, d := range page.Damage {
		s.logger.Error("log events are damaged; some may be missing", "group", q.Group, "file", d.Path, "offset", d.Offset, "length", d.Length)
	}
	return page, translate(err)
}

func testMetricFilter(_ context.Context, in *api.TestMetricFilterRequest) (*api.TestMetricFilterResponse, error) {
	pattern, err := filter.Parse(*in.FilterPattern)
	if err != nil {
		return nil, awsapi.Errorf(api.InvalidParameterException, "%s", err)
	}
	out := &api.TestMetricFilterResponse{Matches: []api.MetricFilterMatchRecord{}}
	for i, message := range in.LogEventMessages {
		if pattern.Match([]byte(message)) {
			out.Matches = append(out.Matches, api.MetricFilterMatchRecord{
				EventNumber: new(int64(i + 1)), EventMessage: &message, ExtractedValues: pattern.Extract([]byte(message)),
			})
		}
	}
	return out, nil
}
