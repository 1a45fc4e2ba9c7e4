package main

import (
	"errors"
	"strings"
	"testing"

	"hotaru/daemon"
	"hotaru/sandbox"
)

func surveyed() []daemon.Surveyed {
	return []daemon.Surveyed{
		{Sandbox: "namespace", Capabilities: []sandbox.Capability{
			{Boundary: sandbox.BoundaryFiles, Enforced: true},
			{Boundary: sandbox.LimitTmp, Reason: "no quota", Mend: "install mkfs.ext4"},
		}},
		{Sandbox: "oci", Err: errors.New("no runtime")},
	}
}

func TestDoctorRefuses(t *testing.T) {
	if err := (doctorCommand{Require: []string{"all", "files", "tmp"}}).Validate(); err != nil {
		t.Error(err)
	}
	if err := (doctorCommand{Require: []string{"walls"}}).Validate(); err == nil {
		t.Error("a boundary that is none was taken")
	}
}

func TestDoctorRequires(t *testing.T) {
	for _, tc := range []struct {
		sandbox string
		require []string
		want    string
	}{
		{"all", nil, ""},
		{"all", []string{"files"}, ""},
		{"all", []string{"tmp"}, "not enforced: namespace tmp"},
		{"all", []string{"files", "tmp"}, "not enforced: namespace tmp"},
		{"namespace", []string{"all"}, "not enforced: namespace tmp"},
		{"oci", []string{"files"}, "not enforced: oci"},
		{"oci", nil, ""},
	} {
		err := doctorCommand{Sandbox: tc.sandbox, Require: tc.require}.lacking(doctorRows(surveyed()))
		if got := errorText(err); got != tc.want {
			t.Errorf("%s %v: %q, want %q", tc.sandbox, tc.require, got, tc.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// What the machine has too little of is said with how to get more, and is nobody's boundary.
func TestDoctorRooms(t *testing.T) {
	rows := roomRows([]daemon.Room{
		{Of: "open-files", Environments: 999, Why: "few", Mend: "raise it"}, {Of: "memory", Environments: 1000, Why: "much", Mend: "buy more"},
	})
	var out strings.Builder
	if err := printRooms(&out, rows); err != nil {
		t.Fatal(err)
	}
	const want = `machine  open-files  room for 999 environments   few; for more: raise it
machine  memory      room for 1000 environments  much
`
	if out.String() != want {
		t.Errorf("prints\n%swant\n%s", out.String(), want)
	}
	if err := (doctorCommand{Sandbox: "all", Require: []string{"all"}}).lacking(rows); err != nil {
		t.Errorf("required of a sandbox: %v", err)
	}
}

func TestDoctorPrints(t *testing.T) {
	var out strings.Builder
	if err := printDoctor(&out, doctorRows(surveyed())); err != nil {
		t.Fatal(err)
	}
	const want = `namespace  files  enforced
namespace  tmp    not enforced   no quota; to mend it: install mkfs.ext4
oci               does not work  no runtime
`
	got := ""
	for line := range strings.Lines(out.String()) {
		got += strings.TrimRight(line, " \n") + "\n"
	}
	if got != want {
		t.Errorf("prints\n%swant\n%s", got, want)
	}
}
