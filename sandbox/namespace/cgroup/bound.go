//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What holds for all groups of a daemon together: limits of the parent directories.

// boundAll keeps all groups together from taking every process and thread that the host can have, which are few: a quarter
// is left for others, this process included.
func (p *Parent) boundAll() error {
	r := p.layout.pids
	if r.dir == "" {
		return nil
	}
	most := int64(math.MaxInt64)
	for _, file := range []string{"pid_max", "threads-max"} {
		content, err := read("/proc/sys/kernel", file)
		if err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
		value, err := strconv.ParseInt(strings.TrimSpace(content), 10, 64)
		if err != nil {
			return fmt.Errorf("cgroup: %s: %w", file, err)
		}
		most = min(most, value)
	}
	err := write(r.dir, "pids.max", strconv.FormatInt(most/4*3, 10))
	if err == nil || p.layout.rootless && isRefused(err) {
		return nil
	}
	return fmt.Errorf("cgroup: %w", err)
}

// BoundMemory keeps all groups together from using more than so many bytes, 0 meaning as many as there are, and from being
// swapped out. What is cached of files counts, and goes first. Beyond that the kernel kills the largest process in any of
// the groups, which its own group then counts (OOMKills). bounded is false where there is no memory controller, or an
// ordinary user may not use it. An error with EBUSY says that more is in use already.
func (p *Parent) BoundMemory(bytes int64) (bounded bool, err error) {
	r := p.layout.memory
	switch {
	case r.dir == "":
		return false, nil
	case r.v2:
		err = boundMemoryV2(r.dir, bytes)
	default:
		err = boundMemoryV1(r.dir, bytes)
	}
	if err != nil && p.layout.rootless && isRefused(err) {
		return false, nil
	}
	return err == nil && bytes > 0, err
}

func boundMemoryV2(dir string, bytes int64) error {
	if err := write(dir, "memory.swap.max", "0"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cgroup: %w", err)
	}
	if err := write(dir, "memory.max", orMax(bytes)); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	return nil
}

// boundMemoryV1 turns swapping off besides: groups that are made from now on take that over, and a limit of memory with
// swap alone lets the kernel swap what is within it.
func boundMemoryV1(dir string, bytes int64) error {
	if err := write(dir, "memory.swappiness", "0"); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	content, err := read(dir, "memory.limit_in_bytes")
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	now, err := strconv.ParseInt(strings.TrimSpace(content), 10, 64)
	if err != nil {
		return fmt.Errorf("cgroup: memory.limit_in_bytes: %w", err)
	}
	return writeMemoryV1(dir, bytes, bytes > 0 && bytes < now)
}

// MemoryLeft is how much more all groups together can use before the kernel kills: what is cached of files goes
// before. bounded is false without a limit.
func (p *Parent) MemoryLeft() (bytes int64, bounded bool, err error) {
	r := p.layout.memory
	if r.dir == "" {
		return 0, false, nil
	}
	files := [...]string{"memory.limit_in_bytes", "memory.usage_in_bytes"}
	below := "total_" // version 1 counts a group alone, too
	if r.v2 {
		files, below = [...]string{"memory.max", "memory.current"}, ""
	}
	var values [len(files)]int64
	for i, file := range files {
		content, err := read(r.dir, file)
		if err != nil {
			return 0, false, fmt.Errorf("cgroup: %w", err)
		}
		if strings.TrimSpace(content) == "max" {
			return 0, false, nil
		}
		if values[i], err = strconv.ParseInt(strings.TrimSpace(content), 10, 64); err != nil {
			return 0, false, fmt.Errorf("cgroup: %s: %w", file, err)
		}
	}
	if values[0] >= noLimitV1 {
		return 0, false, nil
	}
	stat, err := read(r.dir, "memory.stat")
	if err != nil {
		return 0, false, fmt.Errorf("cgroup: %w", err)
	}
	cached := pairs(stat).sum(below+"inactive_file", below+"active_file")
	return max(values[0]-values[1]+min(cached, values[1]), 0), true, nil
}

// noLimitV1 is what version 1 shows at least where there is no limit: all that can be counted, in whole pages.
const noLimitV1 = math.MaxInt64 &^ (1<<16 - 1)

// isRefused says whether an ordinary user may not do what failed.
func isRefused(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS)
}
