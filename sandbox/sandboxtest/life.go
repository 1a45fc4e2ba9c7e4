package sandboxtest

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hotaru/sandbox"
)

func testExit(t *testing.T, h *host) {
	box := h.create(h.spec("exit"))
	for _, code := range []int{0, 1, 42, 255} {
		p := h.start(box, program("exit", fmt.Sprint(code)))
		if got := p.wait(); got != (sandbox.ExitStatus{Code: code}) {
			t.Errorf("%+v, want code %d", got, code)
		}
	}
	p := h.start(box, shell("kill -ABRT $$"))
	if got := p.wait(); got != (sandbox.ExitStatus{Signal: syscall.SIGABRT}) {
		t.Errorf("%+v, want SIGABRT", got)
	}
}

func testSignal(t *testing.T, h *host) {
	box := h.create(h.spec("signal"))
	first, second := h.start(box, program("term")), h.start(box, program("term"))
	first.expect("ready")
	second.expect("ready")
	must(t, first.Signal(syscall.SIGTERM))
	if got := first.wait(); got != (sandbox.ExitStatus{Code: 42}) {
		t.Errorf("%+v, want code 42", got)
	}
	wantError(t, "signal after the end", first.Signal(syscall.SIGTERM), os.ErrProcessDone)
	select {
	case <-second.Done():
		t.Error("the other process ended too")
	default:
	}
	must(t, second.Signal(syscall.SIGKILL))
	if got := second.wait(); got != (sandbox.ExitStatus{Signal: syscall.SIGKILL}) {
		t.Errorf("%+v, want SIGKILL", got)
	}
}

func testOutput(t *testing.T, h *host) {
	box := h.create(h.spec("output"))
	out, err := os.CreateTemp(t.TempDir(), "out")
	must(t, err)
	defer out.Close()
	errs, err := os.CreateTemp(t.TempDir(), "err")
	must(t, err)
	defer errs.Close()
	cmd := shell("echo to out; echo to err >&2; cat") // standard input is empty, so cat ends
	cmd.Stdout, cmd.Stderr = out, errs
	p, err := box.Start(h.context(), cmd)
	must(t, err)
	(&running{Process: p, h: h}).wait()
	for path, want := range map[string]string{out.Name(): "to out\n", errs.Name(): "to err\n"} {
		got, err := os.ReadFile(path)
		must(t, err)
		if string(got) != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	p, err = box.Start(h.context(), shell("echo nobody hears; exit 7")) // no files at all
	must(t, err)
	if got := (&running{Process: p, h: h}).wait(); got.Code != 7 {
		t.Errorf("%+v, want code 7", got)
	}
}

func testFiles(t *testing.T, h *host) {
	box := h.create(h.spec("files"))
	inRead, inWrite, err := os.Pipe()
	must(t, err)
	defer inWrite.Close()
	outRead, outWrite, err := os.Pipe()
	must(t, err)
	defer outRead.Close()
	cmd := program("echo")
	cmd.Files = []*os.File{inRead, outWrite}
	p := h.start(box, cmd)
	// The files are ours to close at once: only then does the end of one end the other.
	must(t, inRead.Close())
	must(t, outWrite.Close())
	_, err = inWrite.WriteString("through and back")
	must(t, err)
	must(t, inWrite.Close())
	got, err := io.ReadAll(outRead)
	must(t, err)
	if string(got) != "through and back" {
		t.Errorf("%q", got)
	}
	p.wait()

	// Nothing but what was given: 0, 1, 2 and the one that lists. (Not by ls, which some gVisors do not understand.)
	if !h.enforces(sandbox.BoundaryFiles) {
		return // what the test itself inherited goes on to its children
	}
	if got := h.output(box, shell("cd /proc/self/fd && echo *")); got != "0 1 2 3\n" {
		t.Errorf("descriptors %q", got)
	}
}

func testEnvironment(t *testing.T, h *host) {
	t.Setenv("OF_THE_DAEMON", "secret")
	box := h.create(h.spec("environment"))
	want := []string{"A=1", "EMPTY=", "LINES=a\nb"}
	cmd := program("env")
	cmd.Env = want
	if got := h.output(box, cmd); got != strings.Join(want, "\n")+"\n" {
		t.Errorf("%q", got)
	}
	for _, none := range [][]string{nil, {}} {
		cmd.Env = none
		if got := h.output(box, cmd); got != "" {
			t.Errorf("an empty environment has %q", got)
		}
	}
}

func testDirectory(t *testing.T, h *host) {
	box := h.create(h.spec("directory"))
	for dir, want := range map[string]string{"": "/", "/": "/", "/usr/bin": "/usr/bin"} {
		cmd := program("pwd")
		cmd.Dir = dir
		if got := strings.TrimSpace(h.output(box, cmd)); got != want {
			t.Errorf("in %q, want %q", got, want)
		}
	}
}

// tree makes a directory with one file that everybody may read.
func tree(t testing.TB, name, content string) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	return dir
}

func testBinds(t *testing.T, h *host) {
	spec := h.spec("binds")
	spec.Binds = append(spec.Binds,
		sandbox.Bind{Source: tree(t, "f", "first"), Target: "/var/task"},
		sandbox.Bind{Source: tree(t, "f", "second"), Target: "/var/task"})
	box := h.create(spec)
	if got := h.output(box, program("cat", "/var/task/f")); got != "second" {
		t.Errorf("%q: a later bind covers an earlier one", got)
	}
}

func testAttachBeforeStart(t *testing.T, h *host) {
	box := h.create(h.spec("attach"))
	for _, content := range []string{"first", "second"} { // as often as wanted
		must(t, box.Attach(h.context(), []sandbox.Bind{{Source: tree(t, "f", content), Target: "/var/task"}}))
	}
	if got := h.output(box, program("cat", "/var/task/f")); got != "second" {
		t.Errorf("%q", got)
	}
}

func testAttachToRunning(t *testing.T, h *host) {
	if !h.enforces(sandbox.AbilityAttach) {
		t.Skip("this driver cannot: see Sealed")
	}
	box := h.create(h.spec("zygote"))
	goRead, goWrite, err := os.Pipe()
	must(t, err)
	defer goRead.Close()
	defer goWrite.Close()
	cmd := program("wait-cat", "/var/task/f")
	cmd.Files = []*os.File{goRead}
	p := h.start(box, cmd)
	must(t, box.Attach(h.context(), []sandbox.Bind{{Source: tree(t, "f", "code"), Target: "/var/task"}}))
	_, err = goWrite.WriteString("go\n")
	must(t, err)
	if got := p.rest(); got != "code" {
		t.Errorf("%q", got)
	}
	p = h.start(box, program("write", "/var/task/new"))
	if status := p.wait(); status.Code == 0 {
		t.Error("attached code can be written")
	}
}

func testListen(t *testing.T, h *host) {
	spec := h.spec("listen")
	spec.Listen = []string{"127.0.0.1:9001", "[::1]:9002"}
	box := h.create(spec)
	if box.Listener("127.0.0.1:1") != nil {
		t.Error("a listener that nobody asked for")
	}
	var serving sync.WaitGroup
	for _, address := range spec.Listen {
		listener := box.Listener(address)
		serving.Go(func() { greet(listener) })
	}
	for _, address := range spec.Listen {
		inside := box.Listener(address).Addr().String()
		if got := h.output(box, program("dial", inside)); got != "hello from "+inside {
			t.Errorf("%q", got)
		}
	}
	h.destroy(box) // ends the serving
	serving.Wait()
}

// testListenPacket listens on ports that take privilege, beside streams on the same ones.
func testListenPacket(t *testing.T, h *host) {
	spec := h.spec("packets")
	spec.Listen = []string{"127.0.0.1:53", "127.0.0.1:443"}
	spec.ListenPacket = []string{"127.0.0.1:53", "[::1]:53"}
	box := h.create(spec)
	if box.PacketConn("127.0.0.1:443") != nil {
		t.Error("a packet socket that nobody asked for")
	}
	var serving sync.WaitGroup
	for _, address := range spec.Listen {
		serving.Go(func() { greet(box.Listener(address)) })
	}
	for _, address := range spec.ListenPacket {
		serving.Go(func() { echo(box.PacketConn(address)) })
	}
	for _, address := range spec.Listen {
		inside := box.Listener(address).Addr().String()
		if got := h.output(box, program("dial", inside)); got != "hello from "+inside {
			t.Errorf("%q", got)
		}
	}
	for range 2 {
		for _, address := range spec.ListenPacket {
			inside := box.PacketConn(address).LocalAddr().String()
			if h.enforces(sandbox.BoundaryNetwork) && inside != address {
				t.Errorf("%s is %s inside", address, inside)
			}
			if got := h.output(box, program("send", inside, "ping")); got != "ping from "+inside {
				t.Errorf("%q", got)
			}
		}
		must(t, box.Reset(h.context())) // the sockets stay
	}
	h.destroy(box)
	serving.Wait()
}

// echo answers every datagram, until the socket is closed.
func echo(conn net.PacketConn) {
	packet := make([]byte, 512)
	for {
		n, from, err := conn.ReadFrom(packet)
		if err != nil {
			return
		}
		_, _ = conn.WriteTo(fmt.Appendf(nil, "%s from %s", packet[:n], conn.LocalAddr()), from)
	}
}

// greet says hello to whoever comes, until the listener is closed.
func greet(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		fmt.Fprint(conn, "hello from ", listener.Addr())
		conn.Close()
	}
}

func testFreezeStopsWork(t *testing.T, h *host) {
	box := h.create(h.spec("freeze"))
	p := h.start(box, program("tick"))
	p.line()
	for range 3 {
		must(t, box.Freeze(h.context()))
		must(t, box.Freeze(h.context())) // again is nothing
		h.drain(p)
		// It would say something each millisecond: a hundred of silence are silence.
		must(t, p.out.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
		if n, err := p.out.Read(make([]byte, 1)); err == nil {
			t.Fatalf("%d bytes from a frozen process", n)
		}
		must(t, box.Thaw(h.context()))
		must(t, box.Thaw(h.context()))
		p.line()
	}
}

// drain takes what is in the pipe of a process that says nothing more.
func (h *host) drain(p *running) {
	h.Helper()
	buf := make([]byte, 64<<10)
	for {
		must(h, p.out.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
		if _, err := p.out.Read(buf); err != nil {
			return
		}
	}
}

func testReset(t *testing.T, h *host) {
	spec := h.spec("reset")
	spec.Listen = []string{"127.0.0.1:9001"}
	box := h.create(spec)
	p := h.start(box, program("sleep"))
	p.expect("ready")
	h.output(box, program("orphan"))
	tmp := h.enforces(sandbox.BoundaryFiles)
	if tmp {
		h.output(box, program("write", "/tmp/kept"))
	}
	must(t, box.Reset(h.context()))
	if got := p.wait(); got.Signal != syscall.SIGKILL || got.OOMKilled {
		t.Errorf("%+v, want SIGKILL", got)
	}
	if tmp {
		if got := h.output(box, program("cat", "/tmp/kept")); got != "written" {
			t.Errorf("/tmp has %q", got)
		}
		if got := h.output(box, shell(listProcesses)); strings.Contains(got, "helper") {
			t.Errorf("%q are left", got)
		}
	}
	listener := box.Listener("127.0.0.1:9001")
	var serving sync.WaitGroup
	serving.Go(func() { greet(listener) })
	if got := h.output(box, program("dial", listener.Addr().String())); !strings.HasPrefix(got, "hello") {
		t.Errorf("%q", got)
	}
	must(t, box.Reset(h.context())) // with nothing running
	h.destroy(box)
	serving.Wait()
}

func testResetFrozen(t *testing.T, h *host) {
	box := h.create(h.spec("reset-frozen"))
	p := h.start(box, program("sleep"))
	p.expect("ready")
	must(t, box.Freeze(h.context()))
	must(t, box.Reset(h.context()))
	p.wait()
	h.output(box, program("exit", "0"))
}

func testStats(t *testing.T, h *host) {
	box := h.create(h.spec("stats"))
	before, err := box.Stats(h.context())
	must(t, err)
	p := h.start(box, program("eat", "32"))
	p.expect("ate 32")
	after, err := box.Stats(h.context())
	must(t, err)
	if after.PIDs <= before.PIDs {
		t.Errorf("processes: %d, then %d", before.PIDs, after.PIDs)
	}
	if h.enforces(sandbox.LimitMemory) {
		if grown := after.MemoryBytes - before.MemoryBytes; grown < 32<<20 || grown > 64<<20 {
			t.Errorf("32 MiB are used and %d bytes are counted", grown)
		}
		if after.CPUTime <= before.CPUTime {
			t.Errorf("CPU time: %v, then %v", before.CPUTime, after.CPUTime)
		}
	}
}

func testConcurrent(t *testing.T, h *host) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			spec := h.spec(fmt.Sprint("concurrent-", i))
			box, err := h.Driver.Create(h.context(), spec)
			if err != nil {
				t.Errorf("create: %v", err)
				return
			}
			defer h.destroy(box)
			for code := range 4 {
				p, err := box.Start(h.context(), program("exit", fmt.Sprint(code)))
				if err != nil {
					t.Errorf("start: %v", err)
					return
				}
				<-p.Done()
				if got := p.Status(); got.Code != code {
					t.Errorf("%+v, want code %d", got, code)
				}
			}
		})
	}
	all.Wait()
}

func testDestroyBusy(t *testing.T, h *host) {
	box := h.create(h.spec("busy"))
	var processes []*running
	for range 4 {
		p := h.start(box, program("tick"))
		p.line()
		processes = append(processes, p)
	}
	// Many destroy at once, while others still use it.
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { h.destroy(box) })
		all.Go(func() { _ = box.Freeze(h.context()) })
		all.Go(func() { _, _ = box.Stats(h.context()) })
	}
	all.Wait()
	for _, p := range processes {
		if got := p.wait(); got.Signal != syscall.SIGKILL {
			t.Errorf("%+v, want SIGKILL", got)
		}
	}
}

func testDestroyFrozen(t *testing.T, h *host) {
	box := h.create(h.spec("destroy-frozen"))
	p := h.start(box, program("tick"))
	p.line()
	must(t, box.Freeze(h.context()))
	h.destroy(box)
	p.wait()
}

func testDestroyForking(t *testing.T, h *host) {
	spec := h.spec("forking")
	spec.Limits.PIDs = 200
	box := h.create(spec)
	p := h.start(box, shell("f() { f & f & wait; }; echo ready; f"))
	p.expect("ready")
	h.destroy(box)
	p.wait()
}

func testCloseDestroys(t *testing.T, h *host) {
	box := h.create(h.spec("close"))
	p := h.start(box, program("sleep"))
	p.expect("ready")
	must(t, h.Driver.Close())
	p.wait()
	if _, err := h.Driver.Create(h.context(), h.spec("late")); err == nil {
		t.Error("a closed driver creates")
	}
	if box.ID() != "close" {
		t.Errorf("its ID is now %q", box.ID())
	}
}
