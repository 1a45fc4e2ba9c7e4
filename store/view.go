package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
)

// View keeps the decoded records under one prefix of a State in memory, so that reading one costs no I/O. It
// follows the State by a goroutine of its own between Start and Close. Its reads are safe for concurrent use.
//
// A record that cannot be decoded stops the view: Failed is closed, Err and every Wait say why, and Get and
// List stay at the last good moment. The owner of the view must watch Failed; a record is never skipped.
type View[T any] struct {
	state  State
	prefix Key
	decode func(Record) (T, error)

	mu       sync.RWMutex
	items    map[Key]*Item[T]
	ordered  []*Item[T] // by key; replaced, never changed, once the view is synced
	revision Revision
	moved    chan struct{} // closed and replaced when revision grows
	err      error

	synced chan struct{}
	failed chan struct{}
	cancel context.CancelFunc
	done   chan struct{}
}

// Item is a decoded record. Its Value is shared by all readers: they must not change what it points to.
type Item[T any] struct {
	Key      Key
	Value    T
	Revision Revision
}

// NewView makes a view of the records under prefix. It is empty until Start.
func NewView[T any](state State, prefix Key, decode func(Record) (T, error)) *View[T] {
	return &View[T]{
		state: state, prefix: prefix, decode: decode,
		items:  make(map[Key]*Item[T]),
		moved:  make(chan struct{}),
		synced: make(chan struct{}),
		failed: make(chan struct{}),
	}
}

// Start begins to follow the State and returns when everything present is in the view. Call it once. On an
// error the view is closed. Ending ctx later does not end the view.
func (v *View[T]) Start(ctx context.Context) error {
	following, cancel := context.WithCancel(context.WithoutCancel(ctx))
	v.cancel, v.done = cancel, make(chan struct{})
	go func() {
		defer close(v.done)
		v.follow(following)
	}()
	select {
	case <-v.synced:
		return nil
	case <-v.failed:
		v.Close()
		return v.Err()
	case <-ctx.Done():
		v.Close()
		return ctx.Err()
	}
}

// Close stops following and returns when the view's goroutine has ended. What the view holds stays readable.
func (v *View[T]) Close() {
	if v.cancel == nil {
		return
	}
	v.cancel()
	<-v.done
}

// Get returns the record at key.
func (v *View[T]) Get(key Key) (Item[T], bool) {
	v.mu.RLock()
	item, ok := v.items[key]
	v.mu.RUnlock()
	if !ok {
		return Item[T]{}, false
	}
	return *item, true
}

// List yields the records whose key starts with prefix and is greater than after ("" for all), in key order,
// from one consistent moment.
func (v *View[T]) List(prefix, after Key) iter.Seq[Item[T]] {
	return func(yield func(Item[T]) bool) {
		v.mu.RLock()
		ordered := v.ordered
		v.mu.RUnlock()
		start, found := slices.BinarySearchFunc(ordered, max(prefix, after), compareToKey)
		if found && ordered[start].Key == after && after != "" {
			start++
		}
		for _, item := range ordered[start:] {
			if !strings.HasPrefix(string(item.Key), string(prefix)) || !yield(*item) {
				return
			}
		}
	}
}

// Wait returns when the view shows revision, which a commit to a key under the view's prefix returned (any
// other revision may take forever), or with ctx's error, or with Err when the view has ended.
func (v *View[T]) Wait(ctx context.Context, revision Revision) error {
	for {
		v.mu.RLock()
		reached, moved := v.revision >= revision, v.moved
		v.mu.RUnlock()
		if reached {
			return nil
		}
		select {
		case <-moved:
		case <-v.failed:
			return v.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Failed is closed when the view stops following its State for any reason, Close included.
func (v *View[T]) Failed() <-chan struct{} { return v.failed }

// Err says why the view stopped: ErrClosed after Close; nil while it follows.
func (v *View[T]) Err() error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.err
}

func (v *View[T]) follow(ctx context.Context) {
	err := v.apply(ctx)
	if errors.Is(err, context.Canceled) {
		err = ErrClosed
	}
	v.mu.Lock()
	v.err = err
	v.mu.Unlock()
	close(v.failed)
}

func (v *View[T]) apply(ctx context.Context) error {
	loading := true
	for event, err := range v.state.Watch(ctx, v.prefix, 0) {
		switch {
		case err != nil:
			return err
		case event.Synced:
			if loading {
				loading = false
				v.finishLoading()
				close(v.synced)
			}
			v.advance(event.Revision, func() {})
		case event.Deleted:
			v.advance(event.Revision, func() { v.removeLocked(event.Key, loading) })
		default:
			value, err := v.decode(event.Record)
			if err != nil {
				return fmt.Errorf("decode %s at revision %d: %w", event.Key, event.Revision, err)
			}
			item := &Item[T]{Key: event.Key, Value: value, Revision: event.Revision}
			v.advance(event.Revision, func() { v.setLocked(item, loading) })
		}
	}
	return ErrClosed
}

// advance makes a change and its revision visible together.
func (v *View[T]) advance(revision Revision, change func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change()
	if revision > v.revision {
		v.revision = revision
		close(v.moved)
		v.moved = make(chan struct{})
	}
}

func (v *View[T]) finishLoading() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ordered = make([]*Item[T], 0, len(v.items))
	for _, item := range v.items {
		v.ordered = append(v.ordered, item)
	}
	slices.SortFunc(v.ordered, func(a, b *Item[T]) int { return strings.Compare(string(a.Key), string(b.Key)) })
}

func (v *View[T]) setLocked(item *Item[T], loading bool) {
	v.items[item.Key] = item
	if loading {
		return
	}
	at, found := slices.BinarySearchFunc(v.ordered, item.Key, compareToKey)
	next := make([]*Item[T], 0, len(v.ordered)+1)
	next = append(append(next, v.ordered[:at]...), item)
	if found {
		at++
	}
	v.ordered = append(next, v.ordered[at:]...)
}

func (v *View[T]) removeLocked(key Key, loading bool) {
	delete(v.items, key)
	at, found := slices.BinarySearchFunc(v.ordered, key, compareToKey)
	if loading || !found {
		return
	}
	next := make([]*Item[T], 0, len(v.ordered)-1)
	v.ordered = append(append(next, v.ordered[:at]...), v.ordered[at+1:]...)
}

func compareToKey[T any](item *Item[T], key Key) int {
	return strings.Compare(string(item.Key), string(key))
}
