//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace"
	"hotaru/sandbox/router/routertest"
	"hotaru/sandbox/sandboxtest"
)

const (
	// rootlessVariable is set in the tests of an ordinary user.
	rootlessVariable = "HOTARU_TEST_ROOTLESS"
	// builtVariable and helperVariable name directories with what that user cannot build: stage-1 and the suite's
	// helper.
	builtVariable  = "HOTARU_TEST_BUILT"
	helperVariable = "HOTARU_TEST_HELPER"
	// outsideVariable is where there is a server on the Internet.
	outsideVariable = "HOTARU_TEST_OUTSIDE"
	// ordinary is the user: nobody that a system has.
	ordinary = 64321
)

// TestRootless runs the suite as an ordinary user in a user namespace: with that user's id alone, and with subordinate
// ids.
func TestRootless(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become somebody else")
	}
	if !routertest.InHost(t) {
		return
	}
	outside := routertest.Echo(t, routertest.Furnish(t))
	dir := t.TempDir()
	open := func(path string) { // a test's own directories are two deep
		for _, dir := range []string{path, filepath.Dir(path)} {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	open(dir)
	helper := sandboxtest.Helper(t)
	open(helper)
	binary, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"test": binary, "stage1": sandboxtest.Stage1(t)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// As most systems have it: everybody's.
	tun := filepath.Join(dir, "tun")
	if err := errors.Join(unix.Mknod(tun, unix.S_IFCHR, int(unix.Mkdev(10, 200))), os.Chmod(tun, 0o666)); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, subordinate, want string }{
		{"one id", "", "alone"},
		{"subordinate ids", fmt.Sprintf("%d:1879048192:65536\n", ordinary), "users"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := exec.LookPath("newuidmap"); err != nil && tc.subordinate != "" {
				t.Skip("newuidmap is not installed")
			}
			tmp := t.TempDir()
			open(tmp)
			if err := os.Chown(tmp, ordinary, ordinary); err != nil {
				t.Fatal(err)
			}
			// The machine's own files stay as they are: these are seen in a mount namespace of the test's.
			for file, content := range map[string]string{
				"subuid": tc.subordinate, "subgid": tc.subordinate,
				"passwd": fmt.Sprintf("root:x:0:0::/root:/bin/sh\nfirefly:x:%d:%d::%s:/bin/sh\n", ordinary, ordinary, tmp),
			} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			script := `set -e
for file in subuid subgid passwd; do mount --bind "$1/$file" "/etc/$file"; done
mount --bind "$1/tun" /dev/net/tun
exec setpriv --reuid=$2 --regid=$2 --clear-groups "$1/test" -test.run='^TestSuiteRootless$' -test.v`
			run := exec.Command("unshare", "--mount", "sh", "-c", script, "sh", dir, fmt.Sprint(ordinary))
			run.Dir = dir
			run.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + tmp, "HOME=" + tmp, rootlessVariable + "=" + tc.want,
				builtVariable + "=" + dir, helperVariable + "=" + helper, outsideVariable + "=" + outside}
			out, err := run.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: TestSuiteRootless") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestSuiteRootless is the part of TestRootless that runs as an ordinary user.
func TestSuiteRootless(t *testing.T) {
	want := os.Getenv(rootlessVariable)
	if want == "" {
		t.Skip("TestRootless runs this")
	}
	stage1, err := os.ReadFile(filepath.Join(os.Getenv(builtVariable), "stage1"))
	if err != nil {
		t.Fatal(err)
	}
	sandboxtest.RunWith(t, os.Getenv(helperVariable), func(t testing.TB) sandboxtest.Fixture {
		driver := openDriver(t, namespace.Config{StateDir: t.TempDir(), Stage1: stage1, Network: newRouter(t)})
		for _, c := range driver.Capabilities() {
			if c.Boundary == sandbox.BoundaryIdentity && c.Enforced != (want == "users") {
				t.Errorf("identity is enforced: %v, with %s", c.Enforced, want)
			}
			if c.Boundary == sandbox.BoundaryEgress && !c.Enforced {
				t.Errorf("there is no way to the outside: %s", c.Reason)
			}
			if !c.Enforced && c.Reason == "" {
				t.Errorf("%s is not enforced for no reason", c.Boundary)
			}
		}
		return sandboxtest.Fixture{Driver: driver, Root: sandboxtest.Root(t), Outside: os.Getenv(outsideVariable)}
	})
}
