package sandboxtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hotaru/sandbox"
)

func testSetLimits(t *testing.T, h *host) {
	spec := h.spec("limits")
	spec.Limits.MemoryBytes = 256 << 20
	box := h.create(spec)
	wide := sandbox.Limits{MemoryBytes: 512 << 20, MilliCPU: 500, PIDs: 100}
	must(t, box.SetLimits(h.context(), wide))
	if err := box.SetLimits(h.context(), sandbox.Limits{MemoryBytes: -1}); err == nil && h.enforces(sandbox.LimitMemory) {
		t.Error("a negative limit is taken")
	}
	if !h.enforces(sandbox.LimitMemory) {
		return
	}
	p := h.start(box, program("eat", "128"))
	p.expect("ate 128")
	if err := box.SetLimits(h.context(), sandbox.Limits{MemoryBytes: 64 << 20, MilliCPU: 500}); err == nil {
		t.Error("memory is lowered below what is in use")
	}
	select {
	case <-p.Done():
		t.Errorf("the process ended with %+v", p.Status())
	default:
	}
	must(t, box.SetLimits(h.context(), sandbox.Limits{MemoryBytes: 300 << 20}))
}

// testEnforced checks each boundary and limit that the driver claims.
func testEnforced(t *testing.T, h *host) {
	checks := map[sandbox.Boundary]func(*testing.T, *host){
		sandbox.BoundaryFiles:      enforcesFiles,
		sandbox.BoundaryProcesses:  enforcesProcesses,
		sandbox.BoundaryNetwork:    enforcesNetwork,
		sandbox.BoundaryIdentity:   enforcesIdentity,
		sandbox.BoundarySyscalls:   enforcesSyscalls,
		sandbox.BoundaryLandlock:   enforcesLandlock,
		sandbox.LimitMemory:        enforcesMemory,
		sandbox.LimitAllMemory:     enforcesAllMemory,
		sandbox.LimitCPU:           enforcesCPU,
		sandbox.LimitPIDs:          enforcesPIDs,
		sandbox.LimitOpenFiles:     enforcesOpenFiles,
		sandbox.LimitTmp:           enforcesTmp,
		sandbox.LimitDiskBandwidth: enforcesDiskBandwidth,
		sandbox.BoundaryEgress:     enforcesEgress,
		sandbox.LimitNetBandwidth:  enforcesNetBandwidth,
		// AttachToRunning and Sealed check it, claimed or not.
		sandbox.AbilityAttach: func(*testing.T, *host) {},
	}
	for _, boundary := range sandbox.Boundaries {
		check, has := checks[boundary]
		if !has && h.enforces(boundary) {
			t.Errorf("%s is claimed and there is no check of it: write one", boundary)
		}
		if !has {
			continue
		}
		t.Run(string(boundary), func(t *testing.T) {
			if !h.enforces(boundary) {
				if boundary == sandbox.BoundaryEgress {
					withoutEgress(t, &host{T: t, Fixture: h.Fixture, program: h.program})
				}
				t.Skip("not enforced by this driver here")
			}
			check(t, &host{T: t, Fixture: h.Fixture, program: h.program})
		})
	}
}

// fails runs a command that must not succeed.
func (h *host) fails(box sandbox.Sandbox, cmd sandbox.Command) {
	h.Helper()
	p := h.start(box, cmd)
	out := p.rest()
	if status := p.wait(); status == (sandbox.ExitStatus{}) {
		h.Errorf("%v succeeded: %s", cmd.Args, out)
	}
}

func enforcesFiles(t *testing.T, h *host) {
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("of the host"), 0o644))
	first, second := h.create(h.spec("files-1")), h.create(h.spec("files-2"))
	h.fails(first, program("cat", secret))
	h.fails(first, program("cat", "/etc/shadow"))
	h.output(first, program("write", "/tmp/mine"))
	h.output(first, program("cat", "/tmp/mine"))
	h.fails(second, program("cat", "/tmp/mine"))
	for _, path := range []string{"/new", "/usr/new", "/etc/passwd", "/opt/new", "/var/task/new", "/dev/new"} {
		h.fails(first, program("write", path))
	}
}

// listProcesses prints the arguments of every process that can be seen.
const listProcesses = "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; done"

func enforcesProcesses(t *testing.T, h *host) {
	first, second := h.create(h.spec("processes-1")), h.create(h.spec("processes-2"))
	h.start(second, program("sleep")).expect("ready")
	// Its own shell and what that starts, and at most the driver's init.
	if out := h.output(first, shell(listProcesses)); strings.Contains(out, "helper") {
		t.Errorf("sees %q", out)
	}
	h.fails(first, shell("kill -0 "+strconv.Itoa(os.Getpid())))
	h.fails(first, shell("kill -0 1"))
}

func enforcesIdentity(t *testing.T, h *host) {
	box := h.create(h.spec("identity"))
	if uid := strings.TrimSpace(h.output(box, shell("id -u"))); uid == "0" {
		t.Error("user code is root inside")
	}
	status := h.output(box, program("cat", "/proc/self/status"))
	sets := 0
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		if !strings.HasPrefix(name, "Cap") {
			continue
		}
		sets++
		if value != "0000000000000000" {
			t.Errorf("%s is %s", name, value)
		}
	}
	if sets < 4 { // inheritable, permitted, effective, bounding
		t.Errorf("no capabilities in\n%s", status)
	}
	if got := h.output(box, program("no-new-privs")); got != "1\n" {
		t.Errorf("no_new_privs is %q", got)
	}
}

func enforcesSyscalls(t *testing.T, h *host) {
	box := h.create(h.spec("syscalls"))
	if status := h.output(box, program("cat", "/proc/self/status")); !strings.Contains(status, "Seccomp:\t2\n") {
		t.Errorf("no filter in\n%s", status)
	}
	h.fails(box, shell("unshare --user true"))
}

// The kernel itself lets everybody make the node that overlays use as a whiteout; Landlock does not.
func enforcesLandlock(t *testing.T, h *host) {
	box := h.create(h.spec("landlock"))
	h.fails(box, shell("mknod /tmp/whiteout c 0 0"))
	h.output(box, shell("mkfifo /tmp/pipe"))
}

func enforcesMemory(t *testing.T, h *host) {
	spec := h.spec("memory")
	spec.Limits.MemoryBytes = 64 << 20
	box := h.create(spec)
	other := h.start(box, program("sleep"))
	other.expect("ready")
	beside := h.start(h.create(h.spec("beside")), program("sleep"))
	beside.expect("ready")
	p := h.start(box, program("eat", "512"))
	if got := p.wait(); got.Signal != syscall.SIGKILL || !got.OOMKilled {
		t.Errorf("%+v, want a kill for lack of memory", got)
	}
	// All of the sandbox goes, nobody beside it does.
	if got := other.wait(); got.Signal != syscall.SIGKILL || !got.OOMKilled {
		t.Errorf("%+v, want a kill for lack of memory", got)
	}
	select {
	case <-beside.Done():
		t.Errorf("another sandbox's process ended with %+v", beside.Status())
	default:
	}
	must(t, box.Reset(h.context()))
	again := h.start(box, program("sleep"))
	again.expect("ready")
	must(t, again.Signal(syscall.SIGKILL))
	if got := again.wait(); got.OOMKilled {
		t.Error("an ordinary kill counts as lack of memory")
	}
}

// Each of two may use as much as it likes, and both together may not: the larger one goes.
func enforcesAllMemory(t *testing.T, h *host) {
	spec := h.spec("all-memory")
	spec.Limits.MemoryBytes = 0
	whole, quarter := fmt.Sprint(h.MemoryBytes>>20), fmt.Sprint(h.MemoryBytes/4>>20)
	small := h.start(h.create(h.spec("small")), program("sleep"))
	small.expect("ready")
	large := h.create(spec)
	first := h.start(large, program("eat", quarter))
	first.expect("ate " + quarter)
	spec.ID = "all-memory-2"
	second := h.start(h.create(spec), program("eat", whole))
	if got := second.wait(); got.Signal != syscall.SIGKILL || !got.OOMKilled {
		t.Errorf("%+v, want a kill for lack of memory", got)
	}
	for what, p := range map[string]*running{"a small one": small, "one of a quarter of the memory": first} {
		select {
		case <-p.Done():
			t.Errorf("%s ended with %+v", what, p.Status())
		default:
		}
	}
}

func enforcesCPU(t *testing.T, h *host) {
	box := h.create(h.spec("cpu"))
	h.output(box, program("spin", "1")) // a container that is to be started first takes time of the CPU, too
	must(t, box.SetLimits(h.context(), sandbox.Limits{MilliCPU: 200}))
	before, err := box.Stats(h.context())
	must(t, err)
	h.output(box, program("spin", "1000"))
	after, err := box.Stats(h.context())
	must(t, err)
	if used := after.CPUTime - before.CPUTime; used.Milliseconds() > 300 {
		t.Errorf("a second at a fifth of a CPU took %v of CPU time", used)
	}
}

func enforcesPIDs(t *testing.T, h *host) {
	const most = 64
	spec := h.spec("pids")
	spec.Limits.PIDs = most
	box := h.create(spec)
	p := h.start(box, program("fork", fmt.Sprint(10*most)))
	count, err := strconv.Atoi(p.line())
	must(t, err)
	if count == 0 || count > most {
		t.Errorf("%d children with a limit of %d", count, most)
	}
	stats, err := box.Stats(h.context())
	must(t, err)
	if stats.PIDs > most+16 {
		t.Errorf("%d processes and threads with a limit of %d", stats.PIDs, most)
	}
}

func enforcesOpenFiles(t *testing.T, h *host) {
	spec := h.spec("open-files")
	spec.Limits.OpenFiles = 100
	if got := strings.TrimSpace(h.output(h.create(spec), program("nofile"))); got != "100" {
		t.Errorf("the limit is %s", got)
	}
	if got := strings.TrimSpace(h.output(h.create(h.spec("open-files-default")), program("nofile"))); got != "1024" {
		t.Errorf("the default limit is %s", got)
	}
}

// A full /tmp is an error of whoever writes, and takes none of the memory. It is the sandbox's own and as lasting.
func enforcesTmp(t *testing.T, h *host) {
	const size = 96
	spec := h.spec("tmp")
	spec.Limits = sandbox.Limits{MemoryBytes: 48 << 20, TmpBytes: size << 20}
	box := h.create(spec)
	var filled int
	out := h.output(box, program("fill", "/tmp/x", fmt.Sprint(2*size)))
	if _, err := fmt.Sscanf(out, "%d no space left on device\n", &filled); err != nil || filled < size-1 || filled > size+size/50+4 {
		t.Errorf("it says %q, want that /tmp is full at some %d", out, size)
	}
	stats, err := box.Stats(h.context())
	must(t, err)
	if stats.MemoryBytes > 24<<20 {
		t.Errorf("%d bytes of memory are in use with a full /tmp", stats.MemoryBytes)
	}
	must(t, box.Freeze(h.context()))
	must(t, box.Thaw(h.context()))
	must(t, box.Reset(h.context()))
	if got := h.output(box, shell("cd /tmp && echo *")); got != "x\n" {
		t.Errorf("after a reset /tmp has %q", got)
	}
	h.output(box, shell("rm /tmp/x; echo again >/tmp/y"))
	other := spec
	other.ID, other.Limits.TmpBytes = "tmp-other", 2*size<<20
	larger := h.create(other)
	if got := h.output(larger, shell("cd /tmp && echo *")); got != "*\n" {
		t.Errorf("another sandbox sees %q", got)
	}
	if got := h.output(larger, program("fill", "/tmp/x", fmt.Sprint(size*3/2))); got != fmt.Sprintln(size*3/2) {
		t.Errorf("a larger /tmp says %q", got)
	}
}

// A rate is the most: less than half a second would have been faster than allowed, more than one is a slow disk.
func enforcesDiskBandwidth(t *testing.T, h *host) {
	const rate = 32
	spec := h.spec("disk-bandwidth")
	spec.Limits.TmpBytes, spec.Limits.DiskBytesPerSecond = 128<<20, rate<<20
	box := h.create(spec)
	for _, what := range []string{"write-out", "read-in"} {
		took, err := strconv.Atoi(strings.TrimSpace(h.output(box, program(what, "/tmp/x", fmt.Sprint(rate)))))
		must(t, err)
		if took < 500 {
			t.Errorf("%s: a second's worth took %d ms", what, took)
		}
	}
}
