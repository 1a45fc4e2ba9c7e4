package pebble

import (
	"fmt"
	"hash/crc32"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// guardFS is the file system that pebble sees: files are made 0600, and a witness notes what is fsynced of
// logs and manifests.
type guardFS struct {
	vfs.FS
	witness *witness
}

func (g *guardFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := g.witness.forget(filepath.Base(name)); err != nil {
		return nil, err
	}
	f, err := g.FS.Create(name, category)
	return g.guard(f, name, err)
}

func (g *guardFS) ReuseForWrite(oldName, newName string, category vfs.DiskWriteCategory) (vfs.File, error) {
	for _, name := range []string{oldName, newName} {
		if err := g.witness.forget(filepath.Base(name)); err != nil {
			return nil, err
		}
	}
	f, err := g.FS.ReuseForWrite(oldName, newName, category)
	return g.guard(f, newName, err)
}

func (g *guardFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if isGuarded(filepath.Base(name)) {
		return nil, fmt.Errorf("store: %s would be written behind the witness", name)
	}
	f, err := g.FS.OpenReadWrite(name, category, opts...)
	return g.guard(f, name, err)
}

func (g *guardFS) Remove(name string) error {
	if err := g.witness.forget(filepath.Base(name)); err != nil {
		return err
	}
	return g.FS.Remove(name)
}

func (g *guardFS) Rename(oldName, newName string) error {
	for _, name := range []string{oldName, newName} {
		if err := g.witness.forget(filepath.Base(name)); err != nil {
			return err
		}
	}
	return g.FS.Rename(oldName, newName)
}

func (g *guardFS) Unwrap() vfs.FS { return g.FS }

func (g *guardFS) guard(f vfs.File, name string, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	if err := unix.Fchmod(int(f.Fd()), 0o600); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("store: chmod %s: %w", name, err)
	}
	if base := filepath.Base(name); isGuarded(base) {
		return &guardedFile{File: f, fs: g, name: base, dir: filepath.Dir(name)}, nil
	}
	return f, nil
}

// guardedFile is a log or a manifest that is written from its start.
type guardedFile struct {
	vfs.File
	fs        *guardFS
	name, dir string

	mu      sync.Mutex
	written note
	linked  bool // the directory entry is fsynced
}

func (f *guardedFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	crc := crc32.Update(f.written.crc, castagnoli, p) // before Write, which may change p
	n, err := f.File.Write(p)
	if err == nil {
		f.written = note{length: f.written.length + uint64(n), crc: crc}
	}
	return n, err
}

func (f *guardedFile) WriteAt([]byte, int64) (int, error) {
	return 0, fmt.Errorf("store: %s is written from its start only", f.name)
}

func (f *guardedFile) Sync() error { return f.syncBy(f.File.Sync) }

func (f *guardedFile) SyncData() error { return f.syncBy(f.File.SyncData) }

func (f *guardedFile) syncBy(sync func() error) error {
	f.mu.Lock()
	fsynced, linked := f.written, f.linked
	f.mu.Unlock()
	if err := sync(); err != nil {
		return err
	}
	if !linked {
		if err := syncDir(f.dir); err != nil {
			return err
		}
		f.mu.Lock()
		f.linked = true
		f.mu.Unlock()
	}
	return f.fs.witness.record(f.name, fsynced)
}
