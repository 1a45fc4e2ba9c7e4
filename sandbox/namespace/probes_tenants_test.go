//go:build linux && (amd64 || arm64)

package namespace_test

import "fmt"

// tenant is what the neighbour of the probes has: each thing under a name that the probes know.
const tenant = `
import ctypes, os, socket, time
libc = ctypes.CDLL(None, use_errno=True)
open("/tmp/theirs", "w").write("secret"); os.chmod("/tmp/theirs", 0o644)
abstract = socket.socket(socket.AF_UNIX); abstract.bind("\0hotaru-neighbour"); abstract.listen()
port = socket.socket(socket.AF_INET); port.bind(("127.0.0.1", 8181)); port.listen()
assert libc.shmget(0x486f7461, 4096, 0o1666) >= 0
assert libc.semget(0x486f7461, 1, 0o1666) >= 0
assert libc.msgget(0x486f7461, 0o1666) >= 0
print("ready", flush=True)
time.sleep(1000)
`

// tenantProbes go for the neighbour.
func tenantProbes() []probe {
	return []probe{
		{"neighbour's abstract socket", `connect(socket.AF_UNIX, "\0hotaru-neighbour")`, "errno ECONNREFUSED"},
		{"neighbour's server", `connect(socket.AF_INET, ("127.0.0.1", 8181))`, "errno ECONNREFUSED"},
		{"neighbour's Runtime API", `connect(socket.AF_INET, ("127.0.0.1", 9001))`, "errno ECONNREFUSED"},
		{"neighbour's shared memory", `say(libc.shmget(0x486f7461, 4096, 0)); say(errno.errorcode[ctypes.get_errno()])`, "-1 ENOENT"},
		{"neighbour's semaphores", `say(libc.semget(0x486f7461, 1, 0)); say(errno.errorcode[ctypes.get_errno()])`, "-1 ENOENT"},
		{"neighbour's message queue", `say(libc.msgget(0x486f7461, 0)); say(errno.errorcode[ctypes.get_errno()])`, "-1 ENOENT"},
		{"neighbour's processes", `say([p for p in os.listdir("/proc") if p.isdigit() and b"neighbour" in read("/proc/" + p + "/cmdline") and int(p) not in (os.getpid(), os.getppid())])`, "[]"},
		{"neighbour's user", `say(len({l.split()[1] for l in open("/proc/self/uid_map")})); os.setuid(994)`, "2 errno EINVAL"},
		{"all processes there are", `os.kill(-1, 0); say(len([p for p in os.listdir("/proc") if p.isdigit()]))`, "2"},
		{"shared memory of files", `os.listdir("/dev/shm")`, "errno ENOENT"},
		{"a control group of its own", `os.mkdir("/sys/fs/cgroup/x")`, "errno ENOENT"},
		{"leave the control group", `write("/sys/fs/cgroup/cgroup.procs", b"0")`, "errno ENOENT"},
	}
}

// patternProbes repeat how sandboxes of others were left once.
func patternProbes() []probe {
	return []probe{
		// CVE-2019-5736: the runtime's own program is overwritten through /proc.
		{"overwrite the own program", `write("/proc/self/exe")`, "errno EROFS"},
		{"overwrite the parent's program", `write("/proc/%d/exe" % os.getppid())`, "errno EROFS"},
		{"overwrite init's program", `write("/proc/1/exe")`, "errno ENOENT"},
		// CVE-2024-21626: a directory of the host stays open.
		{"directories that stayed open", `say([f for f in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd/" + f)])`, "[]"},
		{"working directory outside", `say(os.getcwd()); say(os.path.samefile("/proc/self/cwd", "/tmp"))`, "/tmp True"},
		{"root is the own", `say(os.readlink("/proc/self/root")); say(os.path.samefile("/proc/self/root", "/"))`, "/ True"},
		// CVE-2022-0492: a release agent runs on the host.
		{"release agent", `write("/sys/fs/cgroup/release_agent")`, "errno ENOENT"},
		{"release agent of a new hierarchy", `say(call("mount", b"cgroup", b"/tmp", b"cgroup", 0, b"memory"))`, "EPERM"},
		// The kernel runs programs of the host for these.
		{"core dump handler", `write("/proc/sys/kernel/core_pattern", b"|/tmp/x")`, "errno EROFS"},
		{"binary formats", `write("/proc/sys/fs/binfmt_misc/register") if os.path.exists("/proc/sys/fs/binfmt_misc/register") else say("errno EROFS")`, "errno EROFS"},
		{"device events", `write("/sys/kernel/uevent_helper")`, "errno ENOENT"},
		// CVE-2015-3627, CVE-2019-16884: the security module's files under /proc.
		{"security label", `write("/proc/self/attr/exec") if os.path.exists("/proc/self/attr/exec") else say("errno EINVAL")`, "errno EINVAL"},
		// CVE-2016-5195: a private mapping of a read-only file is written through /proc/self/mem.
		{"write a read-only file through memory", `import mmap
f = open("/usr/bin/env", "rb"); before = f.read(16)
m = mmap.mmap(f.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ)
address = next(int(l.split("-")[0], 16) for l in open("/proc/self/maps") if l.rstrip().endswith(os.path.realpath("/usr/bin/env")))
with open("/proc/self/mem", "r+b", buffering=0) as mem:
    mem.seek(address)
    try: mem.write(b"overwritten!")
    except OSError: pass
say(open("/usr/bin/env", "rb").read(16) == before)`, "True"},
		// CVE-2022-0847: a pipe's page is the page cache's.
		{"splice into a read-only file", `r, w = os.pipe(); os.write(w, b"x"); say(os.splice(r, os.open("/usr/bin/env", os.O_RDONLY), 1))`, "errno EBADF"},
		// CVE-2021-41091: setuid programs that one makes oneself.
		{"setuid program of its own", `import shutil, subprocess
shutil.copy("/usr/bin/id", "/tmp/id"); os.chmod("/tmp/id", 0o6755)
say(subprocess.run(["/tmp/id", "-u"], capture_output=True, text=True).stdout.strip()); os.unlink("/tmp/id")`, "993"},
		// CVE-2020-15257: the daemon's abstract sockets.
		{"abstract sockets there are", `say([l for l in open("/proc/net/unix").read().split("\n") if "@" in l])`, "[]"},
		// CVE-2022-0185 and its kin need a new user namespace or file system.
		{"file system context", `say(call("fsopen", b"ext4", 0))`, "EPERM"},
		// Links that are no links: with them a path leaves whatever it is held to.
		{"reopen a read-only descriptor", `fd = os.open("/etc/passwd", os.O_RDONLY); os.open("/proc/self/fd/%d" % fd, os.O_RDWR)`, "errno EACCES"},
		{"links of other processes", `os.symlink("/proc/1/root", "/tmp/link"); os.listdir("/tmp/link")`, "errno ENOENT"},
		{"remove that link", `os.unlink("/tmp/link"); say(os.path.lexists("/tmp/link"))`, "False"},
	}
}

// diskProbes go for the file system behind /tmp, and for the disk that all share.
func diskProbes() []probe {
	return []probe{
		{"shut /tmp down", ioctl("/tmp", 0x8004587d, "<I", 2), "errno EPERM"},
		{"freeze /tmp", ioctl("/tmp", 0xc0045877, "<I", 0), "errno EPERM"},
		{"trim /tmp", ioctl("/tmp", 0xc0185879, "<QQQ", 0, 1<<30, 0), "errno EPERM"},
		{"resize /tmp", ioctl("/tmp", 0x40086610, "<Q", 1<<20), "errno EPERM"},
		{"change its label", `import fcntl; fcntl.ioctl(os.open("/tmp", os.O_RDONLY), 0x41009432, b"label".ljust(256, b"\0"))`, "errno EPERM"},
		{"a file that nobody can remove", `write("/tmp/i"); import fcntl
try: fcntl.ioctl(os.open("/tmp/i", os.O_RDONLY), 0x40086602, struct.pack("<I", 0x10))
finally: os.unlink("/tmp/i")`, "errno EPERM"},
		{"its device", `say([d for d in os.listdir("/dev") if d.startswith("loop")])`, "[]"},
		{"remount it", `say(call("mount", None, b"/tmp", None, 32, None))`, "EPERM"},
		{"have the host write everything", `say(call("sync")); say(call("syncfs", os.open("/usr", os.O_RDONLY)))`, "0 0"},
		{"quota of the host", `say(call("quotactl", 0x80000700, b"/dev/vda", 0, None))`, "EPERM"},
	}
}

// ioctl opens a directory or file and makes an ioctl with a packed argument.
func ioctl(path string, request int, format string, values ...int) string {
	code := "import fcntl\nfcntl.ioctl(os.open(%q, os.O_RDONLY), %#x, bytearray(struct.pack(%q%s)))"
	arguments := ""
	for _, value := range values {
		arguments += fmt.Sprintf(", %d", value)
	}
	return fmt.Sprintf(code, path, request, format, arguments)
}

// resourceProbes take all there is of something.
func resourceProbes() []probe {
	return []probe{
		{"open files", `held = []
try:
    while True: held.append(os.open("/dev/null", os.O_RDONLY))
except OSError as e:
    last = held[-1]
    for fd in held: os.close(fd)
    say((last, errno.errorcode[e.errno]))`, "(1023, 'EMFILE')"},
		{"room in /tmp", `
try:
    with open("/tmp/all", "wb", buffering=0) as f:
        while True: f.write(bytes(1 << 20))
finally: os.unlink("/tmp/all")`, "errno ENOSPC"},
		{"files in /tmp", `n = 0
try:
    while n < 100000: os.close(os.open("/tmp/f%d" % n, os.O_CREAT)); n += 1
except OSError as e: say(errno.errorcode[e.errno])
for i in range(n): os.unlink("/tmp/f%d" % i)
say(0 < n < 10000)`, "ENOSPC True"},
		{"a promise of all", `with open("/tmp/p", "wb") as f:
    try: os.posix_fallocate(f.fileno(), 0, 1 << 40)
    finally: os.unlink("/tmp/p")`, "errno ENOSPC"},
		{"locked memory", `libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
import mmap; m = mmap.mmap(-1, 64 << 20)
say(libc.mlock(ctypes.addressof(ctypes.c_char.from_buffer(m)), 64 << 20)); say(errno.errorcode[ctypes.get_errno()])`, "-1 ENOMEM"},
		{"memory at address zero", `libc.mmap.restype = ctypes.c_long; libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
say(libc.mmap(0, 4096, 3, 0x32, -1, 0)); say(errno.errorcode[ctypes.get_errno()])`, "-1 EPERM"},
		{"core dumps", `import resource; say(resource.getrlimit(resource.RLIMIT_CORE))`, "(0, 0)"},
		{"real-time priority", `import resource; say(resource.getrlimit(resource.RLIMIT_RTPRIO))`, "(0, 0)"},
	}
}

// moreProcessProbes go for stage-1 and for what processes share.
func moreProcessProbes() []probe {
	return []probe{
		{"processes and threads", `import resource; say(resource.getrlimit(resource.RLIMIT_NPROC))`, "(1024, 1024)"},
		{"a thousand and some threads", `import threading
gate = threading.Event(); n = 0
threading.stack_size(65536)
try:
    for n in range(2000): threading.Thread(target=gate.wait, daemon=True).start()
except RuntimeError as e: say(str(e))
say(900 < n < 1024); gate.set()`, "can't start new thread True"},
		{"locks of init", `say(call("get_robust_list", 1, ctypes.create_string_buffer(8), ctypes.create_string_buffer(8)))`, "EPERM"},
		{"a forged signal for init", `say(call("rt_sigqueueinfo", 1, 10, ctypes.create_string_buffer(128)))`, "EPERM"},
		{"signal init by descriptor", `say(call("pidfd_send_signal", call("pidfd_open", 1, 0), 9, None, 0))`, "EPERM"},
		{"enter init's namespaces by descriptor", `say(call("setns", call("pidfd_open", 1, 0), 0x20000))`, "EPERM"},
		{"change the own memory's layout", `say(libc.prctl(35, 13, os.open("/usr/bin/env", os.O_RDONLY), 0, 0)); say(errno.errorcode[ctypes.get_errno()])`, "-1 EPERM"},
		{"become dumpable and look again", `libc.prctl(4, 1, 0, 0, 0); os.listdir("/proc/1/fd")`, "errno ENOENT"},
		{"be traced by anybody", `libc.prctl(0x59616d61, -1, 0, 0, 0); say(call("ptrace", 16, os.getppid(), 0, 0))`, "EPERM"},
	}
}
