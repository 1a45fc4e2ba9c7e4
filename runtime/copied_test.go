package runtime_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hotaru/runtime"
	"hotaru/sandbox/namespace/wire"
)

// early are the ways in which a runtime's process can be there before its function.
func early(r *runtime.Runtime) []way {
	if r.Language == runtime.Python {
		return []way{zygote, copied}
	}
	return []way{zygote}
}

// copy makes the process as a copy of a template, without a sandbox: its steps are none.
func (p *process) copy() {
	t := p.t
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// A copy's parents end: it is to become this process's child.
	check(unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	check(err)
	control, theirs := os.NewFile(uintptr(ends[0]), "control"), os.NewFile(uintptr(ends[1]), "control")
	defer control.Close() // which is the end of the template
	null, err := os.Open(os.DevNull)
	check(err)
	defer null.Close()
	out, printed, err := os.Pipe()
	check(err)
	report, reported, err := os.Pipe()
	check(err)
	defer report.Close()

	template := &exec.Cmd{Path: p.cmd.Path, Args: p.cmd.Args, Env: p.cmd.Env, Dir: "/", Stdout: printed, Stderr: printed,
		ExtraFiles: []*os.File{null, theirs}}
	check(template.Start())
	theirs.Close()
	t.Cleanup(func() {
		if err := template.Wait(); err != nil {
			t.Errorf("the template: %v", err)
		}
	})
	message := make([]byte, wire.MaxReply)
	n, err := control.Read(message)
	check(err)
	header, fields, err := wire.Open(message[:n], wire.MaxReply)
	var hello wire.Reply
	if err != nil || header != (wire.Header{Type: wire.TypeReply, ID: 1}) || hello.Decode(fields) != nil || hello.Errno != 0 {
		t.Fatalf("the template says %v %+v, %v", header, hello, err)
	}

	request := wire.Fork{HasStdout: true, HasStderr: true, FilesCount: 1, Dir: p.cmd.Dir}
	files := slices.Concat([]*os.File{reported, printed, printed}, p.cmd.ExtraFiles)
	var fds []int
	for _, file := range files {
		fds = append(fds, int(file.Fd()))
	}
	check(unix.Sendmsg(ends[0], request.Encode(2), unix.UnixRights(fds...), nil, 0))
	reported.Close()
	printed.Close()
	p.cmd.ExtraFiles[0].Close()
	said, err := io.ReadAll(report)
	check(err)
	var forked wire.Forked
	header, fields, err = wire.Open(said, wire.MaxReply)
	if err != nil || header != (wire.Header{Type: wire.TypeForked, ID: 2}) || forked.Decode(fields) != nil || forked.Errno != 0 {
		t.Fatalf("the copy says %v %+v, %v", header, forked, err)
	}
	p.cmd.Process, err = os.FindProcess(int(forked.PID))
	check(err)
	go func() {
		defer close(p.exited)
		defer out.Close()
		p.cmd.ProcessState, _ = p.cmd.Process.Wait() // how it ended is there
		_, _ = io.Copy(&p.stdout, out)
	}()
}

// Where a copy cannot be made, who asked for it is told; and a template that is asked for something else ends.
func TestNoTemplate(t *testing.T) {
	for _, id := range []string{"python3.8", "python3.11", "python3.13"} {
		t.Run(id, func(t *testing.T) {
			r := resolve(t, id)
			for name, test := range map[string]struct {
				edit func(env []string) []string
				want wire.Reply
			}{
				"no ctypes": {func(env []string) []string {
					dir := t.TempDir()
					write(t, dir+"/ctypes.py", "raise ImportError('there is none')")
					for i := range env {
						env[i] = strings.Replace(env[i], "PYTHONPATH=", "PYTHONPATH="+dir+":", 1)
					}
					return env
				}, wire.Reply{Errno: uint32(unix.ENOTSUP), Stage: "there is none"}},
				"everything there": {func(env []string) []string { return env }, wire.Reply{}},
			} {
				program := r.Program(runtime.Options{TaskRoot: t.TempDir()})
				got, err := hello(t, program, test.edit(program.Environ(nil)))
				if err != nil || got != test.want {
					t.Errorf("%s: %+v, %v; want %+v", name, got, err, test.want)
				}
			}
		})
	}
}

// hello starts a template and returns the first that it says.
func hello(t *testing.T, program runtime.Program, env []string) (m wire.Reply, err error) {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return m, err
	}
	control, theirs := os.NewFile(uintptr(ends[0]), "control"), os.NewFile(uintptr(ends[1]), "control")
	null, err := os.Open(os.DevNull)
	if err != nil {
		return m, err
	}
	defer null.Close()
	cmd := &exec.Cmd{Path: program.Path, Args: program.Args, Env: env, ExtraFiles: []*os.File{null, theirs}}
	if err := cmd.Start(); err != nil {
		return m, err
	}
	theirs.Close()
	defer func() { _ = cmd.Wait() }() // 1 where it can be none
	defer control.Close()
	message := make([]byte, wire.MaxReply)
	n, err := control.Read(message)
	if err != nil {
		return m, err
	}
	header, fields, err := wire.Open(message[:n], wire.MaxReply)
	if err == nil && header != (wire.Header{Type: wire.TypeReply, ID: 1}) {
		err = fmt.Errorf("it says %v", header)
	}
	if err == nil {
		err = m.Decode(fields)
	}
	return m, err
}

// What the template has used and forgotten works in its copies, on every Python, and so does what a process knows of itself.
const pythonForgotten = `
import ctypes, gc, multiprocessing, os, signal, socket, ssl, struct, subprocess, sys, threading, time

class Pair(ctypes.Structure):
    _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_char_p)]

def handler(event, context):
    libc = ctypes.CDLL(None, use_errno=True)
    called = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda n: n + 1)(6)
    ends = socket.socketpair()
    ends[0].sendall(b"x")
    started = threading.Thread(target=lambda: None)
    started.start()
    started.join()
    child = os.fork()
    if child == 0:
        os._exit(5)
    return [
        libc.getpid() == os.getpid(), called, Pair(1, b"x").b.decode(), ends[1].recv(1).decode(), ssl.RAND_status(),
        os.WEXITSTATUS(os.waitpid(child, 0)[1]), subprocess.run(["/bin/sh", "-c", "exit 3"]).returncode,
        threading.main_thread().native_id == threading.get_native_id(), threading.current_thread() is threading.main_thread(),
        gc.isenabled(), gc.collect() >= 0, time.process_time() < 5, ctypes.sizeof(Pair) == struct.calcsize("iP"),
        repr(signal.getsignal(signal.SIGCHLD)), sorted(m for m in sys.modules if m.startswith("hotaru_t")),
    ]
`

func TestForgotten(t *testing.T) {
	for _, id := range []string{"python3.8", "python3.9", "python3.10", "python3.11", "python3.12", "python3.13"} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			s := setup{runtime: resolve(t, id), way: cold}
			for _, source := range []string{pythonForgotten, pythonPlace} {
				s.way = cold
				want := probe(t, s, source)
				s.way = copied
				if got := probe(t, s, source); got != want {
					t.Errorf("(-cold +copied):\n%s", cmp.Diff(want, got))
				}
			}
		})
	}
}
