//go:build linux

package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Freeze stops every process of the group and waits until they stand still. A group that cannot be frozen
// before the context ends is thawed again.
func (g *Group) Freeze(ctx context.Context) error {
	r := g.parent.layout.freezer
	var err error
	switch {
	case r.dir == "":
		return errors.New("cgroup: this host has no freezer")
	case r.v2:
		err = g.freezeV2(ctx, g.in(r))
	default:
		err = g.freezeV1(ctx, g.in(r))
	}
	if err != nil {
		return errors.Join(err, g.Thaw())
	}
	return nil
}

// Thaw lets the processes run again. A group that is gone has none.
func (g *Group) Thaw() error {
	r := g.parent.layout.freezer
	if r.dir == "" {
		return nil
	}
	if err := thaw(r, g.in(r)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func thaw(r role, dir string) error {
	file, value := "freezer.state", "THAWED"
	if r.v2 {
		file, value = "cgroup.freeze", "0"
	}
	if err := write(dir, file, value); err != nil {
		return fmt.Errorf("cgroup: thaw: %w", err)
	}
	return nil
}

func (g *Group) freezeV2(ctx context.Context, dir string) error {
	if err := write(dir, "cgroup.freeze", "1"); err != nil {
		return fmt.Errorf("cgroup: freeze: %w", err)
	}
	return waitEvent(ctx, dir, "frozen 1")
}

// waitEvent waits until cgroup.events has the line. The kernel tells of each change (POLLPRI).
func waitEvent(ctx context.Context, dir, line string) error {
	fd, err := unix.Open(dir+"/cgroup.events", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	defer unix.Close(fd)
	buf := make([]byte, 256)
	for {
		n, err := unix.Pread(fd, buf, 0)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("cgroup: %w", err)
		}
		if err == nil && strings.Contains(string(buf[:n]), line) {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("cgroup: waiting for %q: %w", line, ctx.Err())
		}
		// Short, so that the end of the context is noticed.
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}
		if _, err := unix.Poll(polled, 10); err != nil && err != unix.EINTR {
			return fmt.Errorf("cgroup: %w", err)
		}
	}
}

// freezeV1 has no event to wait for, and a group that forks may need to be told again.
func (g *Group) freezeV1(ctx context.Context, dir string) error {
	for wait := 50 * time.Microsecond; ; wait = min(2*wait, 5*time.Millisecond) {
		if err := write(dir, "freezer.state", "FROZEN"); err != nil {
			return fmt.Errorf("cgroup: freeze: %w", err)
		}
		state, err := read(dir, "freezer.state")
		if err != nil {
			return fmt.Errorf("cgroup: freeze: %w", err)
		}
		if strings.TrimSpace(state) == "FROZEN" {
			return nil
		}
		if err := pause(ctx, wait); err != nil {
			return fmt.Errorf("cgroup: freeze: %w", err)
		}
	}
}
