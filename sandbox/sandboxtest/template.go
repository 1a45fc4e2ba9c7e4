package sandboxtest

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/sandbox"
)

// template starts a template, or skips the test where the driver makes none.
func (h *host) template(cmd sandbox.Command) sandbox.Template {
	h.Helper()
	template, err := sandbox.NewTemplate(h.context(), h.Driver, Template(h.Root, cmd))
	if errors.Is(err, errors.ErrUnsupported) {
		h.Skip(err)
	}
	must(h, err)
	h.Cleanup(func() { must(h, template.Close()) })
	return template
}

// bare is a sandbox without the helper.
func (h *host) bare(id string) sandbox.Sandbox {
	h.Helper()
	spec := h.spec(id)
	spec.Binds, spec.Limits = nil, sandbox.Limits{MemoryBytes: 128 << 20, TmpBytes: 8 << 20}
	return h.create(spec)
}

// strange is a template of nobody's.
type strange struct{ sandbox.Template }

func testNoTemplate(_ *testing.T, h *host) {
	for name, spec := range map[string]sandbox.TemplateSpec{
		"no program":       {Root: h.Root},
		"a relative path":  {Root: h.Root, Path: "bin/sh", Args: []string{"sh"}},
		"no arguments":     {Root: h.Root, Path: "/bin/sh"},
		"nothing there":    {Root: h.Root, Path: "/bin/nobody", Args: []string{"nobody"}},
		"ends at once":     {Root: h.Root, Path: "/bin/sh", Args: []string{"sh", "-c", ":"}},
		"speaks otherwise": {Root: h.Root, Path: "/bin/sh", Args: []string{"sh", "-c", "echo hello >&4; sleep 100"}},
	} {
		if template, err := sandbox.NewTemplate(h.context(), h.Driver, spec); err == nil {
			h.Errorf("%s: %v", name, errors.Join(errors.New("it is taken"), template.Close()))
		}
	}
	box := h.bare("one")
	cmd := shell("echo alive")
	cmd.Template = strange{}
	if _, err := box.Start(h.context(), cmd); err == nil {
		h.Error("a copy of a stranger is made")
	}
	cmd.Template = nil
	if got := h.output(box, cmd); got != "alive\n" {
		h.Errorf("afterwards: %q", got)
	}
}

// A copy is not made where a process has been, of another root, or of a template that is gone; and the sandbox takes a
// started process all the same.
func testCopyRefused(t *testing.T, h *host) {
	cmd := Copier(t, h.program)
	template := h.template(cmd)
	copied := Code(t, cmd, "")
	copied.Template = template

	used := h.bare("used")
	h.output(used, shell("true"))
	_, err := used.Start(h.context(), copied)
	wantError(h, "a process has been here", err, sandbox.ErrSealed)

	other := h.spec("other")
	other.Binds, other.Root.Binds = nil, append([]sandbox.Bind{{Source: h.program, Target: "/opt"}}, other.Root.Binds...)
	if _, err := h.create(other).Start(h.context(), copied); err == nil {
		h.Error("a copy has another root than its template")
	}

	frozen := h.bare("frozen")
	must(h, frozen.Freeze(h.context()))
	_, err = frozen.Start(h.context(), copied)
	wantError(h, "frozen", err, sandbox.ErrFrozen)
	must(h, frozen.Thaw(h.context()))

	lost := copied
	lost.Dir = "/nowhere"
	if _, err := frozen.Start(h.context(), lost); err == nil {
		h.Error("a copy is in a directory that is not there")
	}
	must(h, template.Close())
	if _, err := frozen.Start(h.context(), copied); err == nil {
		h.Error("a copy of a template that is gone")
	}
	select {
	case <-template.Done():
	default:
		h.Error("a closed template is not done")
	}
	started := Code(t, cmd, "print('alive')")
	if got := h.output(frozen, started); got != "alive\n" {
		h.Errorf("afterwards: %q", got)
	}
}

// A copy finds what a process finds that was started in the same sandbox.
func testCopyPlace(t *testing.T, h *host) {
	cmd := Copier(t, h.program)
	template := h.template(cmd)
	box := h.bare("one")
	copied := Code(t, cmd, Place)
	copied.Template = template
	got := h.output(box, copied)
	want := h.output(box, Code(t, cmd, Place))
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		h.Errorf("(-started +copied):\n%s", diff)
	}
}

// A copy is a process like others: it ends, is signalled, reset and destroyed. It outlives its template.
func testCopyLife(t *testing.T, h *host) {
	cmd := Copier(t, h.program)
	template := h.template(cmd)
	start := func(box sandbox.Sandbox, text string) *running {
		h.Helper()
		copied := Code(t, cmd, text)
		copied.Template = template
		return h.start(box, copied)
	}
	if got := start(h.bare("exits"), "raise SystemExit(7)").wait(); got != (sandbox.ExitStatus{Code: 7}) {
		h.Errorf("exit: %+v", got)
	}
	const waits = "import time; print('here', flush=True); time.sleep(1000)"
	p := start(h.bare("signalled"), waits)
	p.expect("here")
	must(h, p.Signal(syscall.SIGTERM))
	if got := p.wait(); got != (sandbox.ExitStatus{Signal: syscall.SIGTERM}) {
		h.Errorf("signal: %+v", got)
	}
	again := h.bare("reset")
	p = start(again, "import os; os.fork(); "+waits)
	p.expect("here")
	p.expect("here")
	must(h, again.Reset(h.context()))
	if got := p.wait(); got.Signal != syscall.SIGKILL {
		h.Errorf("reset: %+v", got)
	}
	if got := h.output(again, shell("echo alive")); got != "alive\n" {
		h.Errorf("after a reset: %q", got)
	}
	if h.enforces(sandbox.LimitMemory) {
		p = start(h.bare("greedy"), "x = bytearray(512 << 20)")
		if got := p.wait(); !got.OOMKilled {
			h.Errorf("without memory: %+v", got)
		}
	}
	p = start(h.bare("last"), waits)
	p.expect("here")
	must(h, template.Close())
	select {
	case <-p.Done():
		h.Errorf("it ends with its template: %+v", p.Status())
	case <-time.After(10 * time.Millisecond):
	}
}

// Copies are made of one template in many sandboxes at once, and each is in its own.
func testCopiesAtOnce(t *testing.T, h *host) {
	cmd := Copier(t, h.program)
	template := h.template(cmd)
	const code = "import os; print(os.uname().nodename, os.getuid(), os.listdir('/tmp')); open('/tmp/' + os.uname().nodename, 'w')"
	ids := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	running := make(chan *running, len(ids))
	for _, id := range ids {
		box, copied := h.bare(id), Code(t, cmd, code)
		copied.Template = template
		go func() { running <- h.start(box, copied) }()
	}
	said := map[string]bool{}
	for range ids {
		p := <-running
		said[p.rest()] = true
		if got := p.wait(); got != (sandbox.ExitStatus{}) {
			h.Errorf("%+v", got)
		}
	}
	for _, id := range ids {
		if !said[id+" 993 []\n"] {
			h.Errorf("%s is missing in %v", id, said)
		}
	}
}
