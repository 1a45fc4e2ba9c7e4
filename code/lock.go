package code

import (
	"context"
	"sync"
)

// locks has a lock per digest. Who holds a digest's lock may make or remove what belongs to it.
type locks struct {
	mu     sync.Mutex
	digest map[string]*lock // guarded by mu; only those that somebody holds or waits for
}

type lock struct {
	token chan struct{} // full when held
	users int           // holder and waiters, guarded by locks.mu
}

// acquire waits for a digest's lock until ctx is done. The returned function gives it back.
func (l *locks) acquire(ctx context.Context, digest string) (release func(), err error) {
	held := l.use(digest)
	select {
	case held.token <- struct{}{}:
		return func() { <-held.token; l.leave(digest, held) }, nil
	case <-ctx.Done():
		l.leave(digest, held)
		return nil, ctx.Err()
	}
}

// try takes a digest's lock if nobody holds or awaits it.
func (l *locks) try(digest string) (release func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.digest[digest] != nil {
		return nil, false
	}
	held := &lock{token: make(chan struct{}, 1), users: 1}
	held.token <- struct{}{}
	l.digest[digest] = held
	return func() { <-held.token; l.leave(digest, held) }, true
}

func (l *locks) use(digest string) *lock {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.digest[digest]
	if held == nil {
		held = &lock{token: make(chan struct{}, 1)}
		l.digest[digest] = held
	}
	held.users++
	return held
}

func (l *locks) leave(digest string, held *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if held.users--; held.users == 0 {
		delete(l.digest, digest)
	}
}
