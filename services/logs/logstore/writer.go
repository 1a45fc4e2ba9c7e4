package logstore

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// request is work for the writer's goroutine, which alone changes files.
type request struct {
	run    func(*writer) error
	stop   bool
	result chan error
}

// writer is the state of the goroutine that writes. It sleeps when nothing is dirty.
type writer struct {
	s            *Store
	flushTimer   *time.Timer
	syncTimer    *time.Timer
	flushAt      bool
	syncAt       bool
	failing      map[*group]bool
	unsynced     map[string]bool
	sync         chan []string
	syncFinished chan struct{}
}

func newWriter(s *Store) *writer {
	w := &writer{
		s: s, flushTimer: time.NewTimer(time.Hour), syncTimer: time.NewTimer(time.Hour),
		failing: map[*group]bool{}, unsynced: map[string]bool{},
		sync: make(chan []string), syncFinished: make(chan struct{}),
	}
	w.flushTimer.Stop()
	w.syncTimer.Stop()
	return w
}

// run ends after a stop request. It owns a second goroutine that does nothing but fsync, so that a slow disk
// delays durability and not the next write.
func (w *writer) run() {
	defer close(w.s.done)
	go w.syncAll()
	for {
		select {
		case <-w.s.wake:
			w.flushSoon()
		case <-w.s.hurry:
			_ = w.flush()
		case <-w.flushTimer.C:
			w.flushAt = false
			_ = w.flush()
		case <-w.syncTimer.C:
			w.syncAt = false
			w.handOverSync()
		case r := <-w.s.requests:
			if r.stop {
				r.result <- w.stop()
				return
			}
			r.result <- r.run(w)
		}
	}
}

func (w *writer) flushSoon() {
	if !w.flushAt {
		w.flushTimer.Reset(w.s.options.FlushInterval)
		w.flushAt = true
	}
}

func (w *writer) syncSoon() {
	if !w.syncAt {
		w.syncTimer.Reset(w.s.options.SyncInterval)
		w.syncAt = true
	}
}

// flush writes every dirty group and answers every failure, of which the log has heard.
func (w *writer) flush() error {
	groups := w.s.takeDirty()
	for g := range w.failing {
		if !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	return w.flushGroups(groups)
}

func (w *writer) flushGroups(groups []*group) error {
	var errs []error
	for _, g := range groups {
		err := w.flushGroup(g)
		if err == nil {
			delete(w.failing, g)
			continue
		}
		errs = append(errs, err)
		if !w.failing[g] {
			// A disk that stays full says so once a group, not 20 times a second.
			w.s.options.Logger.Error("log events cannot be written; they wait, and the newest are dropped",
				"group", g.key.name, "error", err)
		}
		w.failing[g] = true
	}
	if len(w.failing) > 0 {
		w.flushSoon()
	}
	return errors.Join(errs...)
}

// flushGroup writes what waits in the group. After a failure the batch waits in stuck and goes first next time.
func (w *writer) flushGroup(g *group) error {
	if g.stuck != nil {
		if err := w.write(g, g.stuck); err != nil {
			return err
		}
		g.stuck = nil
	}
	batch, gone := g.take(w.s.options.Now())
	if gone {
		return nil
	}
	if err := w.write(g, batch); err != nil {
		g.stuck = batch
		return err
	}
	w.s.release(batch)
	g.written = g.taken
	return nil
}

// write appends the batch to the group's last segment, or to a new one, and makes it readable.
func (w *writer) write(g *group, batch []byte) error {
	if len(batch) == 0 && len(g.segments) > 0 {
		return nil
	}
	if err := w.s.hasRoom(); err != nil && !g.deleting() {
		return err
	}
	seg, header, err := w.active(g)
	if err != nil {
		return err
	}
	prefix := slices.Concat(header, g.declarations(seg, batch))
	if err := writeAt(seg.path, seg.size, prefix, batch); err != nil {
		return err
	}
	g.wrote(seg, prefix, batch)
	w.unsynced[seg.path] = true
	w.syncSoon()
	if seg.checkpointDue() {
		if err := w.checkpoint(g, seg); err != nil {
			// The batch is written; only the next start is slower.
			w.s.options.Logger.Warn("a log index cannot be saved", "error", err)
		}
	}
	return nil
}

// active is the segment to append to. A full one is sealed; a new one comes with the header to write first.
func (w *writer) active(g *group) (seg *segment, header []byte, err error) {
	if n := len(g.segments); n > 0 && !g.segments[n-1].sealed {
		seg = g.segments[n-1]
		if seg.size < w.s.options.SegmentBytes {
			return seg, nil, nil
		}
		if err := w.checkpoint(g, seg); err != nil {
			return nil, nil, err
		}
		g.seal(seg)
	}
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("logstore: %w", err)
	}
	w.unsynced[w.s.dir], w.unsynced[g.dir] = true, true
	seg, header = newSegment(g.dir, g.key, g.created, g.nextSeq())
	if err := seg.removeCheckpoint(); err != nil {
		return nil, nil, err
	}
	return seg, header, nil
}

// checkpoint encodes under the group's lock, because readers look at the index, and writes without it.
func (w *writer) checkpoint(g *group, seg *segment) error {
	g.mu.Lock()
	encoded, size := seg.encode(), seg.size
	g.mu.Unlock()
	if size == seg.checkpointed {
		return nil
	}
	return seg.writeCheckpoint(encoded, size)
}

// writeAt puts the parts one after the other at offset. What a failure left behind is overwritten next time, and
// no reader looks beyond the index.
func writeAt(path string, offset int64, parts ...[]byte) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("logstore: opening a segment to append: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for _, part := range parts {
		if len(part) == 0 {
			continue
		}
		n, err := file.WriteAt(part, offset)
		if err != nil {
			return fmt.Errorf("logstore: appending to a segment: %w", err)
		}
		offset += int64(n)
	}
	return nil
}

// handOverSync gives the syncer what to sync, or waits another interval if it is still busy.
func (w *writer) handOverSync() {
	if len(w.unsynced) == 0 {
		return
	}
	select {
	case w.sync <- slices.Sorted(maps.Keys(w.unsynced)):
		clear(w.unsynced)
	default:
		w.syncSoon()
	}
}

// syncAll is the second goroutine. It opens files anew: fsync is about a file, whoever wrote it.
func (w *writer) syncAll() {
	defer close(w.syncFinished)
	for paths := range w.sync {
		for _, path := range paths {
			if err := syncPath(path); err != nil {
				w.s.options.Logger.Error("log events may not survive a power failure", "error", err)
			}
		}
	}
}

func syncPath(path string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return fmt.Errorf("logstore: opening to sync: %w", err)
	}
	defer file.Close()
	if err := file.Sync(); err != nil {
		return fmt.Errorf("logstore: syncing: %w", err)
	}
	return nil
}

// stop writes and syncs everything and saves every index, so that the next Open reads no segment.
func (w *writer) stop() error {
	w.flushTimer.Stop()
	w.syncTimer.Stop()
	close(w.sync)
	<-w.syncFinished
	// All groups, and not only those on the list: an Append that began before Close may still be on its way there.
	w.s.mu.Lock()
	groups := slices.Collect(maps.Values(w.s.groups))
	w.s.mu.Unlock()
	errs := []error{w.flushGroups(groups)}
	for _, g := range groups {
		if n := len(g.segments); n > 0 && !g.segments[n-1].sealed {
			errs = append(errs, w.checkpoint(g, g.segments[n-1]))
		}
		g.wakeTails()
	}
	for _, path := range slices.Sorted(maps.Keys(w.unsynced)) {
		errs = append(errs, syncPath(filepath.Clean(path)))
	}
	return errors.Join(errs...)
}
