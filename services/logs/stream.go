package logs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hotaru/awsapi"
	api "hotaru/awsapi/logs"
	"hotaru/services/logs/logstore"
)

func (s *Service) createLogStream(ctx context.Context, in *api.CreateLogStreamRequest) (*api.CreateLogStreamOutput, error) {
	made, err := s.logs.CreateStream(ctx, awsapi.CallFrom(ctx).Scope, *in.LogGroupName, *in.LogStreamName)
	if err != nil {
		return nil, translate(err)
	}
	if !made {
		return nil, awsapi.Errorf(api.ResourceAlreadyExistsException, "The specified log stream already exists")
	}
	return nil, nil
}

func (s *Service) deleteLogStream(ctx context.Context, in *api.DeleteLogStreamRequest) (*api.DeleteLogStreamOutput, error) {
	g, err := s.group(ctx, *in.LogGroupName)
	if err != nil {
		return nil, err
	}
	return nil, translate(s.logs.DeleteStream(ctx, g.scope, g.Name, *in.LogStreamName))
}

func (s *Service) describeLogStreams(ctx context.Context, in *api.DescribeLogStreamsRequest) (*api.DescribeLogStreamsResponse, error) {
	byTime := value(in.OrderBy) == api.OrderByLastEventTime
	if byTime && in.LogStreamNamePrefix != nil {
		return nil, awsapi.Errorf(api.InvalidParameterException, "Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	g, err := s.identified(ctx, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	streams, err := s.logs.Streams(g.scope, g.Name)
	if err != nil {
		return nil, translate(err)
	}
	streams = slices.DeleteFunc(streams, func(i logstore.StreamInfo) bool {
		return !strings.HasPrefix(i.Name, value(in.LogStreamNamePrefix))
	})
	place := func(i logstore.StreamInfo) string { return i.Name }
	if byTime {
		place = placeByTime
	}
	compare := cmp.Compare[string]
	if value(in.Descending) {
		compare = func(a, b string) int { return cmp.Compare(b, a) }
	}
	slices.SortFunc(streams, func(a, b logstore.StreamInfo) int { return compare(place(a), place(b)) })
	streams, next, err := paginate(streams, func(i logstore.StreamInfo, last string) bool { return compare(place(i), last) > 0 },
		place, in.NextToken, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &api.DescribeLogStreamsResponse{LogStreams: []api.LogStream{}, NextToken: next}
	for _, i := range streams {
		out.LogStreams = append(out.LogStreams, g.showStream(i))
	}
	return out, nil
}

// placeByTime orders streams by their last event, those without one first.
func placeByTime(i logstore.StreamInfo) string {
	last := int64(0)
	if !i.LastEvent.IsZero() {
		last = i.LastEvent.UnixMilli()
	}
	return fmt.Sprintf("%020d/%s", last, i.Name)
}

func (g *group) showStream(i logstore.StreamInfo) api.LogStream {
	return api.LogStream{
		LogStreamName: &i.Name, CreationTime: new(i.Created.UnixMilli()), Arn: new(g.streamARN(i.Name)),
		FirstEventTimestamp: millis(i.FirstEvent), LastEventTimestamp: millis(i.LastEvent), LastIngestionTime: millis(i.LastIngestion),
		StoredBytes: new(int64(0)), // AWS has counted the bytes of groups alone since 2019
	}
}

func millis(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	return new(t.UnixMilli())
}
