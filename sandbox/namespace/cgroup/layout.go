//go:build linux

// Package cgroup bounds, freezes, counts and kills the processes of a sandbox through the kernel's control
// groups: version 2, version 1, and hosts that have both. It writes the files itself, because each microsecond
// of it is part of every cold start. It must not know sandboxes: a group has a name and limits.
package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// role is one thing that groups do, and the hierarchy that does it here.
type role struct {
	dir string // our parent directory in that hierarchy; "" where the host has no hierarchy for the role
	v2  bool
}

// Layout says which hierarchy does what on this host.
type Layout struct {
	memory, cpu, pids, cpuacct, freezer, io role
	// unified is the version 2 hierarchy, with or without controllers: it kills, and it takes a process at
	// its birth (CLONE_INTO_CGROUP).
	unified role
	// top is where the version 2 hierarchy is mounted, and leaf the group in it that this process must move to before
	// others can be beside it; "" if it need not.
	top, leaf string
	// rootless says that only what the system has delegated to an ordinary user can be used: what cannot is left out.
	rootless bool
	// ioRoot is the top of version 1's hierarchy for disks, if it can be seen: what the kernel writes by itself
	// belongs to the group there.
	ioRoot string
}

// mount is one mounted hierarchy.
type mount struct {
	root        string // the cgroup that is shown at dir
	dir         string
	v2          bool
	controllers []string // of version 1
}

// Detect reads the layout of this host. Each parent directory is named name: in version 1 below the group that
// this process is in, so that limits set on the daemon hold for what it starts; in version 2 in what is delegated to it,
// or at the top (place). v1Only leaves version 2 alone on a host that
// has both. rootless stays in version 2 beside the group that this process is in, which is where a user's own session
// manager has delegated it; Open then leaves out what it may not make.
func Detect(name string, v1Only, rootless bool) (Layout, error) {
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return Layout{}, fmt.Errorf("cgroup: %w", err)
	}
	defer mounts.Close()
	own, err := os.Open("/proc/self/cgroup")
	if err != nil {
		return Layout{}, fmt.Errorf("cgroup: %w", err)
	}
	defer own.Close()
	return detect(name, v1Only, rootless, mounts, own)
}

func detect(name string, v1Only, rootless bool, mountinfo, selfCgroup io.Reader) (Layout, error) {
	mounts, err := parseMounts(mountinfo)
	if err != nil {
		return Layout{}, err
	}
	own, err := parseOwn(selfCgroup)
	if err != nil {
		return Layout{}, err
	}
	l := Layout{rootless: rootless}
	for _, m := range mounts {
		if m.v2 {
			if l.unified.dir == "" && !v1Only {
				group := filepath.Join(m.dir, below(m.root, own[""]))
				parent := filepath.Dir(group)
				if !rootless {
					parent, l.leaf = place(m.dir, group, name)
				}
				l.top = m.dir
				l.unified = role{dir: filepath.Join(parent, name), v2: true}
				l.takeControllers(parent)
			}
			continue
		}
		for _, controller := range m.controllers {
			if r := l.role(controller); r != nil && (r.dir == "" || r.v2) {
				*r = role{dir: filepath.Join(m.dir, below(m.root, own[controller]), name)}
				if r == &l.io && m.root == "/" {
					l.ioRoot = m.dir
				}
			}
		}
	}
	if l.unified.dir != "" {
		// Both work without a controller, and better than in version 1.
		l.freezer = l.unified
		l.cpuacct = l.unified
	}
	return l, nil
}

// takeControllers gives version 2 the roles whose controllers it has.
func (l *Layout) takeControllers(root string) {
	content, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return // not a version 2 hierarchy after all: version 1 or nothing keeps the roles
	}
	for _, controller := range strings.Fields(string(content)) {
		if r := l.role(controller); r != nil && r.dir == "" && r != &l.freezer {
			*r = l.unified
		}
	}
}

func (l *Layout) role(controller string) *role {
	switch controller {
	case "memory":
		return &l.memory
	case "cpu":
		return &l.cpu
	case "pids":
		return &l.pids
	case "cpuacct":
		return &l.cpuacct
	case "freezer":
		return &l.freezer
	case "io", "blkio": // by version
		return &l.io
	}
	return nil
}

// below is where a group is under a mount that shows the hierarchy from root on.
func below(root, group string) string {
	rest, inside := strings.CutPrefix(group, root)
	if root == "/" || !inside {
		return group
	}
	return rest
}

// drop leaves a role out.
func (l *Layout) drop(gone role) {
	for _, r := range []*role{&l.unified, &l.memory, &l.cpu, &l.pids, &l.cpuacct, &l.freezer, &l.io} {
		if *r == gone {
			*r = role{}
		}
	}
}

// dirs are the parent directories, each once, the unified one first.
func (l *Layout) dirs() []role {
	var all []role
	for _, r := range []role{l.unified, l.memory, l.cpu, l.pids, l.cpuacct, l.freezer, l.io} {
		if r.dir != "" && !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	return all
}

// Dirs are the parent directories; what is in them is this daemon's alone.
func (l *Layout) Dirs() []string {
	var dirs []string
	for _, r := range l.dirs() {
		dirs = append(dirs, r.dir)
	}
	return dirs
}

// parseMounts reads the cgroup mounts of proc_pid_mountinfo(5).
func parseMounts(mountinfo io.Reader) ([]mount, error) {
	var mounts []mount
	lines := bufio.NewScanner(mountinfo)
	for lines.Scan() {
		before, after, found := strings.Cut(lines.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !found || len(left) < 6 || len(right) < 3 {
			return nil, errors.New("cgroup: mountinfo is not as proc(5) says")
		}
		switch right[0] {
		case "cgroup2":
			mounts = append(mounts, mount{root: left[3], dir: left[4], v2: true})
		case "cgroup":
			mounts = append(mounts, mount{root: left[3], dir: left[4], controllers: strings.Split(right[2], ",")})
		}
	}
	return mounts, lines.Err()
}

// parseOwn reads which group of each version 1 controller a process is in (cgroups(7)).
func parseOwn(selfCgroup io.Reader) (map[string]string, error) {
	own := map[string]string{}
	lines := bufio.NewScanner(selfCgroup)
	for lines.Scan() {
		parts := strings.SplitN(lines.Text(), ":", 3)
		if len(parts) != 3 {
			return nil, errors.New("cgroup: /proc/self/cgroup is not as cgroups(7) says")
		}
		for _, controller := range strings.Split(parts[1], ",") {
			own[controller] = parts[2]
		}
	}
	return own, lines.Err()
}
