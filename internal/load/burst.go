package load

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// Answer is what one event of a burst came to.
type Answer struct {
	// Sent is when the event left, and Took how long until the last byte of its answer.
	Sent time.Time
	Took time.Duration
	// Payload is the answer, also of a function that failed.
	Payload []byte
	// Err is a *FunctionError, a *StatusError, or why there is no answer at all.
	Err error
}

// Burst sends n events at once, each on a connection of its own. All are connected and signed before the first leaves.
// patience bounds the wait for each answer.
func Burst(ctx context.Context, target *Target, n int, patience time.Duration) ([]Answer, error) {
	if n <= 0 || patience <= 0 {
		return nil, ErrPlan
	}
	conns, err := dialAll(ctx, target, n)
	defer closeAll(conns)
	if err != nil {
		return nil, err
	}
	for _, conn := range conns {
		if err := conn.prepare(ctx); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answers := make([]Answer, n)
	var clients sync.WaitGroup
	for i, conn := range conns {
		clients.Go(func() {
			answer := Answer{Sent: time.Now()}
			answer.Took, answer.Err = conn.exchange(ctx)
			answer.Payload = bytes.Clone(conn.Payload())
			answers[i] = answer
		})
	}
	clients.Wait()
	return answers, nil
}
