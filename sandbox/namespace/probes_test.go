//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"runtime"
	"slices"
)

// probes are all attempts, by what they go for.
func probes(landlock bool) []probe {
	all := slices.Concat(fileProbes(), nodeProbes(landlock), writeProbes(), processProbes(), networkProbes(), identityProbes(), callProbes(), kernelFileProbes(),
		tenantProbes(), patternProbes(), redirectProbes(), descriptorProbes(), hierarchyProbes(), numberProbes(), diskProbes(), resourceProbes(), moreProcessProbes())
	if runtime.GOARCH == "amd64" {
		all = append(all,
			// mov eax, 20 (getpid of i386); int 0x80; ret. ENOSYS is 38.
			probe{"i386 call", `say(machine(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"))`, "-38"},
			probe{"x32 call", `say(call(0x40000000 | SYS["getpid"]))`, "ENOSYS"},
			probe{"iopl", `say(call(172, 3))`, "EPERM"},
			probe{"ioperm", `say(call(173, 0x70, 1, 1))`, "EPERM"},
			probe{"modify_ldt", `say(call(154, 0, None, 0))`, "EPERM"})
	}
	return all
}

func fileProbes() []probe {
	return []probe{
		{"host's shadow file", `read("/etc/shadow")`, "errno ENOENT"},
		{"host's readable file", `read(HOST["Secret"])`, "errno ENOENT"},
		{"state directory", `os.listdir(HOST["State"])`, "errno ENOENT"},
		{"other sandbox's /tmp", `say(os.listdir("/tmp"))`, "[]"},
		{"other sandbox's /tmp by its path", `read(HOST["State"] + "/sandboxes/" + HOST["Other"] + "/tmp/theirs")`, "errno ENOENT"},
		{"out of the root", `say(os.path.samefile("/../../..", "/")); say(sorted(os.listdir("/../..")) == sorted(os.listdir("/")))`, "True True"},
		{"mounts beneath the root", `say([l.split()[4] for l in open("/proc/self/mountinfo")].count("/"))`, "1"},
		{"mounts by the newer calls", `say(call("listmount", struct.pack("IIQQ", 24, 0, 2**64 - 1, 0), None, 0, 0)); say(call("statmount", None, None, 0, 0))`, "ENOSYS ENOSYS"},
		{"home and root's files", `say([p for p in ("/root", "/home", "/mnt", "/run", "/boot", "/srv", "/sys", "/work") if os.path.exists(p)])`, "[]"},
		{"sysfs", `os.listdir("/sys")`, "errno ENOENT"},
		{"control groups", `os.listdir("/sys/fs/cgroup")`, "errno ENOENT"},
		{"names of control groups", `say(set(l.split(":", 2)[2].split("/")[1] for l in open("/proc/self/cgroup").read().split("\n") if "hotaru" in l))`, "set()"},
		{"devices", `say(sorted(os.listdir("/dev")))`,
			"['fd', 'full', 'null', 'random', 'stderr', 'stdin', 'stdout', 'urandom', 'zero']"},
		{"memory device", `read("/dev/mem")`, "errno ENOENT"},
		{"kernel memory device", `read("/dev/kmem")`, "errno ENOENT"},
		{"kernel log device", `read("/dev/kmsg")`, "errno ENOENT"},
		{"disks", `say([d for d in ("vda", "sda", "nvme0n1", "loop0", "loop-control") if os.path.exists("/dev/" + d)])`, "[]"},
		{"terminal", `os.open("/dev/tty", os.O_RDWR)`, "errno ENOENT"},
		{"new terminal", `os.open("/dev/ptmx", os.O_RDWR)`, "errno ENOENT"},
		{"fuse", `os.open("/dev/fuse", os.O_RDWR)`, "errno ENOENT"},
		{"kvm", `os.open("/dev/kvm", os.O_RDWR)`, "errno ENOENT"},
		{"tun", `os.open("/dev/net/tun", os.O_RDWR)`, "errno ENOENT"},
		{"leaked descriptors", `say([f for f in os.listdir("/proc/self/fd") if int(f) > 3 and "pipe" not in os.readlink("/proc/self/fd/" + f)])`, "[]"},
	}
}

// nodeProbes make device nodes. Landlock refuses before the kernel asks for the capability.
func nodeProbes(landlock bool) []probe {
	want := "errno EPERM"
	if landlock {
		want = "errno EACCES"
	}
	return []probe{
		{"device node for a disk", `os.mknod("/tmp/disk", 0o666 | stat.S_IFBLK, os.makedev(254, 0))`, want},
		{"device node for memory", `os.mknod("/tmp/mem", 0o666 | stat.S_IFCHR, os.makedev(1, 1))`, want},
		{"named pipe", `os.mkfifo("/tmp/pipe"); say(stat.S_ISFIFO(os.stat("/tmp/pipe").st_mode)); os.unlink("/tmp/pipe")`, "True"},
	}
}

func writeProbes() []probe {
	return []probe{
		{"write code", `write("/var/task/x")`, "errno EROFS"},
		{"write layers", `write("/opt/x")`, "errno EROFS"},
		{"write /", `write("/x")`, "errno EROFS"},
		{"write /usr", `write("/usr/x")`, "errno EROFS"},
		{"overwrite a program", `write("/usr/bin/env")`, "errno EROFS"},
		{"write passwd", `write("/etc/passwd")`, "errno EROFS"},
		{"write /dev", `write("/dev/x")`, "errno EROFS"},
		{"chmod a device", `os.chmod("/dev/null", 0o600)`, "errno EROFS"},
		{"remove a program", `os.unlink("/usr/bin/env")`, "errno EROFS"},
		{"link out of /tmp", `os.link("/usr/bin/env", "/tmp/env")`, "errno EXDEV"},
		{"setuid bit of its own", `write("/tmp/s"); os.chmod("/tmp/s", 0o6755); say(oct(os.stat("/tmp/s").st_mode)); os.unlink("/tmp/s")`, "0o106755"},
		{"give a file away", `write("/tmp/g"); os.chown("/tmp/g", 0, 0)`, "errno EPERM"},
		{"file capability", `write("/tmp/c"); os.setxattr("/tmp/c", "security.capability", bytes.fromhex("0100000200000000ffffffff0000000000000000"))`, "errno EPERM"},
		{"trusted attribute", `write("/tmp/t"); os.setxattr("/tmp/t", "trusted.overlay.opaque", b"y")`, "errno EPERM"},
		{"/tmp itself", `write("/tmp/mine"); say(read("/tmp/mine")); os.unlink("/tmp/mine")`, "b'x'"},
	}
}

func processProbes() []probe {
	return []probe{
		{"processes of others", `mine = {os.getpid(), os.getppid()}` + "\n" +
			`say([p for p in os.listdir("/proc") if p.isdigit() and int(p) not in mine])`, "[]"},
		{"init's root", `os.listdir("/proc/1/root")`, "errno ENOENT"},
		{"init's program", `os.open("/proc/1/exe", os.O_RDONLY)`, "errno ENOENT"},
		{"init's environment", `read("/proc/1/environ")`, "errno ENOENT"},
		{"init's memory", `os.open("/proc/1/mem", os.O_RDWR)`, "errno ENOENT"},
		{"init's threads", `say([t for t in range(2, 20) if t != os.getpid() and t != os.getppid() and os.path.exists("/proc/%d" % t)])`, "[]"},
		{"signal a process of the host", `os.kill(HOST["PID"], 0)`, "errno ESRCH"},
		{"kill init", `os.kill(1, 9)`, "errno EPERM"},
		{"stop init", `os.kill(1, signal.SIGSTOP)`, "errno EPERM"},
		{"signal init's threads", `say({str(call("tkill", t, 0)) for t in range(1, 12) if t not in (os.getpid(), os.getppid())} - {"EPERM", "ESRCH"})`, "set()"},
		{"trace init", `say(call("ptrace", 16, 1, 0, 0))`, "EPERM"},
		{"trace oneself", `say(call("ptrace", 0, 0, 0, 0))`, "EPERM"},
		{"read the parent's memory", `say(call("process_vm_readv", os.getppid(), None, 0, None, 0, 0))`, "EPERM"},
		{"write the parent's memory", `say(call("process_vm_writev", os.getppid(), None, 0, None, 0, 0))`, "EPERM"},
		{"take a descriptor of the parent", `say(call("pidfd_getfd", call("pidfd_open", os.getppid(), 0), 0, 0))`, "EPERM"},
		{"compare processes", `say(call("kcmp", os.getpid(), os.getppid(), 0, 0, 0))`, "EPERM"},
		{"own program is not init's", `say("stage1" in os.readlink("/proc/self/exe"))`, "False"},
		{"raise open files", `say(call("prlimit64", 0, 7, struct.pack("QQ", 4096, 4096), None))`, "EPERM"},
		{"raise core size", `say(call("prlimit64", 0, 4, struct.pack("QQ", 1 << 20, 1 << 20), None))`, "EPERM"},
		{"raise locked memory", `say(call("prlimit64", 0, 8, struct.pack("QQ", 1 << 30, 1 << 30), None))`, "EPERM"},
		{"raise priority", `os.setpriority(os.PRIO_PROCESS, 0, -5)`, "errno EACCES"},
		{"real-time scheduling", `os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))`, "errno EPERM"},
		{"escape the memory killer", `write("/proc/self/oom_score_adj", b"-1000")`, "errno EACCES"},
		{"dump core", `pid = os.fork()` + "\n" + `if pid == 0: os.chdir("/tmp"); os.abort()` + "\n" +
			`_, status = os.waitpid(pid, 0)` + "\n" + `say((os.WTERMSIG(status), os.WCOREDUMP(status), [f for f in os.listdir("/tmp") if "core" in f]))`, "(6, False, [])"},
	}
}

func networkProbes() []probe {
	return []probe{
		{"host's loopback", `connect(socket.AF_INET, ("127.0.0.1", HOST["TCP4"]))`, "errno ECONNREFUSED"},
		{"host's other loopback", `connect(socket.AF_INET, ("127.1.2.3", HOST["TCP4"]))`, "errno ECONNREFUSED"},
		{"host's loopback, IPv6", `connect(socket.AF_INET6, ("::1", HOST["TCP6"]))`, "errno ECONNREFUSED"},
		{"host's loopback, mapped", `connect(socket.AF_INET6, ("::ffff:127.0.0.1", HOST["TCP4"]))`, "errno ECONNREFUSED"},
		{"host's addresses", `for ip in HOST["IPs"] or ["192.0.2.1"]: connect(socket.AF_INET, (ip, HOST["TCP4"]))`, "errno ENETUNREACH"},
		{"instance metadata", `connect(socket.AF_INET, ("169.254.169.254", 80))`, "errno ENETUNREACH"},
		{"instance metadata, IPv6", `connect(socket.AF_INET6, ("fd00:ec2::254", 80))`, "errno ENETUNREACH"},
		{"the Internet", `connect(socket.AF_INET, ("192.0.2.1", 443))`, "errno ENETUNREACH"},
		{"datagrams to the host", `connect(socket.AF_INET, ("192.0.2.1", 53), socket.SOCK_DGRAM)`, "errno ENETUNREACH"},
		{"host's abstract socket", `connect(socket.AF_UNIX, "\0" + HOST["Unix"])`, "errno ECONNREFUSED"},
		{"host's socket by its path", `connect(socket.AF_UNIX, HOST["Path"])`, "errno ENOENT"},
		{"interfaces", `say(socket.if_nameindex())`, "[(1, 'lo')]"},
		{"routes", `say(len(open("/proc/net/route").read().splitlines()) - 1)`, "0"},
		{"packet socket", `socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)`, "errno EAFNOSUPPORT"},
		{"raw socket", `socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)`, "errno EPERM"},
		{"host's virtual sockets", `socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)`, "errno EAFNOSUPPORT"},
		{"kernel crypto", `socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)`, "errno EAFNOSUPPORT"},
		{"bluetooth", `socket.socket(31, socket.SOCK_RAW, 0)`, "errno EAFNOSUPPORT"},
		{"SCTP", `socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)`, "errno EPROTONOSUPPORT"},
		{"netfilter", `socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)`, "errno EPROTONOSUPPORT"},
		{"kernel's audit", `socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9)`, "errno EPROTONOSUPPORT"},
		{"device events", `socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)`, "errno EPROTONOSUPPORT"},
		{"privileged port", `socket.socket(socket.AF_INET).bind(("127.0.0.1", 53))`, "errno EACCES"},
		{"take loopback down", `import fcntl; fcntl.ioctl(socket.socket(socket.AF_INET), 0x8914, struct.pack("16sh14x", b"lo", 0))`, "errno EPERM"},
		{"name resolution asks the kernel", `say(socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)[0][4])`, "('127.0.0.1', 80)"},
	}
}

func identityProbes() []probe {
	return []probe{
		{"user", `say(os.getresuid()); say(os.getresgid()); say(os.getgroups())`, "(993, 993, 993) (990, 990, 990) []"},
		{"become root", `os.setuid(0)`, "errno EPERM"},
		{"become root's group", `os.setgid(0)`, "errno EPERM"},
		{"become another", `os.setuid(1000)`, "errno EINVAL"},
		{"take groups", `os.setgroups([0])`, "errno EPERM"},
		{"setuid program", `say(os.popen("/opt/setuid-id -u; /opt/setuid-id -g").read().split())`, "['993', '990']"},
		{"capabilities", `say({l.split(":\t")[1] for l in open("/proc/self/status").read().split("\n") if l.startswith("Cap")})`, "{'0000000000000000'}"},
		{"raise a capability", `say(call("capset", struct.pack("Ii", 0x20080522, 0), struct.pack("6I", 1 << 21, 1 << 21, 0, 0, 0, 0)))`, "EPERM"},
		{"ambient capability", `say(libc.prctl(47, 2, 21, 0, 0)); say(errno.errorcode[ctypes.get_errno()])`, "-1 EPERM"},
		{"drop no_new_privs", `say(libc.prctl(38, 0, 0, 0, 0)); say(errno.errorcode[ctypes.get_errno()])`, "-1 EINVAL"},
		{"securebits", `say(libc.prctl(28, 0, 0, 0, 0)); say(errno.errorcode[ctypes.get_errno()])`, "-1 EPERM"},
		{"drop the filter", `say(libc.prctl(22, 0, 0, 0, 0)); say(errno.errorcode[ctypes.get_errno()])`, "-1 EINVAL"},
		{"user map", `write("/proc/self/uid_map", b"0 0 1")`, "errno EPERM"},
		{"no root in the user map", `say(open("/proc/self/uid_map").read().split()[1] != "0")`, "True"},
		{"host name", `say(os.uname().nodename)`, "attacker"},
	}
}
