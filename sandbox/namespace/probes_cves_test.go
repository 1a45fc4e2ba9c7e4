//go:build linux && (amd64 || arm64)

package namespace_test

import "fmt"

// redirectProbes repeat what led runc's writes and mounts elsewhere in 2025: CVE-2025-31133 (/dev/null was a link, and what
// hides a file of /proc showed another), CVE-2025-52565 (the same by /dev/console), CVE-2025-52881 (a write to
// /proc/self/attr met another file). All begin with a /dev or a /proc that somebody inside, or a neighbour through a
// shared mount, can put something else into.
func redirectProbes() []probe {
	all := []probe{
		{"another /dev/null", `os.unlink("/dev/null")`, "errno EROFS"},
		{"a file over /dev/null", `write("/tmp/null"); os.rename("/tmp/null", "/dev/null")`, "errno EXDEV"},
		{"/dev/null away", `os.rename("/dev/null", "/tmp/null2")`, "errno EXDEV"},
		{"a link at /dev/console", `os.symlink("/proc/sys/kernel/core_pattern", "/dev/console")`, "errno EROFS"},
		{"terminals of its own", `os.mkdir("/dev/pts")`, "errno EROFS"},
		{"a link in /proc", `os.symlink("/proc/sys/kernel/core_pattern", "/proc/self/attr/x")`, "errno ENOENT"},
		{"what hides is /dev/null", `said = set()
for line in open("/proc/self/mountinfo"):
    where = line.split()[4]
    if where.startswith("/proc/") and not os.path.isdir(where): said.add(os.stat(where).st_rdev == os.makedev(1, 3))
say(said)`, "{True}"},
		{"mounts that others see", `say([l for l in open("/proc/self/mountinfo") if "shared:" in l or "master:" in l])`, "[]"},
		{"share the mounts", `say(call("mount", None, b"/", None, 1 << 20 | 1 << 14, None))`, "EPERM"},
		{"a setting over a file of its own", `say(call("mount", b"/proc/sys/kernel/core_pattern", b"/tmp/null", None, 4096, None))`, "EPERM"},
		{"a file over the label", `say(call("mount", b"/tmp/null", b"/proc/self/attr/exec", None, 4096, None))`, "EPERM"},
		{"a file over the label, detached", `say(call("open_tree", -100, b"/tmp", 1)); say(call("move_mount", -100, b"/tmp/null", -100, b"/proc/self/attr/exec", 0))`, "EPERM EPERM"},
	}
	for _, thread := range []string{"self", "thread-self", "self/task/%d"} {
		for _, label := range []string{"current", "exec", "fscreate", "keycreate", "sockcreate"} {
			path := fmt.Sprintf("/proc/%s/attr/%s", thread, label)
			all = append(all, probe{"write " + path, fmt.Sprintf(`path = %q.replace("%%d", str(os.getpid()))
if not os.path.exists(path): say("errno EINVAL")
else: write(path)`, path), "errno EINVAL"})
		}
	}
	for path, want := range map[string]string{
		"gid_map": "EPERM", "projid_map": "EINVAL", "setgroups": "EACCES", "timens_offsets": "EINVAL", "sessionid": "EACCES", "net/dev": "EACCES",
	} {
		all = append(all, probe{"write /proc/self/" + path, fmt.Sprintf("path = %q\nif not os.path.exists(path): say(%q)\nelse: write(path)",
			"/proc/self/"+path, "errno "+want), "errno " + want})
	}
	return all
}

// descriptorProbes go through what runtimes left open: CVE-2024-21626 (a descriptor of a directory of the host, and a working
// directory in it), CVE-2019-5736 (the runtime's program, behind /proc/self/exe).
func descriptorProbes() []probe {
	const each = `said = set()
for n in range(1024):
    try: said.add("in %%d" %% (%s, n)[1])
    except OSError as e: said.add(errno.errorcode[e.errno])
say(sorted(said))`
	return []probe{
		{"a working directory by descriptor", fmt.Sprintf(each, `os.chdir("/proc/self/fd/%d" % n)`), "['ENOENT', 'ENOTDIR']"},
		{"the host's files by descriptor", fmt.Sprintf(each, `os.open("/proc/self/fd/%d/../../../etc/shadow" % n, os.O_RDONLY)`), "['ENOENT', 'ENOTDIR']"},
		{"the same by the parent's", fmt.Sprintf(each, `os.chdir("/proc/%d/fd/%d" % (os.getppid(), n))`), "['ENOENT', 'ENOTDIR']"},
		{"out of the working directory", `os.open("/proc/self/cwd/../../../../etc/shadow", os.O_RDONLY)`, "errno ENOENT"},
		{"out of a thread's", `os.open("/proc/self/task/%d/cwd/../../../../etc/shadow" % os.getpid(), os.O_RDONLY)`, "errno ENOENT"},
		{"out of the root", `os.open("/proc/thread-self/root/../../etc/shadow", os.O_RDONLY)`, "errno ENOENT"},
		{"init's working directory", `os.chdir("/proc/1/cwd")`, "errno ENOENT"},
		{"the own program, opened again", `fd = os.open("/proc/self/exe", os.O_PATH); os.open("/proc/self/fd/%d" % fd, os.O_WRONLY | os.O_TRUNC)`, "errno EROFS"},
		{"the own program, cut off", `os.truncate("/proc/self/exe", 0)`, "errno EACCES"},
		{"the own program by its memory map", `where = "/proc/self/map_files/"; os.open(where + os.listdir(where)[0], os.O_RDWR)`, "errno EPERM"},
		{"a link to an open file", `os.link("/proc/self/fd/0", "/tmp/open", follow_symlinks=True)`, "errno EXDEV"},
	}
}

// hierarchyProbes repeat CVE-2022-0492: a hierarchy of control groups of one's own, whose release agent the host runs.
func hierarchyProbes() []probe {
	return []probe{
		{"a hierarchy in namespaces of its own", `say(call("unshare", 0x10000000 | 0x2000000 | 0x20000)); say(call("mount", b"cgroup", b"/tmp", b"cgroup", 0, b"rdma"))`, "EPERM EPERM"},
		{"a hierarchy without a name", `say(call("fsopen", b"cgroup", 0)); say(call("fsopen", b"cgroup2", 0))`, "EPERM EPERM"},
		{"when a group empties", `write("/sys/fs/cgroup/rdma/notify_on_release")`, "errno ENOENT"},
	}
}

// numberProbes repeat CVE-2024-40635: a user's number that is too long for its field is root's.
func numberProbes() []probe {
	return []probe{
		{"user beyond 32 bits", `libc.setuid.argtypes = [ctypes.c_ulong]; say(libc.setuid(1 << 32)); say(errno.errorcode[ctypes.get_errno()])`, "-1 EPERM"},
		{"user beyond 31 bits", `libc.setuid.argtypes = [ctypes.c_ulong]; say(libc.setuid(1 << 31)); say(errno.errorcode[ctypes.get_errno()])`, "-1 EINVAL"},
		{"no user", `libc.setuid.argtypes = [ctypes.c_ulong]; say(libc.setuid((1 << 32) - 1)); say(errno.errorcode[ctypes.get_errno()])`, "-1 EINVAL"},
		{"group beyond 32 bits", `libc.setgid.argtypes = [ctypes.c_ulong]; say(libc.setgid(1 << 32)); say(errno.errorcode[ctypes.get_errno()])`, "-1 EPERM"},
	}
}
