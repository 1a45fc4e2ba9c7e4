// Package sdk keeps AWS's SDKs for managed runtimes: Lambda's Python and Node.js have one, and interpreters of this machine
// have none. What is here an administrator has asked for; nothing is fetched by itself. It must not know which runtimes
// there are, how one is started or what a sandbox is.
package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"hotaru/internal/wholefile"
)

// Store is a directory of SDKs, one for each interpreter that has one, by a name such as "python3.11" or "nodejs20". Any
// number of processes may use it at once. Every file in it may be read by everybody, and is never changed once it is there.
type Store struct {
	// Dir is absolute, and made when there is something to keep. Empty is a store with nothing in it.
	Dir string
}

// Installed is one SDK.
type Installed struct {
	// Digest changes with any file but those that Python makes of others.
	Digest string `json:"digest"`
	// Packages are what it is made of, sorted: "boto3 1.44.5".
	Packages []string `json:"packages"`
	// Directory is its name in the store, a new one for every installation, so that nothing changes under whoever looks.
	Directory string `json:"directory"`
	// Dir has what belongs into a runtime's directory: Python's packages, or node_modules.
	Dir string `json:"-"`
}

// Fill puts an SDK into an empty directory.
type Fill func(ctx context.Context, dir string) error

// Installed returns the SDK of that name, nil if there is none.
func (s Store) Installed(name string) (*Installed, error) {
	if s.Dir == "" {
		return nil, nil
	}
	text, err := os.ReadFile(s.record(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sdk: %w", err)
	}
	var in Installed
	if err := json.Unmarshal(text, &in); err != nil || !isDigest(in.Digest) || !strings.HasPrefix(in.Directory, name+"-") || filepath.Base(in.Directory) != in.Directory {
		return nil, fmt.Errorf("sdk: %s is damaged: install the SDK again", s.record(name))
	}
	in.Dir = filepath.Join(s.Dir, in.Directory)
	return &in, nil
}

// Digests are those of all that is installed.
func (s Store) Digests() ([]string, error) {
	if s.Dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("sdk: %w", err)
	}
	var digests []string
	for _, entry := range entries {
		name, isRecord := strings.CutSuffix(entry.Name(), ".json")
		if !isRecord {
			continue
		}
		in, err := s.Installed(name)
		if err != nil {
			return nil, err
		}
		if in != nil {
			digests = append(digests, in.Digest)
		}
	}
	return digests, nil
}

// record is the file that says which directory counts.
func (s Store) record(name string) string { return filepath.Join(s.Dir, name+".json") }

// Install replaces the SDK of that name by what fill makes. On an error the one that was there stays.
func (s Store) Install(ctx context.Context, name string, fill Fill) (*Installed, error) {
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	dir, err := os.MkdirTemp(s.Dir, name+"-")
	if err != nil {
		return nil, fmt.Errorf("sdk: %w", err)
	}
	in, err := s.finish(ctx, name, dir, fill)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return in, s.clean(name, in.Directory)
}

func (s Store) finish(ctx context.Context, name, dir string, fill Fill) (*Installed, error) {
	if err := fill(ctx, dir); err != nil {
		return nil, err
	}
	in, err := settle(dir)
	if err != nil {
		return nil, fmt.Errorf("sdk: %w", err)
	}
	in.Directory, in.Dir = filepath.Base(dir), dir
	text, err := json.MarshalIndent(in, "", "  ")
	if err == nil {
		err = wholefile.Replace(s.record(name), append(text, '\n'), 0o644)
	}
	if err != nil {
		return nil, fmt.Errorf("sdk: %w", err)
	}
	return in, nil
}

// Remove removes the SDK of that name, if there is one.
func (s Store) Remove(name string) error {
	if _, err := os.Lstat(s.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.Remove(s.record(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sdk: %w", err)
	}
	return s.clean(name, "")
}

// lock makes the store's directory and keeps others from changing it.
func (s Store) lock() (unlock func(), err error) {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("sdk: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(s.Dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sdk: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("sdk: somebody else is installing into %s: %w", s.Dir, err), f.Close())
	}
	return func() { _ = f.Close() }, nil // and with it the lock
}

// clean removes the directories of that name but one: the one before, and what installations that were killed left.
func (s Store) clean(name, keep string) error {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return fmt.Errorf("sdk: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), name+"-") && entry.Name() != keep {
			errs = append(errs, os.RemoveAll(filepath.Join(s.Dir, entry.Name())))
		}
	}
	return errors.Join(errs...)
}
