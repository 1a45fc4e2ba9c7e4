package code

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Sweep removes every package that keep denies, with its root, except those that a Put or a Root is busy with
// and those that were put less than Grace ago. keep must not call the store; it must say true for a package
// whose root somebody still uses. The errors of single packages are joined; the others are removed even then,
// and the next Sweep tries again.
func (s *Store) Sweep(ctx context.Context, keep func(digest string) bool) error {
	digests, err := s.digests()
	if err != nil {
		return fmt.Errorf("code: sweep: %w", err)
	}
	var failed []error
	for _, digest := range digests {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(failed, err)...)
		}
		if err := s.sweep(ctx, digest, keep); err != nil {
			failed = append(failed, fmt.Errorf("code: sweep %s: %w", digest, err))
		}
	}
	return errors.Join(failed...)
}

// digests lists what may be there: everything that was put, and every root.
func (s *Store) digests() ([]string, error) {
	found := map[string]bool{}
	for _, dir := range []string{recordsDir, rootsDir} {
		entries, err := os.ReadDir(filepath.Join(s.dir, dir))
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if isDigest(entry.Name()) {
				found[entry.Name()] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// sweep removes one package if nobody wants it. The record goes last, so that a crash on the way leaves
// something for the next Sweep to find.
func (s *Store) sweep(ctx context.Context, digest string, keep func(string) bool) error {
	release, ok := s.locks.try(digest)
	if !ok {
		return nil
	}
	defer release()
	record, err := os.Stat(s.recordPath(digest))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err == nil && time.Since(record.ModTime()) < s.Grace {
		return nil
	}
	if keep(digest) {
		return nil
	}
	s.mu.Lock()
	delete(s.ready, digest)
	s.mu.Unlock()
	if err := errors.Join(s.remove(s.rootPath(digest)), s.blobs.Delete(ctx, digest)); err != nil {
		return err
	}
	if err := os.Remove(s.recordPath(digest)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
