//go:build linux

// Package furnish is what the root of a sandbox gets, whoever makes its namespaces: mounts that are moved in, and
// what of /proc is hidden. It imports next to nothing, because stage-1 uses it.
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

// ProcHidden tell of the host, its kernel's addresses or its other users. Most can be read by the host's root
// alone already; this is the second wall.
var ProcHidden = [...]string{
	"/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/key-users", "/proc/kallsyms", "/proc/latency_stats",
	"/proc/timer_list", "/proc/sched_debug", "/proc/sysrq-trigger", "/proc/slabinfo", "/proc/vmallocinfo",
	"/proc/pagetypeinfo", "/proc/kpagecount", "/proc/kpageflags", "/proc/kpagecgroup", "/proc/modules",
	"/proc/iomem", "/proc/ioports", "/proc/interrupts", "/proc/diskstats", "/proc/config.gz", "/proc/mtrr",
	"/proc/cmdline", "/proc/partitions", "/proc/locks",
}

// ProcReadOnly has what may be read and must not be written, even by a process that got hold of privilege.
var ProcReadOnly = [...]string{
	"/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/acpi", "/proc/scsi", "/proc/driver", "/proc/tty",
}
