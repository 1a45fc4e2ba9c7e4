package invoke

import (
	"math/rand/v2"
	"sync"
	"time"

	"hotaru/awsapi/xray"
	"hotaru/function"
)

// trace turns the trace header of a caller into the one that the function gets. What the caller says of the trace is
// passed on. A function with Active tracing is a segment of the trace, and decides on recording it if nobody has;
// another one (PassThrough) records nothing that nobody asked for
// (https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html). recorded says that the invocation itself is part of
// a trace that is recorded.
func (i *Invoker) trace(v *function.Version, given string, now time.Time) (header string, recorded bool) {
	h := xray.Parse(given)
	active := v.TracingMode == "Active"
	if h.Root == "" {
		h.Root = xray.NewRoot(now)
	}
	if active || h.Parent == "" {
		h.Parent = xray.NewSegment()
	}
	if h.Sampled == xray.Undecided {
		h.Sampled = xray.No
		if active && i.sampler.take(v.ID, now) {
			h.Sampled = xray.Yes
		}
	}
	h.Lineage = h.Lineage.Next(v.ID.Account, v.ID.Region, v.ID.Name)
	return h.String(), active && h.Sampled == xray.Yes
}

// sampledPercent of a function's traces are recorded beyond the first of each second.
const sampledPercent = 5

// sampler decides on traces as X-Ray's default rule does, function by function. The zero sampler is ready.
type sampler struct {
	mu sync.Mutex
	// second is the present one, in Unix time; taken are the functions that have had its first trace.
	second int64
	taken  map[function.ID]struct{}
}

func (s *sampler) take(id function.ID, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if second := now.Unix(); s.taken == nil || second != s.second {
		s.second, s.taken = second, map[function.ID]struct{}{}
	}
	if _, had := s.taken[id]; !had {
		s.taken[id] = struct{}{}
		return true
	}
	return rand.IntN(100) < sampledPercent
}
