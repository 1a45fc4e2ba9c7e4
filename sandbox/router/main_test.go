//go:build linux

package router

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inNewHost tells this test binary that it is the process that inHost started.
const inNewHost = "HOTARU_TEST_HOST"

// inHost runs the calling test in a process with a network of its own, which is its host, and says whether this is that
// process: if it is not, the test is over. The machine's own network is not touched.
func inHost(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces take root")
	}
	if os.Getenv(inNewHost) == t.Name() {
		return true
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v=" + map[bool]string{true: "true", false: "false"}[testing.Verbose()]}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), inNewHost+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	return false
}
