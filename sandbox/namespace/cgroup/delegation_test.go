//go:build linux

package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// service makes the fake a host under systemd: a service's group with this process in it.
func (f *fakeV2) service(t *testing.T, group string, delegated bool) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(f.root, filepath.Dir(group)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := f.mkdir(filepath.Join(f.root, group)); err != nil {
		t.Fatal(err)
	}
	f.set(t, group, "cgroup.controllers", "cpu io memory pids\n")
	if !delegated {
		return
	}
	if err := unix.Setxattr(filepath.Join(f.root, group), "user.delegate", []byte("1"), 0); errors.Is(err, unix.ENOTSUP) {
		t.Skip("the temporary directory has no user attributes: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
}

func (f *fakeV2) detect(t *testing.T, self string) *Parent {
	t.Helper()
	mountinfo := "30 23 0:26 / " + f.root + " rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
	layout, err := detect("hotaru-test", false, false, strings.NewReader(mountinfo), strings.NewReader("0::"+self+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	return &Parent{layout: layout, roles: layout.dirs(), mkdir: f.mkdir, rmdir: f.rmdir}
}

// In a service with Delegate=yes the groups are in the service's own, and nothing above is touched.
func TestDelegated(t *testing.T) {
	const service = "system.slice/hotaru.service"
	f := &fakeV2{root: t.TempDir()}
	f.set(t, ".", "cgroup.controllers", "cpu io memory pids\n")
	f.set(t, ".", "cgroup.subtree_control", "")
	f.service(t, service, true)
	p := f.detect(t, "/"+service)
	if err := p.open(); err != nil {
		t.Fatal(err)
	}
	if got := f.get(t, service+"/hotaru-test-daemon", "cgroup.procs"); got != "0" {
		t.Errorf("this process was moved by writing %q", got)
	}
	for dir, want := range map[string]string{".": "", service: "+io", service + "/hotaru-test": "+io", service + "/hotaru-test-daemon": ""} {
		if got := f.get(t, dir, "cgroup.subtree_control"); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s hands down %q, want %q", dir, got, want)
		}
	}
	if got := p.OCIPath("box"); got != "/"+service+"/hotaru-test/box" {
		t.Errorf("a runtime calls a group %q", got)
	}
	g, err := p.Create("box", Limits{PIDs: 7})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.get(t, service+"/hotaru-test/box", "pids.max"); !strings.HasPrefix(got, "7") {
		t.Errorf("pids.max is %q", got)
	}
	// What a later sweep kills in must not hold this process.
	for _, dir := range p.layout.Dirs() {
		if strings.HasSuffix(dir, "-daemon") {
			t.Errorf("%s is swept", dir)
		}
	}
	// A second daemon in the same service, or another driver of this one, is in a leaf already.
	again := f.detect(t, "/"+service+"/hotaru-test-daemon")
	if again.layout.leaf != "" || again.layout.unified != p.layout.unified {
		t.Errorf("from its leaf: %+v", again.layout)
	}
	if err := errors.Join(g.Remove(t.Context()), p.Close()); err != nil {
		t.Error(err)
	}
}

func TestPlace(t *testing.T) {
	for name, c := range map[string]struct {
		self, dir, leaf string
		delegated       bool
		container       bool // the topmost that can be seen is a container's
	}{
		"the host's top":                {self: "/", dir: "."},
		"a service without delegation":  {self: "/a/b.service", dir: "."},
		"a service with delegation":     {self: "/a/b.service", dir: "a/b.service", leaf: "a/b.service/hotaru-test-daemon", delegated: true},
		"a child of a delegated group":  {self: "/a/b.service/own", dir: "a/b.service", delegated: true},
		"a container":                   {self: "/", dir: ".", leaf: "hotaru-test-daemon", container: true},
		"in a container, moved already": {self: "/hotaru-test-daemon", dir: ".", container: true},
		"a group that cannot be seen":   {self: "/../other", dir: "."},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeV2{root: t.TempDir()}
			f.set(t, ".", "cgroup.controllers", "memory\n")
			if c.container {
				f.set(t, ".", "cgroup.events", "populated 1\n")
			}
			f.service(t, "a/b.service", c.delegated)
			l := f.detect(t, c.self).layout
			leaf := ""
			if c.leaf != "" {
				leaf = filepath.Join(f.root, c.leaf)
			}
			if want := filepath.Join(f.root, c.dir, "hotaru-test"); l.unified.dir != want || l.leaf != leaf || l.memory != l.unified {
				t.Errorf("%s with %q, want %s with %q", l.unified.dir, l.leaf, want, leaf)
			}
		})
	}
}
