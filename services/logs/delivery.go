package logs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"hotaru/awsapi"
	"hotaru/services/logs/filter"
	"hotaru/services/logs/logstore"
	"hotaru/store"
)

// kindPosition is the first part of the key under which a subscription filter's position is.
const kindPosition = "logposition"

// position is how far a subscription filter has come: everything up to Seq was delivered, or did not match.
type position struct {
	// ID is the subscription's.
	ID  string `json:"id"`
	Seq uint64 `json:"seq"`
}

func positionKey(scope awsapi.Scope, group, filter string) store.Key {
	return store.NewKey(kindPosition, scope.Partition, scope.Account, scope.Region, group, filter)
}

func (p position) change(scope awsapi.Scope, group, filter string) (store.Change, error) {
	encoded, err := json.Marshal(p)
	if err != nil {
		return store.Change{}, fmt.Errorf("logs: encoding a position: %w", err)
	}
	return store.Change{Key: positionKey(scope, group, filter), Value: encoded}, nil
}

// deliveries are the deliverers at work: one goroutine for each subscription filter. What they have not delivered yet
// is in the log and nowhere else, so that a slow function costs no memory and a restart loses nothing.
type deliveries struct {
	// functions is nil until Deliver.
	functions Functions
	ctx       context.Context
	stop      context.CancelFunc
	working   sync.WaitGroup
	// delivered and lost count events.
	delivered, lost atomic.Uint64

	mu sync.Mutex
	// running are by positionKey; a deliverer that was stopped stays until it has ended or has a successor.
	running map[store.Key]*deliverer
	closed  bool
}

// Deliver begins to deliver to functions what subscription filters ask for, from where an earlier process stopped. Call
// it once, before anything is logged.
func (s *Service) Deliver(functions Functions) {
	s.deliveries.functions = functions
	var loading []*deliverer
	for item := range s.records.List("", "") {
		if parts, err := item.Key.Parts(); err == nil && len(parts) == 5 {
			scope := awsapi.Scope{Partition: parts[1], Account: parts[2], Region: parts[3]}
			loading = append(loading, s.reconcile(scope, parts[4])...)
		}
	}
	for _, d := range loading {
		<-d.loaded
	}
}

// Drain stops delivering, and waits for the functions at work until ctx ends. What was not delivered is at the next
// start.
func (s *Service) Drain(ctx context.Context) {
	s.deliveries.mu.Lock()
	s.deliveries.closed = true
	s.deliveries.mu.Unlock()
	s.deliveries.stop()
	ended := make(chan struct{})
	go func() {
		s.deliveries.working.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// Deliveries counts the log events that subscription filters have delivered since the start, and those that were given
// up because their function kept failing or was not there.
func (s *Service) Deliveries() (delivered, lost uint64) {
	return s.deliveries.delivered.Load(), s.deliveries.lost.Load()
}

// reconcile makes the deliverers of a group those that its record asks for, and returns the new ones.
func (s *Service) reconcile(scope awsapi.Scope, name string) (started []*deliverer) {
	ds := &s.deliveries
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if ds.closed || ds.functions == nil {
		return nil
	}
	// Read under the lock: whoever comes last has the last record.
	wanted := map[store.Key]subscription{}
	if info, err := s.logs.Group(scope, name); err == nil {
		for _, sub := range s.withRecord(scope, info).record.Subscriptions {
			wanted[positionKey(scope, name, sub.Name)] = sub
		}
	}
	for key, d := range ds.running {
		if d.scope == scope && d.group == name && d.sub != wanted[key] {
			d.cancel()
		}
	}
	for key, sub := range wanted {
		previous := ds.running[key]
		if previous != nil && previous.sub == sub && previous.ctx.Err() == nil {
			continue
		}
		d := &deliverer{s: s, scope: scope, group: name, sub: sub, key: key, loaded: make(chan struct{}), done: make(chan struct{})}
		d.ctx, d.cancel = context.WithCancel(ds.ctx)
		ds.running[key] = d
		started = append(started, d)
		ds.working.Go(func() {
			if previous != nil {
				<-previous.done // what it is delivering now must not be delivered twice
			}
			d.run()
		})
	}
	return started
}

// deliverer follows a group for one subscription filter.
type deliverer struct {
	s     *Service
	scope awsapi.Scope
	group string
	sub   subscription
	key   store.Key
	// ctx ends when the subscription is changed or deleted, or all delivering ends.
	ctx    context.Context
	cancel context.CancelFunc
	// loaded is closed when tail is where the last deliverer stopped, done when run returns.
	loaded, done chan struct{}

	pattern filter.Pattern
	tail    *logstore.Tail
	// handled is how far everything was delivered or given up, or did not match; tail may be ahead of it.
	handled uint64
	// saved is the position in the store, and revision its record's.
	saved    position
	revision store.Revision
}

// run delivers until it is stopped, or the group is gone.
func (d *deliverer) run() {
	defer d.leave()
	err := d.load(d.ctx)
	close(d.loaded)
	if err != nil {
		d.complain(err)
		return
	}
	for {
		err := d.turn(d.ctx)
		if err == nil {
			continue
		}
		// A disk that refuses may do so for a while.
		if !d.complain(err) || sleep(d.ctx, longestPause) != nil {
			break
		}
	}
	// What did not match is not for a successor, whose pattern may be another.
	if err := d.save(d.ctx); err != nil {
		d.complain(err)
	}
}

// complain logs an error, unless it is the end of the deliverer as ends should be.
func (d *deliverer) complain(err error) bool {
	if d.ctx.Err() != nil || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrClosed) {
		return false
	}
	d.s.logger.Error("a subscription filter does not get on", "group", d.group, "filter", d.sub.Name, "error", err)
	return true
}

func (d *deliverer) leave() {
	d.cancel()
	ds := &d.s.deliveries
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if ds.running[d.key] == d {
		delete(ds.running, d.key)
	}
	close(d.done)
}

// load goes to where the last deliverer stopped. After a power failure the log may have lost what was delivered: what
// will be logged next has those numbers again, and must not be taken for it.
func (d *deliverer) load(ctx context.Context) (err error) {
	if d.pattern, err = filter.Parse(d.sub.Pattern); err != nil {
		return fmt.Errorf("logs: a stored pattern: %w", err)
	}
	if d.tail, err = d.s.logs.Tail(d.scope, d.group, ""); err != nil {
		return err
	}
	last := d.tail.Position()
	stored, err := d.s.state.Get(ctx, d.key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return err // the subscription was deleted a moment ago
	case err != nil:
		return fmt.Errorf("logs: reading a position: %w", err)
	}
	if err := json.Unmarshal(stored.Value, &d.saved); err != nil {
		return fmt.Errorf("logs: the position at %s: %w", d.key, err)
	}
	d.revision = stored.Revision
	d.handled = min(d.saved.Seq, last)
	d.tail.Seek(d.handled)
	return d.save(ctx)
}

// save makes what was handled the position where the next deliverer begins.
func (d *deliverer) save(ctx context.Context) error {
	at := position{d.sub.ID, d.handled}
	if at == d.saved {
		return nil
	}
	change, err := at.change(d.scope, d.group, d.sub.Name)
	if err != nil {
		return err
	}
	// A subscription that was deleted meanwhile has no position any more, and must not get one.
	change.Expect = store.At(d.revision)
	// What was delivered was delivered, also where delivering ends.
	revision, err := d.s.state.Commit(context.WithoutCancel(ctx), change)
	if conflict := (*store.ConflictError)(nil); errors.As(err, &conflict) {
		return store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("logs: storing a position: %w", err)
	}
	d.saved, d.revision = at, revision
	return nil
}
