package telemetry

import (
	"context"
	"slices"
	"sync"
	"time"
)

// How often a delivery that failed is tried again.
const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 2 * time.Second
)

// fallenBehind is AWS's reason for dropping records.
const fallenBehind = "Consumer seems to have fallen behind as it has not acknowledged receipt of logs."

// subscriber is one extension's buffer and the goroutine (run) that empties it. It holds twice what the extension
// asked to have buffered, beside the batch that is being delivered.
type subscriber struct {
	hub  *Hub
	name string

	mu      sync.Mutex // guards what follows; taken after the hub's
	wanted  subscription
	changed bool // wanted is another than the goroutine's
	pending [][]byte
	bytes   int       // of pending
	oldest  time.Time // when the first of pending came
	urgent  bool      // deliver what there is
	sending bool
	dropped LogsDropped
	wake    chan struct{} // something has changed; has room for one
	idle    chan struct{} // closed and replaced when everything is delivered
}

func newSubscriber(h *Hub, name string, wanted subscription) *subscriber {
	return &subscriber{
		hub: h, name: name, wanted: wanted, changed: true, wake: make(chan struct{}, 1), idle: make(chan struct{}),
	}
}

// wants says whether the extension subscribes to a stream, and in which schema it wants it.
func (s *subscriber) wants(kind Type) (Schema, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted.schema, slices.Contains(s.wanted.types, kind)
}

// change is a further Subscribe request of the same extension. False if it is to the other API.
func (s *subscriber) change(wanted subscription) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wanted.schema.logs() != wanted.schema.logs() {
		return false
	}
	s.wanted, s.changed = wanted, true
	s.poke()
	return true
}

// poke wakes the goroutine.
func (s *subscriber) poke() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// add buffers an encoded record, or drops it; nil is none.
func (s *subscriber) add(record []byte) {
	if record == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	full := len(s.pending) > 0 && (len(s.pending) >= 2*s.wanted.items || s.bytes+len(record) > 2*s.wanted.bytes)
	if held := s.hub.held.Add(int64(len(record))); full || held > maxHeld {
		s.hub.held.Add(-int64(len(record)))
		s.dropped.DroppedRecords++
		s.dropped.DroppedBytes += int64(len(record))
		return
	}
	if len(s.pending) == 0 {
		s.oldest = time.Now()
	}
	s.pending = append(s.pending, record)
	s.bytes += len(record)
	if len(s.pending) == 1 || s.fullLocked() {
		s.poke()
	}
}

// fullLocked says that there is a whole batch.
func (s *subscriber) fullLocked() bool {
	return len(s.pending) >= s.wanted.items || s.bytes >= s.wanted.bytes
}

// flush has what is buffered delivered now.
func (s *subscriber) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.urgent = true
	s.poke()
}

// settled waits until everything is delivered, or ctx ends.
func (s *subscriber) settled(ctx context.Context) {
	for {
		s.mu.Lock()
		done, idle := len(s.pending) == 0 && !s.sending, s.idle
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return
		case <-s.hub.ctx.Done():
			return
		}
	}
}

// run delivers batches until the hub is closed.
func (s *subscriber) run() {
	var to destination
	defer func() {
		if to != nil {
			to.close()
		}
	}()
	for {
		batch, ok := s.next()
		if !ok {
			return
		}
		to = s.destination(to)
		s.deliver(to, batch)
		s.delivered(batch)
	}
}

// next waits until a batch is due and takes it.
func (s *subscriber) next() (batch [][]byte, ok bool) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		s.mu.Lock()
		due := time.Duration(-1)
		if len(s.pending) > 0 {
			if due = time.Until(s.oldest.Add(s.wanted.timeout)); due <= 0 || s.urgent || s.fullLocked() {
				batch = s.takeLocked()
				s.mu.Unlock()
				return batch, true
			}
		} else {
			s.urgent = false
		}
		s.mu.Unlock()
		if due > 0 {
			timer.Reset(due)
		} else {
			timer.Stop()
		}
		select {
		case <-timer.C:
		case <-s.wake:
		case <-s.hub.ctx.Done():
			return nil, false
		}
	}
}

// takeLocked takes a batch off the buffer, with what was dropped before it.
func (s *subscriber) takeLocked() [][]byte {
	n, size := 0, 0
	for n < len(s.pending) && n < s.wanted.items && (n == 0 || size+len(s.pending[n]) <= s.wanted.bytes) {
		size += len(s.pending[n])
		n++
	}
	batch := make([][]byte, 0, n+1)
	if s.dropped.DroppedRecords > 0 {
		s.dropped.Reason = fallenBehind
		lost := Encode(time.Now(), s.dropped, s.wanted.schema)
		s.hub.held.Add(int64(len(lost)))
		batch = append(batch, lost)
		s.dropped = LogsDropped{}
	}
	batch = append(batch, s.pending[:n]...)
	s.pending = slices.Delete(s.pending, 0, n)
	s.bytes -= size
	s.oldest = time.Now()
	s.sending = true
	return batch
}

// destination is where the extension wants its records: to, unless it has changed its mind.
func (s *subscriber) destination(to destination) destination {
	s.mu.Lock()
	wanted, changed := s.wanted, s.changed
	s.changed = false
	s.mu.Unlock()
	if !changed {
		return to
	}
	if to != nil {
		to.close()
	}
	return newDestination(wanted, s.hub.cfg.Dial)
}

// deliver tries until it succeeds or the hub is closed.
func (s *subscriber) deliver(to destination, batch [][]byte) {
	ctx := s.hub.ctx
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for backoff := firstBackoff; s.hub.paused.pass(ctx); backoff = min(2*backoff, lastBackoff) {
		if to.send(ctx, batch) == nil {
			return
		}
		timer.Reset(backoff)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// delivered gives back what a batch held.
func (s *subscriber) delivered(batch [][]byte) {
	for _, record := range batch {
		s.hub.held.Add(-int64(len(record)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending = false
	if len(s.pending) == 0 {
		close(s.idle)
		s.idle = make(chan struct{})
	}
}
