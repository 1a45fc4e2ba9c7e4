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
	// Throttled: an event was refused, because as many ran already as may.
	Throttled()
	// Began: an event has taken its concurrency slot.
	Began()
	// Ended follows Began when the slot is free again. outcome is nil where the platform failed.
	Ended(outcome *environment.Outcome)
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
