//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"hotaru/sandbox"
	"hotaru/sandbox/sandboxtest"
)

// hoard leaves as much as it can on its way in connections of its own, and says how many MiB that is.
const hoard = `
import socket
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen(1000)
held, n = [], 0
while len(held) < 64:
    s = socket.socket(); s.connect(listener.getsockname()); r, _ = listener.accept()
    s.setblocking(False); held.append((s, r))
    try:
        while True: n += s.send(bytes(1 << 20))
    except OSError: pass
print(n >> 20)
`

// Version 1 of control groups counts what is in sockets for nobody, unless it is told to.
func TestSocketMemory(t *testing.T) {
	needRoot(t)
	sandboxtest.CheckLeaks(t)
	const memory = 64
	box, err := newDriver(t).Create(t.Context(), sandbox.Spec{
		ID: "sockets", Root: sandboxtest.Root(t), Limits: sandbox.Limits{MemoryBytes: memory << 20},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := box.Start(t.Context(), sandbox.Command{
		Path: "/usr/bin/python3", Args: []string{"python3", "-I", "-S", "-c", hoard}, Dir: "/tmp", Stdout: w, Stderr: w,
	})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if p.Status().OOMKilled { // as version 2 may have it, which counts sockets as memory
		return
	}
	if held, err := strconv.Atoi(strings.TrimSpace(string(out))); err != nil || held == 0 || held > memory {
		t.Errorf("%q MiB are held in sockets, with a memory of %d; %+v", out, memory, p.Status())
	}
}
