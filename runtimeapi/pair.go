//go:build unix

package runtimeapi

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// Pair makes the two ends of a conversation in frames: the daemon's, for NewFrames, and the runtime's, which
// becomes descriptor 3 of the runtime's process. Both are closed on exec; the caller closes its copy of the
// runtime's end once the process is started, or the end of the process will not be seen.
func Pair() (daemon *net.UnixConn, runtime *os.File, err error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("runtimeapi: socketpair: %w", err)
	}
	ours := os.NewFile(uintptr(fds[0]), "runtime-daemon")
	runtime = os.NewFile(uintptr(fds[1]), "runtime")
	conn, err := net.FileConn(ours) // its own copy, non-blocking and in the poller
	_ = ours.Close()
	if err != nil {
		_ = runtime.Close()
		return nil, nil, fmt.Errorf("runtimeapi: socketpair: %w", err)
	}
	return conn.(*net.UnixConn), runtime, nil
}
