// Package store holds every durable byte of Hotaru behind three small contracts: State (records with
// revisions), Queue (deliver at least once, at a due time) and Blobs (content-addressed files). Engines live
// in rooms of their own (pebble for one machine, nats for many) and pass package storetest. It must not know
// what the records mean.
//
// The contracts are written so that an engine over many machines fits: a commit reads nothing but the
// revisions it names, revisions belong to a key, and keys have characters that every engine accepts.
package store

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// State is an ordered map from keys to records. It is safe for concurrent use.
type State interface {
	// Get returns the record at key, or ErrNotFound.
	Get(ctx context.Context, key Key) (Record, error)

	// List yields the records whose key starts with prefix and is greater than after ("" for all), in key
	// order, from one consistent moment. It stops at the first error, which it yields. Close of the engine
	// waits for the loop's present turn, so a loop's body must not wait for Close.
	List(ctx context.Context, prefix, after Key) iter.Seq2[Record, error]

	// Commit applies all changes or none. It returns when they are fsynced and visible to Get; nobody sees
	// them before they are fsynced. If a change's expectation does not hold it answers a *ConflictError. The
	// returned revision is the one that every changed key now has; it is greater than every revision before
	// it. A key may appear once in a commit (ErrInvalid), and deleting an absent key is no error. When ctx
	// ends while the commit is on its way, the answer is ctx's error and the outcome unknown.
	Commit(ctx context.Context, changes ...Change) (Revision, error)

	// Watch yields, in revision order, every record under prefix with a revision greater than from, the
	// present ones first, then one event with only Synced set and the revision it is true for, then each
	// change as it is committed, deletions with Deleted set, until ctx is done (it yields ctx's error) or the
	// engine closes (ErrClosed). Of several changes to one key between two reads, only the last may be seen:
	// a slow watcher costs memory for the distinct keys it has not read yet, never for their values or for
	// the number of changes. Deletions from before the call are not seen.
	Watch(ctx context.Context, prefix Key, from Revision) iter.Seq2[Event, error]
}

// Key names a record: parts joined by "/" as NewKey makes them.
type Key string

// Revision orders commits. 0 is before the first.
type Revision uint64

// Record is a stored value.
type Record struct {
	Key      Key
	Value    []byte
	Revision Revision
}

// Event is a change that a watcher sees.
type Event struct {
	Record
	Deleted bool
	// Synced says that the watcher has now seen all that was present; Key is empty.
	Synced bool
}

// Change sets or deletes one key of a commit.
type Change struct {
	Key    Key
	Value  []byte
	Delete bool
	// Expect is what must hold for the key before the commit.
	Expect Expectation
}

// Expectation is a condition on one key's revision. The zero value expects nothing.
type Expectation struct {
	absent   bool
	revision Revision
}

// Absent expects that the key has no record.
func Absent() Expectation { return Expectation{absent: true} }

// At expects that the key's record has exactly this revision.
func At(r Revision) Expectation { return Expectation{revision: r} }

// Holds says whether the expectation holds for a key whose revision is now (0: no record).
func (e Expectation) Holds(now Revision) bool {
	switch {
	case e.absent:
		return now == 0
	case e.revision != 0:
		return now == e.revision
	default:
		return true
	}
}

// Queue delivers messages at least once, each no sooner than its due time. It is safe for concurrent use.
type Queue interface {
	// Append stores all messages or none and returns when they are fsynced.
	Append(ctx context.Context, messages ...Message) error

	// Lease takes up to n due messages, earliest due first, hiding them from other leases for visibility.
	// It waits until at least one is due or ctx is done. A crash ends every lease; an engine may deliver the
	// message again at once then, with the same attempt number.
	Lease(ctx context.Context, n int, visibility time.Duration) ([]Leased, error)

	// Extend hides leased messages for visibility from now. If a lease has run out it answers ErrLeaseLost
	// and extends none.
	Extend(ctx context.Context, visibility time.Duration, leases ...LeaseID) error

	// Ack removes leased messages for good and returns when that is fsynced; ErrLeaseLost if one was given
	// to somebody else meanwhile, or was of another life of the engine. The others are removed even then.
	Ack(ctx context.Context, leases ...LeaseID) error

	// Retry gives a leased message back, due at the given time, with its attempt counted and its body
	// replaced when body is not nil. It returns when that is fsynced; ErrLeaseLost as Ack.
	Retry(ctx context.Context, lease LeaseID, due time.Time, body []byte) error
}

// Message is what a queue carries.
type Message struct {
	// Body is opaque; callers seal what is secret.
	Body []byte
	// Due is when it may first be leased; zero means at once.
	Due time.Time
}

// Leased is a message in somebody's hands.
type Leased struct {
	Message
	Lease LeaseID
	// Attempt counts leases of this message from 1.
	Attempt int
	// Appended is when it was stored first.
	Appended time.Time
}

// LeaseID identifies one lease of one message.
type LeaseID string

// Blobs are immutable byte strings named by the SHA-256 of their content (lower-case hex).
type Blobs interface {
	// Put stores all of r durably and returns its digest and size. Storing the same content twice is fine.
	Put(ctx context.Context, r io.Reader) (digest string, size int64, err error)
	// Open reads a blob, or answers ErrNotFound. Content that does not match its digest answers ErrDamaged
	// before the last byte is returned. A digest that is not 64 lower-case hex digits is ErrNotFound.
	Open(ctx context.Context, digest string) (io.ReadCloser, error)
	// Delete removes a blob if it is there.
	Delete(ctx context.Context, digest string) error
}

// The errors of every engine, for errors.Is.
var (
	ErrNotFound  = errors.New("store: not found")
	ErrLeaseLost = errors.New("store: lease lost")
	ErrClosed    = errors.New("store: closed")
	// ErrInvalid says that the call itself makes no sense: an empty key, a key twice in one commit.
	ErrInvalid = errors.New("store: invalid call")
	// ErrFull says that the disk has no room to spare; nothing was changed.
	ErrFull = errors.New("store: no space left")
	// ErrLocked says that another process has the data directory open.
	ErrLocked = errors.New("store: the data directory is in use by another process")
	// ErrDamaged says that stored bytes are not what was written. The files are left as they are.
	ErrDamaged = errors.New("store: damaged")
	// ErrFormat says that the data directory was written by an unknown (usually newer) version.
	ErrFormat = errors.New("store: unknown data directory format")
)

// ConflictError says which expectation of a commit did not hold.
type ConflictError struct {
	Key Key
	// Revision is the key's present one, 0 if it has no record.
	Revision Revision
}

func (e *ConflictError) Error() string { return "store: conflict at " + string(e.Key) }
