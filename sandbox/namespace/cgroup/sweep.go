//go:build linux

package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Sweep removes parent directories that a dead daemon left, with their groups: all are thawed, because a group
// that version 1 froze does not die, then killed, waited for and removed. Directories that are not named name
// or are not control groups are refused: the list comes from a file.
func Sweep(ctx context.Context, name string, dirs []string) error {
	for _, dir := range dirs {
		if filepath.Base(dir) != name || filepath.Clean(dir) != dir {
			return fmt.Errorf("cgroup: %s is not a directory of this daemon", dir)
		}
	}
	var found []string
	var failures []error
	for _, dir := range dirs {
		is, err := isCgroup(dir)
		if err == nil && is {
			found = append(found, dir)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failures = append(failures, fmt.Errorf("cgroup: %w", err))
		}
	}
	for _, step := range []func(context.Context, string) error{thawAll, killAll, removeAll} {
		for _, dir := range found {
			if err := step(ctx, dir); err != nil {
				failures = append(failures, fmt.Errorf("cgroup: sweep %s: %w", dir, err))
			}
		}
	}
	return errors.Join(failures...)
}

func isCgroup(dir string) (bool, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return false, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return stat.Type == unix.CGROUP_SUPER_MAGIC || stat.Type == unix.CGROUP2_SUPER_MAGIC, nil
}

// groupsBelow lists a directory and its subdirectories, the deepest first.
func groupsBelow(dir string) ([]string, error) {
	var all []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone meanwhile
		}
		if err == nil && entry.IsDir() {
			all = append(all, path)
		}
		return err
	})
	slices.Reverse(all)
	return all, err
}

func thawAll(_ context.Context, dir string) error {
	groups, err := groupsBelow(dir)
	for _, group := range groups {
		for _, r := range []role{{v2: true}, {}} {
			if thawErr := thaw(r, group); thawErr != nil && !errors.Is(thawErr, fs.ErrNotExist) && group != dir {
				err = errors.Join(err, thawErr)
			}
		}
	}
	return err
}

// killAll kills until nobody is left.
func killAll(ctx context.Context, dir string) error {
	for wait := 200 * time.Microsecond; ; wait = min(2*wait, 20*time.Millisecond) {
		groups, err := groupsBelow(dir)
		if err != nil {
			return err
		}
		alive := 0
		for _, group := range groups {
			n, err := killGroup(group)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			alive += n
		}
		if alive == 0 {
			return nil
		}
		if err := pause(ctx, wait); err != nil {
			return fmt.Errorf("%d processes do not die: %w", alive, err)
		}
	}
}

// killGroup kills the processes of one group and says how many there were.
func killGroup(dir string) (int, error) {
	pids, err := processes(dir)
	if err != nil || len(pids) == 0 {
		return 0, err
	}
	err = write(dir, "cgroup.kill", "1")
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return len(pids), err
	}
	for _, pid := range pids {
		if err := killMember(dir, pid); err != nil {
			return 0, err
		}
	}
	return len(pids), nil
}

// killMember kills a process if it still is in the group once it is held by a descriptor: its number may have
// gone to a stranger since it was read.
func killMember(dir string, pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	members, err := processes(dir)
	if err != nil || !slices.Contains(members, pid) {
		return err
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return err
	}
	return nil
}

func processes(dir string) ([]int, error) {
	content, err := read(dir, "cgroup.procs")
	if err != nil {
		return nil, err
	}
	var pids []int
	for line := range strings.Lines(content) {
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

func removeAll(ctx context.Context, dir string) error {
	groups, err := groupsBelow(dir)
	if err != nil {
		return err
	}
	for _, group := range groups {
		if err := removeDir(ctx, group, func(dir string) error { return os.NewSyscallError("rmdir", unix.Rmdir(dir)) }); err != nil {
			return err
		}
	}
	return nil
}
