package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	crdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"hotaru/store"
)

// Options say where a store is and what it may use.
type Options struct {
	// Dir is made, 0700, if it is missing; its parent must exist.
	Dir string
	// Log gets the engine's own words; nil drops them.
	Log *slog.Logger
	// CacheBytes of table blocks in memory; 0 means 8 MiB.
	CacheBytes int64
	// ReserveBytes is the free disk space below which commits answer ErrFull; 0 means 32 MiB. A database that
	// finds the disk full in the middle of a write could not go on.
	ReserveBytes uint64
}

// Store is the engine. It is a store.State; Queue gives its queues.
type Store struct {
	log     *slog.Logger
	dir     string
	reserve uint64
	lock    *os.File
	witness *witness
	db      *crdb.DB
	failed  *failure

	requests chan *request
	closing  chan struct{}
	stopped  chan struct{} // the committer has ended

	// mu guards what follows. A queue's mutex is taken before it.
	mu       sync.RWMutex
	closed   bool
	durable  *moment // the last fsynced moment
	revision store.Revision
	watchers map[*watcher]struct{}
	queues   map[string]*queue
	users    sync.WaitGroup // running reads; grows only while closed is false

	closeOnce sync.Once
	closeErr  error
}

var _ store.State = (*Store)(nil)

// Open opens the store in a directory, or makes it. It answers ErrLocked, ErrFormat or ErrDamaged before
// anything is written. See the package comment for what damage it can tell.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := os.Mkdir(o.Dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("store: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	s, err := openLocked(o, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

func openLocked(o Options, lock *os.File) (*Store, error) {
	exists, err := checkFormat(o.Dir)
	if err != nil {
		return nil, err
	}
	if !exists {
		if err := beginInit(o.Dir); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
	}
	s := &Store{
		log: o.Log, dir: o.Dir, reserve: o.ReserveBytes, lock: lock, failed: &failure{},
		requests: make(chan *request), closing: make(chan struct{}), stopped: make(chan struct{}),
		watchers: make(map[*watcher]struct{}), queues: make(map[string]*queue),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.reserve == 0 {
		s.reserve = 32 << 20
	}
	if s.witness, err = openWitness(filepath.Join(o.Dir, witnessFile)); err != nil {
		return nil, err
	}
	if err := s.openDB(o, exists); err != nil {
		return nil, errors.Join(err, s.witness.file.Close())
	}
	s.durable = newMoment(s.db)
	go s.commitLoop()
	return s, nil
}

func (s *Store) openDB(o Options, exists bool) (err error) {
	db := filepath.Join(o.Dir, dbDir)
	if err := s.witness.verify(db); err != nil {
		return err
	}
	if err := notePID(o.Dir); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if s.db, err = crdb.Open(db, s.pebbleOptions(o, exists)); err != nil {
		return explainOpen(err)
	}
	if s.revision, err = readRevision(s.db); err == nil && !exists {
		err = endInit(o.Dir)
	}
	if err != nil {
		return errors.Join(err, s.db.Close())
	}
	return nil
}

func (s *Store) pebbleOptions(o Options, exists bool) *crdb.Options {
	options := &crdb.Options{
		FS:                 &guardFS{FS: vfs.Default, witness: s.witness},
		FormatMajorVersion: crdb.FormatValueSeparation,
		CacheSize:          o.CacheBytes,
		MemTableSize:       4 << 20,
		MaxOpenFiles:       200,
		ErrorIfNotExists:   exists,
		ErrorIfExists:      !exists,
		Logger:             logger{log: s.log, failed: s.failed},
		EventListener:      events(s.log),
	}
	if options.CacheSize == 0 {
		options.CacheSize = 8 << 20
	}
	return options
}

// explainOpen calls everything damage that is not the machine's refusal: the directory is ours, locked and of
// the right format, so whatever else pebble does not understand in it is not what was written.
func explainOpen(err error) error {
	var refusal syscall.Errno
	if errors.As(err, &refusal) && refusal != syscall.ENOENT {
		return fmt.Errorf("store: %w", err)
	}
	return fmt.Errorf("%w: %w", store.ErrDamaged, err)
}

// Close ends every watch, lease and list with ErrClosed, and returns when the files are closed and the
// directory is free. It is idempotent.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		close(s.closing)
		<-s.stopped
		s.users.Wait()
		err := s.durable.release()
		s.closeErr = errors.Join(err, s.db.Close(), s.witness.close(), s.lock.Close())
	})
	return s.closeErr
}

// The first byte of a key says whose it is.
const (
	stateSpace = 's'
	queueSpace = 'q'
	metaSpace  = 'm'
)

// revisionKey holds the last revision given.
func revisionKey() []byte { return []byte{metaSpace, 'r'} }

func readRevision(db *crdb.DB) (store.Revision, error) {
	value, closer, err := db.Get(revisionKey())
	if errors.Is(err, crdb.ErrNotFound) {
		return 0, nil
	} else if err != nil {
		return 0, explain(err)
	}
	defer closer.Close()
	if len(value) != 8 {
		return 0, fmt.Errorf("%w: the last revision has %d bytes", store.ErrDamaged, len(value))
	}
	return store.Revision(binary.BigEndian.Uint64(value)), nil
}
