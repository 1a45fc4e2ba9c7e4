//go:build linux

package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fakeV2 is a version 2 hierarchy in a temporary directory: making a group makes the files that the kernel
// would, removing one removes them, and a busy one is refused. What is written stays, for the test to read.
type fakeV2 struct {
	root string
	busy int // how many removals are refused
}

func newFakeV2(t *testing.T) (*fakeV2, *Parent) {
	t.Helper()
	f := &fakeV2{root: t.TempDir()}
	for file, content := range map[string]string{"cgroup.controllers": "cpuset cpu io memory pids\n", "cgroup.subtree_control": ""} {
		f.set(t, ".", file, content)
	}
	mountinfo := "30 23 0:26 / " + f.root + " rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
	layout, err := detect("hotaru-test", false, false, strings.NewReader(mountinfo), strings.NewReader("0::/user.slice/x\n"))
	if err != nil {
		t.Fatal(err)
	}
	p := &Parent{layout: layout, roles: layout.dirs(), mkdir: f.mkdir, rmdir: f.rmdir}
	if err := p.open(); err != nil {
		t.Fatal(err)
	}
	return f, p
}

func (f *fakeV2) mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for file, content := range map[string]string{
		"cgroup.procs": "", "cgroup.subtree_control": "", "cgroup.kill": "", "cgroup.freeze": "0\n",
		"cgroup.events": "populated 0\nfrozen 1\n", "memory.max": "max\n", "memory.swap.max": "max\n",
		"memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n",
		"memory.stat":   "anon 1000\nfile 900000\nkernel 240\nshmem 30\nslab 47\nslab_reclaimable 40\n", "memory.current": "901230\n",
		"cpu.max": "max 100000\n", "cpu.weight": "100\n", "cpu.stat": "usage_usec 1500\nuser_usec 1000\n", "pids.max": "max\n", "pids.current": "3\n",
		"io.max": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeV2) rmdir(dir string) error {
	if f.busy > 0 {
		f.busy--
		return &fs.PathError{Op: "rmdir", Path: dir, Err: unix.EBUSY}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			return errors.New("a group has groups in it")
		}
	}
	return os.RemoveAll(dir)
}

func (f *fakeV2) set(t *testing.T, dir, file, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.root, dir, file), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// get is what was last written to a control file: the kernel's files do not grow, and neither do these seem to.
func (f *fakeV2) get(t *testing.T, dir, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(f.root, dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}
