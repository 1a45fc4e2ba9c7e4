package logs

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	api "hotaru/awsapi/logs"
	"hotaru/services/logs/logstore"
	"hotaru/store"
)

// Options are what a Service is made of.
type Options struct {
	// State keeps what is said of groups, Logs their events. Both must outlive the Service.
	State store.State
	Logs  *logstore.Store
	// Logger hears of damaged events; slog.DiscardHandler by default.
	Logger *slog.Logger
	// Stopping is closed when live tails are to end; nil is never.
	Stopping <-chan struct{}
	// Now is the clock for retention and for events that are too old or too new; time.Now.
	Now func() time.Time
}

// Service answers the operations of CloudWatch Logs.
type Service struct {
	state  store.State
	logs   *logstore.Store
	logger *slog.Logger
	now    func() time.Time
	// stopping ends live tails.
	stopping <-chan struct{}
	// records are what is said of groups.
	records *store.View[*record]

	// changing is held by whoever makes, changes or deletes a group: the two stores know nothing of each other.
	changing sync.Mutex

	deliveries deliveries

	// trim has a place for one demand to look for expired events; the goroutine that does ends with stop.
	trim chan struct{}
	stop context.CancelFunc
	done chan struct{}
}

// Open reads what is said of groups, follows its changes, and removes expired events now and then, until Close.
func Open(ctx context.Context, o Options) (*Service, error) {
	s := &Service{
		state: o.State, logs: o.Logs, logger: o.Logger, now: o.Now, stopping: o.Stopping,
		trim: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.records = store.NewView(o.State, store.NewPrefix(kindGroup), decode)
	if err := s.records.Start(ctx); err != nil {
		return nil, fmt.Errorf("logs: reading groups: %w", err)
	}
	trimming, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.deliveries.running = map[store.Key]*deliverer{}
	s.deliveries.ctx, s.deliveries.stop = context.WithCancel(context.WithoutCancel(ctx))
	go s.keepTrimming(trimming)
	return s, nil
}

// Close stops following the store, trimming and delivering. It waits for functions that have not ended yet: Drain first.
func (s *Service) Close() {
	s.Drain(context.Background())
	s.stop()
	<-s.done
	s.records.Close()
}

// Failed is closed when the store can no longer be followed, by Close too.
func (s *Service) Failed() <-chan struct{} { return s.records.Failed() }

// Handlers are the operations that are built.
func (s *Service) Handlers() api.Handlers {
	return api.Handlers{
		CreateLogGroup: s.createLogGroup, DescribeLogGroups: s.describeLogGroups, DeleteLogGroup: s.deleteLogGroup,
		PutLogGroupDeletionProtection: s.putLogGroupDeletionProtection,
		PutRetentionPolicy:            s.putRetentionPolicy, DeleteRetentionPolicy: s.deleteRetentionPolicy,

		TagLogGroup: s.tagLogGroup, UntagLogGroup: s.untagLogGroup, ListTagsLogGroup: s.listTagsLogGroup,
		TagResource: s.tagResource, UntagResource: s.untagResource, ListTagsForResource: s.listTagsForResource,

		CreateLogStream: s.createLogStream, DescribeLogStreams: s.describeLogStreams, DeleteLogStream: s.deleteLogStream,

		PutLogEvents: s.putLogEvents, GetLogEvents: s.getLogEvents, FilterLogEvents: s.filterLogEvents,
		TestMetricFilter: testMetricFilter, StartLiveTail: s.startLiveTail,

		PutSubscriptionFilter: s.putSubscriptionFilter, DescribeSubscriptionFilters: s.describeSubscriptionFilters,
		DeleteSubscriptionFilter: s.deleteSubscriptionFilter,
	}
}
