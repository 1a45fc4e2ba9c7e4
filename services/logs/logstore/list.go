package logstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"hotaru/awsapi"
	"hotaru/store"
)

// ErrNoStream is a store.ErrNotFound about a stream whose group is there.
var ErrNoStream = fmt.Errorf("logstore: no such log stream: %w", store.ErrNotFound)

// deletedPrefix marks directories of groups whose deletion a crash may have interrupted.
const deletedPrefix = ".deleted-"

// GroupInfo describes a log group.
type GroupInfo struct {
	Name    string
	Created time.Time
	// StoredBytes is the size of the group's segments.
	StoredBytes int64
}

// StreamInfo describes a log stream. Times are zero where there is no event yet.
type StreamInfo struct {
	Name          string
	Created       time.Time
	FirstEvent    time.Time
	LastEvent     time.Time
	LastIngestion time.Time
	Events        int64
	StoredBytes   int64
}

// Groups lists the scope's groups by name.
func (s *Store) Groups(scope awsapi.Scope) []GroupInfo {
	s.mu.Lock()
	var groups []*group
	for key, g := range s.groups {
		if key.scope == scope {
			groups = append(groups, g)
		}
	}
	s.mu.Unlock()
	infos := make([]GroupInfo, 0, len(groups))
	for _, g := range groups {
		infos = append(infos, g.info())
	}
	slices.SortFunc(infos, func(a, b GroupInfo) int { return cmp.Compare(a.Name, b.Name) })
	return infos
}

func (g *group) info() GroupInfo {
	g.mu.Lock()
	defer g.mu.Unlock()
	info := GroupInfo{Name: g.key.name, Created: time.UnixMilli(g.created)}
	for _, seg := range g.segments {
		info.StoredBytes += seg.size
	}
	return info
}

// Streams lists a group's streams by name, with what was flushed of them. It answers store.ErrNotFound for a missing
// group.
func (s *Store) Streams(scope awsapi.Scope, groupName string) ([]StreamInfo, error) {
	g, _, err := s.group(groupKey{scope, groupName}, false)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	infos := make([]StreamInfo, 0, len(g.streams))
	for _, stream := range g.streams {
		infos = append(infos, stream.infoLocked())
	}
	slices.SortFunc(infos, func(a, b StreamInfo) int { return cmp.Compare(a.Name, b.Name) })
	return infos, nil
}

func (s *Stream) infoLocked() StreamInfo {
	info := StreamInfo{Name: s.name, Created: time.UnixMilli(s.created)}
	for _, seg := range s.group.segments {
		stats := seg.streams[s.number]
		if stats == nil || stats.events == 0 {
			continue
		}
		first, last := time.UnixMilli(stats.first), time.UnixMilli(stats.last)
		if info.Events == 0 || first.Before(info.FirstEvent) {
			info.FirstEvent = first
		}
		if info.Events == 0 || last.After(info.LastEvent) {
			info.LastEvent = last
		}
		info.LastIngestion = time.UnixMilli(stats.ingested)
		info.Events += stats.events
		info.StoredBytes += stats.bytes
	}
	return info
}

// CreateGroup makes an empty group, durably for the process; made is false if it was there already.
func (s *Store) CreateGroup(ctx context.Context, scope awsapi.Scope, groupName string) (made bool, err error) {
	if err := checkNames(scope.Partition, scope.Account, scope.Region, groupName); err != nil {
		return false, err
	}
	_, made, err = s.group(groupKey{scope, groupName}, true)
	if err != nil {
		return false, err
	}
	return made, s.Flush(ctx)
}

// CreateStream makes an empty stream, durably for the process; made is false if it was there already. It answers
// store.ErrNotFound for a missing group.
func (s *Store) CreateStream(ctx context.Context, scope awsapi.Scope, groupName, streamName string) (made bool, err error) {
	if err := checkNames(streamName); err != nil {
		return false, err
	}
	g, _, err := s.group(groupKey{scope, groupName}, false)
	if err != nil {
		return false, err
	}
	g.mu.Lock()
	made = !g.gone && g.streams[streamName] == nil
	if made {
		g.streamLocked(streamName, s.options.Now())
	}
	g.mu.Unlock()
	return made, s.Flush(ctx)
}

// LookUp finds a stream without making it. It answers store.ErrNotFound for a missing group, and that as ErrNoStream for
// a missing stream.
func (s *Store) LookUp(scope awsapi.Scope, groupName, streamName string) (*Stream, error) {
	g, _, err := s.group(groupKey{scope, groupName}, false)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	stream := g.streams[streamName]
	if stream == nil {
		return nil, ErrNoStream
	}
	return stream, nil
}

// Group describes one group. It answers store.ErrNotFound for a missing one.
func (s *Store) Group(scope awsapi.Scope, groupName string) (GroupInfo, error) {
	g, _, err := s.group(groupKey{scope, groupName}, false)
	if err != nil {
		return GroupInfo{}, err
	}
	return g.info(), nil
}

// DeleteGroup removes the group with all its events. Streams of it that somebody still holds drop what they are
// given. It answers store.ErrNotFound for a missing group.
func (s *Store) DeleteGroup(ctx context.Context, scope awsapi.Scope, groupName string) error {
	return s.request(ctx, func(w *writer) error { return w.deleteGroup(groupKey{scope, groupName}) })
}

// deleteGroup renames the directory first: from then on the group is gone, whatever interrupts the removal.
func (w *writer) deleteGroup(key groupKey) error {
	g, _, err := w.s.group(key, false)
	if err != nil {
		return err
	}
	doomed := filepath.Join(w.s.dir, deletedPrefix+filepath.Base(g.dir))
	if err := os.RemoveAll(doomed); err != nil {
		return fmt.Errorf("logstore: deleting a group: %w", err)
	}
	if err := os.Rename(g.dir, doomed); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("logstore: deleting a group: %w", err)
	}
	w.s.mu.Lock()
	delete(w.s.groups, key)
	w.s.mu.Unlock()
	g.end()
	g.stuck = nil
	delete(w.failing, g)
	w.unsynced[w.s.dir] = true
	w.syncSoon()
	if err := os.RemoveAll(doomed); err != nil {
		return fmt.Errorf("logstore: deleting a group: %w", err)
	}
	return nil
}

// DeleteStream hides the stream's events and forgets its name; the space comes back when their segments are trimmed.
// It answers store.ErrNotFound for a missing group or stream.
func (s *Store) DeleteStream(ctx context.Context, scope awsapi.Scope, groupName, streamName string) error {
	g, _, err := s.group(groupKey{scope, groupName}, false)
	if err != nil {
		return err
	}
	g.mu.Lock()
	stream := g.streams[streamName]
	if stream != nil {
		g.deleteStreamLocked(stream)
	}
	g.mu.Unlock()
	if stream == nil {
		return ErrNoStream
	}
	return s.request(ctx, func(w *writer) error { return w.flushGroups([]*group{g}) })
}

// Trim removes the group's oldest segments as long as all their events are from before the time. The newest segment
// stays, so that some older events do too. It answers store.ErrNotFound for a missing group.
func (s *Store) Trim(ctx context.Context, scope awsapi.Scope, groupName string, before time.Time) error {
	g, _, err := s.group(groupKey{scope, groupName}, false)
	if err != nil {
		return err
	}
	return s.request(ctx, func(*writer) error { return g.trim(before.UnixMilli()) })
}

func (g *group) trim(before int64) error {
	for {
		g.mu.Lock()
		var oldest *segment
		if len(g.segments) > 1 && g.segments[0].latest < before {
			oldest, g.segments = g.segments[0], g.segments[1:]
		}
		g.mu.Unlock()
		if oldest == nil {
			return nil
		}
		if err := oldest.remove(); err != nil {
			return err
		}
	}
}
