//go:build linux

package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// OOMWatch tells when memory runs out in a group. One goroutine may wait; Close wakes it.
type OOMWatch struct {
	file *os.File // version 1: an eventfd; version 2: memory.events
	v2   bool
}

// WatchOOM starts watching; nil where there is no memory controller.
func (g *Group) WatchOOM() (*OOMWatch, error) {
	r := g.parent.layout.memory
	switch {
	case r.dir == "":
		return nil, nil
	case r.v2:
		return watchEvents(filepath.Join(g.in(r), "memory.events"))
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	watch := &OOMWatch{file: os.NewFile(uintptr(event), "oom")}
	control, err := unix.Open(filepath.Join(g.in(r), "memory.oom_control"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = write(g.in(r), "cgroup.event_control", strconv.Itoa(event)+" "+strconv.Itoa(control))
		unix.Close(control)
	}
	if err != nil {
		watch.Close()
		return nil, fmt.Errorf("cgroup: watch memory.oom_control: %w", err)
	}
	return watch, nil
}

// watchEvents watches a file of version 2 through the runtime's poller: the kernel wakes it on each change.
func watchEvents(path string) (*OOMWatch, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cgroup: watch %s: %w", path, err)
	}
	return &OOMWatch{file: os.NewFile(uintptr(fd), "oom"), v2: true}, nil
}

// Next waits until memory may have run out: OOMKills says whether it has. False once the watch is closed.
func (w *OOMWatch) Next() bool {
	if !w.v2 {
		var count [8]byte
		_, err := w.file.Read(count[:])
		return err == nil
	}
	conn, err := w.file.SyscallConn()
	if err != nil {
		return false
	}
	asked := false
	return conn.Read(func(uintptr) bool {
		changed := asked // such a file is always readable: only a change counts
		asked = true
		return changed
	}) == nil
}

// Close ends the watch.
func (w *OOMWatch) Close() error { return w.file.Close() }
