package pebble

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"hotaru/store"
)

const pidFile = "PID"

// lockDir takes the directory for this process. The lock is on the directory itself, so that taking it
// writes nothing, and ends with the process however that ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("store: lock %s: %w", dir, err)
	}
	if pid, err := os.ReadFile(filepath.Join(dir, pidFile)); err == nil {
		return nil, fmt.Errorf("%w: %s, pid %s", store.ErrLocked, dir, strings.TrimSpace(string(pid)))
	}
	return nil, fmt.Errorf("%w: %s", store.ErrLocked, dir)
}

// notePID tells the next process who has the directory. It is a courtesy: only the lock counts.
func notePID(dir string) error {
	return os.WriteFile(filepath.Join(dir, pidFile), fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
