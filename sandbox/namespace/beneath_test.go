//go:build linux && (amd64 || arm64)

package namespace

import (
	"encoding/json"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/sandbox"
	"hotaru/sandbox/sandboxtest"
)

// Whoever had every capability in a sandbox's namespaces, which nobody in there has, would find nothing of the host beneath
// its root: an empty directory that cannot be written, and a /proc with the sandbox's own processes.
func TestBeneath(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("it is Python that enters: ", err)
	}
	s := newStage(t)
	sandboxtest.CheckLeaks(t)
	driver := s.open(nil)
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	var boxes []*box
	for _, id := range []string{"above", "beside"} {
		made, err := driver.Create(t.Context(), sandbox.Spec{ID: id, Root: s.root, Limits: sandbox.Limits{TmpBytes: 1 << 20}})
		if err != nil {
			t.Fatal(err)
		}
		boxes = append(boxes, made.(*box))
	}
	cmd := exec.CommandContext(t.Context(), python, "-I", "-S", "testdata/beneath.py")
	cmd.Stderr, cmd.ExtraFiles = os.Stderr, []*os.File{boxes[0].inside.pidfd}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var said, want map[string]any
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var root syscall.Stat_t
	if err := syscall.Stat(s.root.Dir, &root); err != nil {
		t.Fatal(err)
	}
	here := []any{float64(root.Dev), float64(root.Ino)}
	want = map[string]any{
		"entered": here, "roots": 1.0, "init's program": "ETXTBSY", "escaped": here, "roots then": 1.0,
		"unmount": "done", "beneath": []any{"proc"}, "mounts": []any{"/", "/proc"}, "write": "EROFS", "remount": "EPERM",
		"unmount /proc": "EINVAL", "unmount that": "EINVAL", "processes of others": []any{}, "the launcher": "ENOENT",
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
}
