//go:build linux

package runtimeapi

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Pair makes the two ends of a conversation in frames: the daemon's, for NewFrames, and the runtime's, which
// becomes descriptor 3 of the runtime's process. Both are closed on exec; the caller closes its copy of the
// runtime's end once the process is started, or the end of the process will not be seen.
func Pair() (daemon *Conn, runtime *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("runtimeapi: socketpair: %w", err)
	}
	conn, err := newConn(fds[0])
	if err != nil {
		_ = unix.Close(fds[1])
		return nil, nil, err
	}
	return conn, os.NewFile(uintptr(fds[1]), "runtime"), nil
}
