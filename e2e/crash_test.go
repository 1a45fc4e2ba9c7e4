package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"hotaru/internal/sample"
)

// TestCrash kills the daemon while functions run. What was acknowledged is there after a restart, and what was
// running is not.
func TestCrash(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("isolation takes root")
	}
	w := start(t)
	role, err := w.Role(t.Context(), "fn")
	if err != nil {
		t.Fatal(err)
	}
	// A name in its arguments by which the processes of this test, and no others, are found.
	const mark = "hotaru-crash-test-sleeper"
	pack, err := sample.Zip(map[string]string{"app.py": `
import subprocess
def handler(event, context):
    if event.get("sleep"):
        subprocess.run(["/bin/sh", "-c", "sleep 1000; : ` + mark + `"])
    return "answered"
`})
	if err != nil {
		t.Fatal(err)
	}
	f := sample.Function{Name: "sleeper", Runtime: w.python(), Handler: "app.handler", Zip: pack}
	if err := w.CreateFunction(t.Context(), role, f, 128); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		go func() {
			_, _ = w.Lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("sleeper"), Payload: []byte(`{"sleep":true}`)})
		}()
	}
	waitFor(t, "the sleepers to run", func() bool { return len(processes(t, mark)) >= 3 })
	if err := w.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := w.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := processes(t, mark); len(left) != 0 {
		t.Errorf("still running after the restart: %v", left)
	}
	out, err := w.Lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("sleeper"), Payload: []byte(`{}`)})
	if err != nil || string(out.Payload) != `"answered"` {
		t.Errorf("after the restart: %v %v", out, err)
	}
	boxes, err := os.ReadDir(filepath.Join(w.DataDir, "sandboxes"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, entry := range boxes {
		if strings.HasPrefix(entry.Name(), "env-") {
			n++
		}
	}
	if n > 1 {
		t.Errorf("%d sandboxes in the data directory, one is alive", n)
	}
}

// processes lists those whose command line holds a text.
func processes(t *testing.T, text string) []string {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range entries {
		if line, err := os.ReadFile(path); err == nil && strings.Contains(string(line), text) {
			found = append(found, path)
		}
	}
	return found
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	limit := time.After(20 * time.Second)
	for !done() {
		select {
		case <-limit:
			t.Fatal("waited in vain for " + what)
		case <-ticker.C:
		}
	}
}

// TestDrain: SIGTERM lets a running invocation end; its answer arrives.
func TestDrain(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("isolation takes root")
	}
	w := start(t)
	role, err := w.Role(t.Context(), "fn")
	if err != nil {
		t.Fatal(err)
	}
	const mark = "hotaru-drain-test"
	pack, err := sample.Zip(map[string]string{"app.py": `
import subprocess
def handler(event, context):
    subprocess.run(["/bin/sh", "-c", "sleep 2; : ` + mark + `"])
    return "answered"
`})
	if err != nil {
		t.Fatal(err)
	}
	f := sample.Function{Name: "slow", Runtime: w.python(), Handler: "app.handler", Zip: pack}
	if err := w.CreateFunction(t.Context(), role, f, 128, func(in *lambda.CreateFunctionInput) { in.Timeout = aws.Int32(20) }); err != nil {
		t.Fatal(err)
	}
	answered := make(chan string, 1)
	go func() {
		out, err := w.Lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("slow")})
		if err != nil {
			answered <- err.Error()
			return
		}
		answered <- string(out.Payload)
	}()
	waitFor(t, "the function to run", func() bool { return len(processes(t, mark)) > 0 })
	if err := w.Terminate(); err != nil {
		t.Error(err)
	}
	if got := <-answered; got != `"answered"` {
		t.Errorf("the answer under SIGTERM: %s", got)
	}
	if err := w.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}
