package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"hotaru/internal/client"
	"hotaru/internal/sample"
)

// nobody is a user that no system has.
const nobody = 64322

// asNobody makes a program that runs the binary as an ordinary user, who owns the data directory.
func asNobody(t *testing.T) (binary string) {
	t.Helper()
	root, err := client.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir, home := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, "bin", "hotaru"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "hotaru"), content, 0o755)
	}
	script := fmt.Sprintf(`#!/bin/sh
previous=
for argument in "$@"; do
  [ "$previous" = --data-dir ] && chown %[1]d:%[1]d "$argument"
  previous=$argument
done
exec setpriv --reuid=%[1]d --regid=%[1]d --clear-groups env HOME=%[2]s %[3]s/hotaru "$@"
`, nobody, home, dir)
	binary = filepath.Join(dir, "as-nobody")
	if err == nil {
		err = os.WriteFile(binary, []byte(script), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// TestOrdinaryUser serves functions without root, in sandboxes all the same.
func TestOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become somebody else")
	}
	server, err := client.Launch(t.Context(), asNobody(t), &testLog{t: t})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	t.Cleanup(func() {
		if !stopped {
			_ = server.Stop()
		}
	})
	installed, err := server.Installed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if installed["python"].ID == "" {
		t.Skip("no Python that other users may run")
	}
	role, err := server.Role(t.Context(), "fn")
	if err != nil {
		t.Fatal(err)
	}
	pack, err := sample.Zip(map[string]string{"app.py": `
import os
count = 0
def handler(event, context):
    global count
    count += 1
    try:
        open("/var/task/app.py", "a")
        writes = "wrote"
    except OSError as e: writes = type(e).__name__
    return [count, os.getuid(), writes, sorted(p for p in os.listdir("/proc") if p.isdigit() and p != str(os.getpid()))]
`})
	if err != nil {
		t.Fatal(err)
	}
	f := sample.Function{Name: "f", Runtime: installed["python"].ID, Handler: "app.handler", Zip: pack}
	if err := server.CreateFunction(t.Context(), role, f, 128); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		out, err := server.Lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f")})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(out.Payload), fmt.Sprintf(`[%d, 993, "OSError", []]`, i+1); got != want {
			t.Errorf("answer %s, want %s", got, want)
		}
	}
	stopped = true
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	if left := processesOf(t, nobody); len(left) > 0 {
		t.Errorf("still running: %v", left)
	}
}

// processesOf lists the command lines of a user's processes.
func processesOf(t *testing.T, uid int) []string {
	t.Helper()
	out, err := exec.Command("ps", "-o", "args=", "-U", strconv.Itoa(uid)).Output()
	if err != nil && len(out) > 0 {
		t.Fatal(err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
}
