package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/runtime"
	"hotaru/runtime/sdk"
)

func TestSDKCommandRefuses(t *testing.T) {
	for want, c := range map[string]sdkCommand{
		"--from goes with":     {From: "/x"},
		"--from takes":         {From: "/x", Runtime: []string{"python3.13"}, Package: []string{"boto3"}},
		"--remove":             {Remove: true, Client: []string{"s3"}},
		`"--global" is no`:     {Client: []string{"--global"}},
		`"-r" is no name of a`: {Package: []string{"-r"}},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, c := range []sdkCommand{{}, {Remove: true}, {Client: []string{"s3", "lib-storage@3.1"}}, {From: "/x", Runtime: []string{"python3.13"}}} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// statuses are the runtimes of a machine.
func statuses() []runtime.Status {
	python := func(version string) *runtime.Interpreter {
		return &runtime.Interpreter{Language: runtime.Python, Version: version, Path: "/lang/bin/python3"}
	}
	status := func(id string, in *runtime.Interpreter, err error) runtime.Status {
		info, _ := runtime.Lookup(id)
		return runtime.Status{Info: info, Interpreter: in, Err: err}
	}
	return []runtime.Status{
		status("python3.12", nil, errors.New("python3.12 is not installed here")), status("python3.13", python("3.13.1"), nil),
		status("python3.14", python("3.13.1"), nil), // stands in
		status("nodejs22.x", &runtime.Interpreter{Language: runtime.NodeJS, Version: "22.1.0", Path: "/lang/bin/node"}, nil),
		status("provided.al2023", nil, nil),
	}
}

func TestSDKCommandChooses(t *testing.T) {
	for _, tc := range []struct {
		ids  []string
		want []string
		err  string
	}{
		{nil, []string{"python3.13", "nodejs22"}, ""},
		{[]string{"nodejs22.x"}, []string{"nodejs22"}, ""},
		{[]string{"python3.14", "python3.13"}, []string{"python3.13"}, ""},
		{[]string{"python3.13", "python3.12"}, nil, "python3.12 is not installed here"},
		{[]string{"provided.al2023"}, nil, "has no SDK on Lambda"},
		{[]string{"python"}, nil, "python is no runtime of Lambda's"},
	} {
		interpreters, err := chosen(statuses(), tc.ids)
		var got []string
		for _, in := range interpreters {
			got = append(got, in.SDK())
		}
		if !strings.Contains(errorText(err), tc.err) || (err == nil) != (tc.err == "") || !cmp.Equal(got, tc.want) {
			t.Errorf("%q: %q, %v", tc.ids, got, err)
		}
	}
	if _, err := chosen(nil, nil); err == nil {
		t.Error("nothing was chosen without an error")
	}
}

// TestSDKCommand installs from a directory, shows what is there, and removes it.
func TestSDKCommand(t *testing.T) {
	prepared := t.TempDir()
	modules := filepath.Join(prepared, "node_modules", "@aws-sdk", "client-s3")
	if err := os.MkdirAll(modules, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(modules, "package.json"), []byte(`{"name":"@aws-sdk/client-s3","version":"3.7.0"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	store := sdk.Store{Dir: filepath.Join(t.TempDir(), "sdk")}
	interpreters, err := chosen(statuses(), []string{"nodejs22.x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		command     sdkCommand
		says, shown string
	}{
		{sdkCommand{From: prepared}, "nodejs22: @aws-sdk 3.7.0, clients: 1\nFunctions see it", "@aws-sdk 3.7.0, clients: 1"},
		{sdkCommand{Remove: true}, "nodejs22: removed\n", ""},
	} {
		var out strings.Builder
		if err := tc.command.install(t.Context(), &out, store, interpreters); err != nil || !strings.HasPrefix(out.String(), tc.says) {
			t.Errorf("%q, %v", out.String(), err)
		}
		rows, err := runtimeRows(statuses(), store)
		if err != nil || rows[3].SDK != tc.shown || rows[1].SDK != "" || rows[0].Reason == "" {
			t.Errorf("%+v, %v", rows, err)
		}
	}
	if err := (sdkCommand{From: prepared}).install(t.Context(), os.Stderr, store, []*runtime.Interpreter{statuses()[1].Interpreter}); err == nil {
		t.Error("Node.js's SDK became Python's")
	}
}
