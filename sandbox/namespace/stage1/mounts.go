//go:build linux

package main

import (
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/namespace/furnish"
)

// enterRootWithProc makes a /proc as well as what enterRoot does.
func enterRootWithProc(root int, targets []string, mounts []int) (string, syscall.Errno) {
	// A new one is allowed only while the host's whole one is still in this namespace.
	proc, err := newProc()
	if err != nil {
		return "proc", errnoOf(err)
	}
	defer unix.Close(proc)
	if stage, errno := enterRoot(root, targets, mounts); errno != 0 {
		return stage, errno
	}
	if stage, errno := mountAll([]string{"/proc"}, []int{proc}); errno != 0 {
		return stage, errno
	}
	return hideProc(proc)
}

// enterRoot makes the detached mount root the root of this namespace, mounts the others in it, and leaves the host's
// mounts behind.
func enterRoot(root int, targets []string, mounts []int) (string, syscall.Errno) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "private propagation", errnoOf(err)
	}
	// Any directory that every host has will do for the moment between here and pivot_root.
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
		return "leave the host's root", errnoOf(err)
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

// newProc makes a /proc of this pid namespace in which a process sees only its own user's processes, so not
// stage-1.
func newProc() (int, error) {
	fs, err := unix.Fsopen("proc", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "hidepid", "2"); err != nil {
		return -1, err
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
