package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hotaru/sandbox"
)

const overlaps = `
import time
def handler(event, context):
    time.sleep(0.3)
    return event
`

// burst invokes a function so often at once, and expects the right answers.
func (h *harness) burst(name string, times int) {
	h.t.Helper()
	h.createPython(name, overlaps)
	said := make(chan answer)
	for i := range times {
		go func() { said <- h.invokeRaw(name, []byte(strconv.Itoa(i)), nil) }()
	}
	for range times {
		if got := <-said; got["Error"] != nil || got["FunctionError"] != nil {
			h.t.Errorf("%s: %v", name, got)
		}
	}
}

// copies is how many processes were made as copies, by the metrics.
func (h *harness) copies() int {
	h.t.Helper()
	_, text := h.scrape()
	_, after, _ := strings.Cut(text, `hotaru_sandbox_operation_seconds_count{operation="copy"} `)
	line, _, _ := strings.Cut(after, "\n")
	n, err := strconv.Atoi(line)
	if err != nil {
		h.t.Fatalf("%v in %.300s", err, text)
	}
	return n
}

// templatePIDs are the processes of this daemon's templates.
func templatePIDs() []int {
	var found []int
	groups, _ := filepath.Glob("/proc/[0-9]*/cgroup") // fails for a bad pattern alone
	for _, path := range groups {
		content, err := os.ReadFile(path)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && strings.Contains(string(content), "/template.") && descends(pid) {
			found = append(found, pid)
		}
	}
	return found
}

// descends says whether a process is below this one.
func descends(pid int) bool {
	for pid > 1 && pid != os.Getpid() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return false
		}
		_, after, _ := strings.Cut(string(stat), ") ")
		pid, _ = strconv.Atoi(strings.Fields(after)[1])
	}
	return pid > 1
}

// TestCopies: where many environments are made at once they become copies of a template; when that dies, and without any,
// everybody is served all the same.
func TestCopies(t *testing.T) {
	metered := func(c *Config) { c.Metrics, c.ReadyBlanks = "localhost:0", -1 }
	h := start(t, metered)
	if h.python == "" || !enforces(h.driver, sandbox.AbilityAttach) {
		t.Skip("no Python that Lambda knows, or no namespaces")
	}
	h.burst("first", 8)
	for deadline := time.Now().Add(20 * time.Second); h.templates.Size() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("there is no template")
		}
		<-time.After(5 * time.Millisecond)
	}
	before := h.copies()
	h.burst("second", 8)
	copied := h.copies()
	if copied < before+8 {
		t.Errorf("%d copies of 8 environments", copied-before)
	}
	pids := templatePIDs()
	if len(pids) != 1 {
		t.Fatalf("the templates are %v", pids)
	}
	if err := syscall.Kill(pids[0], syscall.SIGSTOP); err != nil { // so that it dies with work to do
		t.Fatal(err)
	}
	killed := time.AfterFunc(200*time.Millisecond, func() { _ = syscall.Kill(pids[0], syscall.SIGKILL) })
	defer killed.Stop()
	h.burst("third", 8)
	if again := h.copies(); again == copied {
		t.Error("nobody has tried to make a copy")
	}

	off := start(t, metered, func(c *Config) { c.Templates = TemplatesOff })
	off.burst("none", 8)
	if n := off.copies(); n != 0 || off.templates.Size() != 0 {
		t.Errorf("%d copies where there are to be none", n)
	}
}
