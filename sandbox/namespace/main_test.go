//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"hotaru/sandbox/namespace/userns"
)

// TestMain also is what an ordinary user's process does, which rootless_test.go starts.
func TestMain(m *testing.M) {
	if err := userns.Arrive(os.Getenv(userns.Variable)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if os.Getenv(rootlessVariable) != "" && os.Geteuid() != 0 {
		status, err := userns.Rerun(os.Environ(), nil)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(status)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("os.(*File).Read"), goleak.IgnoreAnyFunction("hotaru/sandbox/namespace/userns.Arrive.func1"))
}
