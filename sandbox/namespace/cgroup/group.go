//go:build linux

package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// closeTimeout bounds how long Close tries: the last process may still be leaving.
const closeTimeout = 5 * time.Second

// Limits bound a group. Zero means no limit.
type Limits struct {
	MemoryBytes int64
	MilliCPU    int64
	PIDs        int64
}

// Usage is what a group uses now.
type Usage struct {
	MemoryBytes int64 // anonymous, shared and kernel memory; no page cache
	CPUTime     time.Duration
	PIDs        int64
}

// Parent holds all groups of one daemon. It is safe for concurrent use.
type Parent struct {
	layout Layout
	roles  []role
	others []string // parent directories that somebody else makes groups in; removed all the same
	tasks  []*os.File
	// mkdir and rmdir are the kernel's; a test of version 2 on a host without it gives its own, which make
	// the files that the kernel would make.
	mkdir func(dir string) error
	rmdir func(dir string) error
}

// Open makes the parent directories of the layout where they are missing, with the controllers handed down. others
// are those that DetectOCI found.
func Open(layout Layout, others ...string) (*Parent, error) {
	p := &Parent{layout: layout, roles: layout.dirs(), others: others, mkdir: kernelMkdir, rmdir: unix.Rmdir}
	return p, p.open()
}

func kernelMkdir(dir string) error { return os.Mkdir(dir, 0o755) }

func (p *Parent) open() error {
	if err := p.moveSelf(); err != nil {
		return err
	}
	for _, r := range p.roles {
		err := p.mkdir(r.dir)
		if err != nil && p.layout.rootless && isRefused(err) {
			p.layout.drop(r)
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("cgroup: %w", err)
		}
		if !r.v2 {
			continue
		}
		for _, dir := range []string{filepath.Dir(r.dir), r.dir} {
			if err := p.delegate(dir); err != nil {
				return err
			}
		}
	}
	p.roles = p.layout.dirs()
	for _, r := range p.roles {
		if r.v2 {
			continue
		}
		file, err := openTasks(r.dir)
		if err != nil {
			return errors.Join(err, p.Release())
		}
		p.tasks = append(p.tasks, file)
	}
	return p.boundAll()
}

// Release closes what Open opened. Close does, too: this is for who has removed the directories already.
func (p *Parent) Release() error {
	var failures []error
	for _, file := range p.tasks {
		failures = append(failures, file.Close())
	}
	p.tasks = nil
	return errors.Join(failures...)
}

// Tasks are the "tasks" files of the parent directories of version 1, in the order of Group.OpenTasks: a thread that writes
// "0" to each has left its group. They are not the caller's to close.
func (p *Parent) Tasks() []*os.File { return p.tasks }

func openTasks(dir string) (*os.File, error) {
	fd, err := unix.Open(filepath.Join(dir, "tasks"), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cgroup: %s: tasks: %w", dir, err)
	}
	return os.NewFile(uintptr(fd), "tasks"), nil
}

// delegate lets the children of a version 2 group have the controllers that we use.
func (p *Parent) delegate(dir string) error {
	for _, c := range []struct {
		name string
		role *role
	}{{"memory", &p.layout.memory}, {"cpu", &p.layout.cpu}, {"pids", &p.layout.pids}, {"io", &p.layout.io}} {
		if !c.role.v2 {
			continue
		}
		err := write(dir, "cgroup.subtree_control", "+"+c.name)
		if err != nil && p.layout.rootless && (isRefused(err) || errors.Is(err, unix.EBUSY) || errors.Is(err, fs.ErrNotExist)) {
			*c.role = role{}
			continue
		}
		if errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("cgroup: %s has processes of its own, so its children get no %s controller; "+
				"move them into a child group, as for any container engine inside a container: %w", dir, c.name, err)
		}
		if err != nil {
			return fmt.Errorf("cgroup: hand the %s controller down from %s: %w", c.name, dir, err)
		}
	}
	return nil
}

// Close removes the parent directories. Groups must be gone, and threads that left them too.
func (p *Parent) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	failures := []error{p.Release()}
	for _, r := range p.roles {
		if err := removeDir(ctx, r.dir, p.rmdir); err != nil {
			failures = append(failures, fmt.Errorf("cgroup: remove %s: %w", r.dir, err))
		}
	}
	for _, dir := range p.others {
		if err := removeDir(ctx, dir, p.rmdir); err != nil {
			failures = append(failures, fmt.Errorf("cgroup: remove %s: %w", dir, err))
		}
	}
	return errors.Join(failures...)
}

// Enforces says which limits a group of this layout has.
func (p *Parent) Enforces() (memory, cpu, pids, freeze bool) {
	return p.layout.memory.dir != "", p.layout.cpu.dir != "", p.layout.pids.dir != "", p.layout.freezer.dir != ""
}

// Group is one control group: a directory of the same name in each hierarchy.
type Group struct {
	parent *Parent
	name   string
	limits Limits // last set
	period int64  // of its CPU time with version 1, in microseconds
	claim  int64  // on CPU time: the MiB of memory that it was made with
}

// Create makes a group without processes. On an error nothing is left.
func (p *Parent) Create(name string, limits Limits) (*Group, error) {
	g := &Group{parent: p, name: name, period: longestPeriod, claim: limits.MemoryBytes >> 20}
	for _, r := range p.roles {
		if err := p.mkdir(g.in(r)); err != nil {
			return nil, errors.Join(fmt.Errorf("cgroup: %w", err), g.Remove(context.Background()))
		}
	}
	err := g.replace(limits)
	if err == nil {
		err = g.SetWeight(1)
	}
	if err != nil {
		return nil, errors.Join(err, g.Remove(context.Background()))
	}
	return g, nil
}

func (g *Group) in(r role) string { return filepath.Join(r.dir, g.name) }

// OpenUnified opens the version 2 directory for CLONE_INTO_CGROUP; nil where there is none.
func (g *Group) OpenUnified() (*os.File, error) {
	if g.parent.layout.unified.dir == "" {
		return nil, nil
	}
	fd, err := unix.Open(g.in(g.parent.layout.unified), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	return os.NewFile(uintptr(fd), "cgroup"), nil
}

// OpenTasks opens the "tasks" files of version 1, which has no CLONE_INTO_CGROUP: a thread that writes "0" to each
// is in the group, and so are the processes that it forks, until it does the same with Parent.Tasks. The caller closes them.
func (g *Group) OpenTasks() (enter []*os.File, err error) {
	for _, r := range g.parent.roles {
		if r.v2 {
			continue
		}
		file, err := openTasks(g.in(r))
		if err != nil {
			for _, file := range enter {
				file.Close()
			}
			return nil, err
		}
		enter = append(enter, file)
	}
	return enter, nil
}

// Remove removes the group's directories. Its processes must have ended; the kernel may need a moment more to
// see that, so a busy directory is tried again until the context ends.
func (g *Group) Remove(ctx context.Context) error {
	var failures []error
	for _, r := range g.parent.roles {
		if err := removeDir(ctx, g.in(r), g.parent.rmdir); err != nil {
			failures = append(failures, fmt.Errorf("cgroup: remove %s: %w", g.in(r), err))
		}
	}
	for _, dir := range g.parent.others {
		if err := removeDir(ctx, filepath.Join(dir, g.name), g.parent.rmdir); err != nil {
			failures = append(failures, fmt.Errorf("cgroup: remove %s: %w", dir, err))
		}
	}
	return errors.Join(failures...)
}

// StartIn starts a command in the group, on the calling thread, which is in the group itself for a moment: the caller
// throws it away.
func (g *Group) StartIn(cmd *exec.Cmd) error {
	unified, err := g.OpenUnified()
	if err != nil {
		return err
	}
	if unified != nil {
		defer unified.Close()
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(unified.Fd())}
	}
	enter, err := g.OpenTasks()
	if err != nil {
		return err
	}
	defer func() {
		for _, file := range enter {
			file.Close()
		}
	}()
	for _, file := range enter {
		if _, err := file.WriteString("0"); err != nil {
			return fmt.Errorf("cgroup: join: %w", err)
		}
	}
	err = cmd.Start()
	for _, file := range g.parent.tasks {
		if _, leaveErr := file.WriteString("0"); leaveErr != nil {
			err = errors.Join(err, fmt.Errorf("cgroup: leave: %w", leaveErr))
		}
	}
	return err
}

// Kill thaws the group, kills every process in it and waits until none is left.
func (g *Group) Kill(ctx context.Context) error {
	if err := g.Thaw(); err != nil {
		return err
	}
	for _, r := range g.parent.roles {
		if err := killAll(ctx, g.in(r)); err != nil {
			return fmt.Errorf("cgroup: kill: %w", err)
		}
	}
	return nil
}

// OpenMember opens a pidfd of a process if it is in the group. The caller closes it.
func (g *Group) OpenMember(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("cgroup: process %d: %w", pid, err)
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	// Looked up once the process is held: its number may have gone to a stranger before.
	for _, r := range g.parent.roles {
		members, err := processes(g.in(r))
		if err == nil && !slices.Contains(members, pid) {
			err = fmt.Errorf("cgroup: process %d is not in %s", pid, g.in(r))
		}
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	return file, nil
}

func removeDir(ctx context.Context, dir string, rmdir func(string) error) error {
	for wait := 50 * time.Microsecond; ; wait = min(2*wait, 20*time.Millisecond) {
		err := rmdir(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
		if pause(ctx, wait) != nil {
			return err
		}
	}
}

// pause waits for what the kernel has no event for.
func pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write writes a control file in one call, as the kernel wants it.
func write(dir, file, value string) error {
	path := filepath.Join(dir, file)
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	for {
		_, err = unix.Write(fd, []byte(value))
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return &fs.PathError{Op: "write " + value + " to", Path: path, Err: err}
		}
	}
}

// read reads a control file; they are small.
func read(dir, file string) (string, error) {
	path := filepath.Join(dir, file)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var content []byte
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 {
			return string(content), nil
		}
		content = append(content, buf[:n]...)
	}
}
