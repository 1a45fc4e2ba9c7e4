//go:build linux

// Package image makes the file systems behind the /tmp of sandboxes: a small ext4 of a size of its own for each, in a
// sparse file without a name, on a loop device that frees itself. The host never mounts one: an image is a
// descriptor until somebody moves it into a mount namespace, and is gone with the last process that has it,
// however that ends. It must not know sandboxes.
//
// Sparse files promise more than the disk has, so a guard watches the disk: below a reserve every image says
// that it is full, before the disk is (guard.go).
package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/namespace/detached"
)

// Config is what the maker needs to know.
type Config struct {
	// Dir is the directory, of this maker alone, on whose disk the images are.
	Dir string
	// Mkfs is the path of mkfs.ext4; empty means where distributions have it.
	Mkfs string
	// Reserve is how many bytes of the disk images leave free; 0 means DefaultReserve, or a twentieth of a disk
	// for which that is less.
	Reserve int64
	// Attached, if set, is told of each device ("7:3") that an image gets, before anything is written to it. For those that
	// Make makes, its caller can say otherwise.
	Attached func(device string) error
	Log      *slog.Logger
}

// DefaultReserve is 4 GiB: more than programs write while the guard looks away.
const DefaultReserve = 4 << 30

// Error is an error that callers tell apart with errors.Is.
type Error string

func (e Error) Error() string { return string(e) }

// ErrFull says that the disk has too little room for another image.
const ErrFull Error = "image: the disk has less room left than its reserve"

// Maker makes images. It is safe for concurrent use.
type Maker struct {
	config Config
	loops  *detached.Loops
	guard  *guard

	mu        sync.Mutex // guards templates, and is held while one is made
	templates map[int64]*template
}

// usual is the size that Open tries: Lambda's default for /tmp, 512 MB.
const usual = 512 << 20

// Open makes a maker, if images can be made here: it makes one to see. Close it.
func Open(ctx context.Context, config Config) (*Maker, error) {
	if config.Mkfs == "" {
		path, err := findMkfs()
		if err != nil {
			return nil, err
		}
		config.Mkfs = path
	}
	loops, err := detached.OpenLoops()
	if err != nil {
		return nil, err
	}
	m := &Maker{config: config, loops: loops, templates: map[int64]*template{}}
	if m.guard, err = startGuard(config); err != nil {
		return nil, errors.Join(err, loops.Close())
	}
	made, err := m.make(ctx, usual, config.Attached)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	m.guard.strict = made.setFull(true) != nil
	if err := made.Close(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// Strict says that an image counts as full from the start, so that one that nobody uses is in the way of others.
func (m *Maker) Strict() bool { return m.guard.strict }

// Close ends the guard. Images stay usable, but nobody guards the disk any more.
func (m *Maker) Close() error {
	m.guard.stop()
	return m.loops.Close()
}

// Image is one file system.
type Image struct {
	maker *Maker
	size  int64    // of the file, if it were whole
	file  *os.File // sparse, without a name
	loop  int      // the number of its device
	tree  *os.File // the detached mount; nil once taken
	root  *os.File // the root directory: holds the file system until Close
	// reserved is what the kernel itself keeps free, in blocks; setFull restores it.
	reserved string
	// begun is what was in use when the file system was empty.
	begun usage
}

// usage is how much of a file system is in use, what the kernel has accepted and not yet written included.
type usage struct{ blocks, files uint64 }

func usageOf(root *os.File) (usage, error) {
	var stat unix.Statfs_t
	if err := unix.Fstatfs(int(root.Fd()), &stat); err != nil {
		return usage{}, fmt.Errorf("image: statfs: %w", err)
	}
	return usage{stat.Blocks - stat.Bfree, stat.Files - stat.Ffree}, nil
}

// Make makes an empty file system that takes at least so many bytes of files and at most some two percent more.
// Its root belongs to the host's user and group owner and has /tmp's usual mode. attached, unless it is nil, is called
// instead of Config.Attached. ErrFull refuses.
func (m *Maker) Make(ctx context.Context, bytes int64, owner int, attached func(device string) error) (*Image, error) {
	if attached == nil {
		attached = m.config.Attached
	}
	i, err := m.make(ctx, bytes, attached)
	if err != nil {
		return nil, err
	}
	err = errors.Join(i.root.Chmod(os.ModeSticky|0o777), i.root.Chown(owner, owner))
	if err == nil {
		err = m.guard.admit(i)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("image: %w", err), i.Close())
	}
	return i, nil
}

func (m *Maker) make(ctx context.Context, bytes int64, attached func(device string) error) (*Image, error) {
	t, err := m.template(ctx, bytes)
	if err != nil {
		return nil, err
	}
	file, err := nameless(m.config.Dir, t.size)
	if err != nil {
		return nil, err
	}
	i, err := m.open(file, t.size, attached, t.write)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return i, nil
}

// open makes a file a mount. What write writes to the device is in memory when the kernel looks for a file system there, and
// is brought to the disk whenever there is time. In the file it would have to be on the disk before that is attached.
func (m *Maker) open(file *os.File, size int64, attached func(device string) error, write func(device io.WriterAt) error) (*Image, error) {
	i := &Image{maker: m, size: size, file: file}
	device, err := m.loops.Attach(file, false)
	if err != nil {
		return nil, err
	}
	defer device.Close() // the mount holds it
	i.loop = device.Number
	if attached != nil {
		if err := attached(i.Device()); err != nil {
			return nil, err
		}
	}
	if err := write(device); err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	if i.tree, err = mount(device.Name()); err != nil {
		// A device only says that it cannot; the disk says whether that is for want of room.
		return nil, errors.Join(err, unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, roomToMount))
	}
	root, err := unix.Openat(int(i.tree.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("image: %w", err), i.tree.Close())
	}
	i.root = os.NewFile(uintptr(root), "image")
	if i.begun, err = usageOf(i.root); err != nil {
		return nil, errors.Join(err, i.tree.Close(), i.root.Close())
	}
	return i, nil
}

// roomToMount is more than an empty file system takes of the disk, in bytes.
const roomToMount = 1 << 20

// mount makes a detached mount of a device. Inode tables stay the holes that they are, what is deleted becomes a hole
// again, and nobody's fsync flushes the caches of the disk that the store is on: nothing here outlives a crash.
func mount(device string) (*os.File, error) {
	tree, err := detached.Mount("ext4", device, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, "noinit_itable", "discard", "nobarrier")
	if err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	return tree, nil
}

// Tree returns a detached mount of the file system, another each time: it is the caller's to move and to close.
func (i *Image) Tree() (*os.File, error) {
	if tree := i.tree; tree != nil {
		i.tree = nil
		return tree, nil
	}
	return mount("/dev/loop" + strconv.Itoa(i.loop))
}

// Device names the image's block device as control groups want it: "7:3".
func (i *Image) Device() string { return "7:" + strconv.Itoa(i.loop) }

// shutdown are FS_IOC_SHUTDOWN and its way that writes nothing more (linux/fs.h, xfs_fs.h).
const (
	fsIocShutdown     = 0x8004587d
	shutdownNoLogOnly = 2
)

// Close drops the file system with everything in it. What was not written yet never is. Processes that still
// have it keep it, and it ends with the last of them.
func (i *Image) Close() error {
	i.maker.guard.forget(i)
	var failures []error
	if i.tree != nil {
		failures = append(failures, i.tree.Close())
	}
	// Shut down, it writes nothing when it is unmounted; but the kernel says so at the level of an alert, on every console,
	// which takes more time than to write the few blocks of one that is empty.
	if now, err := usageOf(i.root); err != nil || now != i.begun {
		if err := unix.IoctlSetPointerInt(int(i.root.Fd()), fsIocShutdown, shutdownNoLogOnly); err != nil {
			failures = append(failures, fmt.Errorf("image: shut down: %w", err))
		}
	}
	return errors.Join(append(failures, i.root.Close(), i.file.Close())...)
}

// knob is the file that holds how much an ext4 keeps free, in blocks
// (https://docs.kernel.org/admin-guide/ext4.html).
func (i *Image) knob() string {
	return "/sys/fs/ext4/loop" + strconv.Itoa(i.loop) + "/reserved_clusters"
}

// setFull makes the file system say that it is full, or lets it be used again. What has been written into it can be
// read, overwritten and removed all the same.
func (i *Image) setFull(full bool) error {
	if i.reserved == "" {
		content, err := os.ReadFile(i.knob())
		if err != nil {
			return fmt.Errorf("image: %w", err)
		}
		i.reserved = string(content)
	}
	value := i.reserved
	if full {
		value = strconv.FormatInt(i.size/blockSize-1, 10) // the kernel takes no more than there are
	}
	file, err := os.OpenFile(i.knob(), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	defer file.Close()
	if _, err := file.WriteString(value); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	return nil
}

// nameless makes a file of a size, all of it a hole, that ends with its last descriptor.
func nameless(dir string, size int64) (*os.File, error) {
	file, err := makeNameless(dir)
	if err != nil {
		return nil, fmt.Errorf("image: make a file without a name: %w", err)
	}
	if err := file.Truncate(size); err != nil {
		return nil, errors.Join(fmt.Errorf("image: %w", err), file.Close())
	}
	return file, nil
}

func makeNameless(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), "image"), nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	file, err := os.CreateTemp(dir, "#") // which is how the kernel calls those that it names
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
