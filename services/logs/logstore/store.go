package logstore

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hotaru/awsapi"
	"hotaru/store"
)

// Options tune a Store. Zero fields take the default.
type Options struct {
	// Logger hears of disks that refuse; slog.DiscardHandler by default.
	Logger *slog.Logger
	// FlushInterval is how long an event may wait before it is written; 50 ms.
	FlushInterval time.Duration
	// FlushBytes of one group are written without waiting for the interval; 256 KiB.
	FlushBytes int
	// SyncInterval is how long written events may wait for fsync; 1 s.
	SyncInterval time.Duration
	// SegmentBytes is the size at which a group begins a new segment; 32 MiB.
	SegmentBytes int64
	// MaxPending bounds what waits in one group, MaxPendingTotal in all, in bytes; 4 MiB and 64 MiB.
	MaxPending, MaxPendingTotal int
	// MaxWait is how long Append waits for room before it drops; 20 ms.
	MaxWait time.Duration
	// ReserveBytes of the disk are left free: with less, events wait as if it were full. 0 leaves none.
	ReserveBytes int64
	// Now is the clock for arrival and creation times; time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	setDefault(&o.Logger, slog.New(slog.DiscardHandler))
	setDefault(&o.FlushInterval, 50*time.Millisecond)
	setDefault(&o.FlushBytes, 256<<10)
	setDefault(&o.SyncInterval, time.Second)
	setDefault(&o.SegmentBytes, 32<<20)
	setDefault(&o.MaxPending, 4<<20)
	setDefault(&o.MaxPendingTotal, 64<<20)
	setDefault(&o.MaxWait, 20*time.Millisecond)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Store holds the log groups of one data directory.
type Store struct {
	dir     string
	options Options

	// pending is how many bytes wait in all groups, dropped how many events were lost since Open.
	pending atomic.Int64
	dropped atomic.Uint64
	closing atomic.Bool
	buffers sync.Pool

	// wake tells the writer of the first dirty group, hurry that one should not wait; requests are run by it.
	wake, hurry chan struct{}
	requests    chan request
	done        chan struct{}

	dirtyMu sync.Mutex
	dirty   []*group

	mu     sync.Mutex
	groups map[groupKey]*group
}

// Open reads the log groups in dir, which it makes if it is missing, repairs what a crash left, and starts the
// writer. It answers store.ErrDamaged, and changes nothing more, where damage is not a torn tail of a group.
func Open(dir string, options Options) (*Store, error) {
	s := &Store{
		dir: filepath.Clean(dir), options: options.withDefaults(), groups: map[groupKey]*group{},
		wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
		requests: make(chan request), done: make(chan struct{}),
	}
	s.buffers.New = func() any { return new([]byte) }
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("logstore: %w", err)
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("logstore: %w", err)
	}
	for _, entry := range entries {
		if err := s.openEntry(entry); err != nil {
			return nil, err
		}
	}
	go newWriter(s).run()
	return s, nil
}

func (s *Store) openEntry(entry os.DirEntry) error {
	path := filepath.Join(s.dir, entry.Name())
	if !entry.IsDir() {
		return nil
	}
	if strings.HasPrefix(entry.Name(), deletedPrefix) {
		return os.RemoveAll(path)
	}
	g, err := openGroup(s, path)
	if err != nil || g == nil {
		return err
	}
	s.groups[g.key] = g
	return nil
}

// Stream returns the log stream, making it and its group if they are missing. It does no I/O. It answers
// store.ErrClosed after Close, and an error for a name that is empty or longer than 4,096 bytes.
func (s *Store) Stream(scope awsapi.Scope, groupName, streamName string) (*Stream, error) {
	if err := checkNames(scope.Partition, scope.Account, scope.Region, groupName, streamName); err != nil {
		return nil, err
	}
	for {
		g, _, err := s.group(groupKey{scope, groupName}, true)
		if err != nil {
			return nil, err
		}
		if stream := g.stream(streamName, s.options.Now()); stream != nil {
			return stream, nil
		}
	}
}

// stream is nil if the group was deleted in between.
func (g *group) stream(name string, now time.Time) *Stream {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone {
		return nil
	}
	return g.streamLocked(name, now)
}

// group finds a group, or makes it. Without create a missing one answers store.ErrNotFound.
func (s *Store) group(key groupKey, create bool) (g *group, made bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return nil, false, store.ErrClosed
	}
	if g := s.groups[key]; g != nil {
		return g, false, nil
	}
	if !create {
		return nil, false, fmt.Errorf("logstore: log group %q: %w", key.name, store.ErrNotFound)
	}
	g = newGroup(s, key, s.options.Now().UnixMilli())
	s.groups[key] = g
	g.mu.Lock()
	defer g.mu.Unlock()
	g.markLocked()
	return g, true, nil
}

// Dropped is how many events were lost since Open because they came faster than they could be stored.
func (s *Store) Dropped() uint64 { return s.dropped.Load() }

// Pending is how many bytes of events wait to be written.
func (s *Store) Pending() int64 { return s.pending.Load() }

// Flush writes all events that were appended before the call; they can then be read and survive the process. It
// answers an error if some group could not be written; its events go on waiting.
func (s *Store) Flush(ctx context.Context) error { return s.request(ctx, (*writer).flush) }

// Close writes and syncs everything and stops the writer. Later appends are dropped. Closing twice is fine.
func (s *Store) Close() error {
	s.mu.Lock()
	first := !s.closing.Swap(true)
	s.mu.Unlock()
	if !first {
		<-s.done
		return nil
	}
	stop := request{stop: true, result: make(chan error, 1)}
	s.requests <- stop
	<-s.done
	return <-stop.result
}

// request has the writer run something and waits for it. Once begun, it runs to its end whatever ctx does.
func (s *Store) request(ctx context.Context, run func(*writer) error) error {
	r := request{run: run, result: make(chan error, 1)}
	select {
	case s.requests <- r:
	case <-s.done:
		return store.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func checkNames(names ...string) error {
	for _, name := range names {
		if name == "" || len(name) > maxName {
			return fmt.Errorf("logstore: a name of %d bytes; 1 to %d are possible", len(name), maxName)
		}
	}
	return nil
}

// markDirty puts a group on the writer's list; the caller holds the group's lock.
func (s *Store) markDirty(g *group) {
	s.dirtyMu.Lock()
	defer s.dirtyMu.Unlock()
	s.dirty = append(s.dirty, g)
	signal(s.wake)
}

func (s *Store) takeDirty() []*group {
	s.dirtyMu.Lock()
	defer s.dirtyMu.Unlock()
	groups := s.dirty
	s.dirty = nil
	return groups
}

// buffer is an empty buffer that was used before, if there is one.
func (s *Store) buffer() []byte { return (*s.buffers.Get().(*[]byte))[:0] }

// release gives a buffer back.
func (s *Store) release(b []byte) {
	if cap(b) > 0 {
		s.buffers.Put(&b)
	}
}

// signal leaves a mark in a channel of one place.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
