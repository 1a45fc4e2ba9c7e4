// Package sandboxtest is the suite that every sandbox driver passes, and what tests of drivers and of the rooms
// above them need: a root file system, small programs to run inside, checks that nothing is left. It must not
// know any driver.
package sandboxtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"hotaru/sandbox"
)

// patience is how long anything in the suite may take before it counts as hung.
const patience = 30 * time.Second

// Fixture is one driver to test.
type Fixture struct {
	// Driver is closed by whoever made it.
	Driver sandbox.Driver
	// Root has /bin/sh and an empty /opt.
	Root sandbox.Root
	// Outside is where a driver with BoundaryEgress finds a TCP server that echoes: HOST:PORT.
	Outside string
	// MemoryBytes is what the sandboxes of a driver with LimitAllMemory may use together, less than a machine of tests has.
	MemoryBytes int64
}

// suite runs the tests of one driver.
type suite struct {
	make    func(testing.TB) Fixture
	program string // the directory of the helper program on the host
}

// Run runs the suite. Each test gets a fixture of its own and checks that the driver left nothing behind.
func Run(t *testing.T, newFixture func(t testing.TB) Fixture) {
	RunWith(t, Helper(t), newFixture)
}

// RunWith is Run for a user who cannot build: helper is what Helper returned to another.
func RunWith(t *testing.T, helper string, newFixture func(t testing.TB) Fixture) {
	s := &suite{make: newFixture, program: helper}
	for _, test := range []struct {
		name string
		run  func(*testing.T, *host)
	}{
		{"BadSpecs", testBadSpecs},
		{"BadCommands", testBadCommands},
		{"NotFound", testNotFound},
		{"NoImages", testNoImages},
		{"TwiceTheSameID", testTwiceTheSameID},
		{"Destroyed", testDestroyed},
		{"Sealed", testSealed},
		{"Frozen", testFrozen},
		{"Cancelled", testCancelled},
		{"Capabilities", testCapabilities},
		{"Exit", testExit},
		{"Signal", testSignal},
		{"Output", testOutput},
		{"Files", testFiles},
		{"Environment", testEnvironment},
		{"Directory", testDirectory},
		{"Binds", testBinds},
		{"AttachBeforeStart", testAttachBeforeStart},
		{"AttachToRunning", testAttachToRunning},
		{"Listen", testListen},
		{"ListenPacket", testListenPacket},
		{"Dial", testDial},
		{"DialOwnNetwork", testDialOwnNetwork},
		{"FreezeStopsWork", testFreezeStopsWork},
		{"Reset", testReset},
		{"ResetFrozen", testResetFrozen},
		{"SetLimits", testSetLimits},
		{"Stats", testStats},
		{"Concurrent", testConcurrent},
		{"DestroyBusy", testDestroyBusy},
		{"DestroyFrozen", testDestroyFrozen},
		{"DestroyForking", testDestroyForking},
		{"CloseDestroys", testCloseDestroys},
		{"Enforced", testEnforced},
		{"NoTemplate", testNoTemplate},
		{"CopyRefused", testCopyRefused},
		{"CopyPlace", testCopyPlace},
		{"CopyLife", testCopyLife},
		{"CopiesAtOnce", testCopiesAtOnce},
	} {
		t.Run(test.name, func(t *testing.T) {
			CheckLeaks(t)
			fixture := s.make(t)
			test.run(t, &host{T: t, Fixture: fixture, program: s.program})
		})
	}
}

// host is one test's driver and what makes tests short.
type host struct {
	*testing.T
	Fixture
	program string // the directory of the helper program on the host
}

func (h *host) context() context.Context {
	ctx, cancel := context.WithTimeout(h.T.Context(), patience)
	h.T.Cleanup(cancel)
	return ctx
}

// spec is a sandbox with the helper at /opt.
func (h *host) spec(id string) sandbox.Spec {
	return sandbox.Spec{ID: id, Root: h.Root, Binds: []sandbox.Bind{{Source: h.program, Target: "/opt"}}}
}

// create makes a sandbox that is destroyed at the end, if the test does not do so itself.
func (h *host) create(spec sandbox.Spec) sandbox.Sandbox {
	h.Helper()
	box, err := h.Driver.Create(h.context(), spec)
	if err != nil {
		h.Fatalf("create: %v", err)
	}
	h.Cleanup(func() { h.destroy(box) })
	return box
}

func (h *host) destroy(box sandbox.Sandbox) {
	h.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := box.Destroy(ctx); err != nil {
		h.Errorf("destroy: %v", err)
	}
}

// program is a command that runs the helper.
func program(args ...string) sandbox.Command {
	return sandbox.Command{Path: "/opt/helper", Args: append([]string{"helper"}, args...), Env: []string{"GOMAXPROCS=2"}}
}

// shell is a command that runs a line of shell.
func shell(line string) sandbox.Command {
	return sandbox.Command{Path: "/bin/sh", Args: []string{"sh", "-c", line}, Env: []string{"PATH=/usr/bin:/bin"}}
}

// running is a process with its output.
type running struct {
	sandbox.Process
	h   *host
	out *os.File // our end of its standard output and error
}

// start starts a command with its output in a pipe.
func (h *host) start(box sandbox.Sandbox, cmd sandbox.Command) *running {
	h.Helper()
	r, w, err := os.Pipe()
	must(h, err)
	defer w.Close()
	h.Cleanup(func() { r.Close() })
	cmd.Stdout, cmd.Stderr = w, w
	p, err := box.Start(h.context(), cmd)
	if err != nil {
		h.Fatalf("start %v: %v", cmd.Args, err)
	}
	return &running{Process: p, h: h, out: r}
}

// line reads one line of output.
func (r *running) line() string {
	r.h.Helper()
	must(r.h, r.out.SetReadDeadline(time.Now().Add(patience)))
	var line []byte
	for buf := make([]byte, 1); ; {
		if _, err := r.out.Read(buf); err != nil {
			r.h.Fatalf("after %q: %v", line, err)
		}
		if buf[0] == '\n' {
			return string(line)
		}
		line = append(line, buf[0])
	}
}

// expect waits for a line.
func (r *running) expect(want string) {
	r.h.Helper()
	if got := r.line(); got != want {
		r.h.Fatalf("it says %q, not %q", got, want)
	}
}

// wait waits for the end of the process.
func (r *running) wait() sandbox.ExitStatus {
	r.h.Helper()
	select {
	case <-r.Done():
		return r.Status()
	case <-time.After(patience):
		r.h.Fatal("the process does not end")
		return sandbox.ExitStatus{}
	}
}

// rest reads what is left of the output, until every writer is gone.
func (r *running) rest() string {
	r.h.Helper()
	must(r.h, r.out.SetReadDeadline(time.Now().Add(patience)))
	var out bytes.Buffer
	_, err := io.Copy(&out, r.out)
	must(r.h, err)
	return out.String()
}

// output runs a command to its end, which must be success.
func (h *host) output(box sandbox.Sandbox, cmd sandbox.Command) string {
	h.Helper()
	p := h.start(box, cmd)
	out := p.rest()
	if status := p.wait(); status != (sandbox.ExitStatus{}) {
		h.Fatalf("%v: %+v\n%s", cmd.Args, status, out)
	}
	return out
}

// enforces says whether the driver claims a boundary.
func (h *host) enforces(boundary sandbox.Boundary) bool {
	for _, c := range h.Driver.Capabilities() {
		if c.Boundary == boundary {
			return c.Enforced
		}
	}
	return false
}

func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}
