//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace"
	"hotaru/sandbox/sandboxtest"
)

func enforces(driver sandbox.Driver, boundary sandbox.Boundary) bool {
	for _, c := range driver.Capabilities() {
		if c.Boundary == boundary {
			return c.Enforced
		}
	}
	return false
}

// Without mkfs.ext4 /tmp is a directory, and the driver says so.
func TestNoMkfs(t *testing.T) {
	sandboxtest.CheckLeaks(t)
	driver := openDriver(t, namespace.Config{StateDir: t.TempDir(), Mkfs: "/no/such/mkfs.ext4"})
	if enforces(driver, sandbox.LimitTmp) {
		t.Error("the size of /tmp is claimed to be enforced")
	}
	for _, c := range driver.Capabilities() {
		if c.Boundary == sandbox.LimitTmp && (!strings.Contains(c.Reason, "/no/such/mkfs.ext4") || c.Mend == "") {
			t.Errorf("it is not said why: %+v", c)
		}
	}
	box, err := driver.Create(t.Context(), sandbox.Spec{ID: "plain", Root: sandboxtest.Root(t), Limits: sandbox.Limits{TmpBytes: 1 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	if got := runShell(t, box, "echo x >/tmp/x; cat /tmp/x"); got != "x\n" {
		t.Errorf("/tmp: %q", got)
	}
}

// A disk below its reserve refuses sandboxes whose /tmp would be on it.
func TestNoRoom(t *testing.T) {
	sandboxtest.CheckLeaks(t)
	driver := openDriver(t, namespace.Config{StateDir: t.TempDir(), DiskReserve: 1 << 60})
	if !enforces(driver, sandbox.LimitTmp) {
		t.Skip("this host has no images")
	}
	spec := sandbox.Spec{ID: "no-room", Root: sandboxtest.Root(t), Limits: sandbox.Limits{TmpBytes: 1 << 20}}
	if _, err := driver.Create(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "reserve") {
		t.Errorf("%v, want that the reserve is reached", err)
	}
	spec.Limits.TmpBytes = 0
	if _, err := driver.Create(t.Context(), spec); err != nil { // nothing of the other one is in the way
		t.Error(err)
	}
}

// What the kernel writes late is limited too, and no limit outlives its sandbox.
func TestLateWrites(t *testing.T) {
	sandboxtest.CheckLeaks(t)
	driver := newDriver(t)
	if !enforces(driver, sandbox.LimitDiskBandwidth) || !enforces(driver, sandbox.LimitTmp) {
		t.Skip("disks are not limited on this host")
	}
	const rate = 32
	box, err := driver.Create(t.Context(), sandbox.Spec{
		ID: "late", Root: sandboxtest.Root(t), Binds: []sandbox.Bind{{Source: sandboxtest.Helper(t), Target: "/opt"}},
		Limits: sandbox.Limits{TmpBytes: 128 << 20, DiskBytesPerSecond: rate << 20},
	})
	if err != nil {
		t.Fatal(err)
	}
	tmp, err := os.Open("/proc/" + strconv.Itoa(stage1Of(t)) + "/root/tmp")
	if err != nil {
		t.Fatal(err)
	}
	defer tmp.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(tmp.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	device := fmt.Sprintf("%d:%d ", unix.Major(stat.Dev), unix.Minor(stat.Dev))
	began := time.Now()
	if got := runIn(t, box, sandbox.Command{Path: "/opt/helper", Args: []string{"helper", "fill", "/tmp/x", strconv.Itoa(rate)}}); got != fmt.Sprintln(rate) {
		t.Fatal(got)
	}
	if err := unix.Syncfs(int(tmp.Fd())); err != nil { // in this process's group, as the kernel's own writing
		t.Fatal(err)
	}
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("a second's worth took %v", took)
	}
	tmp.Close()
	if err := box.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile("/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if strings.Contains(string(rules), device) {
		t.Errorf("a limit is left:\n%s", rules)
	}
}
