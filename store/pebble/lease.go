package pebble

import (
	"bytes"
	"container/heap"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	crdb "github.com/cockroachdb/pebble/v2"

	"hotaru/store"
)

// maxWait bounds how long a waiting consumer trusts the wall clock not to be set.
const maxWait = time.Minute

// queue keeps its leases in memory: a crash ends them all, and their messages are due again.
type queue struct {
	store  *Store
	prefix []byte
	life   string // makes lease IDs of another life of the engine unknown

	mu       sync.Mutex
	serial   uint64
	byID     map[store.LeaseID]*lease
	byKey    map[string]*lease
	expiring expiryHeap    // of the leases that hide a message, without those being settled
	cursor   []byte        // every stored message below it is hidden
	changed  chan struct{} // closed and replaced when a message may have become due
}

// lease is a message in somebody's hands. After it expires it stays known until the message is leased again,
// so that a late Ack still counts.
type lease struct {
	id       store.LeaseID
	key      string
	attempt  int
	expires  time.Time
	settling bool // an Ack or Retry is on its way
	position int  // in expiring; -1: not there
}

func newQueue(s *Store, name string) *queue {
	q := &queue{
		store: s, life: rand.Text(),
		byID: make(map[store.LeaseID]*lease), byKey: make(map[string]*lease), changed: make(chan struct{}),
	}
	q.prefix = append([]byte{queueSpace}, store.NewPrefix(name)...)
	q.cursor = q.prefix
	return q
}

// hides says whether the message is not to be leased now.
func (l *lease) hides() bool { return l != nil && (l.settling || l.position >= 0) }

// Lease implements store.Queue.
func (q *queue) Lease(ctx context.Context, n int, visibility time.Duration) ([]store.Leased, error) {
	if n <= 0 || visibility <= 0 {
		return nil, fmt.Errorf("%w: a lease of %d messages for %v", store.ErrInvalid, n, visibility)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		leased, wait, changed, err := q.tryLease(ctx, n, visibility)
		if err != nil || len(leased) > 0 {
			return leased, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
		case <-q.store.closing:
			err = store.ErrClosed
		}
		timer.Stop()
		if err != nil {
			return nil, err
		}
	}
}

// tryLease leases what is due. If that is nothing it says how long to wait at most, and for what.
func (q *queue) tryLease(ctx context.Context, n int, visibility time.Duration) ([]store.Leased, time.Duration, <-chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	// Entered under q.mu: a message whose lease is settled and forgotten is gone from this moment.
	m, err := q.store.enter()
	if err != nil {
		return nil, 0, nil, err
	}
	defer q.store.leave(m)
	now := time.Now()
	q.expireLocked(now)
	leased, next, err := q.takeLocked(ctx, m, n, now, visibility)
	if err != nil {
		q.giveBackLocked(leased)
		return nil, 0, nil, err
	}
	wait := min(next, maxWait)
	if len(q.expiring) > 0 {
		wait = min(wait, q.expiring[0].expires.Sub(now))
	}
	return leased, wait, q.changed, nil
}

func (q *queue) takeLocked(ctx context.Context, m *moment, n int, now time.Time, visibility time.Duration) (leased []store.Leased, next time.Duration, err error) {
	upper := slices.Clone(q.prefix)
	upper[len(upper)-1]++
	it, err := m.snapshot.NewIterWithContext(ctx, &crdb.IterOptions{LowerBound: q.cursor, UpperBound: upper})
	if err != nil {
		return nil, 0, explain(err)
	}
	defer func() { err = errors.Join(err, explain(it.Close())) }()
	next = maxWait
	for ok := it.First(); ok && len(leased) < n; ok = it.Next() {
		due, err := q.dueOf(it.Key())
		if err != nil {
			return leased, 0, err
		}
		if due.After(now) {
			return leased, due.Sub(now), nil
		}
		if !q.byKey[string(it.Key())].hides() {
			value, err := it.ValueAndErr()
			if err != nil {
				return leased, 0, explain(err)
			}
			message, err := decodeMessage(value)
			if err != nil {
				return leased, 0, err
			}
			leased = append(leased, q.hideLocked(string(it.Key()), due, message, now.Add(visibility)))
		}
		// Everything from the old cursor to here is hidden.
		q.cursor = append(slices.Clone(it.Key()), 0)
	}
	return leased, next, nil
}

func (q *queue) hideLocked(key string, due time.Time, message storedMessage, expires time.Time) store.Leased {
	attempt := message.attempts + 1
	if old := q.byKey[key]; old != nil {
		attempt = old.attempt + 1
		delete(q.byID, old.id)
	}
	q.serial++
	l := &lease{id: store.LeaseID(fmt.Sprintf("%s.%d", q.life, q.serial)), key: key, attempt: attempt, expires: expires}
	q.byID[l.id], q.byKey[key] = l, l
	heap.Push(&q.expiring, l)
	return store.Leased{
		Message: store.Message{Body: message.body, Due: due},
		Lease:   l.id, Attempt: attempt, Appended: message.appended,
	}
}

// giveBackLocked ends leases that nobody will hear of, as if they had not been given.
func (q *queue) giveBackLocked(leased []store.Leased) {
	for _, given := range leased {
		l := q.byID[given.Lease]
		heap.Remove(&q.expiring, l.position)
		l.attempt--
		q.lowerLocked([]byte(l.key))
	}
}

// expireLocked shows the messages whose leases have run out.
func (q *queue) expireLocked(now time.Time) {
	for len(q.expiring) > 0 && !q.expiring[0].expires.After(now) {
		l := heap.Pop(&q.expiring).(*lease)
		q.lowerLocked([]byte(l.key))
	}
}

func (q *queue) lowerLocked(key []byte) {
	if bytes.Compare(key, q.cursor) < 0 {
		q.cursor = key
	}
}

// arrived says that a message is stored at key, or perhaps behind it.
func (q *queue) arrived(key []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lowerLocked(key)
	q.wakeLocked()
}

func (q *queue) wakeLocked() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// Extend implements store.Queue.
func (q *queue) Extend(ctx context.Context, visibility time.Duration, ids ...store.LeaseID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if visibility <= 0 {
		return fmt.Errorf("%w: extend for %v", store.ErrInvalid, visibility)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.expireLocked(now)
	for _, id := range ids {
		if l := q.byID[id]; l == nil || l.position < 0 {
			return store.ErrLeaseLost
		}
	}
	for _, id := range ids {
		l := q.byID[id]
		l.expires = now.Add(visibility)
		heap.Fix(&q.expiring, l.position)
	}
	q.wakeLocked() // a shorter visibility ends sooner than others wait for
	return nil
}

// settle keeps the messages of known leases hidden until settled, and says whether some are unknown.
func (q *queue) settle(ids []store.LeaseID) (held []*lease, lost bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		l := q.byID[id]
		if l == nil || l.settling {
			lost = true
			continue
		}
		l.settling = true
		if l.position >= 0 {
			heap.Remove(&q.expiring, l.position)
		}
		held = append(held, l)
	}
	return held, lost
}

// settled forgets leases whose messages are gone, or puts them back as they were.
func (q *queue) settled(held []*lease, gone bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range held {
		l.settling = false
		if gone {
			delete(q.byID, l.id)
			delete(q.byKey, l.key)
		} else {
			heap.Push(&q.expiring, l) // if it has expired meanwhile, the next look finds out
		}
	}
	if !gone {
		q.wakeLocked()
	}
}

func closeAfter(err error, c io.Closer) error { return errors.Join(err, c.Close()) }

// expiryHeap orders leases by the time they run out.
type expiryHeap []*lease

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].expires.Before(h[j].expires) }
func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].position, h[j].position = i, j
}

func (h *expiryHeap) Push(x any) {
	l := x.(*lease)
	l.position = len(*h)
	*h = append(*h, l)
}

func (h *expiryHeap) Pop() any {
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	l.position = -1
	return l
}
