package iam

import (
	"context"
	"sync"
	"time"

	"hotaru/awsapi"
	"hotaru/store"
)

const (
	kindKeyUse = "iam-access-key-use"
	// useGrain is how old the stored time of a key's last use may be; a use within it costs no write.
	useGrain = 15 * time.Minute
	// useQueue is how many writes may wait. More are left for the key's next use.
	useQueue = 64
)

// keyUse is the last use of an access key.
type keyUse struct {
	At      time.Time `json:"at"`
	Service string    `json:"service"`
	Region  string    `json:"region"`
}

// keyUses remembers when access keys were last used: exactly in memory, and now and then in the store. Requests never
// wait for it.
type keyUses struct {
	s    *Service
	view *store.View[*keyUse]

	mu     sync.Mutex
	recent map[store.Key]keyUse
	// queued are the keys that the writer has yet to store.
	queued map[store.Key]bool

	writes chan store.Key
	stop   context.CancelFunc
	done   chan struct{}
}

func newKeyUses(s *Service) *keyUses {
	u := &keyUses{
		s: s, recent: map[store.Key]keyUse{}, queued: map[store.Key]bool{}, writes: make(chan store.Key, useQueue),
		done: make(chan struct{}),
	}
	u.view = store.NewView(s.state, store.NewPrefix(kindKeyUse), decode[keyUse])
	s.follow(kindKeyUse, u.view)
	return u
}

func (u *keyUses) start() {
	ctx, stop := context.WithCancel(context.Background())
	u.stop = stop
	go func() {
		defer close(u.done)
		for {
			select {
			case k := <-u.writes:
				u.write(ctx, k)
			case <-ctx.Done():
				return
			}
		}
	}()
}

func (u *keyUses) close() {
	u.stop()
	<-u.done
}

// Used notes that a request was signed with a user's access key. It costs no I/O.
func (s *Service) Used(scope awsapi.Scope, accessKeyID, service string, at time.Time) {
	u, k := s.uses, key(global(scope), kindKeyUse, accessKeyID)
	stored, found := u.view.Get(k)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.recent[k] = keyUse{At: at.UTC().Truncate(time.Second), Service: service, Region: scope.Region}
	if found && at.Sub(stored.Value.At) < useGrain || u.queued[k] {
		return
	}
	select {
	case u.writes <- k:
		u.queued[k] = true
	default:
	}
}

func (u *keyUses) last(scope awsapi.Scope, accessKeyID string) (keyUse, bool) {
	k := key(scope, kindKeyUse, accessKeyID)
	u.mu.Lock()
	defer u.mu.Unlock()
	if use, found := u.recent[k]; found {
		return use, true
	}
	if item, found := u.view.Get(k); found {
		return *item.Value, true
	}
	return keyUse{}, false
}

// write stores one use. That it fails is no harm: the key's next use tries again.
func (u *keyUses) write(ctx context.Context, k store.Key) {
	u.mu.Lock()
	use, found := u.recent[k]
	delete(u.queued, k)
	u.mu.Unlock()
	if !found {
		return
	}
	if change, err := put(k, use, store.Expectation{}); err == nil {
		_, _ = u.s.state.Commit(ctx, change)
	}
}

// forget drops what is known of a deleted key. A record that stays behind is never read again.
func (u *keyUses) forget(ctx context.Context, k store.Key) {
	u.mu.Lock()
	delete(u.recent, k)
	u.mu.Unlock()
	_, _ = u.s.state.Commit(ctx, store.Change{Key: k, Delete: true})
}
