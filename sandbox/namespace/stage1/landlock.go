//go:build linux

package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The access rights by Landlock ABI: https://docs.kernel.org/userspace-api/landlock.html
const (
	readRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	fileRights = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	tmpRights  = readRights | fileRights |
		unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_DIR |
		unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO |
		unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	// Handled and nowhere granted: device nodes.
	handledRights = tmpRights | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK
)

// makeRuleset makes what walls a thread in: everything may be read, /tmp be written, and /proc's and /dev's files where
// their modes allow it. The rules sit on directories above every mount, because a rule on a directory does not
// cover what is mounted there later (code attached to a zygote). The caller closes it.
func makeRuleset() (int, error) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return -1, errno
	}
	var refer, truncate uint64
	if abi >= 2 {
		refer = unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi >= 3 {
		truncate = unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: handledRights | refer | truncate}
	size := unsafe.Offsetof(attr.Handled_access_net) // what ABI 1 knows; later ones have later fields
	if abi >= 6 {
		// No signal and no abstract socket leaves the domain: a wall behind the pid and network namespaces.
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
		size = unsafe.Offsetof(attr.Quiet_access_fs)
	}
	ruleset, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return -1, errno
	}
	for _, rule := range [...]struct {
		path   string
		rights uint64
	}{
		{"/", readRights},
		{"/tmp", tmpRights | refer | truncate},
		{"/proc", readRights | fileRights | truncate},
		{"/dev", fileRights | unix.LANDLOCK_ACCESS_FS_READ_DIR | truncate},
	} {
		if err := allowBeneath(ruleset, rule.path, rule.rights); err != nil {
			_ = unix.Close(int(ruleset))
			return -1, err
		}
	}
	return int(ruleset), nil
}

// lendRuleset hands a ruleset over, for a process that comes in from outside.
func (s *server) lendRuleset(id uint64) {
	ruleset, err := makeRuleset()
	if err != nil {
		s.reply(id, "landlock", errnoOf(err), nil)
		return
	}
	s.reply(id, "", 0, []int{ruleset})
	_ = unix.Close(ruleset)
}

func allowBeneath(ruleset uintptr, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, ruleset, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
