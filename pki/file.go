package pki

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// fileLimit is far more than a key or a certificate of ours takes, in bytes.
const fileLimit = 64 << 10

// readFile reads a whole small file. It refuses one with a mode bit of exposed.
func readFile(path string, exposed fs.FileMode) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	if mode := info.Mode().Perm(); mode&exposed != 0 {
		return nil, fmt.Errorf("%w (%s has %o)", ErrExposed, path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, fileLimit+1))
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	if len(text) > fileLimit {
		return nil, fmt.Errorf("%w: %s is too large", ErrDamaged, path)
	}
	return text, nil
}

// writeFile writes a file whole or not at all, and on disk when it returns. Without replace it leaves one that is
// there.
func writeFile(path string, text []byte, mode fs.FileMode, replace bool) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".pki-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if replace {
		err = os.Rename(f.Name(), path)
	} else if err = os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
