//go:build linux && (amd64 || arm64)

package oci_test

import (
	"encoding/json"
	"io"
	"os"
	"testing"

	"hotaru/sandbox"
	"hotaru/sandbox/sandboxtest"
)

// intruder tries each way in of its argument, JSON, and prints what it was told: an errno's name, or what it got.
const intruder = `
import ctypes, errno, json, os, resource, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *args):
    got = getattr(libc, name)(*args)
    if got < 0: raise OSError(ctypes.get_errno(), name)
    return got

def write(path):
    with open(path, "wb", buffering=0) as f: return f.write(b"x")

def second():
    ended = subprocess.run(["/dev/init"], stdin=subprocess.DEVNULL).returncode
    os.kill(1, 0)
    return ended

told = {}
for name, code in json.loads(sys.argv[1]).items():
    try: told[name] = repr(eval(code))
    except OSError as e: told[name] = errno.errorcode[e.errno]
    except ValueError as e: told[name] = str(e)
print(json.dumps(told))
`

// wayIn is one attempt, as an expression of intruder's, and the refusal of each runtime.
type wayIn struct{ code, runc, runsc string }

// waysIn lead to stage-1, to what the runtime left, and out. gVisor's kernel shows what process 1 has, which is no secret: a
// socket that nobody else can open, and /dev/null three times, two of them to write to.
var waysIn = map[string]wayIn{
	"a signal":               {"os.kill(1, 19)", "EPERM", "EPERM"},
	"the end":                {"os.kill(1, 9)", "EPERM", "EPERM"},
	"its control socket":     {"os.open('/proc/1/fd/0', os.O_RDWR)", "ENOENT", "ENXIO"},
	"its descriptors":        {"sorted(os.listdir('/proc/1/fd'))", "ENOENT", "['0', '1', '2', '3']"},
	"its output":             {"os.read(os.open('/proc/1/fd/1', os.O_RDONLY), 1)", "ENOENT", "EBADF"},
	"its environment":        {"sorted(open('/proc/1/environ').read().split('\\0'))", "ENOENT", "['', 'GOMAXPROCS=1', 'GOTRACEBACK=none', 'HOME=/root']"},
	"its memory":             {"os.open('/proc/1/mem', os.O_RDWR)", "ENOENT", "EACCES"},
	"its root":               {"os.listdir('/proc/1/root/etc')", "ENOENT", "EACCES"},
	"its namespaces":         {"call('setns', os.open('/proc/1/ns/mnt', os.O_RDONLY), 0)", "ENOENT", "ENOENT"},
	"to trace it":            {"call('ptrace', 16, 1, 0, 0)", "EPERM", "EPERM"},
	"its program, to change": {"write('/dev/init')", "EROFS", "EACCES"},
	"a second of it":         {"second()", "EPERM", "EPERM"},
	"a new device":           {"os.mknod('/tmp/disk', 0o60666, os.makedev(254, 0))", "EACCES", "EPERM"},
	"a new file in /dev":     {"write('/dev/x')", "EROFS", "EACCES"},
	"the host's settings":    {"write('/proc/sys/kernel/core_pattern')", "EROFS", "EACCES"},
	"the kernel's trigger":   {"not os.path.exists('/proc/sysrq-trigger') or os.stat('/proc/sysrq-trigger').st_rdev == os.makedev(1, 3)", "True", "True"},
	"control groups":         {"call('mount', b'none', b'/tmp', b'cgroup2', 0, None)", "EPERM", "EPERM"},
	"a new user namespace":   {"call('unshare', 0x10000000)", "EPERM", "EPERM"},
	"more files":             {"resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))", "not allowed to raise maximum limit", "not allowed to raise maximum limit"},
}

// TestStage1OutOfReach: user code cannot get at process 1, at its socket to the driver, or at what the runtime left.
func TestStage1OutOfReach(t *testing.T) {
	if _, err := os.Stat("/usr/bin/python3"); err != nil {
		t.Skip("the ways in are Python and /usr/bin/python3 is missing: ", err)
	}
	codes := map[string]string{}
	for name, way := range waysIn {
		codes[name] = way.code
	}
	question, err := json.Marshal(codes)
	if err != nil {
		t.Fatal(err)
	}
	for _, runtime := range []string{"runc", "runsc"} {
		t.Run(runtime, func(t *testing.T) {
			sandboxtest.CheckLeaks(t)
			driver := newDriver(t, runtime)
			box, err := driver.Create(t.Context(), sandbox.Spec{ID: "hostile", Root: sandboxtest.Root(t)})
			if err != nil {
				t.Fatal(err)
			}
			cmd := sandbox.Command{Path: "/usr/bin/python3", Args: []string{"python3", "-I", "-S", "-c", intruder, string(question)}, Dir: "/tmp"}
			status, out := runCommand(t, box, cmd)
			var told map[string]string
			if err := json.Unmarshal([]byte(out), &told); err != nil || status != (sandbox.ExitStatus{}) {
				t.Fatalf("%+v, %v: %s", status, err, out)
			}
			for name, way := range waysIn {
				want := way.runc
				if runtime == "runsc" {
					want = way.runsc
				}
				if told[name] != want {
					t.Errorf("%s: it is told %q, want %q", name, told[name], want)
				}
			}
			if status, out := runCommand(t, box, command("echo still there")); out != "still there\n" || status != (sandbox.ExitStatus{}) {
				t.Errorf("afterwards: %+v, %q", status, out)
			}
		})
	}
}

// runCommand runs a command to its end.
func runCommand(t *testing.T, box sandbox.Sandbox, cmd sandbox.Command) (sandbox.ExitStatus, string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	p, err := box.Start(t.Context(), cmd)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return wait(t, p), string(out)
}
