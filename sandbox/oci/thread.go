//go:build linux && (amd64 || arm64)

package oci

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// onThread runs f on a thread of its own that is thrown away afterwards, so that f may change the thread's namespaces
// and control groups.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if unix.Gettid() != unix.Getpid() {
			done <- f()
			return
		}
		// The main thread cannot end, and what it is in is what all of the process seems to be in. As long as it is
		// held here, the next goroutine is on another.
		done <- onThread(f)
		runtime.UnlockOSThread()
	}()
	return <-done
}

// newMounts gives the calling thread mounts of its own, from which none comes back.
func newMounts() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("sandbox: new mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("sandbox: private mounts: %w", err)
	}
	return nil
}
