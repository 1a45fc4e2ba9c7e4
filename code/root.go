package code

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"hotaru/code/tree"
	"hotaru/store"
)

// Root gives the directory that a stored package unpacks to, or the EROFS image of it (Images): absolute, owned by who
// runs Hotaru, readable and never writable for everybody else, and nothing in it but the package. It is made at the first call, once,
// whoever calls meanwhile. It stays until Sweep removes it; callers must not change it. A digest that is not
// there is store.ErrNotFound.
func (s *Store) Root(ctx context.Context, digest string) (dir string, err error) {
	return s.directory(ctx, digest, []string{digest})
}

// directory gives the root of a digest, which is made of packages.
func (s *Store) directory(ctx context.Context, digest string, packages []string) (dir string, err error) {
	s.mu.RLock()
	dir, ok := s.ready[digest]
	s.mu.RUnlock()
	if ok {
		return dir, nil
	}
	for _, d := range append([]string{digest}, packages...) {
		if !isDigest(d) {
			return "", fmt.Errorf("code: digest %q: %w", d, store.ErrNotFound)
		}
	}
	release, err := s.locks.acquire(ctx, digest)
	if err != nil {
		return "", err
	}
	defer release()
	path := s.rootPath(digest)
	dir = filepath.Join(path, rootName)
	if !s.complete(path) {
		if err := s.make(ctx, packages, path); err != nil {
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
	return err == nil && info.IsDir() != s.Images
}

// make unpacks packages beside their place and moves them there when they are whole. The caller has the lock.
func (s *Store) make(ctx context.Context, packages []string, path string) (err error) {
	select {
	case s.makers <- struct{}{}:
		defer func() { <-s.makers }()
	case <-ctx.Done():
		return ctx.Err()
	}
	content, err := s.contents(ctx, packages)
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
	if err := s.write(ctx, content.tree(ctx), filepath.Join(tmp, rootName)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, markerName), []byte(s.life), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// contents reads packages, and merges them if they are several.
func (s *Store) contents(ctx context.Context, packages []string) (*contents, error) {
	all := make([]*contents, len(packages))
	for i, digest := range packages {
		zip, err := s.load(ctx, digest)
		if err != nil {
			return nil, err
		}
		if all[i], _, err = read(ctx, zip); err != nil {
			return nil, err
		}
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return merge(ctx, all)
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

// write makes the form of a root.
func (s *Store) write(ctx context.Context, root *tree.Node, path string) error {
	if s.Images {
		return root.WriteImageFile(ctx, path)
	}
	return root.MakeDirectory(ctx, path)
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
