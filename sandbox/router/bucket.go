//go:build linux

package router

import (
	"context"
	"sync"
	"time"
)

// bucket rations bytes, or other things that can be counted: a rate over time, and a burst after a pause. A nil bucket
// rations nothing.
type bucket struct {
	rate  float64 // per second
	burst float64

	mu    sync.Mutex
	left  float64 // below 0 is owed
	since time.Time
}

// burstTime is how much of the rate may come at once.
const burstTime = 50 * time.Millisecond

func newBucket(bytesPerSecond int64) *bucket {
	if bytesPerSecond <= 0 {
		return nil
	}
	rate := float64(bytesPerSecond)
	// A whole buffer always passes, however small the rate: it is then paid off.
	burst := max(rate*burstTime.Seconds(), bufferBytes)
	return newPace(rate, burst)
}

func newPace(rate, burst float64) *bucket {
	return &bucket{rate: rate, burst: burst, left: burst, since: time.Now()}
}

// refillLocked adds what time has brought.
func (b *bucket) refillLocked() {
	now := time.Now()
	b.left = min(b.burst, b.left+b.rate*now.Sub(b.since).Seconds())
	b.since = now
}

// allow takes n if there is anything left, else it takes nothing.
func (b *bucket) allow(n int) bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refillLocked()
	if b.left <= 0 {
		return false
	}
	b.left -= float64(n)
	return true
}

// wait takes n and waits until they are paid for, or ctx ends.
func (b *bucket) wait(ctx context.Context, n int) error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	b.refillLocked()
	b.left -= float64(n)
	owed := -b.left
	b.mu.Unlock()
	if owed <= 0 {
		return nil
	}
	timer := time.NewTimer(time.Duration(owed / b.rate * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
