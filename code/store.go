// Package code keeps deployment packages: zip files, named by the SHA-256 of their content, and the read-only
// directories that they unpack to. It must not know functions, nor who asks; every package is taken for hostile.
//
// The zip files are the durable part and lie in store.Blobs. What they unpack to can be made anew at any time.
package code

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"hotaru/store"
)

// DefaultGrace is a Store's Grace unless it is set.
const DefaultGrace = 15 * time.Minute

// Store keeps deployment packages. It is safe for concurrent use; one process at a time may have its directory.
//
//	records/<digest>        empty; its time is that of the last Put
//	roots/<digest>/root     the package, unpacked; or several, under their MergedDigest
//	roots/<digest>/complete the marker: root is whole
//	tmp                     what is being made or removed
type Store struct {
	// Grace is how long after its last Put Sweep spares a package, because whoever put it has yet to record
	// that it is in use. Set it before the first call.
	Grace time.Duration
	// Images makes an EROFS image file of each root instead of a directory. Set it before the first call.
	Images bool

	dir   string
	blobs store.Blobs
	// life is what a complete marker says as long as the kernel remembers what was written.
	life  string
	locks locks
	// makers bounds how many packages are unpacked at a time: each is in memory meanwhile.
	makers chan struct{}

	mu    sync.RWMutex
	ready map[string]string // digest to root, guarded by mu
}

// Package is a stored deployment package.
type Package struct {
	// SHA256 is the digest in base64, as Lambda's CodeSha256.
	SHA256 string
	// Digest is the digest in lower-case hex, the blob's name.
	Digest string
	// Size is the zip file's, in bytes, and Unzipped that of all its contents.
	Size, Unzipped int64
}

const (
	recordsDir = "records"
	rootsDir   = "roots"
	tmpDir     = "tmp"

	rootName   = "root"
	markerName = "complete"

	maxMakers = 4
)

// Open opens the store in a directory, which it makes (its parent must exist), and removes what a crash left
// half made there.
func Open(dir string, blobs store.Blobs) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("code: %w", err)
	}
	for _, d := range []string{dir, filepath.Join(dir, recordsDir), filepath.Join(dir, rootsDir)} {
		if err := os.Mkdir(d, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("code: %w", err)
		}
	}
	tmp := filepath.Join(dir, tmpDir)
	if err := errors.Join(os.RemoveAll(tmp), os.Mkdir(tmp, 0o700), syncDir(dir)); err != nil {
		return nil, fmt.Errorf("code: %w", err)
	}
	return &Store{
		Grace: DefaultGrace, dir: dir, blobs: blobs, life: life(),
		locks: locks{digest: map[string]*lock{}}, makers: make(chan struct{}, maxMakers), ready: map[string]string{},
	}, nil
}

// life names the time until the kernel next starts. Unpacked files are not fsynced, since they can be made
// anew; a marker from an earlier life may stand beside files that never reached the disk. Where the kernel
// gives its starts no name, a life is this process's.
func life() string {
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil && len(bytes.TrimSpace(id)) > 0 {
		return string(bytes.TrimSpace(id))
	}
	return rand.Text()
}

// Put checks that a zip file is one that Root will unpack and stores it durably. Refusals are *Error, and
// nothing is stored then.
func (s *Store) Put(ctx context.Context, zip []byte) (Package, error) {
	switch {
	case len(zip) == 0:
		return Package{}, refuseEmpty()
	case len(zip) >= maxZipped:
		return Package{}, refuseZippedSize()
	}
	unzipped, err := check(ctx, zip)
	if err != nil {
		return Package{}, err
	}
	sum := sha256.Sum256(zip)
	p := Package{
		SHA256: base64.StdEncoding.EncodeToString(sum[:]), Digest: hex.EncodeToString(sum[:]), Size: int64(len(zip)),
		Unzipped: unzipped,
	}
	release, err := s.locks.acquire(ctx, p.Digest)
	if err != nil {
		return Package{}, err
	}
	defer release()
	// First the record, then the blob: Sweep must know of every blob there is.
	isNew, err := s.record(p.Digest)
	if err != nil {
		return Package{}, fmt.Errorf("code: put: %w", err)
	}
	if _, _, err := s.blobs.Put(ctx, bytes.NewReader(zip)); err != nil {
		if isNew {
			_ = os.Remove(s.recordPath(p.Digest)) // else a Sweep does
		}
		return Package{}, fmt.Errorf("code: put: %w", err)
	}
	return p, nil
}

// record notes durably that a digest may be in the store, and when it was put.
func (s *Store) record(digest string) (isNew bool, err error) {
	path := s.recordPath(digest)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		now := time.Now()
		return false, os.Chtimes(path, now, now)
	}
	if err != nil {
		return false, err
	}
	return true, errors.Join(f.Close(), syncDir(filepath.Dir(path)))
}

func (s *Store) recordPath(digest string) string { return filepath.Join(s.dir, recordsDir, digest) }
func (s *Store) rootPath(digest string) string   { return filepath.Join(s.dir, rootsDir, digest) }

// Open reads a package's zip file, or answers store.ErrNotFound.
func (s *Store) Open(ctx context.Context, digest string) (io.ReadCloser, error) {
	r, err := s.blobs.Open(ctx, digest)
	if err != nil {
		return nil, fmt.Errorf("code: %w", err)
	}
	return r, nil
}

func isDigest(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
