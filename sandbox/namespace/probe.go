//go:build linux && (amd64 || arm64)

package namespace

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
)

// hasLandlock says whether the kernel has Landlock.
func hasLandlock() bool { return landlockABI() > 0 }

// scopesSignals says whether Landlock can keep signals from leaving its domain.
func scopesSignals() bool { return landlockABI() >= 6 }

// landlockABI is the version of the kernel's Landlock, 0 if it has none
// (https://docs.kernel.org/userspace-api/landlock.html).
func landlockABI() int {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(abi)
}

// dumpsOfSetuid says whether a process that changes its user stays open to its new user's other processes. A
// child of stage-1 does so while it still shares stage-1's memory, just before it executes its program.
func dumpsOfSetuid() bool {
	value, err := os.ReadFile("/proc/sys/fs/suid_dumpable")
	return err == nil && strings.TrimSpace(string(value)) == "1"
}

// probeDisk says what keeps disks from being limited.
func (d *Driver) probeDisk() (c sandbox.Capability, lacks bool) {
	all, waitedFor := d.cgroups.LimitsDisk()
	switch {
	case !waitedFor:
		c.Reason = "no control group hierarchy on this host has the io (version 1: blkio) controller"
		c.Mend = "mount cgroup2 at /sys/fs/cgroup, with io in cgroup.controllers"
	case !all:
		c.Reason = "what the kernel writes after a program has gone on is not limited: the control groups of version 1 " +
			"that can be seen here do not include the topmost"
		c.Mend = "use control groups version 2, with memory and io in cgroup.controllers"
	case d.images == nil && d.cgroups.LimitsLate():
		c.Reason = "what the kernel writes into /tmp after a program has gone on is not limited: /tmp has no device of its own"
		c.Mend = "as for tmp"
	default:
		return c, false
	}
	return c, true
}

const delegatedScope = "run hotaru in a delegated scope: systemd-run --user --scope -p Delegate=yes hotaru serve"

// probeAllMemory says what keeps all sandboxes together from being limited; ofOne does so of one alone.
func (d *Driver) probeAllMemory(ofOne sandbox.Capability) (c sandbox.Capability, lacks bool) {
	switch {
	case ofOne.Reason != "":
		return ofOne, true
	case d.memory == 0:
		c.Reason = "it is not known how much memory all sandboxes may use together"
		c.Mend = "hotaru serve --memory-budget=MIB"
	case !d.bounded:
		c.Reason = "the control group around all sandboxes is not this user's to limit"
		c.Mend = delegatedScope
	default:
		return c, false
	}
	return c, true
}

// probe says what is enforced on this host; noNetwork is why there is no network, if there is none.
func (d *Driver) probe(noNetwork string) []sandbox.Capability {
	missing := map[sandbox.Boundary]sandbox.Capability{}
	d.probeNetwork(missing, noNetwork)
	if d.noImages != nil {
		missing[sandbox.LimitTmp] = sandbox.Capability{
			Reason: "/tmp is a directory on the disk of the state directory, without a quota: " + d.noImages.Error(),
			Mend:   "install mkfs.ext4 (e2fsprogs), and let this process use /dev/loop-control and the loop devices",
		}
	}
	if c, lacks := d.probeDisk(); lacks {
		missing[sandbox.LimitDiskBandwidth] = c
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
	if d.numbers.alone {
		missing[sandbox.BoundaryIdentity] = sandbox.Capability{
			Reason: "every sandbox has the same user of the host, the one who started this: there are no subordinate ids",
			Mend:   "install newuidmap (uidmap), and give the user ids in /etc/subuid and /etc/subgid (usermod --add-subuids)",
		}
	}
	if d.numbers.alone && !scopesSignals() {
		missing[sandbox.BoundaryProcesses] = sandbox.Capability{
			Reason: "user code may signal stage-1, which has the same user, and so end its own sandbox: Landlock's ABI is before 6",
			Mend:   "as for identity, or use Linux 6.12 or later",
		}
	}
	memory, cpu, pids, _ := d.cgroups.Enforces()
	for boundary, has := range map[sandbox.Boundary]bool{
		sandbox.LimitMemory: memory, sandbox.LimitCPU: cpu, sandbox.LimitPIDs: pids,
	} {
		if !has && d.rootless {
			missing[boundary] = sandbox.Capability{
				Reason: fmt.Sprintf("no control group with the %s controller was delegated to this user", boundary),
				Mend:   delegatedScope,
			}
		} else if !has {
			missing[boundary] = sandbox.Capability{
				Reason: fmt.Sprintf("no control group hierarchy on this host has the %s controller", boundary),
				Mend:   "mount cgroup2 at /sys/fs/cgroup, with that controller in cgroup.controllers",
			}
		}
	}
	if c, lacks := d.probeAllMemory(missing[sandbox.LimitMemory]); lacks {
		missing[sandbox.LimitAllMemory] = c
	}
	if d.housing != nil {
		for _, c := range d.housing.Lacks() {
			missing[c.Boundary] = c
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
