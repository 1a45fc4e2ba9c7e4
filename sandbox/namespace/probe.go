//go:build linux && (amd64 || arm64)

package namespace

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
)

// hasLandlock asks the kernel for its Landlock ABI.
func hasLandlock() bool {
	_, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	return errno == 0
}

// dumpsOfSetuid says whether a process that changes its user stays open to its new user's other processes. A
// child of stage-1 does so while it still shares stage-1's memory, just before it executes its program.
func dumpsOfSetuid() bool {
	value, err := os.ReadFile("/proc/sys/fs/suid_dumpable")
	return err == nil && strings.TrimSpace(string(value)) == "1"
}

// probe says what is enforced on this host.
func (d *Driver) probe() []sandbox.Capability {
	missing := map[sandbox.Boundary]sandbox.Capability{
		sandbox.BoundaryEgress: {
			Reason: "a sandbox has a loopback device and no route anywhere",
		},
		sandbox.LimitTmp: {
			Reason: "/tmp is a directory on the disk of the state directory, without a quota",
			Mend:   "put the state directory on a disk of its own",
		},
		sandbox.LimitDiskBandwidth: {Reason: "reads and writes are not rationed"},
		sandbox.LimitNetBandwidth:  {Reason: "there is no network but loopback, which is not rationed"},
	}
	if !d.landlock {
		missing[sandbox.BoundaryLandlock] = sandbox.Capability{
			Reason: "this kernel has no Landlock, or it is not among its active security modules",
			Mend:   "use Linux 5.13 or later, and add landlock to the lsm= boot parameter",
		}
	}
	if dumpsOfSetuid() {
		missing[sandbox.BoundaryProcesses] = sandbox.Capability{
			Reason: "fs.suid_dumpable is 1: for a moment at each start user code could read stage-1's memory",
			Mend:   "sysctl fs.suid_dumpable=0",
		}
	}
	memory, cpu, pids, _ := d.cgroups.Enforces()
	for boundary, has := range map[sandbox.Boundary]bool{
		sandbox.LimitMemory: memory, sandbox.LimitCPU: cpu, sandbox.LimitPIDs: pids,
	} {
		if !has {
			missing[boundary] = sandbox.Capability{
				Reason: fmt.Sprintf("no control group hierarchy on this host has the %s controller", boundary),
				Mend:   "mount cgroup2 at /sys/fs/cgroup, with that controller in cgroup.controllers",
			}
		}
	}
	all := make([]sandbox.Capability, 0, len(sandbox.Boundaries))
	for _, boundary := range sandbox.Boundaries {
		c, lacks := missing[boundary]
		c.Boundary, c.Enforced = boundary, !lacks
		all = append(all, c)
	}
	return all
}
