package seccomp

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// allowedHere are the calls that this architecture names differently.
func allowedHere() []uint32 {
	return []uint32{
		unix.SYS_FSTATAT,
	}
}

// refusedHere is empty: this architecture has no dangerous call of its own.
func refusedHere() []uint32 { return nil }
