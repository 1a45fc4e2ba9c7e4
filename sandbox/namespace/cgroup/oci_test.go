//go:build linux

package cgroup

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDetectOCI(t *testing.T) {
	pure := t.TempDir()
	if err := os.WriteFile(filepath.Join(pure, "cgroup.controllers"), []byte("cpu memory pids\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, mountinfo, self string
		memory, freezer       role
		others                []string
		path                  string
	}{
		{
			name: "version 1, and 2 without controllers",
			mountinfo: "1 2 0:1 / /cg/memory rw - cgroup cgroup rw,memory\n" +
				"1 2 0:2 / /cg/pids rw - cgroup cgroup rw,pids\n" +
				"1 2 0:3 / /cg/freezer rw - cgroup cgroup rw,freezer\n" +
				"1 2 0:4 / /cg/devices rw - cgroup cgroup rw,devices\n" +
				"1 2 0:5 / /cg/systemd rw - cgroup cgroup rw,name=systemd\n" +
				"1 2 0:6 / /cg/unified rw - cgroup2 cgroup2 rw\n",
			self:   "6:devices:/d\n5:pids:/\n4:memory:/service/x\n3:freezer:/\n1:name=systemd:/\n0::/u\n",
			memory: role{dir: "/cg/memory/service/x/n"}, freezer: role{dir: "/cg/freezer/n"},
			others: []string{"/cg/devices/d/n", "/cg/systemd/n", "/cg/unified/u/n"},
			path:   "n/box",
		},
		{
			name:      "version 2",
			mountinfo: "1 2 0:6 / " + pure + " rw - cgroup2 cgroup2 rw\n",
			self:      "0::/\n",
			memory:    role{dir: pure + "/n", v2: true}, freezer: role{dir: pure + "/n", v2: true},
			path: "/n/box",
		},
	} {
		layout, others, err := detectOCI("n", []byte(test.mountinfo), []byte(test.self))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if layout.memory != test.memory || layout.freezer != test.freezer {
			t.Errorf("%s: %+v", test.name, layout)
		}
		if diff := cmp.Diff(test.others, others); diff != "" {
			t.Errorf("%s: others (-want +got):\n%s", test.name, diff)
		}
		parent := &Parent{layout: layout, roles: layout.dirs()}
		if got := parent.OCIPath("box"); got != test.path {
			t.Errorf("%s: a runtime calls it %q, want %q", test.name, got, test.path)
		}
	}
	if _, _, err := detectOCI("n", []byte("nonsense\n"), nil); err == nil {
		t.Error("reads nonsense")
	}
}
