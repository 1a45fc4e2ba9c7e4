package pebble

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"hotaru/store"
)

// A message is one entry, whose key is the due-time index:
//
//	key:   queueSpace, queue's name, '/', due time (8), revision of the append or retry (8), index in it (4)
//	value: time of the first append (8), attempts so far (4), body
//
// Numbers are big-endian, times microseconds since 1970.
const (
	positionBytes = 8 + 8 + 4
	messageHeader = 8 + 4
)

// Queue returns the queue of that name, which may hold any bytes. It needs no creation.
func (s *Store) Queue(name string) store.Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, ok := s.queues[name]
	if !ok {
		q = newQueue(s, name)
		s.queues[name] = q
	}
	return q
}

// Append implements store.Queue.
func (q *queue) Append(ctx context.Context, messages ...store.Message) error {
	if len(messages) == 0 {
		return nil
	}
	now := time.Now()
	earliest := now
	for _, m := range messages {
		if !m.Due.IsZero() && m.Due.Before(earliest) {
			earliest = m.Due
		}
	}
	revision, err := q.store.submit(ctx, func(g *group, revision store.Revision) error {
		for i, m := range messages {
			due := m.Due
			if due.IsZero() {
				due = now
			}
			if err := q.put(g, q.key(due, revision, i), now, 0, m.Body); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	q.arrived(q.key(earliest, revision, 0))
	return nil
}

func (q *queue) put(g *group, key []byte, appended time.Time, attempts int, body []byte) error {
	op := g.batch.SetDeferred(len(key), messageHeader+len(body))
	copy(op.Key, key)
	binary.BigEndian.PutUint64(op.Value, microseconds(appended))
	binary.BigEndian.PutUint32(op.Value[8:], uint32(attempts))
	copy(op.Value[messageHeader:], body)
	return op.Finish()
}

func (q *queue) key(due time.Time, revision store.Revision, index int) []byte {
	key := append(make([]byte, 0, len(q.prefix)+positionBytes), q.prefix...)
	key = binary.BigEndian.AppendUint64(key, microseconds(due))
	key = binary.BigEndian.AppendUint64(key, uint64(revision))
	return binary.BigEndian.AppendUint32(key, uint32(index))
}

func (q *queue) dueOf(key []byte) (time.Time, error) {
	if len(key) != len(q.prefix)+positionBytes || !bytes.HasPrefix(key, q.prefix) {
		return time.Time{}, fmt.Errorf("%w: a message's key has %d bytes", store.ErrDamaged, len(key))
	}
	return time.UnixMicro(int64(binary.BigEndian.Uint64(key[len(q.prefix):]))), nil
}

// microseconds since 1970; earlier times are as due as that one.
func microseconds(t time.Time) uint64 { return uint64(max(t.UnixMicro(), 0)) }

type storedMessage struct {
	appended time.Time
	attempts int
	body     []byte
}

// decodeMessage copies the body out of a value that is valid for a moment only.
func decodeMessage(value []byte) (storedMessage, error) {
	if len(value) < messageHeader {
		return storedMessage{}, fmt.Errorf("%w: a message has %d bytes", store.ErrDamaged, len(value))
	}
	return storedMessage{
		appended: time.UnixMicro(int64(binary.BigEndian.Uint64(value))),
		attempts: int(binary.BigEndian.Uint32(value[8:])),
		body:     append([]byte{}, value[messageHeader:]...),
	}, nil
}

// Ack implements store.Queue.
func (q *queue) Ack(ctx context.Context, ids ...store.LeaseID) error {
	held, lost := q.settle(ids)
	if len(held) > 0 {
		_, err := q.store.submit(ctx, func(g *group, _ store.Revision) error {
			for _, l := range held {
				if err := g.batch.Delete([]byte(l.key), nil); err != nil {
					return err
				}
			}
			return nil
		})
		q.settled(held, err == nil)
		if err != nil {
			return err
		}
	}
	if lost {
		return store.ErrLeaseLost
	}
	return nil
}

// Retry implements store.Queue.
func (q *queue) Retry(ctx context.Context, id store.LeaseID, due time.Time, body []byte) error {
	held, lost := q.settle([]store.LeaseID{id})
	if lost {
		return store.ErrLeaseLost
	}
	l := held[0]
	revision, err := q.store.submit(ctx, func(g *group, revision store.Revision) error {
		value, closer, err := q.store.db.Get([]byte(l.key))
		if err != nil {
			return explain(err)
		}
		message, err := decodeMessage(value)
		if err := closeAfter(err, closer); err != nil {
			return err
		}
		if body != nil {
			message.body = body
		}
		if err := g.batch.Delete([]byte(l.key), nil); err != nil {
			return err
		}
		return q.put(g, q.key(due, revision, 0), message.appended, l.attempt, message.body)
	})
	q.settled(held, err == nil)
	if err != nil {
		return err
	}
	q.arrived(q.key(due, revision, 0))
	return nil
}
