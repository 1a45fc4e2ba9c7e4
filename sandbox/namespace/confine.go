//go:build linux && (amd64 || arm64)

package namespace

import (
	"bytes"
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace/wire"
)

// What a process inside may not have, as system calls. There is one list: stage-1's thread that starts programs makes
// them, and so does a template's copy.

// Of linux/securebits.h: a user id of 0 means nothing, capabilities survive no change of user, no ambient
// ones, and none of it can be changed back. NO_SETUID_FIXUP is locked at off, because the change of user
// must drop what is left.
const secureBits = 1<<0 | 1<<1 | // NOROOT, locked
	1<<3 | // NO_SETUID_FIXUP_LOCKED
	1<<5 | // KEEP_CAPS_LOCKED
	1<<6 | 1<<7 // NO_CAP_AMBIENT_RAISE, locked

// beyondCapabilities is more than a kernel can have.
const beyondCapabilities = 64

// countCapabilities says how many the kernel has that sandboxes run on.
func (d *Driver) countCapabilities() uint64 {
	if d.housing != nil {
		return beyondCapabilities // it may be another one
	}
	for capability := range beyondCapabilities {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(capability), 0, 0, 0); err != nil {
			return uint64(capability)
		}
	}
	return beyondCapabilities
}

// confinement is confine's answer, kept: a kernel and a driver do not change. It is not the caller's to change either.
func (d *Driver) confinement(mask uint32, ruleset int) []wire.Step {
	which := confined{mask, ruleset}
	if steps, known := d.confined.Load(which); known {
		return steps.([]wire.Step)
	}
	steps := slices.Clip(d.confine(mask, ruleset))
	d.confined.Store(which, steps)
	return steps
}

type confined struct {
	mask    uint32
	ruleset int
}

// confine takes from a process, and from whatever it forks, all that it must not have. The order matters: each step
// needs a privilege that a later one takes away. What is left are the capabilities of the mask. ruleset is the index of
// Landlock's descriptor.
func (d *Driver) confine(mask uint32, ruleset int) []wire.Step {
	var steps []wire.Step
	if d.housing == nil {
		steps = append(steps, ownKeyring(),
			// The process was born into its control groups, which become the root of what is seen inside.
			step("cgroup namespace", unix.SYS_UNSHARE, wire.Number(unix.CLONE_NEWCGROUP)))
	}
	steps = append(steps, d.dropPrivilege(mask)...)
	if d.landlock {
		steps = append(steps, step("landlock", unix.SYS_LANDLOCK_RESTRICT_SELF, wire.Descriptor(ruleset), wire.Number(0)))
	}
	return append(steps,
		step("seccomp", unix.SYS_PRCTL, wire.Number(unix.PR_SET_SECCOMP), wire.Number(unix.SECCOMP_MODE_FILTER), wire.Program(d.filter)))
}

// toBecome are the capabilities that it takes to become the user inside, who loses them in that moment; whoever is that user
// already needs none.
func (d *Driver) toBecome() uint32 {
	if d.numbers.alone {
		return 0
	}
	return 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID
}

// dropPrivilege leaves the capabilities of the mask permitted and effective, and no way to others.
func (d *Driver) dropPrivilege(mask uint32) []wire.Step {
	var steps []wire.Step
	for capability := range d.countCapabilities() {
		s := step("bounding set", unix.SYS_PRCTL, wire.Number(unix.PR_CAPBSET_DROP), wire.Number(capability))
		if capability > unix.CAP_SETUID {
			s.Tolerate = []uint32{uint32(unix.EINVAL)} // beyond the last one this kernel knows
		}
		steps = append(steps, s)
	}
	bits := step("securebits", unix.SYS_PRCTL, wire.Number(unix.PR_SET_SECUREBITS), wire.Number(secureBits))
	ambient := step("ambient capabilities", unix.SYS_PRCTL, wire.Number(unix.PR_CAP_AMBIENT), wire.Number(unix.PR_CAP_AMBIENT_CLEAR_ALL))
	if d.housing != nil {
		// gVisor's kernel knows neither secure bits nor ambient capabilities. Both are a second wall: there is nothing
		// left in the bounding set, and nothing is gained after no_new_privs.
		bits.Tolerate, ambient.Tolerate = []uint32{uint32(unix.EINVAL)}, []uint32{uint32(unix.EINVAL)}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: mask, Permitted: mask}}
	return append(steps, bits,
		step("capabilities", unix.SYS_CAPSET, wire.Data(memory(header)), wire.Data(memory(data))),
		ambient,
		step("no_new_privs", unix.SYS_PRCTL, wire.Number(unix.PR_SET_NO_NEW_PRIVS), wire.Number(1)))
}

// ownKeyring joins a session keyring of its own, or none where the kernel has no keys: never the daemon's.
// Without a name it is anonymous, so nobody can join it.
func ownKeyring() wire.Step {
	s := step("keyring", unix.SYS_KEYCTL, wire.Number(unix.KEYCTL_JOIN_SESSION_KEYRING))
	s.Tolerate = []uint32{uint32(unix.ENOSYS)}
	return s
}

// limitsOf are the resource limits of every process of a sandbox.
func limitsOf(spec *sandbox.Spec) []wire.Limit {
	files := spec.Limits.OpenFiles
	if files == 0 {
		files = defaultOpenFiles
	}
	return []wire.Limit{
		{Resource: unix.RLIMIT_CORE, Most: 0},
		{Resource: unix.RLIMIT_MEMLOCK, Most: 64 << 10},
		{Resource: unix.RLIMIT_NOFILE, Most: files},
		// The user reaches this limit before the control group's, which has room for stage-1's threads as well. It cannot
		// be changed later, so a lower one is the control group's alone.
		{Resource: unix.RLIMIT_NPROC, Most: uint64(max(spec.Limits.PIDs, defaultPIDs))},
	}
}

func step(name string, call uintptr, args ...wire.Arg) wire.Step {
	return wire.Step{Name: name, Call: uint32(call), Args: args}
}

// memory is a value of fixed size as the kernel reads it.
func memory(value any) []byte {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.NativeEndian, value) // into memory, and of fixed size: cannot fail
	return b.Bytes()
}
