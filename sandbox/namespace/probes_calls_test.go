//go:build linux && (amd64 || arm64)

package namespace_test

import "fmt"

// callProbes make system calls that nobody inside may make, in the simplest form that would succeed or fail
// differently if the filter let them through.
func callProbes() []probe {
	refused := map[string]string{
		"acct": "None", "add_key": `b"user", b"x", b"y", 1, -3`, "bpf": "0, None, 0", "chroot": `b"/tmp"`,
		"clock_settime": "0, struct.pack('qq', 0, 0)", "delete_module": `b"x", 0`, "fanotify_init": "0, 0",
		"finit_module": `0, b"", 0`, "fsopen": `b"tmpfs", 0`, "init_module": `b"", 0, b""`, "kexec_load": "0, 0, None, 0",
		"keyctl": "0, -3, 1", "mount": `b"none", b"/tmp", b"tmpfs", 0, None`, "mount_setattr": `-100, b"/", 0, None, 0`,
		"move_mount": `-100, b"/tmp", -100, b"/", 0`, "name_to_handle_at": `-100, b"/", None, None, 0`,
		"open_by_handle_at": "3, None, 0", "open_tree": `-100, b"/", 1`, "perf_event_open": "None, 0, -1, -1, 0",
		"pivot_root": `b".", b"."`, "quotactl": "0, None, 0, None", "reboot": "0xfee1dead, 672274793, 0, None",
		"request_key": `b"user", b"x", None, 0`, "sethostname": `b"x", 1`, "setns": "0, 0", "settimeofday": "None, None",
		"swapon": `b"/tmp/x", 0`, "syslog": "3, None, 0", "umount2": `b"/tmp", 0`, "unshare": "0x10000000", "vhangup": "",
	}
	absent := map[string]string{
		"clone3": "None, 0", "io_uring_setup": "1, None", "io_uring_enter": "0, 1, 0, 0, None, 0", "io_uring_register": "0, 0, None, 0", "memfd_secret": "0", "userfaultfd": "1",
	}
	var all []probe
	for name, args := range refused {
		all = append(all, probe{name, fmt.Sprintf("say(call(%q, %s))", name, args), "EPERM"})
	}
	for name, args := range absent {
		all = append(all, probe{name, fmt.Sprintf("say(call(%q, %s))", name, args), "ENOSYS"})
	}
	for name, flag := range map[string]int{
		"user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "network": 0x40000000, "uts": 0x4000000, "ipc": 0x8000000,
		"cgroup": 0x2000000,
	} {
		all = append(all,
			probe{"clone into a " + name + " namespace", fmt.Sprintf(`say(call("clone", %#x | 17, 0, 0, 0, 0))`, flag), "EPERM"},
			probe{"unshare the " + name + " namespace", fmt.Sprintf(`say(call("unshare", %#x))`, flag), "EPERM"})
	}
	return append(all,
		probe{"enter init's namespaces", `os.open("/proc/1/ns/mnt", os.O_RDONLY)`, "errno ENOENT"},
		probe{"no address randomization", `say(call("personality", 0x0040000))`, "EPERM"},
		probe{"executable memory everywhere", `say(call("personality", 0x0400000))`, "EPERM"},
		probe{"type into a terminal", `say(call("ioctl", 0, 0x5412, b"x"))`, "EPERM"},
		probe{"the same with high bits", `say(call("ioctl", 0, 0x100005412, b"x"))`, "EPERM"},
		probe{"console copy and paste", `say(call("ioctl", 0, 0x541c, b"x"))`, "EPERM"},
		probe{"call of the future", `say(call(5000))`, "ENOSYS"})
}

// kernelFileProbes go through /proc.
func kernelFileProbes() []probe {
	null := `say(os.stat(path).st_rdev == os.makedev(1, 3)); say(read(path))`
	var all []probe
	for _, path := range []string{"kmsg", "keys", "key-users", "kallsyms", "timer_list", "slabinfo", "vmallocinfo", "pagetypeinfo",
		"kpagecount", "kpageflags", "interrupts", "diskstats", "iomem", "ioports", "sysrq-trigger", "kcore", "modules", "sched_debug", "cmdline", "partitions", "locks"} {
		all = append(all, probe{"/proc/" + path,
			fmt.Sprintf("path = %q\nif not os.path.exists(path): say(\"True b''\")\nelse: %s", "/proc/"+path, null), "True b''"})
	}
	for _, path := range []string{"sys/kernel/hostname", "sys/kernel/core_pattern", "sys/kernel/modprobe", "sys/kernel/randomize_va_space",
		"sys/vm/overcommit_memory", "sys/net/ipv4/ip_forward", "sys/fs/protected_symlinks", "sys/kernel/yama/ptrace_scope"} {
		all = append(all, probe{"write /proc/" + path,
			fmt.Sprintf("path = %q\nif not os.path.exists(path): say('errno EROFS')\nelse: write(path)", "/proc/"+path), "errno EROFS"})
	}
	return append(all,
		probe{"interrupt routing", `write("/proc/irq/default_smp_affinity")`, "errno EROFS"},
		probe{"how full the disks of others are", `say(os.listdir("/proc/fs")); os.mkdir("/proc/fs/x")`, "[] errno EROFS"},
		probe{"memory map of init", `read("/proc/1/maps")`, "errno ENOENT"},
		probe{"autogroup of init", `say(os.path.exists("/proc/1/autogroup"))`, "False"})
}
