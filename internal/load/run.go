package load

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"
)

// Plan is how much load there is: Clients invoke at once, each one event after the other, until Count events have been
// sent in all or Time is over. Of Count and Time, zero means no such end; one must be set.
type Plan struct {
	Clients int
	Count   int
	Time    time.Duration
	// Patience bounds one invocation. Default: one minute.
	Patience time.Duration
}

// Result is what a load came to.
type Result struct {
	// Took has the duration of each event that succeeded, sorted.
	Took []time.Duration
	// Began and Ended are when the first event left and the last answer came.
	Began, Ended time.Time
	// Throttled counts the answers 429, Failed the function errors, and Refused every other answer.
	Throttled, Failed, Refused int
	// Broken counts events that got no answer at all; Err is the reason of one of them.
	Broken int
	Err    error
}

// Percentile is the duration that the given part of the events took at most: 0.5 for the median. It is 0 when none
// succeeded.
func (r *Result) Percentile(part float64) time.Duration { return Percentile(r.Took, part) }

// Percentile is the smallest of the durations that the given part of them does not exceed. They are sorted; it is 0 when
// there are none.
func Percentile(sorted []time.Duration, part float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(part * float64(len(sorted)))) // the nearest rank, from 1
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Rate is how many events per second succeeded.
func (r *Result) Rate() float64 {
	if took := r.Ended.Sub(r.Began).Seconds(); took > 0 {
		return float64(len(r.Took)) / took
	}
	return 0
}

// ErrPlan is a plan without clients or without an end.
var ErrPlan = errors.New("load: a plan needs clients, and a count or a time")

// defaultPatience is long enough for a cold start behind a queue.
const defaultPatience = time.Minute

// Run carries a plan out. All clients are connected before the first event leaves. It ends early with ctx.
func Run(ctx context.Context, target *Target, plan Plan) (*Result, error) {
	if plan.Clients <= 0 || plan.Count <= 0 && plan.Time <= 0 {
		return nil, ErrPlan
	}
	if plan.Patience == 0 {
		plan.Patience = defaultPatience
	}
	conns, err := dialAll(ctx, target, plan.Clients)
	defer closeAll(conns)
	if err != nil {
		return nil, err
	}
	r := &runner{plan: plan, left: plan.Count}
	r.result.Began = time.Now()
	if plan.Time > 0 {
		r.until = r.result.Began.Add(plan.Time)
	}
	var clients sync.WaitGroup
	for _, conn := range conns {
		clients.Go(func() { r.client(ctx, conn) })
	}
	clients.Wait()
	r.result.Ended = time.Now()
	slices.Sort(r.result.Took)
	return &r.result, ctx.Err()
}

// dialAll connects n clients. On an error it returns those that are connected.
func dialAll(ctx context.Context, target *Target, n int) (conns []*Conn, err error) {
	for range n {
		conn, err := Dial(ctx, target)
		if err != nil {
			return conns, err
		}
		conns = append(conns, conn)
	}
	return conns, nil
}

func closeAll(conns []*Conn) {
	for _, conn := range conns {
		_ = conn.Close() // nothing is on its way any more
	}
}

type runner struct {
	plan  Plan
	until time.Time

	mu     sync.Mutex // guards what follows
	left   int
	result Result
}

// client sends one event after the other. One whose connection breaks stops.
func (r *runner) client(ctx context.Context, conn *Conn) {
	for r.another() && ctx.Err() == nil {
		patient, cancel := context.WithTimeout(ctx, r.plan.Patience)
		took, err := conn.Invoke(patient)
		cancel()
		if !r.note(took, err) {
			return
		}
	}
}

// another says whether one more event is to be sent.
func (r *runner) another() bool {
	if !r.until.IsZero() && time.Now().After(r.until) {
		return false
	}
	if r.plan.Count == 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left--
	return r.left >= 0
}

// note counts an outcome and says whether the connection can go on.
func (r *runner) note(took time.Duration, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	status, failed := (*StatusError)(nil), (*FunctionError)(nil)
	switch {
	case err == nil:
		r.result.Took = append(r.result.Took, took)
	case errors.As(err, &failed):
		r.result.Failed++
	case errors.As(err, &status) && status.Status == 429:
		r.result.Throttled++
	case errors.As(err, &status):
		r.result.Refused++
		r.result.Err = err
	default:
		r.result.Broken++
		r.result.Err = err
		return false
	}
	return true
}
