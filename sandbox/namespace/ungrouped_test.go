//go:build linux && (amd64 || arm64)

package namespace

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"hotaru/sandbox/namespace/userns"
)

func TestRootlessNumbers(t *testing.T) {
	alone := newNumbers("hotaru-test", userns.IDs{Rootless: true, First: 5, Count: 1})
	for range perBlock {
		if number, err := alone.take(); err != nil || alone.initID(number) != 0 || alone.userID(number) != 0 {
			t.Fatalf("%d %v", number, err)
		}
	}
	if _, err := alone.take(); err == nil {
		t.Error("one too many")
	}
	for _, ids := range []userns.IDs{{Rootless: true, First: 1, Count: 2}, {Rootless: true, First: 7, Count: 100}, {Rootless: true, First: 1, Count: 65536}} {
		for _, name := range []string{"hotaru-a", "hotaru-b", "hotaru-c"} {
			n := newNumbers(name, ids)
			taken := 0
			for {
				number, err := n.take()
				if err != nil {
					break
				}
				taken++
				if id := n.initID(number); id < int(ids.First) || n.userID(number) >= int(ids.First+ids.Count) {
					t.Fatalf("%+v: number %d has the users %d and %d", ids, number, id, n.userID(number))
				}
			}
			if taken < min(int(ids.Count)/2, max(int(ids.Count)/2/rootlessBlocks, 1)) {
				t.Errorf("%+v: %d sandboxes", ids, taken)
			}
		}
	}
}

// TestDescendants counts real processes, a shell and what it started.
func TestDescendants(t *testing.T) {
	shell := exec.Command("sh", "-c", "sleep 60 & echo begun; wait")
	out, err := shell.StdoutPipe()
	if err == nil {
		err = shell.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	all := descendants(shell.Process.Pid)
	if len(all) != 2 || all[0] != shell.Process.Pid {
		t.Errorf("%v", all)
	}
	for _, pid := range all {
		if status := procStatus(pid); status["Threads"] != 1 || status["RssAnon"] == 0 {
			t.Errorf("%d: %v", pid, status)
		}
	}
	slices.Reverse(all) // the shell last: it reaps nobody
	for _, pid := range all {
		if process, err := os.FindProcess(pid); err != nil || process.Kill() != nil {
			t.Errorf("%d cannot be killed", pid)
		}
	}
	_ = shell.Wait() // killed, as it should be
	if left := descendants(0); left != nil {
		t.Errorf("%v", left)
	}
	if status := procStatus(1 << 30); len(status) != 0 {
		t.Errorf("%v", status)
	}
}
