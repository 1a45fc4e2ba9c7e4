package runtime_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/runtime"
	"hotaru/runtimeapi"
)

// mountScript makes a root out of a directory and binds, in a mount namespace of its own, and starts a program
// in it: what a driver does, without the isolation.
const mountScript = `set -e
chroot=$1; root=$2; shift 2
while [ "$1" != -- ]; do mount --bind "$1" "$root$2"; shift 2; done
shift
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
exec "$chroot" "$root" "$@"`

// TestRootStarts starts interpreters in the roots that are made for them, and lets a function look around.
func TestRootStarts(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root for a mount namespace")
	}
	chroot, err := exec.LookPath("chroot")
	if err != nil {
		t.Skip(err)
	}
	usr := &runtime.Catalog{Search: runtime.Search{Globs: []string{"/usr/bin"}}, StateDir: t.TempDir()}
	for name, test := range map[string]struct {
		catalog *runtime.Catalog
		id      string
	}{
		"python of a version manager": {catalog(), "python3.11"},
		"another python":              {catalog(), "python3.9"},
		"python in /usr":              {usr, "python3.11"},
		"node":                        {catalog(), "nodejs20.x"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := test.catalog.Resolve(t.Context(), test.id)
			if err != nil {
				t.Skip(err)
			}
			task := filepath.Join(t.TempDir(), "task")
			write(t, filepath.Join(task, "app.py"), lookAroundPython)
			write(t, filepath.Join(task, "app.js"), lookAroundNode)
			p := r.Program(runtime.Options{MemoryMB: 128})
			args := []string{"-c", mountScript, "sh", chroot, p.Root.Dir}
			for _, bind := range p.Root.Binds {
				args = append(args, bind.Source, bind.Target)
			}
			args = append(append(args, task, "/var/task", "--"), p.Args...)
			cmd := exec.Command("/bin/sh", args...)
			cmd.Env = p.Env
			cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
			var output strings.Builder
			cmd.Stdout, cmd.Stderr = &output, &output
			daemon, theirs, err := runtimeapi.Pair()
			if err != nil {
				t.Fatal(err)
			}
			cmd.ExtraFiles = []*os.File{theirs}
			session := runtimeapi.NewFrames(daemon, &process{t: t, cmd: cmd})
			err = cmd.Start()
			theirs.Close()
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				session.Close()
				_ = cmd.Wait()
				if t.Failed() {
					t.Log(output.String())
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if err := session.Init(ctx, runtimeapi.Start{Handler: "app.handler"}); err != nil {
				t.Fatal(err, output.String())
			}
			response, err := session.Invoke(ctx, &runtimeapi.Event{RequestID: "1", Payload: []byte("null")})
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(response.Payload, &got); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{"cwd": "/var/task", "hidden": []any{}, "awk": "7", "zone": "UTC", "authorities": true,
				"user": "sbx_user1051"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

const lookAroundPython = `
import glob, os, pwd, ssl, subprocess, time, sqlite3, ctypes, hashlib, zlib, bz2, lzma, uuid

def handler(event, context):
    return {
        "cwd": os.getcwd(),
        "hidden": [p for p in glob.glob("/root/*") + glob.glob("/home/*") + glob.glob("/root/.*") + ["/etc/shadow", "/etc/machine-id"] if os.path.exists(p)],
        "awk": subprocess.check_output(["awk", "BEGIN { print 3 + 4 }"], text=True).strip(),
        "zone": time.tzname[0],
        "authorities": len(ssl.create_default_context().get_ca_certs()) > 10 or bool(os.listdir("/etc/ssl/certs")),
        "user": pwd.getpwuid(993).pw_name,
    }
`

const lookAroundNode = `
const fs = require('fs');
const { execFileSync } = require('child_process');
const list = (dir) => fs.readdirSync(dir).map((name) => dir + '/' + name);
exports.handler = async () => ({
  cwd: process.cwd(),
  hidden: [...list('/root'), ...list('/home'), '/etc/shadow', '/etc/machine-id'].filter((path) => fs.existsSync(path)),
  awk: execFileSync('awk', ['BEGIN { print 3 + 4 }'], { encoding: 'utf8' }).trim(),
  zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  authorities: fs.readdirSync('/etc/ssl/certs').length > 10,
  user: fs.readFileSync('/etc/passwd', 'utf8').match(/^(\w+):x:993:/m)[1],
});
`
