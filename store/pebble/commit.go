package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	crdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"hotaru/store"
)

// A group is bounded so that one fsync does not keep its writers waiting for megabytes of others.
const (
	maxGroup      = 512
	maxGroupBytes = 1 << 20
)

// request is one writer's part of a group. The committer calls write; if that fails it must not have changed
// the group's batch, and the others go on.
type request struct {
	write    func(g *group, revision store.Revision) error
	revision store.Revision
	err      error
	done     chan struct{}
}

// group is what one fsync makes durable.
type group struct {
	batch    *crdb.Batch
	requests []*request
	// changed are the state's keys in the batch with their latest revision, in commit order, for
	// expectations within the group and for watchers.
	changed []change
	latest  map[store.Key]store.Revision // 0: deleted
}

type change struct {
	key      store.Key
	revision store.Revision
}

// submit brings a request to the committer and waits until it is durable. Once the committer has it, ctx no
// longer matters: the fsync's time is the limit.
func (s *Store) submit(ctx context.Context, write func(*group, store.Revision) error) (store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	r := &request{write: write, done: make(chan struct{})}
	select {
	case s.requests <- r:
	case <-s.closing:
		return 0, store.ErrClosed
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	<-r.done
	return r.revision, r.err
}

// commitLoop is the committer: the only writer of the database.
func (s *Store) commitLoop() {
	defer close(s.stopped)
	for {
		select {
		case r := <-s.requests:
			s.commitGroup(r)
		case <-s.closing:
			return
		}
	}
}

func (s *Store) commitGroup(first *request) {
	g := &group{batch: s.db.NewBatch(), latest: make(map[store.Key]store.Revision)}
	last := s.revision
	err := errors.Join(s.failed.get(), s.checkSpace())
	for r := first; r != nil; r = s.nextRequest(g) {
		if err != nil {
			r.finish(0, err)
		} else if err := r.write(g, last+1); err != nil {
			r.finish(0, err)
		} else {
			last++
			r.revision = last
			g.requests = append(g.requests, r)
		}
	}
	if len(g.requests) > 0 {
		err = s.apply(g, last)
	}
	if err := g.batch.Close(); err != nil {
		s.log.Warn("store: batch", "cause", err)
	}
	for _, r := range g.requests {
		r.finish(r.revision, err)
	}
}

// nextRequest takes another request that is waiting now.
func (s *Store) nextRequest(g *group) *request {
	if len(g.requests) >= maxGroup || g.batch.Len() >= maxGroupBytes {
		return nil
	}
	select {
	case r := <-s.requests:
		return r
	default:
		return nil
	}
}

func (s *Store) apply(g *group, last store.Revision) error {
	var value [8]byte
	binary.BigEndian.PutUint64(value[:], uint64(last))
	if err := g.batch.Set(revisionKey(), value[:], nil); err != nil {
		return err
	}
	if err := s.db.Apply(g.batch, crdb.Sync); err != nil {
		s.failed.set(fmt.Errorf("store: commit: %w", err))
	}
	if err := s.failed.get(); err != nil {
		return err
	}
	s.publish(g, last)
	return nil
}

// publish shows a fsynced group to readers and watchers at once.
func (s *Store) publish(g *group, last store.Revision) {
	next := newMoment(s.db)
	s.mu.Lock()
	previous := s.durable
	s.durable, s.revision = next, last
	for w := range s.watchers {
		w.add(g.changed)
	}
	s.mu.Unlock()
	if err := previous.release(); err != nil {
		s.log.Warn("store: snapshot", "cause", err)
	}
}

func (s *Store) checkSpace() error {
	usage, err := vfs.Default.GetDiskUsage(s.dir)
	if err != nil {
		return fmt.Errorf("store: free space: %w", err)
	}
	if usage.AvailBytes < s.reserve {
		return fmt.Errorf("%w: %d bytes free in %s, %d are kept in reserve", store.ErrFull, usage.AvailBytes, s.dir, s.reserve)
	}
	return nil
}

func (r *request) finish(revision store.Revision, err error) {
	r.revision, r.err = revision, err
	if err != nil {
		r.revision = 0
	}
	close(r.done)
}
