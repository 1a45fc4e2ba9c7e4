package pebble

import (
	"sync/atomic"

	crdb "github.com/cockroachdb/pebble/v2"

	"hotaru/store"
)

// moment is one fsynced state of the database that readers share. It ends with its last reader.
type moment struct {
	snapshot *crdb.Snapshot
	readers  atomic.Int64
}

func newMoment(db *crdb.DB) *moment {
	m := &moment{snapshot: db.NewSnapshot()}
	m.readers.Store(1) // the store's own
	return m
}

func (m *moment) release() error {
	if m.readers.Add(-1) == 0 {
		return m.snapshot.Close()
	}
	return nil
}

// enter begins a read at the last fsynced moment; leave ends it.
func (s *Store) enter() (*moment, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.enterLocked()
}

func (s *Store) enterLocked() (*moment, error) {
	if s.closed {
		return nil, store.ErrClosed
	}
	if err := s.failed.get(); err != nil {
		return nil, err
	}
	s.users.Add(1)
	s.durable.readers.Add(1)
	return s.durable, nil
}

func (s *Store) leave(m *moment) {
	if err := m.release(); err != nil {
		s.log.Warn("store: snapshot", "cause", err)
	}
	s.users.Done()
}
