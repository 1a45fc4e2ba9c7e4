// Package wholefile writes small files whole or not at all, and on disk when it returns: keys, credentials,
// certificates. It must not know what is in them.
package wholefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Create writes a new file. One that is there already, from before or from somebody else meanwhile, stays as it is.
func Create(path string, text []byte, mode fs.FileMode) error {
	return write(path, text, mode, func(temporary string) error {
		if err := os.Link(temporary, path); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	})
}

// Replace writes a file in place of the one that is there, if any.
func Replace(path string, text []byte, mode fs.FileMode) error {
	return write(path, text, mode, func(temporary string) error { return os.Rename(temporary, path) })
}

// write writes a temporary file, which nobody else can read before it has its mode, and has it put in place.
func write(path string, text []byte, mode fs.FileMode, put func(temporary string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".whole-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := put(f.Name()); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
