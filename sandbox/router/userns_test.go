//go:build linux

package router

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestUserNamespace runs some of these tests as root of a user namespace alone, which is what users who are not root can
// be.
func TestUserNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("/dev/net/tun may be root's alone")
	}
	program, err := os.Executable()
	must(t, err)
	// The shell stays, so that the tests' own process has a parent that it may look at.
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `"$0" "$@"; exit $?`, program, "-test.run=^(TestTCP|TestUDP|TestForged)$", "-test.v")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "\n--- PASS") != 3 {
		t.Errorf("%v: %s", err, out)
	}
}
