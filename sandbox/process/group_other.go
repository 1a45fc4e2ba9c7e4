//go:build !unix

package process

import (
	"errors"
	"os"
	"syscall"

	"hotaru/sandbox"
)

func ownGroup() *syscall.SysProcAttr { return nil }

// stopGroup has no means here: Thaw of what was never frozen is nothing to do.
func stopGroup(_ *os.Process, stop bool) error {
	if stop {
		return errors.ErrUnsupported
	}
	return nil
}

func killGroup(p *os.Process) { _ = p.Kill() }

func exitStatus(state *os.ProcessState) sandbox.ExitStatus {
	return sandbox.ExitStatus{Code: state.ExitCode()}
}
