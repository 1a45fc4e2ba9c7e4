//go:build linux

package image

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const megabyte = 1 << 20

// open makes a maker in dir.
func open(t *testing.T, config Config) *Maker {
	t.Helper()
	config.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	m, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("needs loop devices: ", err)
	}
	if _, err := findMkfs(); err != nil {
		t.Skip("needs e2fsprogs: ", err)
	}
}

func newImage(t *testing.T, m *Maker, bytes int64) *Image {
	t.Helper()
	i, err := m.Make(t.Context(), bytes, os.Geteuid(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if i.root.Fd() != ^uintptr(0) {
			drop(t, i)
		}
	})
	return i
}

func drop(t *testing.T, i *Image) {
	t.Helper()
	if err := i.Close(); err != nil {
		t.Error(err)
	}
}

// inside is a file of an image.
func inside(t *testing.T, i *Image, name string) *os.File {
	t.Helper()
	fd, err := unix.Openat(int(i.root.Fd()), name, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), name)
	t.Cleanup(func() { file.Close() })
	return file
}

// fill writes at the end of a file until it cannot, at most so many megabytes, and returns how many and why not more. between
// comes after each.
func fill(file *os.File, most int, between func()) (int, error) {
	block := make([]byte, megabyte)
	for n := range most {
		if _, err := file.Write(block); err != nil {
			return n, err
		}
		if between != nil {
			between()
		}
	}
	return most, nil
}

// fillNew fills a new file and closes it.
func fillNew(t *testing.T, i *Image, name string, most int, between func()) (int, error) {
	t.Helper()
	file := inside(t, i, name)
	defer file.Close()
	return fill(file, most, between)
}

// eventually waits for what the guard does by itself.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// smallDisk is a directory on a disk of its own, in memory and mounted nowhere.
func smallDisk(t *testing.T, bytes int64) string {
	t.Helper()
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fs)
	if err := errors.Join(unix.FsconfigSetString(fs, "size", strconv.FormatInt(bytes, 10)), unix.FsconfigCreate(fs)); err != nil {
		t.Fatal(err)
	}
	tree, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(tree) })
	return "/proc/self/fd/" + strconv.Itoa(tree)
}

func TestOpenRefuses(t *testing.T) {
	needRoot(t)
	script := filepath.Join(t.TempDir(), "mkfs.ext4")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho no such thing >&2; exit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]Config{
		"no directory":       {Dir: "/no/such"},
		"no mkfs":            {Dir: t.TempDir(), Mkfs: "/no/such/mkfs.ext4"},
		"an mkfs that fails": {Dir: t.TempDir(), Mkfs: script},
		"one that does not":  {Dir: t.TempDir(), Mkfs: "/bin/true"},
	} {
		if m, err := Open(t.Context(), config); err == nil {
			t.Errorf("%s: opened", name)
			m.Close()
		}
	}
}

func TestSize(t *testing.T) {
	needRoot(t)
	m := open(t, Config{Dir: t.TempDir()})
	for _, size := range []int64{0, 1, megabyte, 64 * megabyte, 1024 * megabyte, 10240 * megabyte} {
		i := newImage(t, m, size)
		var stat unix.Statfs_t
		if err := unix.Fstatfs(int(i.root.Fd()), &stat); err != nil {
			t.Fatal(err)
		}
		if got := int64(stat.Bavail) * blockSize; got < size || got > size+size/50+4*megabyte {
			t.Errorf("%d bytes asked for, %d are there", size, got)
		}
		entries, err := i.root.ReadDir(-1)
		if err != nil || len(entries) > 0 {
			t.Errorf("a new image has %v, %v", entries, err)
		}
	}
}

func TestFull(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	m := open(t, Config{Dir: dir})
	i := newImage(t, m, 16*megabyte)
	file := inside(t, i, "x")
	n, err := fill(file, 64, nil)
	if !errors.Is(err, unix.ENOSPC) || n < 16 || n > 20 {
		t.Errorf("%d megabytes and %v, want some 16 and ENOSPC", n, err)
	}
	if err := file.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Syncfs(int(i.root.Fd())); err != nil {
		t.Fatal(err)
	}
	// What was deleted is a hole again.
	var stat unix.Stat_t
	if err := unix.Fstat(int(i.file.Fd()), &stat); err != nil || stat.Blocks*512 > megabyte {
		t.Errorf("%d bytes of disk are used by an empty image, %v", stat.Blocks*512, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("images have names: %v, %v", entries, err)
	}
}

func TestCloseDropsAll(t *testing.T) {
	needRoot(t)
	m := open(t, Config{Dir: t.TempDir()})
	i := newImage(t, m, 64*megabyte)
	if n, err := fillNew(t, i, "x", 32, nil); err != nil {
		t.Fatal(n, err)
	}
	for range 2 { // each is another mount of the same
		tree, err := i.Tree()
		if err != nil {
			t.Fatal(err)
		}
		var stat unix.Stat_t
		if err := unix.Fstatat(int(tree.Fd()), "x", &stat, 0); err != nil || stat.Size != 32*megabyte {
			t.Errorf("in a tree: %d bytes, %v", stat.Size, err)
		}
		if err := tree.Close(); err != nil {
			t.Fatal(err)
		}
	}
	detached := detaches(t, i)
	open := inside(t, i, "y")
	drop(t, i)
	if _, err := open.WriteString("x"); !errors.Is(err, unix.EIO) {
		t.Errorf("a write to a dropped image: %v, want EIO", err)
	}
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the loop device is free", detached)
}

// TestCloseEmpty closes an image that nobody has written to, which the kernel unmounts in the usual way.
func TestCloseEmpty(t *testing.T) {
	needRoot(t)
	i := newImage(t, open(t, Config{Dir: t.TempDir()}), 64*megabyte)
	written := inside(t, i, "x")
	if _, err := written.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	if now, err := usageOf(i.root); err != nil || now == i.begun {
		t.Errorf("with a file that is not on the disk yet: %+v, %v, as when it was empty", now, err)
	}
	if err := errors.Join(written.Close(), unix.Unlinkat(int(i.root.Fd()), "x", 0)); err != nil {
		t.Fatal(err)
	}
	if now, err := usageOf(i.root); err != nil || now != i.begun {
		t.Errorf("empty again: %+v, %v, want %+v", now, err, i.begun)
	}
	detached := detaches(t, i)
	drop(t, i)
	eventually(t, "the loop device is free", detached)
}

// detaches returns what says whether an image's loop device is no longer the image's.
func detaches(t *testing.T, i *Image) func() bool {
	t.Helper()
	backing := "/sys/block/loop" + strconv.Itoa(i.loop) + "/loop/backing_file"
	before, err := os.ReadFile(backing)
	if err != nil {
		t.Fatal(err)
	}
	return func() bool {
		after, err := os.ReadFile(backing)
		return errors.Is(err, fs.ErrNotExist) || !bytes.Equal(after, before)
	}
}

// Images that together promise more than the disk has are full before the disk is, and not for good.
func TestReserve(t *testing.T) {
	needRoot(t)
	const disk, reserve = 96 * megabyte, 32 * megabyte
	dir := smallDisk(t, disk)
	m := open(t, Config{Dir: dir, Reserve: reserve})
	var images []*Image
	for range 3 {
		images = append(images, newImage(t, m, 64*megabyte))
	}
	free := func() int64 {
		free, _, err := diskOf(m.guard.dir)
		if err != nil {
			t.Fatal(err)
		}
		return free
	}
	// How often the guard looks by itself is a matter of the machine's load.
	look := func() {
		m.guard.mu.Lock()
		defer m.guard.mu.Unlock()
		m.guard.look()
	}
	written := 0
	for _, i := range images {
		n, err := fillNew(t, i, "x", 128, look)
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("%v after %d megabytes, want ENOSPC", err, n)
		}
		if err := unix.Syncfs(int(i.root.Fd())); err != nil {
			t.Errorf("what was accepted is lost: %v", err)
		}
		written += n
	}
	if got := free(); got < reserve-2*megabyte || written < 32 {
		t.Errorf("%d bytes are free of a reserve of %d, %d megabytes were written", got, reserve, written)
	}
	// The store can write, and a new image is full from the start.
	if err := os.WriteFile(filepath.Join(dir, "store"), make([]byte, 4*megabyte), 0o600); err != nil {
		t.Errorf("the store: %v", err)
	}
	late := newImage(t, m, 8*megabyte)
	if n, err := fillNew(t, late, "x", 1, nil); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a new image takes %d megabytes, %v", n, err)
	}
	// Somebody else takes half the reserve too.
	if err := os.WriteFile(filepath.Join(dir, "other"), make([]byte, free()-reserve/2+megabyte), 0o600); err != nil {
		t.Fatal(err)
	}
	if i, err := m.Make(t.Context(), megabyte, 0, nil); !errors.Is(err, ErrFull) {
		t.Errorf("another image: %v, want %v", err, ErrFull)
		drop(t, i)
	}
	if err := os.Remove(filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	for _, i := range images {
		if err := unix.Unlinkat(int(i.root.Fd()), "x", 0); err != nil {
			t.Errorf("a full image takes no deletion: %v", err)
		}
	}
	eventually(t, "there is room again", func() bool {
		n, _ := fillNew(t, late, "y", 1, nil)
		return n == 1
	})
}

// Where images cannot be made full, all of them fit or are refused.
func TestStrictReserve(t *testing.T) {
	needRoot(t)
	m := open(t, Config{Dir: smallDisk(t, 96*megabyte), Reserve: 16 * megabyte})
	m.guard.strict = true
	first := newImage(t, m, 48*megabyte)
	if i, err := m.Make(t.Context(), 48*megabyte, 0, nil); !errors.Is(err, ErrFull) {
		t.Errorf("a second one: %v, want %v", err, ErrFull)
		drop(t, i)
	}
	drop(t, first)
	newImage(t, m, 48*megabyte)
}

func TestMakeCancelled(t *testing.T) {
	needRoot(t)
	m := open(t, Config{Dir: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if i, err := m.Make(ctx, 33*megabyte, 0, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
		drop(t, i)
	}
}

func TestTemplatesAreBounded(t *testing.T) {
	needRoot(t)
	m := open(t, Config{Dir: t.TempDir()})
	for n := range int64(maxTemplates) {
		m.templates[n] = &template{}
	}
	newImage(t, m, 5*megabyte)
	if len(m.templates) > maxTemplates {
		t.Errorf("%d templates are kept", len(m.templates))
	}
}

func BenchmarkMake(b *testing.B) {
	m, err := Open(b.Context(), Config{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Skip(err)
	}
	defer m.Close()
	for b.Loop() {
		i, err := m.Make(b.Context(), usual, 1000, nil)
		if err != nil {
			b.Fatal(err)
		}
		tree, err := i.Tree()
		if err != nil {
			b.Fatal(err)
		}
		if err := errors.Join(tree.Close(), i.Close()); err != nil {
			b.Fatal(err)
		}
	}
}

// Who wants to know is told of each device before the image is mounted, the one that Open tries included: a limit that a
// killed daemon left on it is lifted then, whoever that was. What it refuses is not made, and frees the device.
func TestAttached(t *testing.T) {
	needRoot(t)
	var told []string
	var refused error
	dir := t.TempDir()
	m := open(t, Config{Dir: dir, Attached: func(device string) error {
		told = append(told, device)
		return refused
	}})
	if len(told) == 0 {
		t.Error("nothing was told of the device that Open tries")
	}
	made, err := m.Make(t.Context(), 16<<20, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if told[len(told)-1] != made.Device() {
		t.Errorf("the device is %s, and what was told is %v", made.Device(), told)
	}
	if err := made.Close(); err != nil {
		t.Error(err)
	}
	refused = errors.New("no device today")
	if _, err := m.Make(t.Context(), 16<<20, 0, nil); !errors.Is(err, refused) {
		t.Errorf("%v, want %v", err, refused)
	}
	eventually(t, "the device is free", func() bool {
		backing, err := os.ReadFile("/sys/dev/block/" + told[len(told)-1] + "/loop/backing_file")
		return err != nil || !strings.HasPrefix(string(backing), dir+"/")
	})
}
