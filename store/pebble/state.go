package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	crdb "github.com/cockroachdb/pebble/v2"

	"hotaru/store"
)

// A state record's value is its revision, 8 bytes big-endian, and the caller's bytes.
const revisionBytes = 8

func stateKey(key store.Key) []byte {
	return append(append(make([]byte, 0, 1+len(key)), stateSpace), key...)
}

// Get implements store.State.
func (s *Store) Get(ctx context.Context, key store.Key) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	m, err := s.enter()
	if err != nil {
		return store.Record{}, err
	}
	defer s.leave(m)
	return m.record(key)
}

func (m *moment) record(key store.Key) (store.Record, error) {
	value, closer, err := m.snapshot.Get(stateKey(key))
	if err != nil {
		return store.Record{}, explain(err)
	}
	defer closer.Close()
	return decodeRecord(key, value)
}

func decodeRecord(key store.Key, value []byte) (store.Record, error) {
	if len(value) < revisionBytes {
		return store.Record{}, fmt.Errorf("%w: the record at %s has %d bytes", store.ErrDamaged, key, len(value))
	}
	return store.Record{
		Key:      key,
		Value:    append([]byte{}, value[revisionBytes:]...),
		Revision: store.Revision(binary.BigEndian.Uint64(value)),
	}, nil
}

// List implements store.State.
func (s *Store) List(ctx context.Context, prefix, after store.Key) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		m, err := s.enter()
		if err != nil {
			yield(store.Record{}, err)
			return
		}
		defer s.leave(m)
		err = m.scan(ctx, prefix, after, func(key store.Key, value []byte) (bool, error) {
			select {
			case <-s.closing:
				return false, store.ErrClosed
			default:
			}
			r, err := decodeRecord(key, value)
			return err == nil && yield(r, nil), err
		})
		if err != nil {
			yield(store.Record{}, err)
		}
	}
}

// scan calls visit with every record under prefix and behind after until it says false. The value is valid
// during the call only.
func (m *moment) scan(ctx context.Context, prefix, after store.Key, visit func(store.Key, []byte) (bool, error)) (err error) {
	lower := stateKey(prefix)
	upper := append(stateKey(prefix), 0xff) // no key has this byte
	if after >= prefix {
		lower = append(stateKey(after), 0)
	}
	it, err := m.snapshot.NewIterWithContext(ctx, &crdb.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return explain(err)
	}
	defer func() { err = errors.Join(err, explain(it.Close())) }()
	for ok := it.First(); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return explain(err)
		}
		if more, err := visit(store.Key(it.Key()[1:]), value); err != nil || !more {
			return err
		}
	}
	return nil // an iterator's error comes out of its Close
}

// Commit implements store.State.
func (s *Store) Commit(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	if err := checkChanges(changes); err != nil {
		return 0, err
	}
	return s.submit(ctx, func(g *group, revision store.Revision) error {
		for _, c := range changes {
			if c.Expect == (store.Expectation{}) {
				continue
			}
			now, err := s.currentRevision(g, c.Key)
			if err != nil {
				return err
			}
			if !c.Expect.Holds(now) {
				return &store.ConflictError{Key: c.Key, Revision: now}
			}
		}
		for _, c := range changes {
			if err := g.put(c, revision); err != nil {
				return err
			}
		}
		return nil
	})
}

func checkChanges(changes []store.Change) error {
	if len(changes) == 0 {
		return fmt.Errorf("%w: a commit without changes", store.ErrInvalid)
	}
	seen := make(map[store.Key]struct{}, len(changes))
	for _, c := range changes {
		if _, err := c.Key.Parts(); err != nil || c.Key == "" {
			return fmt.Errorf("%w: key %q", store.ErrInvalid, string(c.Key))
		}
		if _, twice := seen[c.Key]; twice {
			return fmt.Errorf("%w: key %q twice in a commit", store.ErrInvalid, string(c.Key))
		}
		seen[c.Key] = struct{}{}
	}
	return nil
}

// currentRevision is a key's revision (0: none) as the group's earlier requests leave it.
func (s *Store) currentRevision(g *group, key store.Key) (store.Revision, error) {
	if revision, changed := g.latest[key]; changed {
		return revision, nil
	}
	value, closer, err := s.db.Get(stateKey(key))
	if errors.Is(err, crdb.ErrNotFound) {
		return 0, nil
	} else if err != nil {
		return 0, explain(err)
	}
	defer closer.Close()
	r, err := decodeRecord(key, value)
	return r.Revision, err
}

func (g *group) put(c store.Change, revision store.Revision) error {
	g.changed = append(g.changed, change{key: c.Key, revision: revision})
	if c.Delete {
		g.latest[c.Key] = 0
		return g.batch.Delete(stateKey(c.Key), nil)
	}
	g.latest[c.Key] = revision
	op := g.batch.SetDeferred(1+len(c.Key), revisionBytes+len(c.Value))
	op.Key[0] = stateSpace
	copy(op.Key[1:], c.Key)
	binary.BigEndian.PutUint64(op.Value, uint64(revision))
	copy(op.Value[revisionBytes:], c.Value)
	return op.Finish()
}
