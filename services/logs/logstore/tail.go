package logstore

import (
	"context"
	"fmt"

	"hotaru/awsapi"
	"hotaru/store"
)

// Tail follows a group from the moment it was made. It holds no goroutine and needs no closing.
type Tail struct {
	group  *group
	stream string
	// seq is the last record that was looked at.
	seq uint64
}

// Tail returns a follower of one stream, or of all streams if it is empty; the stream may come into being later. It
// answers store.ErrNotFound for a missing group.
func (s *Store) Tail(scope awsapi.Scope, groupName, streamName string) (*Tail, error) {
	g, _, err := s.group(groupKey{scope, groupName}, false)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	t := &Tail{group: g, stream: streamName}
	if n := len(g.segments); n > 0 {
		t.seq = g.segments[n-1].lastSeq
	}
	return t, nil
}

// Position is the number of the last record that was looked at. It only ever grows, but for a power failure, which may
// cost the last records and give their numbers to others.
func (t *Tail) Position() uint64 { return t.seq }

// Seek goes to a position that an earlier Tail of the same group had.
func (t *Tail) Seek(position uint64) { t.seq = position }

// Next waits for events that were flushed since the last call and returns them in the order of arrival, a few
// thousand at most. Nothing is skipped however slow the caller is, unless it was trimmed. It answers ctx's error,
// store.ErrNotFound once the group is deleted, or store.ErrClosed.
func (t *Tail) Next(ctx context.Context) ([]StoredEvent, error) {
	for {
		changed, err := t.group.waiting()
		events, readErr := t.read()
		if readErr != nil || len(events) > 0 {
			return events, readErr
		}
		if err != nil {
			return nil, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// waiting is the channel to wait on, taken before a look at the events so that none slips between.
func (g *group) waiting() (<-chan struct{}, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone {
		return nil, fmt.Errorf("logstore: log group %q was deleted: %w", g.key.name, store.ErrNotFound)
	}
	if g.store.closing.Load() {
		return nil, store.ErrClosed
	}
	return g.changed, nil
}

// read returns the next events from the first block that has some.
func (t *Tail) read() ([]StoredEvent, error) {
	names, number, none := t.group.names(t.stream, nil)
	reader := blockReader{}
	defer reader.close()
	var events []StoredEvent
	for _, v := range t.group.view() {
		if v.lastSeq <= t.seq {
			continue
		}
		blocks, err := v.load()
		if err != nil {
			return nil, err
		}
		for _, b := range blocks {
			if none || b.lastSeq <= t.seq || !b.has(number) {
				continue
			}
			err := reader.read(part{v.path, b}, func(r record, _ int) {
				if name, wanted := names[r.stream]; r.kind == kindEvent && r.seq > t.seq && wanted {
					events = append(events, stored(r, name))
				}
			}, func(Damage) {})
			if err != nil {
				return nil, err
			}
			if len(events) > 0 {
				t.seq = b.lastSeq
				return events, nil
			}
		}
		t.seq = v.lastSeq
	}
	return nil, nil
}
