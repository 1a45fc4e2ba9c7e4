//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// place says below which group of version 2 ours belong: the nearest around this process that the service manager has
// delegated (Delegate=yes of systemd.resource-control(5)), because what it has not is its own to arrange; else the
// topmost that can be seen. A group with processes cannot have children with controllers, the real topmost
// excepted: where that would be this process's own group, leaf is the one it moves to first.
func place(top, own, name string) (dir, leaf string) {
	dir = top
	for group := own; group != top && strings.HasPrefix(group, top); group = filepath.Dir(group) {
		if isDelegated(group) {
			dir = group
			break
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "cgroup.events")); err != nil || dir != own { // the topmost has no events
		return dir, ""
	}
	return dir, filepath.Join(dir, name+"-daemon")
}

// isDelegated reads systemd's mark: the first name is older and for root alone.
func isDelegated(group string) bool {
	for _, name := range [...]string{"trusted.delegate", "user.delegate"} {
		value := make([]byte, 8)
		if n, err := unix.Getxattr(group, name, value); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

// moveSelf moves this process into its leaf. It stays there, and the leaf with it, until whoever made the group around it
// removes that: there is no way back while other groups are there.
func (p *Parent) moveSelf() error {
	leaf := p.layout.leaf
	if leaf == "" {
		return nil
	}
	if err := p.mkdir(leaf); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cgroup: %w", err)
	}
	if err := write(leaf, "cgroup.procs", "0"); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	return nil
}
