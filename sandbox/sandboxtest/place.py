# What a process can see of its own place: to compare a template's copy with one that was started.
import gc, json, os, re, resource, signal, stat, sys, threading, time

def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError as e:
        return "errno %d" % e.errno

# These differ between any two processes.
own = {"Pid", "Tgid", "NStgid", "NSpid", "NSpgid", "NSsid", "FDSize", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches", "SigQ"}
status = dict(line.split(":", 1) for line in read("/proc/self/status").splitlines())
umask = os.umask(0)
os.umask(umask)
maps = [line.split() for line in read("/proc/self/maps").splitlines()]
# Stage-1 chooses who is killed first for lack of memory, in the moment after it has the process.
deadline = time.monotonic() + 30
while read("/proc/self/oom_score_adj") != "1000\n" and time.monotonic() < deadline:
    time.sleep(0.001)
print(json.dumps({
    "status": {k: v.strip() for k, v in status.items() if k not in own and not k.startswith("Vm") and not k.startswith("Rss")},
    "users": [os.getresuid(), os.getresgid(), os.getgroups(), os.getuid() == os.stat("/proc/self/status").st_uid],
    "parent": os.getppid(), "leader": [os.getpid() == os.getpgrp(), os.getpid() == os.getsid(0)],
    "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")},
    "priority": [os.nice(0), os.sched_getscheduler(0), sorted(os.sched_getaffinity(0))],
    "oom": [read("/proc/self/oom_score_adj"), read("/proc/self/oom_adj")],
    "control groups": read("/proc/self/cgroup"), "maps of users": [read("/proc/self/uid_map"), read("/proc/self/gid_map"), read("/proc/self/setgroups")],
    # Each process that stage-1 did not fork has a control group namespace of its own, which shows the same.
    "namespaces": {n: os.readlink("/proc/self/ns/" + n) for n in sorted(os.listdir("/proc/self/ns")) if n != "cgroup"},
    "signals": [repr(signal.getsignal(n)).split(" at ")[0] for n in sorted(signal.valid_signals())],
    "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "descriptors": sorted((fd, re.sub("[0-9]+", "", os.readlink("/proc/self/fd/" + fd)).split(":")[0]) for fd in os.listdir("/proc/self/fd") if fd in "012"),
    "more": [fd for fd in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + fd) and int(fd) > 3],
    "flags": [[l for l in read("/proc/self/fdinfo/%d" % fd).splitlines() if l.startswith("flags")] for fd in range(3)],
    "cwd": os.getcwd(), "root": os.readlink("/proc/self/root"), "umask": umask, "exe": os.readlink("/proc/self/exe"),
    "environ": read("/proc/self/environ").split("\0"), "variables": sorted(os.environ.items()), "command": read("/proc/self/cmdline"),
    "name": read("/proc/self/comm"), "personality": read("/proc/self/personality"), "attributes": read("/proc/self/attr/current"),
    "keyrings": read("/proc/keys"), "timer slack": read("/proc/self/timerslack_ns"), "personal": read("/proc/self/loginuid"),
    "mounts": [line.split()[4:6] for line in read("/proc/self/mountinfo").splitlines()],
    "shared memory": [m for m in maps if m[1][3] == "s" and m[1][1] == "w"], "writable code": [m for m in maps if "w" in m[1] and "x" in m[1]],
    "files": sorted({m[5] for m in maps if len(m) > 5 and "ctypes" not in m[5] and "ffi" not in m[5] and "_socket" not in m[5]}),
    "modules": sorted(set(sys.modules)), "threads": [t.name for t in threading.enumerate()],
    "thread": threading.main_thread().native_id == threading.get_native_id(),
    "collector": [gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()], "host": os.uname().nodename,
    "network": sorted(os.listdir("/proc/self/net")), "interfaces": read("/proc/self/net/dev").count(":"),
    "tree": sorted(os.listdir("/")), "devices": sorted(os.listdir("/dev")),
}, indent=1))
