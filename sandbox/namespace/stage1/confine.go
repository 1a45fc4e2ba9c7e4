//go:build linux

package main

import (
	"math"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/namespace/wire"
)

const (
	maxFD = math.MaxInt32 // no descriptor is higher, and gVisor takes it for a signed number

	// Of linux/securebits.h: a user id of 0 means nothing, capabilities survive no change of user, no ambient
	// ones, and none of it can be changed back. NO_SETUID_FIXUP is locked at off, because the change of user
	// must drop what is left.
	secureBits = 1<<0 | 1<<1 | // NOROOT, locked
		1<<3 | // NO_SETUID_FIXUP_LOCKED
		1<<5 | // KEEP_CAPS_LOCKED
		1<<6 | 1<<7 // NO_CAP_AMBIENT_RAISE, locked
)

// confine takes from the calling thread, and so from every process forked from it, all that they must not have.
// The order matters: each step needs a privilege that a later one takes away.
func confine(m *wire.Setup) (string, syscall.Errno) {
	if !m.Housed {
		// A session keyring of its own, or none where the kernel has no keys: never the daemon's.
		// Without a name it is anonymous, so nobody can join it.
		if _, _, errno := unix.Syscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0); errno != 0 && errno != unix.ENOSYS {
			return "keyring", errno
		}
		// This process was born into its control groups, which become the root of what is seen inside.
		if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
			return "cgroup namespace", errnoOf(err)
		}
	}
	if err := dropBounding(); err != nil {
		return "bounding set", errnoOf(err)
	}
	// gVisor's kernel knows neither secure bits nor ambient capabilities. Both are a second wall: there is nothing
	// left in the bounding set, and nothing is gained after no_new_privs.
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, secureBits, 0, 0, 0); err != nil && (!m.Housed || err != unix.EINVAL) {
		return "securebits", errnoOf(err)
	}
	if err := keepOnly(toBecome(m.UID)); err != nil {
		return "capabilities", errnoOf(err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && (!m.Housed || err != unix.EINVAL) {
		return "ambient capabilities", errnoOf(err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return "no_new_privs", errnoOf(err)
	}
	if m.Landlock {
		if err := landlock(); err != nil {
			return "landlock", errnoOf(err)
		}
	}
	if err := filterCalls(m.Filter); err != nil {
		return "seccomp", errnoOf(err)
	}
	return "", 0
}

// toBecome are the capabilities that it takes to become a user; whoever is that user already needs none.
func toBecome(uid uint32) uint32 {
	if isUser(uid) {
		return 0
	}
	return 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID
}

// isUser says whether stage-1 has the same id as the user inside: an ordinary user's only one.
func isUser(uid uint32) bool { return unix.Geteuid() == int(uid) }

func dropBounding() error {
	for capability := uintptr(0); ; capability++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if err == unix.EINVAL && capability > unix.CAP_SETUID {
			return nil // beyond the last one this kernel knows
		}
		if err != nil {
			return err
		}
	}
}

// keepOnly leaves the capabilities of the mask permitted and effective, and none inheritable.
func keepOnly(mask uint32) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: mask, Permitted: mask}}
	return unix.Capset(&header, &data[0])
}

// filterCalls installs the seccomp program on this thread.
func filterCalls(program []byte) error {
	if len(program) == 0 || len(program)%8 != 0 || len(program)/8 > 4096 {
		return unix.EINVAL
	}
	instructions := make([]unix.SockFilter, len(program)/8)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&instructions[0])), len(program)), program)
	fprog := unix.SockFprog{Len: uint16(len(instructions)), Filter: &instructions[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&fprog)), 0, 0)
}
