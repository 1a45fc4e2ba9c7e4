//go:build linux

// Package furnish is what the inside of a sandbox gets, whoever makes its namespaces: mounts that are moved in, what of
// /proc is hidden, a loopback device. It imports next to nothing, because stage-1 uses it.
package furnish

import "golang.org/x/sys/unix"

// MoveTo moves a detached mount to a target below root, a descriptor of a directory. The target is looked up inside
// the root whatever symbolic links it goes through: a root may come from a stranger's image.
func MoveTo(root int, target string, mount int) error {
	at, err := unix.Openat2(root, target, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return err
	}
	defer unix.Close(at)
	return unix.MoveMount(mount, "", at, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// LoopbackUp has the calling thread's network namespace answer on its own addresses.
func LoopbackUp() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(socket, unix.SIOCGIFFLAGS, request); err != nil {
		return err
	}
	request.SetUint16(request.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}

// ProcHidden has what of /proc tells of the host, its kernel's addresses or its other users. Most can be read by the host's
// root alone already; this is the second wall.
var ProcHidden = [...]string{
	"kcore", "kmsg", "keys", "key-users", "kallsyms", "latency_stats",
	"timer_list", "sched_debug", "sysrq-trigger", "slabinfo", "vmallocinfo",
	"pagetypeinfo", "kpagecount", "kpageflags", "kpagecgroup", "modules",
	"iomem", "ioports", "interrupts", "diskstats", "config.gz", "mtrr",
	"cmdline", "partitions", "locks",
	// ext4 says for every device how full it is: every neighbour's /tmp.
	"fs",
}

// ProcReadOnly has what of /proc may be read and must not be written, even by a process that got hold of privilege.
var ProcReadOnly = [...]string{
	"sys", "bus", "irq", "acpi", "scsi", "driver", "tty",
}
