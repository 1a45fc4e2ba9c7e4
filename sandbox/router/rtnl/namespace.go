//go:build linux

package rtnl

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// onThread runs f on a thread that nobody else runs on meanwhile. The thread ends with it, unless f says that it is as it
// was before: whatever namespace it is in by then, nobody else gets there by accident.
func onThread(f func() (same bool, err error)) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		var same bool
		var err error
		if unix.Gettid() != unix.Getpid() {
			same, err = f()
		} else {
			// The process's first thread never ends, and would hold the namespace for good. While this one waits on it, the
			// next is another.
			same, err = true, onThread(f)
		}
		if same {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// Inside runs f in a network namespace.
func Inside(namespace *os.File, f func() error) error {
	return onThread(func() (bool, error) {
		if err := enter(namespace); err != nil {
			return true, err
		}
		return false, f()
	})
}

func enter(namespace *os.File) error {
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("rtnl: enter network namespace: %w", err)
	}
	return nil
}

// Own opens the network namespace of the calling thread.
func Own() (*os.File, error) {
	namespace, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("rtnl: %w", err)
	}
	return namespace, nil
}

// DialIn opens a connection for another namespace than home, which is that of all of the process's threads. A thread goes
// there for as long as it takes to make a socket, which stays.
func DialIn(namespace, home *os.File) (conn *Conn, err error) {
	err = onThread(func() (bool, error) {
		if err := enter(namespace); err != nil {
			return true, err
		}
		var err error
		conn, err = Dial()
		return enter(home) == nil, err
	})
	return conn, err
}

// NewNamespace makes a network namespace that lasts as long as the file, or a socket in it, is open.
func NewNamespace() (namespace *os.File, err error) {
	err = onThread(func() (bool, error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return true, fmt.Errorf("rtnl: new network namespace: %w", err)
		}
		namespace, err = Own()
		return false, err
	})
	return namespace, err
}
