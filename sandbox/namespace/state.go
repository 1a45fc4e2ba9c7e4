//go:build linux && (amd64 || arm64)

package namespace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/namespace/cgroup"
)

// state is the driver's directory:
//
//	lock            held by the daemon that lives
//	cgroups.json    the parent directories of its control groups, written before the first is used
//	stage1          the init program of a housing, which cannot start it from memory
//	house/          what a housing's containers have at /dev, below their runtime's devices
//	dev/            what every sandbox sees as /dev, before the devices are bound over it
//	images/NAME/    where images of /tmp are made; they have no names (package image)
//	late            limits to lift (late.go)
//	sandboxes/<ID>/ of those that need one: tmp if that is a directory, and what a housing keeps
type state struct {
	dir  string
	name string // of the parent control groups: follows from the directory
	lock *os.File
	late *os.File
}

const lateFile = "late"

func openState(dir string) (*state, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("sandbox: state directory %q is not absolute", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	real, err := filepath.EvalSymlinks(dir) // one directory has one name, whatever the way there
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	hash := sha256.Sum256([]byte(real))
	s := &state{dir: real, name: "hotaru-" + hex.EncodeToString(hash[:6])}
	if s.lock, err = os.OpenFile(s.path("lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	if err := takeLock(s.lock); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s", err, real), s.lock.Close())
	}
	if err := s.makeDirs(); err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: %w", err), s.lock.Close())
	}
	if s.late, err = os.OpenFile(s.path(lateFile), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: %w", err), s.lock.Close())
	}
	return s, nil
}

// lockPatience is how long a lock may be held that is found taken: a process that a killed daemon was just forking holds it
// until it runs its own program.
const lockPatience = time.Second

func takeLock(file *os.File) error {
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(lockPatience / 100) {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		if time.Now().After(deadline) {
			return ErrInUse
		}
	}
}

func (s *state) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// What a housing needs as files.
const (
	stage1File = "stage1" // the init program
	houseDev   = "house"  // a /dev with a place for it
)

// StageOne is where a housing's containers have stage-1.
const StageOne = "/dev/init"

// writeHouse writes the init program and its place. It is a new file each time: a sandbox that still runs the old one
// keeps it.
func (s *state) writeHouse(image []byte) error {
	next := s.path(stage1File + ".next")
	err := os.WriteFile(next, image, 0o755)
	if err == nil {
		err = os.Rename(next, s.path(stage1File))
	}
	if err == nil {
		err = os.MkdirAll(s.path(houseDev), 0o755)
	}
	if err == nil {
		err = os.WriteFile(s.path(houseDev, filepath.Base(StageOne)), nil, 0o644)
	}
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

func (s *state) close() error { return errors.Join(s.late.Close(), s.lock.Close()) }

// devices are bound into every sandbox's /dev. There is no /dev/shm, as on Lambda: a function that works here
// must work there (Python's multiprocessing.Queue does not), and its pages would be a second, hidden /tmp. There
// is no terminal either.
var devices = [...]string{"null", "zero", "full", "random", "urandom"}

func (s *state) makeDirs() error {
	for dir, mode := range map[string]os.FileMode{"sandboxes": 0o700, "dev": 0o755} {
		if err := os.MkdirAll(s.path(dir), mode); err != nil {
			return err
		}
	}
	if err := s.makeImages(); err != nil {
		return err
	}
	for _, device := range devices {
		if err := os.WriteFile(s.path("dev", device), nil, 0o644); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, s.path("dev", name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// images is where images of /tmp are made.
func (s *state) images() string { return s.path("images", s.name) }

// makeImages makes that directory, in a part of the disk that it shares with few others. ext4 looks for the number of a new
// file in its directory's part, and without a journal it passes over each that was given back there in the last minutes, one
// by one, whoever did.
func (s *state) makeImages() error {
	if err := os.MkdirAll(s.path("images"), 0o700); err != nil {
		return err
	}
	if err := spread(s.path("images")); err != nil {
		return err
	}
	return os.MkdirAll(s.images(), 0o700)
}

// spread says that a directory's directories have nothing to do with each other (chattr(1), T). Only ext4 takes that hint.
func spread(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	const topDir = 0x20000 // FS_TOPDIR_FL (linux/fs.h)
	flags, err := unix.IoctlGetUint32(int(file.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil && flags&topDir == 0 {
		_ = unix.IoctlSetPointerInt(int(file.Fd()), unix.FS_IOC_SETFLAGS, int(flags|topDir))
	}
	return nil
}

// recordCgroups adds to the directories on record: a later daemon may run in another group itself, and must find
// these.
func (s *state) recordCgroups(dirs []string) error {
	known, err := s.recordedCgroups()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if !slices.Contains(known, dir) {
			known = append(known, dir)
		}
	}
	return s.writeCgroups(known)
}

func (s *state) writeCgroups(dirs []string) error {
	content, err := json.Marshal(dirs)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	next := s.path("cgroups.json.next")
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if err := os.Rename(next, s.path("cgroups.json")); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

func (s *state) recordedCgroups() ([]string, error) {
	content, err := os.ReadFile(s.path("cgroups.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var dirs []string
	if err == nil {
		err = json.Unmarshal(content, &dirs)
	}
	if err != nil {
		return nil, fmt.Errorf("sandbox: cgroups.json: %w", err)
	}
	return dirs, nil
}

// sweep ends and removes everything that is recorded here. lift lifts a limit that outlived its daemon.
func (s *state) sweep(ctx context.Context, lift func(device string, rate int64) error) error {
	dirs, err := s.recordedCgroups()
	if err != nil {
		return err
	}
	if err := s.liftAll(lift); err != nil {
		return err
	}
	// Processes first: they may still write to their /tmp.
	if err := cgroup.Sweep(ctx, s.name, dirs); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	entries, err := os.ReadDir(s.path("sandboxes"))
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	var failures []error
	for _, entry := range entries {
		failures = append(failures, s.removeSandbox(entry.Name()))
	}
	if err := os.RemoveAll(s.path("images")); err != nil {
		failures = append(failures, fmt.Errorf("sandbox: %w", err))
	}
	if err := s.makeImages(); err != nil {
		failures = append(failures, fmt.Errorf("sandbox: %w", err))
	}
	return errors.Join(append(failures, s.writeCgroups(nil))...)
}

// makeSandbox makes a sandbox's directory. Only those that keep something there have one: on a busy disk each file takes
// the file system half a millisecond to find a number for.
func (s *state) makeSandbox(id string) error {
	if err := os.Mkdir(s.path("sandboxes", id), 0o700); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

// makeTmp makes a directory for a sandbox's /tmp, with its usual mode: outside nobody gets through the directory above.
func (s *state) makeTmp(id string, user int) (string, error) {
	dir := s.path("sandboxes", id, "tmp")
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = os.Chmod(dir, os.ModeSticky|0o777) // whatever the umask
	}
	if err != nil {
		return "", fmt.Errorf("sandbox: %w", err)
	}
	if err := os.Lchown(dir, user, user); err != nil {
		return "", fmt.Errorf("sandbox: %w", err)
	}
	return dir, nil
}

// removeSandbox removes a sandbox's directory. os.RemoveAll goes down by descriptors and follows no link that
// user code may have left.
func (s *state) removeSandbox(id string) error {
	if id == "" {
		return errors.New("sandbox: a directory of no sandbox") // it would be all of them
	}
	if err := os.RemoveAll(s.path("sandboxes", id)); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}
