//go:build linux

package rtnl

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// order is how the kernel wants numbers.
var order = binary.NativeEndian

// inNewThread runs f on a thread of its own, which ends with it: whatever namespace it is in by then, nobody else gets
// there by accident.
func inNewThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked
		if unix.Gettid() != unix.Getpid() {
			done <- f()
			return
		}
		// The process's first thread never ends, and would hold the namespace for good. While this one waits on it, the
		// next is another.
		done <- inNewThread(f)
		runtime.UnlockOSThread()
	}()
	return <-done
}

// Inside runs f in a network namespace.
func Inside(namespace *os.File, f func() error) error {
	return inNewThread(func() error {
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("rtnl: enter network namespace: %w", err)
		}
		return f()
	})
}

// NewNamespace makes a network namespace that lasts as long as the file, or a socket in it, is open.
func NewNamespace() (namespace *os.File, err error) {
	err = inNewThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("rtnl: new network namespace: %w", err)
		}
		namespace, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	return namespace, err
}
