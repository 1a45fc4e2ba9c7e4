package sandboxtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"hotaru/sandbox"
)

func testBadSpecs(t *testing.T, h *host) {
	for name, spoil := range map[string]func(*sandbox.Spec){
		"no ID":              func(s *sandbox.Spec) { s.ID = "" },
		"a path as ID":       func(s *sandbox.Spec) { s.ID = "../x" },
		"a long ID":          func(s *sandbox.Spec) { s.ID = string(slices.Repeat([]byte("x"), 65)) },
		"relative target":    func(s *sandbox.Spec) { s.Binds[0].Target = "opt" },
		"climbing target":    func(s *sandbox.Spec) { s.Binds[0].Target = "/opt/../.." },
		"the root as target": func(s *sandbox.Spec) { s.Binds[0].Target = "/" },
		"relative source":    func(s *sandbox.Spec) { s.Binds[0].Source = "opt" },
		"negative network":   func(s *sandbox.Spec) { s.Limits.NetBytesPerSecond = -1 },
		"another egress":     func(s *sandbox.Spec) { s.Egress = "moon" },
		"negative memory":    func(s *sandbox.Spec) { s.Limits.MemoryBytes = -1 },
		"another's address":  func(s *sandbox.Spec) { s.Listen = []string{"8.8.8.8:80"} },
		"any address":        func(s *sandbox.Spec) { s.Listen = []string{"0.0.0.0:80"} },
		"no port":            func(s *sandbox.Spec) { s.Listen = []string{"127.0.0.1:0"} },
		"the same twice":     func(s *sandbox.Spec) { s.Listen = []string{"127.0.0.1:9001", "127.0.0.1:9001"} },
		"another's packets":  func(s *sandbox.Spec) { s.ListenPacket = []string{"8.8.8.8:53"} },
		"packets twice":      func(s *sandbox.Spec) { s.ListenPacket = []string{"127.0.0.1:53", "127.0.0.1:53"} },
		"too many addresses": func(s *sandbox.Spec) {
			for port := range sandbox.MaxListen / 2 {
				s.Listen = append(s.Listen, fmt.Sprint("127.0.0.1:", 9001+port))
				s.ListenPacket = append(s.ListenPacket, fmt.Sprint("127.0.0.1:", 9001+port))
			}
			s.Listen = append(s.Listen, "127.0.0.1:9000")
		},
	} {
		spec := h.spec("bad")
		spoil(&spec)
		if box, err := h.Driver.Create(h.context(), spec); err == nil {
			t.Errorf("%s: created", name)
			h.destroy(box)
		}
	}
	h.create(h.spec("bad")) // none of them is in the way
}

func testBadCommands(t *testing.T, h *host) {
	box := h.create(h.spec("bad-commands"))
	for name, spoil := range map[string]func(*sandbox.Command){
		"relative path":     func(c *sandbox.Command) { c.Path = "opt/helper" },
		"no arguments":      func(c *sandbox.Command) { c.Args = nil },
		"NUL in argument":   func(c *sandbox.Command) { c.Args = append(c.Args, "a\x00b") },
		"NUL in variable":   func(c *sandbox.Command) { c.Env = []string{"A=\x00"} },
		"relative dir":      func(c *sandbox.Command) { c.Dir = "tmp" },
		"missing dir":       func(c *sandbox.Command) { c.Dir = "/no/such" },
		"a file as dir":     func(c *sandbox.Command) { c.Dir = "/opt/helper" },
		"nil among files":   func(c *sandbox.Command) { c.Files = []*os.File{nil} },
		"endless arguments": func(c *sandbox.Command) { c.Args = append(c.Args, string(make([]byte, 4<<20))) },
	} {
		cmd := program("exit", "0")
		spoil(&cmd)
		_, err := box.Start(h.context(), cmd)
		if err == nil {
			t.Errorf("%s: started", name)
		}
		if errors.Is(err, sandbox.ErrNotFound) && (name == "missing dir" || name == "a file as dir") {
			t.Errorf("%s: %v blames the program", name, err)
		}
	}
	h.output(box, program("exit", "0"))
}

func testNotFound(t *testing.T, h *host) {
	spec := h.spec("not-found")
	files := t.TempDir()
	must(t, os.Chmod(files, 0o755))
	must(t, os.WriteFile(filepath.Join(files, "data"), []byte("text"), 0o644))
	must(t, os.WriteFile(filepath.Join(files, "nonsense"), []byte("\x00\x01\x02"), 0o755))
	spec.Binds = append(spec.Binds, sandbox.Bind{Source: files, Target: "/var/task"})
	box := h.create(spec)
	for _, path := range []string{"/opt/missing", "/opt/helper/below", "/var/task/data", "/var/task/nonsense", "/opt"} {
		_, err := box.Start(h.context(), sandbox.Command{Path: path, Args: []string{"x"}})
		wantError(t, path, err, sandbox.ErrNotFound)
	}
	h.output(box, program("exit", "0"))
}

func testTwiceTheSameID(t *testing.T, h *host) {
	first := h.create(h.spec("same"))
	if box, err := h.Driver.Create(h.context(), h.spec("same")); err == nil {
		t.Error("two sandboxes with one ID")
		h.destroy(box)
	}
	h.output(first, program("exit", "0")) // the first one is none the worse
	h.destroy(first)
	h.create(h.spec("same"))
}

func testDestroyed(t *testing.T, h *host) {
	spec := h.spec("destroyed")
	spec.Listen, spec.ListenPacket = []string{"127.0.0.1:9001"}, []string{"127.0.0.1:9001"}
	box := h.create(spec)
	p := h.start(box, program("sleep"))
	p.expect("ready")
	listener, packets := box.Listener("127.0.0.1:9001"), box.PacketConn("127.0.0.1:9001")
	h.destroy(box)
	if status := p.wait(); status.Signal != syscall.SIGKILL {
		t.Errorf("the process ended with %+v", status)
	}
	ctx := h.context()
	_, startErr := box.Start(ctx, program("exit", "0"))
	_, statsErr := box.Stats(ctx)
	for what, err := range map[string]error{
		"start": startErr, "stats": statsErr, "attach": box.Attach(ctx, nil), "freeze": box.Freeze(ctx), "thaw": box.Thaw(ctx),
		"reset": box.Reset(ctx), "set limits": box.SetLimits(ctx, sandbox.Limits{}),
	} {
		wantError(t, what, err, sandbox.ErrDestroyed)
	}
	wantError(t, "signal", p.Signal(syscall.SIGTERM), os.ErrProcessDone)
	if _, err := listener.Accept(); err == nil {
		t.Error("the listener accepts")
	}
	if _, _, err := packets.ReadFrom(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the packet socket: %v", err)
	}
	h.destroy(box) // again is nothing
}

func testSealed(t *testing.T, h *host) {
	if !h.enforces(sandbox.AbilityAttach) {
		box := h.create(h.spec("unsupported"))
		p := h.start(box, program("sleep"))
		p.expect("ready")
		wantError(t, "attach", box.Attach(h.context(), nil), errors.ErrUnsupported)
		return
	}
	box := h.create(h.spec("sealed"))
	p := h.start(box, program("sleep"))
	p.expect("ready")
	bind := []sandbox.Bind{{Source: t.TempDir(), Target: "/var/task"}}
	must(t, box.Attach(h.context(), bind))
	wantError(t, "second attach", box.Attach(h.context(), bind), sandbox.ErrSealed)
	must(t, box.Reset(h.context()))
	wantError(t, "attach after reset", box.Attach(h.context(), bind), sandbox.ErrSealed)
}

func testFrozen(t *testing.T, h *host) {
	box := h.create(h.spec("frozen"))
	must(t, box.Freeze(h.context()))
	_, err := box.Start(h.context(), program("exit", "0"))
	wantError(t, "start", err, sandbox.ErrFrozen)
	wantError(t, "attach", box.Attach(h.context(), nil), sandbox.ErrFrozen)
	must(t, box.Thaw(h.context()))
	h.output(box, program("exit", "0"))
}

func testCancelled(t *testing.T, h *host) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Driver.Create(cancelled, h.spec("cancelled"))
	wantError(t, "create", err, context.Canceled)
	box := h.create(h.spec("cancelled"))
	_, err = box.Start(cancelled, program("exit", "0"))
	wantError(t, "start", err, context.Canceled)
}

func testCapabilities(t *testing.T, h *host) {
	var listed []sandbox.Boundary
	for _, c := range h.Driver.Capabilities() {
		listed = append(listed, c.Boundary)
		if c.Enforced != (c.Reason == "") || c.Enforced && c.Mend != "" {
			t.Errorf("%+v: a boundary is enforced, or has a reason why not", c)
		}
	}
	if !slices.Equal(listed, sandbox.Boundaries) {
		t.Errorf("lists %v, want %v", listed, sandbox.Boundaries)
	}
}

// testNoImages: a driver that mounts no images says so, and does not bind the file itself.
func testNoImages(t *testing.T, h *host) {
	if sandbox.MountsImages(h.Driver) {
		t.Skip("the driver mounts images")
	}
	image := sandbox.Bind{Source: filepath.Join(h.program, "helper"), Target: "/opt", Image: true}
	for name, change := range map[string]func(*sandbox.Spec){
		"root": func(s *sandbox.Spec) { s.Root.Image = true },
		"bind": func(s *sandbox.Spec) { s.Binds = []sandbox.Bind{image} },
		"bind of the root": func(s *sandbox.Spec) {
			s.Root.Binds = append(slices.Clone(s.Root.Binds), image)
		},
	} {
		spec := h.spec("no-images")
		change(&spec)
		_, err := h.Driver.Create(h.context(), spec)
		wantError(t, name, err, errors.ErrUnsupported)
	}
	box := h.create(h.spec("no-images"))
	wantError(t, "attach", box.Attach(h.context(), []sandbox.Bind{image}), errors.ErrUnsupported)
}
