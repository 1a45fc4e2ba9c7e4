package code

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"hotaru/store"
)

// Root gives the directory that a stored package unpacks to: absolute, owned by who runs Hotaru, readable and
// never writable for everybody else, and nothing in it but the package. It is made at the first call, once,
// whoever calls meanwhile. It stays until Sweep removes it; callers must not change it. A digest that is not
// there is store.ErrNotFound.
func (s *Store) Root(ctx context.Context, digest string) (dir string, err error) {
	s.mu.RLock()
	dir, ok := s.ready[digest]
	s.mu.RUnlock()
	if ok {
		return dir, nil
	}
	if !isDigest(digest) {
		return "", fmt.Errorf("code: digest %q: %w", digest, store.ErrNotFound)
	}
	release, err := s.locks.acquire(ctx, digest)
	if err != nil {
		return "", err
	}
	defer release()
	path := s.rootPath(digest)
	dir = filepath.Join(path, rootName)
	if !s.complete(path) {
		if err := s.make(ctx, digest, path); err != nil {
			return "", fmt.Errorf("code: unpack %s: %w", digest, err)
		}
	}
	s.mu.Lock()
	s.ready[digest] = dir
	s.mu.Unlock()
	return dir, nil
}

// complete says whether a root was made whole in this life.
func (s *Store) complete(path string) bool {
	marker, err := os.ReadFile(filepath.Join(path, markerName))
	if err != nil || string(marker) != s.life {
		return false
	}
	info, err := os.Lstat(filepath.Join(path, rootName))
	return err == nil && info.IsDir()
}

// make unpacks a package beside its place and moves it there when it is whole. The caller has the lock.
func (s *Store) make(ctx context.Context, digest, path string) (err error) {
	select {
	case s.makers <- struct{}{}:
		defer func() { <-s.makers }()
	case <-ctx.Done():
		return ctx.Err()
	}
	zip, err := s.load(ctx, digest)
	if err != nil {
		return err
	}
	if err := s.remove(path); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Join(s.dir, tmpDir), "make-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(tmp) // else the next Open does
		}
	}()
	if err := extractTo(ctx, zip, filepath.Join(tmp, rootName)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, markerName), []byte(s.life), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// load reads a whole zip file; the blob has proved to match its digest then.
func (s *Store) load(ctx context.Context, digest string) ([]byte, error) {
	r, err := s.blobs.Open(ctx, digest)
	if err != nil {
		return nil, err
	}
	zip, err := io.ReadAll(r)
	return zip, errors.Join(err, r.Close())
}

// extractTo makes a directory of a zip file.
func extractTo(ctx context.Context, zip []byte, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	return errors.Join(extract(ctx, zip, root), root.Close())
}

// remove takes a root away, at once to everybody who looks.
func (s *Store) remove(path string) error {
	tmp, err := os.MkdirTemp(filepath.Join(s.dir, tmpDir), "remove-")
	if err != nil {
		return err
	}
	err = os.Rename(path, filepath.Join(tmp, rootName))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(tmp))
}
