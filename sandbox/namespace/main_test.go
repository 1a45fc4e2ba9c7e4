//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"hotaru/sandbox/namespace/userns"
)

// TestMain also is what an ordinary user's process does, which rootless_test.go starts.
func TestMain(m *testing.M) {
	program := userns.Program{Args: os.Args, Env: os.Environ(), Files: [3]*os.File{os.Stdin, os.Stdout, os.Stderr}}
	if err := errors.Join(userns.Arrive(os.Getenv(userns.Variable), program), os.Unsetenv(userns.Variable)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if os.Getenv(rootlessVariable) != "" && os.Geteuid() != 0 {
		status, err := userns.Rerun(program, nil)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(status)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("hotaru/sandbox/namespace/userns.endWith"))
}
