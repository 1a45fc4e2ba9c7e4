//go:build linux

package userns

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestArriveElsewhere: a process that nobody started for this goes on as it is.
func TestArriveElsewhere(t *testing.T) {
	for _, role := range []string{"", "other"} {
		if err := Arrive(role, Program{}); err != nil {
			t.Errorf("%q: %v", role, err)
		}
	}
}

func TestFromMaps(t *testing.T) {
	all := []Entry{{0, 0, 4294967295}}
	for _, tc := range []struct {
		name          string
		users, groups []Entry
		want          IDs
	}{
		{"the host", all, all, IDs{}},
		{"nothing mapped", nil, nil, IDs{Rootless: true}},
		{"root alone", []Entry{{0, 1000, 1}}, []Entry{{0, 1000, 1}}, IDs{Rootless: true}},
		{"subordinate ids", []Entry{{0, 1000, 1}, {1, 100000, 65536}}, []Entry{{0, 1000, 1}, {1, 200000, 65536}}, IDs{true, 1, 65536}},
		{"fewer groups", []Entry{{0, 1000, 1}, {1, 100000, 65536}}, []Entry{{0, 1000, 1}, {5, 200000, 100}}, IDs{true, 5, 100}},
		{"one range with root", []Entry{{0, 100000, 65536}}, []Entry{{0, 100000, 65536}}, IDs{true, 1, 65535}},
		{"users without groups", []Entry{{1, 100000, 10}}, []Entry{{11, 100000, 10}}, IDs{Rootless: true}},
		{"up to the last", []Entry{{1, 1, 4294967294}}, []Entry{{1, 1, 4294967294}}, IDs{true, 1, 4294967294}},
	} {
		if got := fromMaps(tc.users, tc.groups); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func TestSubordinate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "subuid")
	if _, count, err := Subordinate(path, "firefly", 1000); count != 0 || err != nil {
		t.Errorf("no file: %d, %v", count, err)
	}
	content := "# a comment\nfirefly:x:1\nfirefly:1:0\nother:1:2\nfirefly:100000:65536\nfirefly:900000:1\n1001:7:8\n:5:5\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		login        string
		id           int
		first, count uint32
	}{{"firefly", 1000, 100000, 65536}, {"", 1001, 7, 8}, {"", 1002, 0, 0}, {"nobody", 5, 0, 0}} {
		if first, count, err := Subordinate(path, tc.login, tc.id); first != tc.first || count != tc.count || err != nil {
			t.Errorf("%s %d: %d %d %v", tc.login, tc.id, first, count, err)
		}
	}
	if _, _, err := Subordinate(t.TempDir(), "firefly", 1000); err == nil {
		t.Error("a directory is no file of ids")
	}
}

func TestOwn(t *testing.T) {
	ids, err := Own()
	if err != nil || !ids.Rootless && ids.Count != 0 {
		t.Errorf("%+v %v", ids, err)
	}
}
