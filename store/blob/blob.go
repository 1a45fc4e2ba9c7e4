// Package blob keeps blobs as files named by the SHA-256 of their content: the store.Blobs of one machine. It
// must not know what the content means.
//
// A directory belongs to one process at a time; the lock of the data directory around it sees to that.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"hotaru/store"
)

// Files are blobs in a directory: a blob with digest abcd... is the file ab/cd/abcd.... What is being written
// is in tmp.
type Files struct {
	dir string
}

var _ store.Blobs = (*Files)(nil)

const tmpDir = "tmp"

// Open makes the directory if it is missing (its parent must exist) and removes what a crash left half
// written.
func Open(dir string) (*Files, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("blob: %w", err)
	}
	tmp := filepath.Join(dir, tmpDir)
	if err := errors.Join(os.RemoveAll(tmp), os.Mkdir(tmp, 0o700), syncDir(dir), syncDir(filepath.Dir(dir))); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return &Files{dir: dir}, nil
}

// Put implements store.Blobs. A blob that is there already is replaced by the same content, which mends it if
// it was damaged.
func (b *Files) Put(ctx context.Context, r io.Reader) (digest string, size int64, err error) {
	f, err := os.CreateTemp(filepath.Join(b.dir, tmpDir), "put-")
	if err != nil {
		return "", 0, fmt.Errorf("blob: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // else the next Open does
		}
	}()
	sum := sha256.New()
	size, err = io.Copy(io.MultiWriter(f, sum), &contextReader{ctx: ctx, r: r})
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return "", 0, fmt.Errorf("blob: put: %w", err)
	}
	digest = hex.EncodeToString(sum.Sum(nil))
	if err := b.place(f.Name(), digest); err != nil {
		return "", 0, fmt.Errorf("blob: put: %w", err)
	}
	return digest, size, nil
}

// place gives a fsynced file its name, durably.
func (b *Files) place(tmp, digest string) error {
	first := filepath.Join(b.dir, digest[:2])
	second := filepath.Join(first, digest[2:4])
	for _, d := range []string{first, second} {
		err := os.Mkdir(d, 0o700)
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		// Also when somebody else has just made it: their fsync may still be on its way.
		if err := syncDir(filepath.Dir(d)); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, filepath.Join(second, digest)); err != nil {
		return err
	}
	return syncDir(second)
}

// Open implements store.Blobs. The last bytes are given only when the whole has proved to match the digest.
func (b *Files) Open(ctx context.Context, digest string) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, ok := b.path(digest)
	if !ok {
		return nil, store.ErrNotFound
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, store.ErrNotFound
	} else if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("blob: %w", err), f.Close())
	}
	return &verifiedReader{ctx: ctx, file: f, sum: sha256.New(), digest: digest, left: info.Size()}, nil
}

// Delete implements store.Blobs.
func (b *Files) Delete(ctx context.Context, digest string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path, ok := b.path(digest)
	if !ok {
		return nil
	}
	if err := os.Remove(path); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// path says where a digest's file is; false if it is no digest.
func (b *Files) path(digest string) (string, bool) {
	if len(digest) != 2*sha256.Size {
		return "", false
	}
	for _, c := range digest {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", false
		}
	}
	return filepath.Join(b.dir, digest[:2], digest[2:4], digest), true
}

// contextReader ends a copy when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

type verifiedReader struct {
	ctx    context.Context
	file   *os.File
	sum    hash.Hash
	digest string
	left   int64 // bytes not read yet, by the size at Open
	err    error
}

func (v *verifiedReader) Read(p []byte) (int, error) {
	if v.err == nil {
		v.err = v.ctx.Err()
	}
	if v.err != nil || len(p) == 0 {
		return 0, v.err
	}
	n := 0
	if v.left > 0 {
		var err error
		n, err = v.file.Read(p[:min(int64(len(p)), v.left)])
		if err != nil && !errors.Is(err, io.EOF) {
			v.err = fmt.Errorf("blob: %w", err)
			return 0, v.err
		}
		v.sum.Write(p[:n])
		v.left -= int64(n)
		if n > 0 && v.left > 0 {
			return n, nil
		}
	}
	if v.left > 0 || hex.EncodeToString(v.sum.Sum(nil)) != v.digest {
		v.err = fmt.Errorf("%w: blob %s", store.ErrDamaged, v.digest)
		return 0, v.err
	}
	v.err = io.EOF
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (v *verifiedReader) Close() error { return v.file.Close() }

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
