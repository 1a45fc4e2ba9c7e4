//go:build linux

// Package erofs shows sandboxes what is in EROFS images: read-only file systems in files. All who want an image share
// one file system, and so its page cache; those used last stay mounted for whoever comes next. It must not know how
// images are made.
package erofs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/erofs/go-erofs"
	"golang.org/x/sys/unix"

	"hotaru/sandbox/namespace/detached"
)

// Way is how the kernel reads an image.
type Way string

// The ways, the best first.
const (
	// FromFile mounts the file itself. It takes Linux 6.12, and 6.15 for sharing: before that a detached mount could not
	// be cloned.
	FromFile Way = "file"
	// FromLoop mounts a loop device that is attached to the file, read past the page cache where the disk allows that.
	FromLoop Way = "loop"
)

// attributes are those of every mount.
const attributes = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV

// Mounter mounts images. It is safe for concurrent use.
type Mounter struct {
	way   Way
	loops *detached.Loops // nil: FromFile

	mu     sync.Mutex // guards the rest
	images map[identity]*Image
	idle   []*Image // those of images that nobody has, the one used last at the end
	// maxIdle is how many may be idle.
	maxIdle int
}

// maxIdle is how many images stay mounted that nobody has: what has been read of them is in memory as long as the kernel
// has no better use for it, and a cold start then reads nothing.
const maxIdle = 64

// identity tells files apart, whatever they are called.
type identity struct{ device, inode uint64 }

// Open finds out which way works here: it mounts a small image from dir, each way until one does. Close it.
func Open(dir string) (*Mounter, error) {
	return open(dir, FromFile, FromLoop)
}

func open(dir string, ways ...Way) (*Mounter, error) {
	path := filepath.Join(dir, "probe.erofs")
	if err := writeProbe(path); err != nil {
		return nil, fmt.Errorf("erofs: %w", err)
	}
	defer os.Remove(path)
	var failures []error
	for _, way := range ways {
		m := &Mounter{way: way, images: map[identity]*Image{}}
		err := m.try(path)
		if err == nil {
			m.maxIdle = maxIdle
			return m, nil
		}
		failures = append(failures, err, m.Close())
	}
	return nil, errors.Join(failures...)
}

// writeProbe writes an image with nothing in it.
func writeProbe(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(erofs.Create(file, erofs.WithBuildTime(0, 0)).Close(), file.Close())
}

// try mounts the image of a path for two sandboxes.
func (m *Mounter) try(path string) (err error) {
	if m.way == FromLoop {
		if m.loops, err = detached.OpenLoops(); err != nil {
			return err
		}
	}
	first, err := m.Use(path)
	if err != nil {
		return err
	}
	defer first.Release()
	for range 2 {
		tree, err := first.Tree()
		if err != nil {
			return err
		}
		tree.Close()
	}
	return nil
}

// Way is how images are mounted here.
func (m *Mounter) Way() Way { return m.way }

// Close ends the mounter. Images that are in use stay so until they are released.
func (m *Mounter) Close() error {
	m.mu.Lock()
	m.maxIdle = 0
	m.mu.Unlock()
	m.trim()
	if m.loops == nil {
		return nil
	}
	return m.loops.Close()
}

// trim unmounts idle images that are too many, or whose file is no longer where it was: it would take room on the disk
// as long as it is mounted.
func (m *Mounter) trim() {
	var gone []*Image
	m.mu.Lock()
	m.idle = slices.DeleteFunc(m.idle, func(i *Image) bool {
		if len(m.idle)-len(gone) <= m.maxIdle && i.inPlace() {
			return false
		}
		delete(m.images, i.id)
		gone = append(gone, i)
		return true
	})
	m.mu.Unlock()
	for _, i := range gone {
		i.close()
	}
}

// Image is an image in use.
type Image struct {
	mounter *Mounter
	id      identity
	path    string // where it was found
	users   int    // guarded by Mounter.mu
	// ready is done when source and err are what they will be.
	ready sync.Once
	// tree is a mount that is nowhere; others are made of it. nil where there is no way to.
	tree *os.File
	// device is the loop device, by whose name the kernel finds the file system again.
	device *detached.Device
	err    error
}

// Use mounts the image of a path, or counts one more user of it if it is mounted. Release it.
func (m *Mounter) Use(path string) (*Image, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("erofs: %w", err)
	}
	defer file.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return nil, fmt.Errorf("erofs: %w", err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("erofs: %s is no file", path)
	}
	id := identity{stat.Dev, stat.Ino}
	m.mu.Lock()
	i := m.images[id]
	switch {
	case i == nil:
		i = &Image{mounter: m, id: id, path: path}
		m.images[id] = i
	case i.users == 0:
		m.idle = slices.DeleteFunc(m.idle, func(other *Image) bool { return other == i })
	}
	i.users++
	m.mu.Unlock()
	i.ready.Do(func() { i.err = i.mount(file) })
	if i.err != nil {
		i.Release()
		return nil, fmt.Errorf("erofs: %s: %w", path, i.err)
	}
	return i, nil
}

func (i *Image) mount(file *os.File) (err error) {
	if i.mounter.way == FromFile {
		// By its descriptor: what is at the path may be another file by now.
		i.tree, err = detached.Mount("erofs", fmt.Sprintf("/proc/self/fd/%d", file.Fd()), attributes, "ro")
		return err
	}
	if i.device, err = i.mounter.loops.Attach(file, true); err != nil {
		return err
	}
	i.tree, err = detached.Mount("erofs", i.device.Name(), attributes, "ro")
	return err
}

// Tree makes one more detached mount of the image. It is the caller's to move and to close.
func (i *Image) Tree() (*os.File, error) {
	if i.device != nil {
		// The kernel has one file system for a device, however often it is mounted.
		return detached.Mount("erofs", i.device.Name(), attributes, "ro")
	}
	fd, err := unix.OpenTree(int(i.tree.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, fmt.Errorf("erofs: clone a mount: %w", err)
	}
	return os.NewFile(uintptr(fd), i.tree.Name()), nil
}

// Release says that a user has no more need of the image: what was made of it stays.
func (i *Image) Release() {
	m := i.mounter
	m.mu.Lock()
	i.users--
	failed := i.users == 0 && i.err != nil
	switch {
	case failed: // there is nothing to keep, and the next who wants it tries again
		delete(m.images, i.id)
	case i.users == 0:
		m.idle = append(m.idle, i)
	}
	m.mu.Unlock()
	if failed {
		i.close()
	}
	m.trim()
}

// inPlace says whether the image's file is where it was found.
func (i *Image) inPlace() bool {
	var stat unix.Stat_t
	return unix.Stat(i.path, &stat) == nil && identity{stat.Dev, stat.Ino} == i.id
}

// close unmounts an image that nobody has.
func (i *Image) close() {
	if i.tree != nil {
		i.tree.Close()
	}
	if i.device != nil {
		i.device.Close()
	}
}
