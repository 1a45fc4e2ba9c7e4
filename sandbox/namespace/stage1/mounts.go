//go:build linux

package main

import (
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/namespace/furnish"
)

// enterRootWithProc makes the detached mount root the root of this namespace, with the others in it and a /proc.
//
// It is moved over what the launcher left there (enterBareRoot), and entered as an initramfs is left (switch_root(8)). To
// pivot_root and unmount what is beneath would look at every thread of the machine and wait for all CPUs. What is beneath
// cannot be reached: ".." ends at the root, and whoever enters the namespace starts from the topmost mount.
func enterRootWithProc(root int, targets []string, mounts []int) (string, syscall.Errno) {
	// A new one is allowed only where there is a whole one already: the launcher's. Here a process sees only its own
	// user's, so not stage-1.
	proc, err := newProc(hideFromUsers)
	if err != nil {
		return "proc", errnoOf(err)
	}
	defer unix.Close(proc)
	if err := unix.MoveMount(root, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return "root", errnoOf(err)
	}
	if err := unix.Fchdir(root); err != nil {
		return "root", errnoOf(err)
	}
	if err := unix.Chroot("."); err != nil {
		return "root", errnoOf(err)
	}
	if stage, errno := mountAll(append(targets, "/proc"), append(mounts, proc)); errno != 0 {
		return stage, errno
	}
	return hideProc(proc)
}

// enterRoot makes the detached mount root the root of this namespace, mounts the others in it, and leaves nothing
// beneath.
func enterRoot(root int, targets []string, mounts []int) (string, syscall.Errno) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "private propagation", errnoOf(err)
	}
	// Any directory that is always there will do for the moment between here and pivot_root.
	if err := unix.MoveMount(root, "", unix.AT_FDCWD, "/proc", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return "root", errnoOf(err)
	}
	if err := unix.Fchdir(root); err != nil {
		return "root", errnoOf(err)
	}
	// Old and new root in one place: no directory is needed to hold the old one, and "." is it afterwards.
	if err := unix.PivotRoot(".", "."); err != nil {
		return "pivot_root", errnoOf(err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return "leave the old root", errnoOf(err)
	}
	if err := unix.Chdir("/"); err != nil {
		return "root", errnoOf(err)
	}
	return mountAll(targets, mounts)
}

// mountAll moves detached mounts to their targets. A target is looked up inside the root whatever symbolic
// links it goes through: a root may come from a stranger's image.
func mountAll(targets []string, mounts []int) (string, syscall.Errno) {
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "root", errnoOf(err)
	}
	defer unix.Close(root)
	for i, target := range targets {
		if err := furnish.MoveTo(root, target, mounts[i]); err != nil {
			return target, errnoOf(err)
		}
	}
	return "", 0
}

// Who sees a process in a /proc.
const (
	hideFromUsers = "2" // its user, and who may trace it
	hideFromAll   = "4" // who may trace it
)

// newProc makes a /proc of this pid namespace.
func newProc(hide string) (int, error) { return newMount("proc", "hidepid", hide) }

// newMount makes a file system's detached mount. Options are names and values in turn.
func newMount(fsType string, options ...string) (int, error) {
	fs, err := unix.Fsopen(fsType, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	for ; len(options) > 0; options = options[2:] {
		if err := unix.FsconfigSetString(fs, options[0], options[1]); err != nil {
			return -1, err
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
}

// hideProc covers what of /proc tells of the host and makes read-only what sets it, in the mount itself and not where its
// path leads: were the root's /proc or /dev to become a link meanwhile, that would be elsewhere.
func hideProc(proc int) (string, syscall.Errno) {
	null, err := openNull()
	if err != nil {
		return "/dev/null", errnoOf(err)
	}
	defer unix.Close(null)
	if err := unix.Fchdir(proc); err != nil {
		return "proc", errnoOf(err)
	}
	nothing := "self/fd/" + strconv.Itoa(null)
	for _, file := range furnish.ProcHidden {
		err := unix.Mount(nothing, file, "", unix.MS_BIND, "")
		if err == nil {
			nothing = file // it is there now as well, and found in half the time
		}
		if err == unix.ENOTDIR { // it is a directory: something empty hides it
			err = unix.Mount("none", file, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "nr_inodes=1,mode=555")
		}
		if err != nil && err != unix.ENOENT {
			return file, errnoOf(err)
		}
	}
	readOnly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC}
	for _, file := range furnish.ProcReadOnly {
		err := unix.Mount(file, file, "", unix.MS_BIND, "")
		if err == unix.ENOENT {
			continue
		}
		if err == nil {
			err = unix.MountSetattr(proc, file, 0, &readOnly)
		}
		if err != nil {
			return file, errnoOf(err)
		}
	}
	if err := unix.Chdir("/"); err != nil {
		return "root", errnoOf(err)
	}
	return "", 0
}

// openNull opens what hides a file. It is the device itself or nothing: CVE-2025-31133.
func openNull() (int, error) {
	fd, err := unix.Open("/dev/null", unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	var stat unix.Stat_t
	err = unix.Fstat(fd, &stat)
	if err == nil && (stat.Mode&unix.S_IFMT != unix.S_IFCHR || stat.Rdev != unix.Mkdev(1, 3)) {
		err = unix.ENODEV
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
