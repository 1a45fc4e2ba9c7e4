package code

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hotaru/store/blob"
)

// onSmallDisk runs a test with a directory on a file system of its own, which nobody else sees: the thread has
// a mount namespace to itself and ends with the test.
func onSmallDisk(t *testing.T, options string, test func(t *testing.T, disk string)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	disk := t.TempDir()
	done := make(chan struct{})
	var skipped error
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread is not fit for others
		if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
			skipped = err
			return
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			skipped = err
			return
		}
		if err := unix.Mount("code", disk, "tmpfs", 0, options); err != nil {
			skipped = err
			return
		}
		test(t, disk)
	}()
	<-done
	if skipped != nil {
		t.Skipf("no mount namespace of our own: %v", skipped)
	}
}

func TestRootOnAFullDisk(t *testing.T) {
	for name, options := range map[string]string{"bytes": "size=1m", "inodes": "size=64m,nr_inodes=60"} {
		t.Run(name, func(t *testing.T) {
			blobs, err := blob.Open(filepath.Join(t.TempDir(), "blobs"))
			must(t, err)
			var entries []crafted
			for i := range 30 {
				entries = append(entries, crafted{name: "d/" + strings.Repeat("f", i+1), mode: regular644,
					method: methodDeflated, content: strings.Repeat("x", 20<<10)})
			}
			onSmallDisk(t, options, func(t *testing.T, disk string) {
				s, err := Open(filepath.Join(disk, "code"), blobs)
				if err != nil {
					t.Error(err)
					return
				}
				h := &harness{Store: s, dir: disk, blobs: blobs}
				p, err := h.Put(t.Context(), build(t, entries...))
				if err != nil {
					t.Error(err)
					return
				}
				fillers := fill(t, disk, name == "inodes")
				before := snapshot(t, h.path())
				if _, err := h.Root(t.Context(), p.Digest); !errors.Is(err, unix.ENOSPC) {
					t.Errorf("error %v, want ENOSPC", err)
				}
				if after := snapshot(t, h.path()); len(after) != len(before) {
					t.Errorf("left %v, had %v", after, before)
				}
				for _, filler := range fillers {
					if err := os.Remove(filler); err != nil {
						t.Error(err)
					}
				}
				dir, err := h.Root(t.Context(), p.Digest)
				if err != nil {
					t.Error(err)
					return
				}
				if got := len(snapshot(t, dir)); got != len(entries)+2 {
					t.Errorf("%d names with room again, want %d", got, len(entries)+2)
				}
			})
		})
	}
}

// fill leaves room for a part of the package.
func fill(t *testing.T, disk string, inodes bool) (fillers []string) {
	t.Helper()
	if !inodes {
		filler := filepath.Join(disk, "filler")
		if err := os.WriteFile(filler, make([]byte, 700<<10), 0o600); err != nil {
			t.Error(err)
		}
		return []string{filler}
	}
	for i := range 30 {
		filler := filepath.Join(disk, strings.Repeat("g", i+1))
		if err := os.WriteFile(filler, nil, 0o600); err != nil {
			t.Error(err)
		}
		fillers = append(fillers, filler)
	}
	return fillers
}

func TestPutOnAFullDisk(t *testing.T) {
	onSmallDisk(t, "size=512k", func(t *testing.T, disk string) {
		blobs, err := blob.Open(filepath.Join(disk, "blobs"))
		if err != nil {
			t.Error(err)
			return
		}
		s, err := Open(filepath.Join(disk, "code"), blobs)
		if err != nil {
			t.Error(err)
			return
		}
		before := snapshot(t, disk)
		zip := build(t, crafted{name: "f", mode: regular644, content: strings.Repeat("x", 1<<20)})
		if _, err := s.Put(t.Context(), zip); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("error %v, want ENOSPC", err)
		}
		if after := snapshot(t, disk); len(after) != len(before) {
			t.Errorf("left %v, had %v", after, before)
		}
	})
}
