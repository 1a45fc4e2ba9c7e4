package sandboxtest

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// CheckLeaks remembers what the process and the host have now, and fails the test if there is more at its end:
// goroutines, open files, child processes, mounts, and loop devices on files in this test's temporary directories.
// Call it before anything is made.
func CheckLeaks(t testing.TB) {
	t.Helper()
	goroutines := goleak.IgnoreCurrent()
	before := Footprint(t)
	temporary := filepath.Dir(t.TempDir())
	t.Cleanup(func() {
		if err := goleak.Find(goroutines); err != nil {
			t.Error(err)
		}
		// The kernel lets go of some things a moment after their owner is gone.
		var left []string
		for wait := time.Millisecond; wait < 16*time.Second; wait *= 2 {
			if left = append(more(before, Footprint(t)), loops(temporary)...); len(left) == 0 {
				return
			}
			// The pipes through which Go moves bytes from one socket to another are in a pool, which a collection empties the
			// second time.
			runtime.GC()
			<-time.After(wait)
		}
		t.Errorf("left behind: %s", strings.Join(left, ", "))
	})
}

// Footprint lists what this process holds: "fd 7 -> /x", "child 123", "mount /y", "cgroup /z". Empty where the
// system has no /proc.
func Footprint(t testing.TB) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return all
	}
	for _, entry := range entries {
		target, err := os.Readlink("/proc/self/fd/" + entry.Name())
		// Reading the directory takes a descriptor, and the runtime makes its poller's when it likes.
		if err == nil && !strings.HasPrefix(target, "/proc/") && !strings.HasPrefix(target, "anon_inode:[event") {
			all["fd "+entry.Name()+" -> "+target] = true
		}
	}
	tasks, err := os.ReadDir("/proc/self/task")
	must(t, err)
	for _, task := range tasks {
		children, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		if err != nil {
			continue // the thread ended
		}
		for _, pid := range strings.Fields(string(children)) {
			all["child "+pid] = true
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			all["mount "+fields[4]] = true
		}
	}
	return all
}

// loops lists the loop devices on files below a directory.
func loops(dir string) []string {
	var found []string
	backing, _ := filepath.Glob("/sys/block/loop*/loop/backing_file") // fails for a bad pattern alone
	for _, path := range backing {
		if file, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(file), dir+"/") {
			found = append(found, "loop device on "+strings.TrimSpace(string(file)))
		}
	}
	return found
}

func more(before, after map[string]bool) []string {
	var left []string
	for item := range after {
		if !before[item] {
			left = append(left, item)
		}
	}
	return left
}
