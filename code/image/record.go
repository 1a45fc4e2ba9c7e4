package image

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// remember notes the root that a registry's answer led to.
func (s *Store) remember(source Source, key string, additions []Addition) error {
	path := s.recordPath(source)
	if err := os.WriteFile(path+".next", []byte(key+" "+s.kind(additions)), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".next", path)
}

// remembered is the root that a registry's last answer led to, if it had the same additions and form.
func (s *Store) remembered(source Source, additions []Addition) (key string, known bool) {
	text, err := os.ReadFile(s.recordPath(source))
	if err != nil {
		return "", false
	}
	key, kind, _ := strings.Cut(string(text), " ")
	return key, kind == s.kind(additions)
}

// kind tells roots of one image apart: by what is added, and by form.
func (s *Store) kind(additions []Addition) string {
	sum := sha256.New()
	fmt.Fprintln(sum, s.options.EROFS)
	for _, a := range additions {
		fmt.Fprintf(sum, "%q %o %q %q %t\n", a.Path, a.Dir, a.After, a.Content, a.Present)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func (s *Store) recordPath(source Source) string {
	sum := sha256.Sum256([]byte(source.String()))
	return filepath.Join(s.dir, sourcesDir, hex.EncodeToString(sum[:]))
}

// Sweep removes the roots that Root has not given since Open. Nothing may use them any more.
func (s *Store) Sweep() error {
	entries, err := os.ReadDir(filepath.Join(s.dir, rootsDir))
	if err != nil {
		return fmt.Errorf("image: sweep: %w", err)
	}
	var failed []error
	for _, entry := range entries {
		if !s.used[entry.Name()] {
			failed = append(failed, os.RemoveAll(filepath.Join(s.dir, rootsDir, entry.Name())))
		}
	}
	records, err := os.ReadDir(filepath.Join(s.dir, sourcesDir))
	failed = append(failed, err)
	for _, record := range records {
		path := filepath.Join(s.dir, sourcesDir, record.Name())
		text, err := os.ReadFile(path)
		if key, _, _ := strings.Cut(string(text), " "); err == nil && !s.used[key] {
			err = os.Remove(path)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("image: sweep: %w", err)
	}
	return nil
}
