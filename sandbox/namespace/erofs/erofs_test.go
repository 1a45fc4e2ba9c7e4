//go:build linux

package erofs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"hotaru/code/tree"
)

// killedWith names the image that this program mounts through a loop device and waits with, to be killed.
const killedWith = "HOTARU_TEST_EROFS_KILLED_WITH"

func TestMain(m *testing.M) {
	if path := os.Getenv(killedWith); path != "" {
		waitToBeKilled(path)
	}
	goleak.VerifyTestMain(m)
}

func waitToBeKilled(path string) {
	m, err := open(filepath.Dir(path), FromLoop)
	if err == nil {
		_, err = m.Use(path)
	}
	if err != nil {
		fmt.Println("no:", err)
		os.Exit(1)
	}
	fmt.Println("mounted")
	<-time.After(time.Hour)
}

// attached says whether a loop device has a file.
func attached(t *testing.T, path string) bool {
	t.Helper()
	devices, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	must(t, err)
	for _, device := range devices {
		if file, err := os.ReadFile(device); err == nil && strings.TrimSpace(string(file)) == path {
			return true
		}
	}
	return false
}

// TestKilled: a process that is killed leaves no mount and no loop device.
func TestKilled(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	path := image(t, "content")
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), killedWith+"="+path)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	said, err := bufio.NewReader(out).ReadString('\n')
	if err == nil && said == "mounted\n" && !attached(t, path) {
		t.Error("there is no loop device while it is mounted")
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	if err != nil || said != "mounted\n" {
		t.Skipf("no loop devices here: %q, %v", said, err)
	}
	// The kernel lets go of it a moment after the process has ended.
	for deadline := time.Now().Add(30 * time.Second); attached(t, path); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the loop device is left")
		}
	}
}

// each runs a test for every way that works here.
func each(t *testing.T, test func(t *testing.T, m *Mounter)) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	for _, way := range []Way{FromFile, FromLoop} {
		t.Run(string(way), func(t *testing.T) {
			m, err := open(t.TempDir(), way)
			if err != nil {
				t.Skipf("not on this host: %v", err)
			}
			t.Cleanup(func() {
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			})
			test(t, m)
		})
	}
}

// image writes an image with one file.
func image(t *testing.T, content string) string {
	t.Helper()
	root := tree.Directory(0o755, time.Time{})
	root.Children["file"] = tree.File(0o644, time.Time{}, tree.Bytes([]byte(content)))
	path := filepath.Join(t.TempDir(), "image")
	must(t, root.WriteImageFile(context.Background(), path))
	return path
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read reads a file of a detached mount.
func read(t *testing.T, mount *os.File, name string) string {
	t.Helper()
	fd, err := unix.Openat(int(mount.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	b := make([]byte, 100)
	n, err := file.Read(b)
	must(t, err)
	return string(b[:n])
}

func TestRefusals(t *testing.T) {
	each(t, func(t *testing.T, m *Mounter) {
		dir := t.TempDir()
		text := filepath.Join(dir, "text")
		must(t, os.WriteFile(text, []byte(strings.Repeat("no image ", 1000)), 0o600))
		whole, err := os.ReadFile(image(t, strings.Repeat("x", 10000)))
		must(t, err)
		cut := filepath.Join(dir, "cut")
		must(t, os.WriteFile(cut, whole[:1000], 0o600))
		for _, path := range []string{dir, filepath.Join(dir, "none"), text, cut} {
			for range 2 {
				if i, err := m.Use(path); err == nil || !strings.Contains(err.Error(), path) {
					t.Errorf("%s: %v, %v", path, i, err)
				}
			}
		}
		if len(m.images) > 0 {
			t.Errorf("kept: %v", m.images)
		}
	})
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a directory: %v", err)
	}
}

// TestShared: who has an image has the same file system, whatever becomes of its name, and the last to go lets it go.
func TestShared(t *testing.T) {
	each(t, func(t *testing.T, m *Mounter) {
		path := image(t, "content")
		first, err := m.Use(path)
		must(t, err)
		second, err := m.Use(path)
		must(t, err)
		var mounts [2]*os.File
		var stats [2]unix.Stat_t
		for i, image := range []*Image{first, second} {
			mounts[i], err = image.Tree()
			must(t, err)
			must(t, unix.Fstat(int(mounts[i].Fd()), &stats[i]))
			if got := read(t, mounts[i], "file"); got != "content" {
				t.Errorf("it has %q", got)
			}
			if _, err := unix.Openat(int(mounts[i].Fd()), "new", unix.O_WRONLY|unix.O_CREAT, 0o600); !errors.Is(err, unix.EROFS) {
				t.Errorf("writing: %v", err)
			}
		}
		if stats[0].Dev != stats[1].Dev {
			t.Error("two file systems of one image")
		}
		must(t, os.Remove(path))
		first.Release()
		if got := read(t, mounts[0], "file"); got != "content" {
			t.Errorf("after one user has gone it has %q", got)
		}
		second.Release()
		if len(m.images) > 0 { // its file is gone
			t.Errorf("kept: %v", m.images)
		}
		for _, mount := range mounts {
			if got := read(t, mount, "file"); got != "content" {
				t.Errorf("a mount that is left has %q", got)
			}
			must(t, mount.Close())
		}
		// Another file under the same name is another image.
		must(t, os.Rename(image(t, "other"), path))
		third, err := m.Use(path)
		must(t, err)
		defer third.Release()
		mount, err := third.Tree()
		must(t, err)
		defer mount.Close()
		if got := read(t, mount, "file"); got != "other" {
			t.Errorf("the new file has %q", got)
		}
	})
}

func TestConcurrent(t *testing.T) {
	each(t, func(t *testing.T, m *Mounter) {
		paths := []string{image(t, "0"), image(t, "1")}
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for range 20 {
					used, err := m.Use(paths[i%2])
					if err != nil {
						t.Error(err)
						return
					}
					if tree, err := used.Tree(); err != nil {
						t.Error(err)
					} else {
						tree.Close()
					}
					used.Release()
				}
			})
		}
		all.Wait()
		if len(m.images) != 2 || len(m.idle) != 2 {
			t.Errorf("%d are mounted, %d of them idle", len(m.images), len(m.idle))
		}
	})
}

// TestIdle: the images used last stay mounted, others and those whose files are gone do not.
func TestIdle(t *testing.T) {
	each(t, func(t *testing.T, m *Mounter) {
		use := func(path string) *Image {
			used, err := m.Use(path)
			must(t, err)
			used.Release()
			return used
		}
		first := image(t, "first")
		kept := use(first)
		if again := use(first); again != kept {
			t.Error("an image that is used again was mounted again")
		}
		removed := image(t, "removed")
		use(removed)
		must(t, os.Remove(removed))
		last := image(t, "last")
		use(last)
		if len(m.images) != 2 || len(m.idle) != 2 {
			t.Errorf("%d are mounted, %d of them idle", len(m.images), len(m.idle))
		}
		if m.way == FromLoop {
			return // the host's loop devices are few
		}
		for range maxIdle - 1 {
			use(image(t, "another"))
		}
		if len(m.images) != maxIdle || len(m.idle) != maxIdle || m.images[kept.id] != nil {
			t.Errorf("%d are mounted, %d of them idle", len(m.images), len(m.idle))
		}
	})
}
