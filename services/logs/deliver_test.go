package logs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// script is a function whose runs end as it says, the last as often as asked for.
type script struct {
	group string
	// forbidden says that its policy lets nobody run it.
	forbidden bool
	runs      []error
	began     time.Time
	// at is when it was run.
	at []time.Duration
}

func (s *script) LogGroup(context.Context, string) (string, error) { return s.group, nil }

func (s *script) Allows(string, string) bool { return !s.forbidden }

func (s *script) Deliver(context.Context, string, []byte) error {
	s.at = append(s.at, time.Since(s.began))
	err := s.runs[0]
	if len(s.runs) > 1 {
		s.runs = s.runs[1:]
	}
	return err
}

// TestRetries: how often, and when, a delivery that fails is repeated.
func TestRetries(t *testing.T) {
	throttled, failed := errors.New("throttled"), fmt.Errorf("%w: ValueError", ErrFunctionFailed)
	const s, m = time.Second, time.Minute
	for name, tc := range map[string]struct {
		script          *script
		first           []time.Duration
		runs            int
		delivered, lost uint64
		within          time.Duration
	}{
		"at once":            {&script{runs: []error{nil}}, []time.Duration{0}, 1, 7, 0, 0},
		"after a throttle":   {&script{runs: []error{throttled, throttled, nil}}, []time.Duration{0, s, 3 * s}, 3, 7, 0, 3 * s},
		"throttled for ever": {&script{runs: []error{throttled}}, []time.Duration{0, s, 3 * s, 7 * s, 15 * s, 31 * s, 63 * s, 123 * s}, 1445, 0, 7, deliveryAge},
		"code fails once":    {&script{runs: []error{failed, nil}}, []time.Duration{0, m}, 2, 7, 0, m},
		"code fails":         {&script{runs: []error{failed}}, []time.Duration{0, m, 3 * m}, 3, 0, 7, 3 * m},
		"no function":        {&script{runs: []error{ErrNoFunction, ErrNoFunction, nil}}, []time.Duration{0, 10 * m, 20 * m}, 3, 7, 0, 20 * m},
		"not allowed":        {&script{forbidden: true}, nil, 0, 0, 7, deliveryAge},
		"its own log":        {&script{group: "g"}, nil, 0, 0, 7, deliveryAge},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				service := &Service{logger: slog.New(slog.DiscardHandler), now: time.Now}
				service.deliveries.functions, tc.script.began = tc.script, time.Now()
				d := &deliverer{s: service, group: "g"}
				if err := d.deliver(t.Context(), []byte("{}"), 7); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(tc.first, tc.script.at[:min(len(tc.script.at), len(tc.first))]); diff != "" || len(tc.script.at) != tc.runs {
					t.Errorf("%d runs, want %d; %s", len(tc.script.at), tc.runs, diff)
				}
				delivered, lost := service.Deliveries()
				if took := time.Since(tc.script.began); delivered != tc.delivered || lost != tc.lost || took > tc.within {
					t.Errorf("%d delivered and %d lost in %v, want %d and %d in %v", delivered, lost, took, tc.delivered, tc.lost, tc.within)
				}
			})
		})
	}
}

// TestRetriesEnd: whoever stops delivering does not wait for the next attempt.
func TestRetriesEnd(t *testing.T) {
	service := &Service{logger: slog.New(slog.DiscardHandler), now: time.Now}
	service.deliveries.functions = &script{runs: []error{errors.New("throttled")}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- (&deliverer{s: service, group: "g"}).deliver(ctx, nil, 1) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
