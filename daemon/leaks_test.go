package daemon

import (
	"fmt"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"hotaru/sandbox/sandboxtest"
)

// leakScale is by how much more than in every run a leak is looked for: `make leaks` sets 50, which is 10,000
// invocations and 500 environments.
func leakScale(t *testing.T) int {
	t.Helper()
	text := os.Getenv("HOTARU_LEAKS")
	if text == "" {
		return 1
	}
	scale, err := strconv.Atoi(text)
	if err != nil || scale < 1 {
		t.Fatalf("HOTARU_LEAKS=%s", text)
	}
	return scale
}

// held is what this process and this machine hold for it.
type held struct {
	goroutines, descriptors, mounts, children int
	heap                                      uint64
}

func holding(t *testing.T) held {
	t.Helper()
	lines := func(path string) int {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), "\n")
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	children := 0
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if text, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children"); err == nil { // it may have ended
			children += len(strings.Fields(string(text)))
		}
	}
	goruntime.GC()
	var memory goruntime.MemStats
	goruntime.ReadMemStats(&memory)
	return held{goruntime.NumGoroutine(), len(files), lines("/proc/self/mountinfo"), children, memory.HeapAlloc}
}

// settles waits until no more is held than before, but for what is in caches and pools.
func settles(t *testing.T, what string, before held) {
	t.Helper()
	// A zygote that was not ready yet holds some ten of each, so that few runs show what leaks with every invocation, and
	// `make leaks` what leaks with every environment.
	const slack, heapSlack = 100, 16 << 20
	var now held
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); goruntime.Gosched() {
		now = holding(t)
		if now.goroutines <= before.goroutines+slack && now.descriptors <= before.descriptors+slack &&
			now.mounts <= before.mounts && now.children <= before.children+slack && now.heap <= before.heap+heapSlack {
			t.Logf("%s: %+v, before %+v", what, now, before)
			return
		}
	}
	t.Errorf("%s: %+v is held, before %+v", what, now, before)
}

// TestLeaks runs many events in one environment with an extension, and many environments one after the other.
func TestLeaks(t *testing.T) {
	sandboxtest.CheckLeaks(t)
	h := start(t)
	scale := leakScale(t)
	h.faulty("f", "shell", h.extensionLayer(), map[string]string{"TELEMETRY_SCHEMA": "2022-12-13"})
	h.createPython("g", "def handler(event, context):\n    return 'ok'\n")
	run := func(name string, times int) {
		for range times {
			// With a log tail an answer waits for the extension too, so that one environment is enough.
			if got := h.ok(name, `"go"`); got != `"ok"` {
				t.Fatalf("%s: %s", name, got)
			}
		}
	}
	renew := func(name string, times int) {
		for i := range times {
			_, err := h.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
				FunctionName: &name, Description: aws.String(fmt.Sprint(i))})
			if err != nil {
				t.Fatal(err)
			}
			h.waitUpdated(name)
			run(name, 1)
		}
	}
	// What is made once is made.
	run("f", 20)
	run("g", 20)
	renew("f", 2)
	renew("g", 2)
	before := holding(t)
	run("f", 50*scale)
	run("g", 150*scale)
	settles(t, fmt.Sprint(200*scale, " invocations"), before)
	renew("f", 2*scale)
	renew("g", 8*scale)
	settles(t, fmt.Sprint(10*scale, " environments"), before)
}
