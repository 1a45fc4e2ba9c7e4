//go:build linux

package cgroup

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// DetectOCI reads the layout that OCI runtimes use on this host: version 1 alone if any controller of it is mounted.
// others are our parent directories in hierarchies that do nothing for us, where runtimes make groups all the same.
func DetectOCI(name string) (layout Layout, others []string, err error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return Layout{}, nil, fmt.Errorf("cgroup: %w", err)
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return Layout{}, nil, fmt.Errorf("cgroup: %w", err)
	}
	return detectOCI(name, mountinfo, own)
}

func detectOCI(name string, mountinfo, selfCgroup []byte) (Layout, []string, error) {
	layout, err := detect(name, true, false, bytes.NewReader(mountinfo), bytes.NewReader(selfCgroup))
	if err == nil && len(layout.dirs()) == 0 {
		layout, err = detect(name, false, false, bytes.NewReader(mountinfo), bytes.NewReader(selfCgroup))
	}
	if err != nil {
		return Layout{}, nil, err
	}
	mounts, err := parseMounts(bytes.NewReader(mountinfo))
	if err != nil {
		return Layout{}, nil, err
	}
	own, err := parseOwn(bytes.NewReader(selfCgroup))
	if err != nil {
		return Layout{}, nil, err
	}
	var others []string
	for _, m := range mounts {
		controllers := m.controllers
		if m.v2 {
			controllers = []string{""} // which is how /proc/self/cgroup names it
		}
		for _, controller := range controllers {
			group, in := own[controller]
			dir := filepath.Join(m.dir, below(m.root, group), name)
			if in && !slices.Contains(layout.Dirs(), dir) && !slices.Contains(others, dir) {
				others = append(others, dir)
			}
		}
	}
	return layout, others, nil
}

// OCIPath is what an OCI runtime calls a group of ours (cgroupsPath of the runtime specification): with version 1
// from the group that this process is in, and with version 2 from the top.
func (p *Parent) OCIPath(group string) string {
	if below, unified := strings.CutPrefix(p.layout.unified.dir, p.layout.top); unified && p.layout.top != "" {
		return below + "/" + group
	}
	return filepath.Base(p.roles[0].dir) + "/" + group
}
