package logstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hotaru/store"
)

const (
	segmentSuffix    = ".seg"
	checkpointSuffix = ".idx"
)

// segment is one file of a group, with what is known of its content.
type segment struct {
	path string
	// first is the sequence number that the segment began with; it is the file's name.
	first   uint64
	key     groupKey
	created int64
	// The index of a sealed segment has no blocks: readers take them from the checkpoint.
	*index
	// checkpointed is the index's size that the checkpoint file covers, checkpointBytes that file's own size.
	checkpointed, checkpointBytes int64
	// sealed: nothing is appended any more. earliest and latest are then its events' times.
	sealed           bool
	earliest, latest int64
}

// newSegment describes a segment that is not written yet, and returns its first bytes.
func newSegment(dir string, key groupKey, created int64, first uint64) (*segment, []byte) {
	name := fmt.Sprintf("%016x%s", first, segmentSuffix)
	seg := &segment{path: filepath.Join(dir, name), first: first, key: key, created: created, index: newIndex()}
	header := appendRecord(nil, record{kind: kindHeader, seq: first - 1, time: created, text: key.encode()})
	return seg, header
}

// openSegment reads a segment's checkpoint and what was written after it. In the last segment of a group (repair)
// a tail without a whole record is cut off, because nothing behind it was ever synced; elsewhere it is damage. A
// last segment that has no whole record at all answers io.ErrUnexpectedEOF.
func openSegment(path string, repair bool) (*segment, error) {
	name := strings.TrimSuffix(filepath.Base(path), segmentSuffix)
	first, err := strconv.ParseUint(name, 16, 64)
	if err != nil {
		return nil, fmt.Errorf("logstore: %s is no segment's name: %w", path, store.ErrFormat)
	}
	seg := &segment{path: path, first: first}
	mode := os.O_RDONLY
	if repair {
		mode = os.O_RDWR
	}
	file, err := os.OpenFile(path, mode, 0)
	if err != nil {
		return nil, fmt.Errorf("logstore: opening a segment: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("logstore: opening a segment: %w", err)
	}
	if err := seg.readHeader(file, repair); err != nil {
		return nil, err
	}
	if used := seg.readCheckpoint(info.Size()); !used && repair {
		// It must not be believed when the segment has grown to its size again with other records.
		if err := seg.removeCheckpoint(); err != nil {
			return nil, err
		}
	}
	tail, err := seg.scan(file, info.Size())
	if err != nil {
		return nil, err
	}
	switch {
	case tail > 0 && repair:
		if err := file.Truncate(seg.size); err != nil {
			return nil, fmt.Errorf("logstore: cutting off a torn tail: %w", err)
		}
	case tail > 0:
		seg.addDamage(tail)
	}
	return seg, nil
}

// readHeader learns whose segment this is.
func (seg *segment) readHeader(file *os.File, last bool) error {
	head := make([]byte, frameBytes+64+4*maxName)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("logstore: reading a segment's header: %w", err)
	}
	r, _, err := decodeRecord(head[:n])
	if err != nil && last && resync(head[:n]) < 0 {
		return io.ErrUnexpectedEOF
	}
	key, ok := decodeGroupKey(r.text)
	if err != nil || r.kind != kindHeader || !ok {
		return fmt.Errorf("logstore: the header of %s: %w", seg.path, store.ErrDamaged)
	}
	seg.key, seg.created = key, r.time
	return nil
}

// readCheckpoint takes the index from its file if it is whole and belongs to this segment as it is; otherwise
// the scan starts at the beginning.
func (seg *segment) readCheckpoint(size int64) (used bool) {
	seg.index, seg.checkpointed = newIndex(), 0
	frame, err := os.ReadFile(seg.checkpointPath())
	if err != nil {
		return false
	}
	body, ok := unprotect(frame)
	if !ok {
		return false
	}
	x, ok := decodeIndex(body)
	if !ok || x.size > size {
		return false
	}
	seg.index, seg.checkpointed, seg.checkpointBytes = x, x.size, int64(len(body))
	return true
}

// scan indexes what follows the checkpoint and returns the length of the tail that holds no record.
func (seg *segment) scan(file *os.File, size int64) (int, error) {
	rest := make([]byte, size-seg.size)
	if _, err := file.ReadAt(rest, seg.size); err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("logstore: reading a segment: %w", err)
	}
	tail := walk(rest, seg.add, func(_, length int) { seg.addDamage(length) })
	return tail, nil
}

// checkpointDue says whether a scan of what the checkpoint does not cover would take long. A checkpoint of many
// streams is large itself, so it is then written less often.
func (seg *segment) checkpointDue() bool {
	return seg.size-seg.checkpointed > max(1<<20, 4*seg.checkpointBytes)
}

// writeCheckpoint saves an encoded index that covers size bytes beside the segment. Losing it costs time at the
// next Open and nothing else.
func (seg *segment) writeCheckpoint(encoded []byte, size int64) error {
	temporary := seg.checkpointPath() + ".new"
	if err := os.WriteFile(temporary, protect(encoded), 0o600); err != nil {
		return fmt.Errorf("logstore: writing a checkpoint: %w", err)
	}
	if err := os.Rename(temporary, seg.checkpointPath()); err != nil {
		return fmt.Errorf("logstore: writing a checkpoint: %w", err)
	}
	seg.checkpointed, seg.checkpointBytes = size, int64(len(encoded))
	return nil
}

// seal keeps of the index what every listing needs and lets the blocks go.
func (seg *segment) seal() {
	seg.earliest, seg.latest = seg.span()
	seg.sealed = true
	seg.blocks, seg.open, seg.numbers = nil, block{}, nil
}

func (seg *segment) checkpointPath() string {
	return strings.TrimSuffix(seg.path, segmentSuffix) + checkpointSuffix
}

// remove deletes the segment, data first: a checkpoint without a segment is nothing.
func (seg *segment) remove() error {
	if err := os.Remove(seg.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("logstore: removing a segment: %w", err)
	}
	return seg.removeCheckpoint()
}

func (seg *segment) removeCheckpoint() error {
	if err := os.Remove(seg.checkpointPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("logstore: removing a checkpoint: %w", err)
	}
	return nil
}

// segmentPaths lists a group's segments, oldest first.
func segmentPaths(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("logstore: listing a group: %w", err)
	}
	var paths []string
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), segmentSuffix) {
			paths = append(paths, filepath.Join(dir, entry.Name()))
		}
	}
	slices.Sort(paths)
	return paths, nil
}
