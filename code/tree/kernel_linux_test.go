package tree_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"hotaru/code/tree"
)

// mounted mounts images where nobody else sees them, on a thread with a mount namespace of its own that ends with the
// test: mount returns where an image is, until the next call.
func mounted(t *testing.T, test func(mount func(image string) (string, error))) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting an image needs root")
	}
	at := t.TempDir()
	var skipped error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread is not fit for others
		if skipped = unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); skipped != nil {
			return
		}
		if skipped = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); skipped != nil {
			return
		}
		test(func(image string) (string, error) {
			if err := unix.Unmount(at, 0); err != nil && !errors.Is(err, unix.EINVAL) {
				return "", err
			}
			return at, unix.Mount(image, at, "erofs", unix.MS_RDONLY, "")
		})
	}()
	<-done
	if skipped != nil {
		t.Skipf("no mount namespace of our own: %v", skipped)
	}
}

// mountable skips where the kernel mounts no image from a file; every other failure is one of the image.
func mountable(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOTBLK) {
		t.Skipf("mounting an EROFS image from a file needs Linux 6.12: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestImage reads an image back through the kernel.
func TestImage(t *testing.T) {
	n := sample()
	file := imageFile(t, n)
	if fsck, err := exec.LookPath("fsck.erofs"); err == nil {
		if out, err := exec.Command(fsck, file).CombinedOutput(); err != nil {
			t.Errorf("fsck.erofs: %v\n%s", err, out)
		}
	}
	mounted(t, func(mount func(string) (string, error)) {
		dir, err := mount(file)
		if err != nil {
			mountable(t, err)
		}
		same(t, n, dir)
		if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o644); !errors.Is(err, unix.EROFS) {
			t.Errorf("writing into an image: %v", err)
		}
		if out, err := exec.Command("find", dir, "-type", "d").Output(); err != nil || strings.Count(string(out), "\n") != 64 {
			t.Errorf("find sees %d directories: %v", strings.Count(string(out), "\n"), err)
		}
	})
}

// TestAnyImage: whatever a tree is, the kernel sees the same, and so it does in the directory of the tree.
func TestAnyImage(t *testing.T) {
	mounted(t, func(mount func(string) (string, error)) {
		if _, err := mount(imageFile(t, tree.Directory(0o755, when))); err != nil {
			mountable(t, err)
		}
		rapid.Check(t, func(r *rapid.T) {
			n := drawn(r, 0)
			dir, err := mount(imageFile(t, n))
			if err != nil {
				r.Fatal(err)
			}
			same(t, n, dir)
			dir = t.TempDir()
			if err := n.WriteDirectory(t.Context(), dir); err != nil {
				r.Fatal(err)
			}
			same(t, n, dir)
		})
	})
}
