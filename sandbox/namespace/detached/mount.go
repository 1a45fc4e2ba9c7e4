//go:build linux

// Package detached makes mounts that are nowhere until they are moved somewhere, and loop devices that free themselves:
// nothing of either is left when the process that has them dies. It must not know what is in a file system.
package detached

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Mount makes a file system's detached mount, with mount attributes (unix.MOUNT_ATTR_*). source is a device or, for a
// file system that takes one, a file. options are the file system's own flags. The error has what the kernel says.
func Mount(fsType, source string, attributes int, options ...string) (*os.File, error) {
	fs, err := unix.Fsopen(fsType, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("mount: %s: %w", fsType, err)
	}
	defer unix.Close(fs)
	err = unix.FsconfigSetString(fs, "source", source)
	for _, option := range options {
		if err == nil {
			err = unix.FsconfigSetFlag(fs, option)
		}
	}
	if err == nil {
		err = unix.FsconfigCreate(fs)
	}
	if err != nil {
		return nil, fmt.Errorf("mount: %s %s: %w%s", fsType, source, err, Complaint(fs))
	}
	tree, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return nil, fmt.Errorf("mount: %s %s: %w", fsType, source, err)
	}
	return os.NewFile(uintptr(tree), source), nil
}

// Complaint is what the kernel says about a mount that failed (fsopen(2)).
func Complaint(fs int) string {
	text := make([]byte, 1024)
	if n, err := unix.Read(fs, text); err == nil && n > 0 {
		return ": " + string(text[:n])
	}
	return ""
}
