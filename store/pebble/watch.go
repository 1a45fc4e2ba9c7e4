package pebble

import (
	"container/list"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"hotaru/store"
)

// watcher remembers which keys its reader has not seen yet, in the order of their latest revision. It holds
// no values: they are read when the reader comes, from a moment that is exactly as new as the list.
type watcher struct {
	prefix store.Key
	wake   chan struct{} // holds one token when there is something to read

	mu     sync.Mutex
	unread *list.List // of *unread, by revision
	byKey  map[store.Key]*list.Element
	marker *list.Element // the Synced event, until it is read
}

type unread struct {
	key      store.Key // empty: the Synced event
	revision store.Revision
	present  bool // was there when the watch began
}

// chunk is how many events a watcher takes at a time.
const chunk = 128

// Watch implements store.State.
func (s *Store) Watch(ctx context.Context, prefix store.Key, from store.Revision) iter.Seq2[store.Event, error] {
	return func(yield func(store.Event, error) bool) {
		w, err := s.startWatch(ctx, prefix, from)
		if err != nil {
			yield(store.Event{}, err)
			return
		}
		defer s.stopWatch(w)
		for {
			events, err := s.takeEvents(w)
			for _, e := range events {
				if ctx.Err() != nil || s.isClosing() {
					break
				}
				if !yield(e, nil) {
					return
				}
			}
			if err == nil && len(events) == 0 {
				err = s.awaitEvents(ctx, w)
			}
			if err = errors.Join(err, ctx.Err()); err == nil && s.isClosing() {
				err = store.ErrClosed
			}
			if err != nil {
				yield(store.Event{}, err)
				return
			}
		}
	}
}

func (s *Store) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

func (s *Store) awaitEvents(ctx context.Context, w *watcher) error {
	select {
	case <-w.wake:
		return nil
	case <-ctx.Done():
		return nil // the caller looks
	case <-s.closing:
		return store.ErrClosed
	}
}

// startWatch registers the watcher first, so that no commit is missed, then lists what is present.
func (s *Store) startWatch(ctx context.Context, prefix store.Key, from store.Revision) (*watcher, error) {
	w := &watcher{
		prefix: prefix, wake: make(chan struct{}, 1),
		unread: list.New(), byKey: make(map[store.Key]*list.Element),
	}
	s.mu.Lock()
	m, err := s.enterLocked()
	revision := s.revision
	if err == nil {
		s.watchers[w] = struct{}{}
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	defer s.leave(m)
	var present []*unread
	err = m.scan(ctx, prefix, "", func(key store.Key, value []byte) (bool, error) {
		if len(value) < revisionBytes {
			return false, fmt.Errorf("%w: the record at %s", store.ErrDamaged, key)
		}
		if r := store.Revision(binary.BigEndian.Uint64(value)); r > from {
			present = append(present, &unread{key: key, revision: r, present: true})
		}
		return !s.isClosing(), nil
	})
	if err != nil {
		s.stopWatch(w)
		return nil, err
	}
	slices.SortFunc(present, func(a, b *unread) int {
		if a.revision != b.revision {
			return int(min(max(int64(a.revision)-int64(b.revision), -1), 1))
		}
		return strings.Compare(string(a.key), string(b.key))
	})
	w.load(present, revision)
	return w, nil
}

func (s *Store) stopWatch(w *watcher) {
	s.mu.Lock()
	delete(s.watchers, w)
	s.mu.Unlock()
}

// load puts the present records and the Synced event before the changes that came meanwhile. A present
// record that changed meanwhile is read with its change, and Synced comes after it.
func (w *watcher) load(present []*unread, revision store.Revision) {
	w.mu.Lock()
	defer w.mu.Unlock()
	superseded := false
	early := list.New()
	for _, u := range present {
		if _, changed := w.byKey[u.key]; changed {
			superseded = true
			continue
		}
		early.PushBack(u)
	}
	early.PushBack(&unread{revision: revision})
	w.unread.PushFrontList(early)
	for e, n := w.unread.Front(), early.Len(); n > 0; e, n = e.Next(), n-1 {
		u := e.Value.(*unread)
		if u.key == "" {
			w.marker = e
		} else {
			w.byKey[u.key] = e
		}
	}
	if superseded {
		w.moveMarkerLocked()
	}
}

// add notes changes. The store's mutex is held, so that unread and the durable moment move together.
func (w *watcher) add(changes []change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	any := false
	for _, c := range changes {
		if !strings.HasPrefix(string(c.key), string(w.prefix)) {
			continue
		}
		any = true
		old, waiting := w.byKey[c.key]
		if waiting {
			w.unread.Remove(old)
		}
		w.byKey[c.key] = w.unread.PushBack(&unread{key: c.key, revision: c.revision})
		if waiting && old.Value.(*unread).present {
			w.moveMarkerLocked()
		}
	}
	if any {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// moveMarkerLocked puts Synced behind everything that is unread now.
func (w *watcher) moveMarkerLocked() {
	if w.marker == nil {
		return
	}
	last := w.unread.Back().Value.(*unread)
	w.marker.Value.(*unread).revision = last.revision
	w.unread.MoveToBack(w.marker)
}

// takeEvents removes the next events from unread and reads them.
func (s *Store) takeEvents(w *watcher) (events []store.Event, err error) {
	s.mu.RLock()
	m, err := s.enterLocked()
	if err != nil {
		s.mu.RUnlock()
		return nil, err
	}
	defer s.leave(m)
	taken := w.take()
	s.mu.RUnlock()
	for _, u := range taken {
		if u.key == "" {
			events = append(events, store.Event{Record: store.Record{Revision: u.revision}, Synced: true})
			continue
		}
		r, err := m.record(u.key)
		if errors.Is(err, store.ErrNotFound) {
			events = append(events, store.Event{Record: store.Record{Key: u.key, Revision: u.revision}, Deleted: true})
			continue
		} else if err != nil {
			return events, err
		}
		events = append(events, store.Event{Record: r})
	}
	return events, nil
}

func (w *watcher) take() []*unread {
	w.mu.Lock()
	defer w.mu.Unlock()
	var taken []*unread
	for len(taken) < chunk && w.unread.Len() > 0 {
		e := w.unread.Front()
		u := w.unread.Remove(e).(*unread)
		if u.key == "" {
			w.marker = nil
		} else {
			delete(w.byKey, u.key)
		}
		taken = append(taken, u)
	}
	return taken
}
