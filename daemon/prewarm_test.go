package daemon

import (
	"strings"
	"testing"
	"time"
)

func TestParsePrewarm(t *testing.T) {
	for _, text := range []string{"", ":128", "=3", "python3.11:", "python3.11:12", "python3.11:10241", "python3.11=0", "python3.11=257", "python3.11=x", "python3.11:x=1"} {
		if p, err := parsePrewarm(text); err == nil {
			t.Errorf("%q: %+v", text, p)
		}
	}
	for text, want := range map[string]prewarm{
		"python3.11":        {"python3.11", 128, 2},
		"python3.11:512":    {"python3.11", 512, 2},
		"python3.11=7":      {"python3.11", 128, 7},
		"nodejs22.x:256=10": {"nodejs22.x", 256, 10},
	} {
		if p, err := parsePrewarm(text); err != nil || p != want {
			t.Errorf("%q: %+v, %v", text, p, err)
		}
	}
}

// TestPrewarm: what is to be there before anybody asks is there, and serves the first invocation.
func TestPrewarm(t *testing.T) {
	probe := start(t)
	if probe.python == "" {
		t.Skip("no Python that Lambda knows is installed")
	}
	if _, err := Start(t.Context(), Config{DataDir: t.TempDir(), Listen: "localhost:0", Prewarm: []string{"python1"}}); err == nil ||
		!strings.Contains(err.Error(), "python1") {
		t.Errorf("a runtime that nobody knows: %v", err)
	}
	h := start(t, func(c *Config) { c.Prewarm, c.ReadyBlanks = []string{probe.python + "=3"}, -1 })
	for deadline := time.Now().Add(20 * time.Second); ; {
		ready, _ := h.stock.Size()
		if ready == 3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d are ready", ready)
		}
		<-time.After(5 * time.Millisecond)
	}
	h.createPython("f", "def handler(event, context): return 1\n")
	if got := h.ok("f", "{}"); got != "1" {
		t.Error(got)
	}
}

// TestMemoryBudget: where all memory is at work an invocation gets AWS's answer, and where it is not, its turn.
func TestMemoryBudget(t *testing.T) {
	h := start(t, func(c *Config) { c.MemoryBudget, c.ReadyBlanks = 20<<20, -1 })
	h.createPython("sleepy", "import time\ndef handler(event, context): time.sleep(event)\n")
	h.createPython("other", "def handler(event, context): return 1\n")
	asleep := make(chan answer)
	go func() { asleep <- h.invokeRaw("sleepy", []byte("2.5"), nil) }()
	for busy := 0; busy == 0; _, busy = h.pool.Size() {
		<-time.After(time.Millisecond)
	}
	got := h.invokeRaw("other", []byte("1"), nil)
	if e, _ := got["Error"].(map[string]any); e["Code"] != "TooManyRequestsException" || got["Reason"] != "ConcurrentInvocationLimitExceeded" {
		t.Errorf("beside one that sleeps: %v", got)
	}
	if got := <-asleep; got["Error"] != nil || got["FunctionError"] != nil {
		t.Errorf("the sleeper: %v", got)
	}
	if got := h.ok("other", "1"); got != "1" {
		t.Errorf("afterwards: %s", got)
	}
}
