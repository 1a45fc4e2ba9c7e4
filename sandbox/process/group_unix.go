//go:build unix

package process

import (
	"errors"
	"os"
	"syscall"

	"hotaru/sandbox"
)

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func stopGroup(p *os.Process, stop bool) error {
	sig := syscall.SIGCONT
	if stop {
		sig = syscall.SIGSTOP
	}
	if err := syscall.Kill(-p.Pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// killGroup may find nobody: then there is nothing to kill.
func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }

func exitStatus(state *os.ProcessState) sandbox.ExitStatus {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return sandbox.ExitStatus{Signal: status.Signal()}
	}
	return sandbox.ExitStatus{Code: state.ExitCode()}
}
