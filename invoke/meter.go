package invoke

import (
	"hotaru/environment"
	"hotaru/function"
)

// Meter counts invocations.
type Meter interface {
	// Of returns what counts the invocations of a version. It is asked with every invocation and must answer at once.
	Of(v *function.Version) Counters
}

// Counters are told of a version's invocations. They must not block.
type Counters interface {
	// Throttled: an event was refused, because as many ran already as may, or as the machine's memory allows.
	Throttled()
	// Began: an event was admitted.
	Began()
	// Ended follows Began when the slot is free again. outcome is nil where the platform failed.
	Ended(outcome *environment.Outcome)
}

// Unreserved tells, for every account and region where there are some, how many events of functions without reserved
// concurrency are being processed now.
func (i *Invoker) Unreserved(tell func(account, region string, executions int)) {
	running := map[holder]int{}
	i.mu.Lock()
	for h, u := range i.usages {
		if h.function == "" {
			running[h] = u.running
		}
	}
	i.mu.Unlock()
	for h, n := range running {
		tell(h.account, h.region, n)
	}
}

// counters are those of a version, or some that count nothing.
func (i *Invoker) counters(v *function.Version) Counters {
	if i.Meter == nil {
		return uncounted{}
	}
	return i.Meter.Of(v)
}

type uncounted struct{}

func (uncounted) Throttled()                 {}
func (uncounted) Began()                     {}
func (uncounted) Ended(*environment.Outcome) {}
