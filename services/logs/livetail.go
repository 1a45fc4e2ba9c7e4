package logs

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"hotaru/awsapi"
	api "hotaru/awsapi/logs"
	"hotaru/services/logs/filter"
	"hotaru/services/logs/logstore"
)

// The limits of a live tail
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartLiveTail.html).
const (
	liveInterval = time.Second
	maxLiveTime  = 3 * time.Hour
	maxLive      = 500
)

// liveTail is one session.
type liveTail struct {
	in      *api.StartLiveTailRequest
	pattern filter.Pattern
	tails   []*logstore.Tail
	// groups are the identifiers to show, in the order of tails.
	groups []string

	mu      sync.Mutex
	waiting []api.LiveTailSessionLogEvent
	sampled bool
}

func (s *Service) startLiveTail(ctx context.Context, in *api.StartLiveTailRequest) (*api.StartLiveTailResponse, error) {
	pattern, err := filter.Parse(value(in.LogEventFilterPattern))
	if err != nil {
		return nil, awsapi.Errorf(api.InvalidParameterException, "Invalid filter pattern: %s", err)
	}
	if in.LogStreamNames != nil && in.LogStreamNamePrefixes != nil {
		return nil, awsapi.Errorf(api.InvalidParameterException, "LogStream names and LogStream name prefixes are mutually exclusive parameters.")
	}
	if len(in.LogGroupIdentifiers) > 1 && (in.LogStreamNames != nil || in.LogStreamNamePrefixes != nil) {
		return nil, awsapi.Errorf(api.InvalidParameterException, "LogStream names and prefixes can be given for one LogGroup only.")
	}
	live := &liveTail{in: in, pattern: pattern}
	for _, identifier := range in.LogGroupIdentifiers {
		g, err := s.identified(ctx, nil, &identifier)
		if err != nil {
			return nil, err
		}
		tail, err := s.logs.Tail(g.scope, g.Name, "")
		if err != nil {
			return nil, translate(err)
		}
		live.tails = append(live.tails, tail)
		live.groups = append(live.groups, g.scope.Account+":"+g.Name)
	}
	requestID := awsapi.CallFrom(ctx).RequestID
	return &api.StartLiveTailResponse{ResponseStream: func(yield func(*api.StartLiveTailResponseStream, error) bool) {
		s.serveLive(ctx, live, requestID, yield)
	}}, nil
}

// serveLive sends what came in every second, until the caller goes away, everything stops or the session is too old.
func (s *Service) serveLive(ctx context.Context, live *liveTail, requestID string, yield func(*api.StartLiveTailResponseStream, error) bool) {
	ctx, cancel := context.WithTimeout(ctx, maxLiveTime)
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel()
	if !yield(&api.StartLiveTailResponseStream{SessionStart: &api.LiveTailSessionStart{
		RequestId: &requestID, SessionId: new(uuid.NewString()), LogGroupIdentifiers: live.in.LogGroupIdentifiers,
		LogStreamNames: live.in.LogStreamNames, LogStreamNamePrefixes: live.in.LogStreamNamePrefixes,
		LogEventFilterPattern: live.in.LogEventFilterPattern,
	}}, nil) {
		return
	}
	for i := range live.tails {
		following.Go(func() { live.follow(ctx, i) })
	}
	ticker := time.NewTicker(liveInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if !yield(live.update(), nil) {
				return
			}
		case <-s.stopping:
			return
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				yield(&api.StartLiveTailResponseStream{SessionTimeoutException: &api.SessionTimeoutException{
					Message: new("The session has been open for three hours."),
				}}, nil)
			}
			return
		}
	}
}

// follow gathers what comes into one group. A group that is deleted has nothing more to say.
func (l *liveTail) follow(ctx context.Context, i int) {
	for {
		events, err := l.tails[i].Next(ctx)
		if err != nil {
			return
		}
		for _, e := range events {
			if l.wants(e.Stream) && l.pattern.Match([]byte(e.Message)) {
				l.add(api.LiveTailSessionLogEvent{
					LogStreamName: &e.Stream, LogGroupIdentifier: &l.groups[i], Message: &e.Message,
					Timestamp: new(e.Time.UnixMilli()), IngestionTime: new(e.Ingested.UnixMilli()),
				})
			}
		}
	}
}

func (l *liveTail) wants(stream string) bool {
	if l.in.LogStreamNames == nil && l.in.LogStreamNamePrefixes == nil {
		return true
	}
	for _, name := range l.in.LogStreamNames {
		if stream == name {
			return true
		}
	}
	for _, prefix := range l.in.LogStreamNamePrefixes {
		if strings.HasPrefix(stream, prefix) {
			return true
		}
	}
	return false
}

// add keeps the first events of a second; the update then says that it is a sample.
func (l *liveTail) add(e api.LiveTailSessionLogEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) >= maxLive {
		l.sampled = true
		return
	}
	l.waiting = append(l.waiting, e)
}

func (l *liveTail) update() *api.StartLiveTailResponseStream {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := &api.LiveTailSessionUpdate{
		SessionMetadata: &api.LiveTailSessionMetadata{Sampled: new(l.sampled)},
		SessionResults:  append([]api.LiveTailSessionLogEvent{}, l.waiting...),
	}
	l.waiting, l.sampled = nil, false
	return &api.StartLiveTailResponseStream{SessionUpdate: u}
}
