//go:build linux

package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// enterBareRoot leaves the host's mounts behind, in a mount namespace that nobody else has yet, for a read-only directory
// that has nothing but a /proc. It is what every sandbox's namespace begins as a copy of: copied at once, and nothing of
// the host beneath the sandbox's root.
//
// The kernel lets nobody mount a /proc who does not see a whole one, hence that, and for this program's name,
// /proc/self/exe. It is of the launcher's process namespace, in which there are no others than the sandboxes' processes,
// and it hides all but a process's own and those it may trace.
func enterBareRoot() (string, syscall.Errno) {
	proc, err := newProc(hideFromAll)
	if err != nil {
		return "proc", errnoOf(err)
	}
	defer unix.Close(proc)
	bare, err := newMount("tmpfs", "mode", "555", "nr_inodes", "2")
	if err != nil {
		return "bare root", errnoOf(err)
	}
	defer unix.Close(bare)
	if err := unix.Mkdirat(bare, "proc", 0o555); err != nil {
		return "bare root", errnoOf(err)
	}
	// In a sandbox's user namespace nobody can change that.
	readOnly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(bare, "", unix.AT_EMPTY_PATH, &readOnly); err != nil {
		return "bare root", errnoOf(err)
	}
	return enterRoot(bare, []string{"/proc"}, []int{proc})
}
