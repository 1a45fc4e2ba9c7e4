package pki

import (
	"fmt"
	"io"
	"io/fs"
	"os"
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
