//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace"
	"hotaru/sandbox/sandboxtest"
)

//go:embed testdata/probe.py
var prober string

// probe is one attempt to get out, as Python that runs inside, and what it must say: the exact refusal.
type probe struct {
	name string
	code string
	want string
}

// hostFacts are what probes know about the host that they attack.
type hostFacts struct {
	State  string   // the driver's state directory
	PID    int      // of a process of the host
	TCP4   int      // a port that somebody listens on at 127.0.0.1 and every address of the host
	TCP6   int      // the same at ::1
	Unix   string   // an abstract socket, without the NUL byte
	Path   string   // a socket in the file system
	IPs    []string // addresses of the host
	Secret string   // a file of the host that everybody may read
	Other  string   // the ID of another sandbox
}

// TestBreakOut makes every attempt in two sandboxes, each in a process of its own: below a process that was started, and
// below a template's copy; made from nothing, and from a hull.
func TestBreakOut(t *testing.T) {
	needRoot(t)
	if _, err := os.Stat("/usr/bin/python3"); err != nil {
		t.Skip("the probes are Python and /usr/bin/python3 is missing: ", err)
	}
	for name, hull := range hulls() {
		t.Run(name, func(t *testing.T) { breakOut(t, hull) })
	}
}

func breakOut(t *testing.T, hull *sandbox.Limits) {
	t.Helper()
	sandboxtest.CheckLeaks(t)
	state := t.TempDir()
	driver := openDriver(t, namespace.Config{StateDir: state, ForcedHull: hull})
	root := sandboxtest.Root(t)
	other, err := driver.Create(t.Context(), sandbox.Spec{ID: "other", Root: root, Listen: []string{"127.0.0.1:9001"}})
	if err != nil {
		t.Fatal(err)
	}
	startNeighbour(t, other)
	setuid := setuidPrograms(t)
	facts := attackedHost(t, state)
	landlock := slices.ContainsFunc(driver.Capabilities(), func(c sandbox.Capability) bool {
		return c.Boundary == sandbox.BoundaryLandlock && c.Enforced
	})
	all := probes(landlock)
	cmd := copier(t)
	template, err := driver.NewTemplate(t.Context(), sandboxtest.Template(root, cmd))
	if err != nil {
		t.Fatal(err)
	}
	for way, template := range map[string]sandbox.Template{"started": nil, "copied": template} {
		box, err := driver.Create(t.Context(), sandbox.Spec{
			ID: way, Hostname: "attacker", Root: root, Binds: []sandbox.Bind{{Source: setuid, Target: "/opt"}},
			Limits: sandbox.Limits{MemoryBytes: 256 << 20, TmpBytes: 16 << 20},
		})
		if err != nil {
			t.Fatal(err)
		}
		cmd.Template = template
		for i, said := range ask(t, box, cmd, all, facts) {
			t.Run(way+"/"+all[i].name, func(t *testing.T) {
				if said != all[i].want {
					t.Errorf("it says %q, want %q", said, all[i].want)
				}
			})
		}
	}
}

// copier is a program that runs code.
func copier(t *testing.T) sandbox.Command {
	t.Helper()
	files := t.TempDir()
	sandboxtest.WriteCopier(t, files)
	return sandboxtest.Copier(t, files)
}

// ask has the command run the probes and returns what each said.
func ask(t *testing.T, box sandbox.Sandbox, cmd sandbox.Command, all []probe, facts hostFacts) []string {
	t.Helper()
	codes := make([]string, len(all))
	for i := range all {
		codes[i] = all[i].code
	}
	question, err := json.Marshal(map[string]any{"probes": codes, "calls": callNumbers(), "host": facts})
	if err != nil {
		t.Fatal(err)
	}
	out := runIn(t, box, sandboxtest.Code(t, cmd, fmt.Sprintf("given = %q\n%s", question, prober)))
	var said []string
	if err := json.Unmarshal([]byte(out), &said); err != nil || len(said) != len(all) {
		t.Fatalf("%v: %s", err, out)
	}
	return said
}

// startNeighbour starts what the probes may not reach, and waits until it is there.
func startNeighbour(t *testing.T, box sandbox.Sandbox) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = box.Start(t.Context(), sandbox.Command{
		Path: "/usr/bin/python3", Args: []string{"python3", "-I", "-S", "-c", tenant}, Dir: "/tmp", Stdout: w, Stderr: w,
	})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(r).ReadString('\n')
	if said != "ready\n" {
		rest, _ := io.ReadAll(r)
		t.Fatalf("the neighbour says %q, %v, %s", said, err, rest)
	}
}

// runIn runs a command to its end and returns its output.
func runIn(t *testing.T, box sandbox.Sandbox, cmd sandbox.Command) string {
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
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%v after %s", err, out)
	}
	<-p.Done()
	if status := p.Status(); status != (sandbox.ExitStatus{}) {
		t.Fatalf("%v: %+v\n%s", cmd.Args[0], status, out)
	}
	return string(out)
}

func runShell(t *testing.T, box sandbox.Sandbox, line string) string {
	t.Helper()
	return runIn(t, box, sandbox.Command{Path: "/bin/sh", Args: []string{"sh", "-c", line}, Env: []string{"PATH=/usr/bin"}})
}

// setuidPrograms makes programs that would run as root on the host.
func setuidPrograms(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	id, err := exec.LookPath("id")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(id)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "setuid-id")
	if err := errors.Join(os.WriteFile(path, content, 0o755), os.Chmod(path, 0o755|os.ModeSetuid|os.ModeSetgid), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// attackedHost serves on every way to the host that the probes try.
func attackedHost(t *testing.T, state string) hostFacts {
	t.Helper()
	dir := t.TempDir()
	facts := hostFacts{
		State: state, PID: os.Getpid(), Unix: "hotaru-breakout-" + filepath.Base(filepath.Dir(dir)),
		Path: filepath.Join(dir, "socket"), Secret: filepath.Join(dir, "secret"), Other: "other",
	}
	if err := os.WriteFile(facts.Secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	listen := func(network, address string) net.Addr {
		listener, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		return listener.Addr()
	}
	facts.TCP4 = listen("tcp4", "0.0.0.0:0").(*net.TCPAddr).Port
	facts.TCP6 = listen("tcp6", "[::]:0").(*net.TCPAddr).Port
	listen("unix", "@"+facts.Unix)
	listen("unix", facts.Path)
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if ip, ok := address.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			facts.IPs = append(facts.IPs, ip.IP.String())
		}
	}
	return facts
}

// A fork bomb and a memory bomb hit their own sandbox alone.
func TestBombs(t *testing.T) {
	sandboxtest.CheckLeaks(t)
	driver := newDriver(t)
	root := sandboxtest.Root(t)
	make := func(id string) sandbox.Sandbox {
		box, err := driver.Create(t.Context(), sandbox.Spec{ID: id, Root: root, Limits: sandbox.Limits{MemoryBytes: 128 << 20, PIDs: 256}})
		if err != nil {
			t.Fatal(err)
		}
		return box
	}
	beside := make("beside")
	forks := make("forks")
	if _, err := forks.Start(t.Context(), sandbox.Command{Path: "/bin/sh", Args: []string{"sh", "-c", "b() { b | b & b; }; b"}}); err != nil {
		t.Fatal(err)
	}
	memory := make("memory")
	bomb, err := memory.Start(t.Context(), sandbox.Command{Path: "/bin/sh", Args: []string{"sh", "-c", "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done"}})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-bomb.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the memory bomb goes on")
	}
	if status := bomb.Status(); !status.OOMKilled {
		t.Errorf("the memory bomb ended with %+v", status)
	}
	if got := runShell(t, beside, "echo alive"); got != "alive\n" {
		t.Errorf("beside them: %q", got)
	}
	stats, err := forks.Stats(t.Context())
	if err != nil || stats.PIDs > 256+16 {
		t.Errorf("the fork bomb has %d processes, %v", stats.PIDs, err)
	}
	began := time.Now()
	if err := forks.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("destroying the fork bomb took %v", took)
	}
}

// callNumbers are this architecture's numbers of the calls that probes make.
func callNumbers() map[string]int {
	return map[string]int{
		"acct": unix.SYS_ACCT, "add_key": unix.SYS_ADD_KEY, "bpf": unix.SYS_BPF, "capset": unix.SYS_CAPSET,
		"chroot": unix.SYS_CHROOT, "clock_settime": unix.SYS_CLOCK_SETTIME, "clone": unix.SYS_CLONE, "clone3": unix.SYS_CLONE3,
		"delete_module": unix.SYS_DELETE_MODULE, "fanotify_init": unix.SYS_FANOTIFY_INIT, "finit_module": unix.SYS_FINIT_MODULE,
		"fsopen": unix.SYS_FSOPEN, "init_module": unix.SYS_INIT_MODULE, "io_uring_setup": unix.SYS_IO_URING_SETUP,
		"ioctl": unix.SYS_IOCTL, "kcmp": unix.SYS_KCMP, "kexec_load": unix.SYS_KEXEC_LOAD, "keyctl": unix.SYS_KEYCTL,
		"memfd_secret": unix.SYS_MEMFD_SECRET, "mknodat": unix.SYS_MKNODAT, "mount": unix.SYS_MOUNT,
		"mount_setattr": unix.SYS_MOUNT_SETATTR, "move_mount": unix.SYS_MOVE_MOUNT, "name_to_handle_at": unix.SYS_NAME_TO_HANDLE_AT,
		"open_by_handle_at": unix.SYS_OPEN_BY_HANDLE_AT, "open_tree": unix.SYS_OPEN_TREE, "perf_event_open": unix.SYS_PERF_EVENT_OPEN,
		"personality": unix.SYS_PERSONALITY, "pidfd_getfd": unix.SYS_PIDFD_GETFD, "pidfd_open": unix.SYS_PIDFD_OPEN,
		"pivot_root": unix.SYS_PIVOT_ROOT, "prlimit64": unix.SYS_PRLIMIT64, "process_vm_readv": unix.SYS_PROCESS_VM_READV,
		"process_vm_writev": unix.SYS_PROCESS_VM_WRITEV, "ptrace": unix.SYS_PTRACE, "quotactl": unix.SYS_QUOTACTL,
		"reboot": unix.SYS_REBOOT, "request_key": unix.SYS_REQUEST_KEY, "sethostname": unix.SYS_SETHOSTNAME, "setns": unix.SYS_SETNS,
		"settimeofday": unix.SYS_SETTIMEOFDAY, "swapon": unix.SYS_SWAPON, "syslog": unix.SYS_SYSLOG, "tgkill": unix.SYS_TGKILL,
		"tkill": unix.SYS_TKILL, "umount2": unix.SYS_UMOUNT2, "unshare": unix.SYS_UNSHARE, "userfaultfd": unix.SYS_USERFAULTFD,
		"vhangup": unix.SYS_VHANGUP,
		"sync":    unix.SYS_SYNC, "syncfs": unix.SYS_SYNCFS, "io_uring_enter": unix.SYS_IO_URING_ENTER, "io_uring_register": unix.SYS_IO_URING_REGISTER,
		"listmount": unix.SYS_LISTMOUNT, "statmount": unix.SYS_STATMOUNT,
		"get_robust_list": unix.SYS_GET_ROBUST_LIST, "rt_sigqueueinfo": unix.SYS_RT_SIGQUEUEINFO, "pidfd_send_signal": unix.SYS_PIDFD_SEND_SIGNAL, "getpid": unix.SYS_GETPID,
	}
}
