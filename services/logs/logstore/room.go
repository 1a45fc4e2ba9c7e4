package logstore

import (
	"fmt"

	"golang.org/x/sys/unix"

	"hotaru/store"
)

// hasRoom answers store.ErrFull while the disk is down to the reserve. What functions print is theirs to choose, and what
// else is on the disk must not suffer from it.
func (s *Store) hasRoom() error {
	if s.options.ReserveBytes == 0 {
		return nil
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(s.dir, &stat); err != nil {
		return fmt.Errorf("logstore: disk of %s: %w", s.dir, err)
	}
	if free := int64(stat.Bavail) * stat.Bsize; free < s.options.ReserveBytes {
		return fmt.Errorf("logstore: %w: %d bytes are free in %s, and %d are kept in reserve", store.ErrFull, free, s.dir, s.options.ReserveBytes)
	}
	return nil
}
