//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/sandboxtest"
)

// A program's directory and the program itself change, while they are started, between what they should be and links into
// the descriptors of whoever starts them (CVE-2024-21626, and CVE-2024-23651, where a build step's directory was another
// when it was mounted). What starts is in the directory that was named; all else is refused.
func TestRacedCommands(t *testing.T) {
	sandboxtest.CheckLeaks(t)
	dir := compileProbe(t)
	driver := newDriver(t)
	box, err := driver.Create(t.Context(), sandbox.Spec{
		ID: "raced-commands", Root: sandboxtest.Root(t), Binds: []sandbox.Bind{{Source: dir, Target: "/opt"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/proc/self/fd/0", "/proc/self/fd/3", "/proc/self/fd/4", "/proc/1/root", "/proc/self/exe"} {
		started, refused := raceOne(t, box, target)
		t.Logf("%s: %d started, %d refused", target, started, refused)
		if err := box.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// raceOne starts programs in /tmp/raced/a while that is a directory one moment and a link to target the next.
func raceOne(t *testing.T, box sandbox.Sandbox, target string) (started, refused int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	racer, err := box.Start(t.Context(), sandbox.Command{
		Path: "/opt/probe", Args: []string{"probe", "exchange", target}, Dir: "/tmp", Stdout: w, Stderr: w,
	})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var inode string
	if _, err := fmt.Fscanln(bufio.NewReader(r), &inode); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		said, err := statHere(t, box)
		switch {
		case err == nil && said == inode:
			started++
		case err == nil:
			t.Errorf("%s: a program starts in %q, want %q", target, said, inode)
		case refusedAs(err, unix.ENOTDIR, unix.ELOOP, unix.ENOENT, unix.EACCES):
			refused++
		default:
			t.Errorf("%s: %v", target, err)
		}
	}
	if err := racer.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	<-racer.Done()
	return started, refused
}

// refusedAs says whether an error, of which the driver keeps the text alone, is one of these.
func refusedAs(err error, wanted ...syscall.Errno) bool {
	for _, errno := range wanted {
		if errors.Is(err, errno) || strings.HasSuffix(err.Error(), errno.Error()) {
			return true
		}
	}
	return false
}

// statHere says which directory a program started in /tmp/raced/a is in.
func statHere(t *testing.T, box sandbox.Sandbox) (string, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := box.Start(t.Context(), sandbox.Command{
		Path: "/opt/probe", Args: []string{"probe", "here"}, Dir: "/tmp/raced/a", Stdout: w, Stderr: w,
	})
	w.Close()
	if err != nil {
		return "", err
	}
	var said string
	if _, err := fmt.Fscanln(r, &said); err != nil {
		t.Errorf("a program started and says nothing: %v", err)
	}
	<-p.Done()
	return said, nil
}

// An image's directories change, while a sandbox is made from it, between what they should be and links (CVE-2021-30465,
// CVE-2025-31133, CVE-2025-52565: another container that shares the mount does so). The sandbox is refused, or all is
// hidden in it.
func TestRacedRoot(t *testing.T) {
	needRoot(t)
	sandboxtest.CheckLeaks(t)
	driver := newDriver(t)
	for path, target := range map[string]string{
		"dev": "/proc", "proc": "/opt", "tmp": "/proc/sys", "opt": "/dev", "var/task": "/proc/self/attr",
	} {
		t.Run(path, func(t *testing.T) {
			root := sandboxtest.Root(t)
			place := filepath.Join(root.Dir, path)
			if err := os.Symlink(target, place+".other"); err != nil {
				t.Fatal(err)
			}
			made := 0
			for range 12 {
				calm := exchange(t, place)
				box, err := driver.Create(t.Context(), sandbox.Spec{
					ID: "raced-root", Root: root, Limits: sandbox.Limits{TmpBytes: 16 << 20},
					Binds: []sandbox.Bind{{Source: "/usr/bin", Target: "/opt"}, {Source: "/usr/bin", Target: "/var/task"}},
				})
				calm()
				if err != nil {
					if !refusedAs(err, unix.ELOOP, unix.ENOTDIR, unix.ENOENT, unix.EROFS, unix.EACCES) {
						t.Error(err)
					}
					continue
				}
				made++
				for range 2 { // as the directory stands now, and as it could stand
					// A /dev that went elsewhere is missing. That is no way out.
					if got := runShell(t, box, guarded); strings.TrimPrefix(got, "no /dev/null\n") != "fine\n" {
						t.Errorf("inside: %s", got)
					}
					if err := exchangeOnce(place); err != nil {
						t.Fatal(err)
					}
				}
				if err := box.Destroy(t.Context()); err != nil {
					t.Error(err)
				}
			}
			t.Logf("made %d", made)
		})
	}
}

// exchange has a directory and the link beside it change places until the function that it returns is called.
func exchange(t *testing.T, path string) (end func()) {
	t.Helper()
	stop := make(chan struct{})
	var racing sync.WaitGroup
	racing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := exchangeOnce(path); err != nil {
				t.Error(err)
				return
			}
			runtime.Gosched()
		}
	})
	return func() { close(stop); racing.Wait() }
}

func exchangeOnce(path string) error {
	return unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, path+".other", unix.RENAME_EXCHANGE)
}

// Making a sandbox and removing it touches nothing that an image's links lead to on the host (CVE-2024-23652, where what was
// cleaned up was the host's; CVE-2024-45310, CVE-2023-27561).
func TestNothingIsTouchedThroughLinks(t *testing.T) {
	needRoot(t)
	sandboxtest.CheckLeaks(t)
	driver := newDriver(t)
	for _, path := range []string{"proc", "dev", "tmp", "opt", "var/task", "var", "dev/null", "dev/console", "dev/ptmx", "dev/pts", "dev/fd", "etc/passwd"} {
		t.Run(path, func(t *testing.T) {
			victim := t.TempDir()
			for _, name := range []string{"null", "ptmx", "console", "pts", "task", "fd", "x"} {
				if err := os.WriteFile(filepath.Join(victim, name), []byte("precious"), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			root := sandboxtest.Root(t)
			place := filepath.Join(root.Dir, path)
			if err := errors.Join(os.RemoveAll(place), os.Symlink(victim, place)); err != nil {
				t.Fatal(err)
			}
			before := listing(t, victim) + listing(t, root.Dir)
			box, err := driver.Create(t.Context(), sandbox.Spec{
				ID: "links", Root: root, Binds: []sandbox.Bind{{Source: "/usr/bin", Target: "/opt"}, {Source: "/usr/bin", Target: "/var/task"}},
			})
			if err == nil {
				// What it leaves in /tmp is removed with it, and a link there leads nowhere.
				if got := runShell(t, box, "ln -s "+victim+" /tmp/victim; ln -s / /tmp/root; echo x >/tmp/victim/x || :"); !strings.Contains(got, "nonexistent") {
					t.Errorf("inside: %q", got)
				}
				err = box.Destroy(t.Context())
				if err != nil {
					t.Error(err)
				}
			} else if !refusedAs(err, unix.ELOOP, unix.ENOTDIR, unix.ENOENT) {
				t.Error(err)
			}
			if after := listing(t, victim) + listing(t, root.Dir); after != before {
				t.Errorf("there was\n%sand there is\n%s", before, after)
			}
		})
	}
}

// listing says what is in a directory: names, numbers, modes and when each was changed.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil {
			return err
		}
		fmt.Fprintf(&all, "%s %d %o %d %v\n", path, stat.Ino, stat.Mode, stat.Size, stat.Ctim)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
