package daemon

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// TestOutOfMemory: a function that takes too much is killed alone, with AWS's error, and works again afterwards.
func TestOutOfMemory(t *testing.T) {
	h := start(t)
	h.createPython("f", "def handler(event, context):\n    return len(bytearray(event['megabytes'] << 20).replace(b'\\0', b'x'))\n")
	h.createPython("neighbour", "def handler(event, context): return 'fine'")
	if got := h.ok("f", `{"megabytes": 1}`); got != "1048576" {
		t.Fatalf("before: %s", got)
	}
	for range 2 {
		out := h.invoke("f", `{"megabytes": 400}`)
		var body struct{ ErrorType, ErrorMessage string }
		if err := json.Unmarshal(out.Payload, &body); err != nil || body.ErrorType != "Runtime.ExitError" ||
			!strings.HasSuffix(body.ErrorMessage, "Error: Runtime exited with error: signal: killed") {
			t.Errorf("out of memory: %s", out.Payload)
		}
		wantOutOfMemoryReport(t, out)
		if got := h.ok("neighbour", "{}"); got != `"fine"` {
			t.Errorf("the neighbour: %s", got)
		}
		if got := h.ok("f", `{"megabytes": 1}`); got != "1048576" {
			t.Errorf("afterwards: %s", got)
		}
	}
}

// wantOutOfMemoryReport wants the log's last lines to say what AWS's do.
func wantOutOfMemoryReport(t *testing.T, out *lambda.InvokeOutput) {
	t.Helper()
	tail, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if err != nil {
		t.Fatal(err)
	}
	report := regexp.MustCompile(`REPORT RequestId: \S+\tDuration: [0-9.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: (\d+) MB`)
	found := report.FindSubmatch(tail)
	if found == nil {
		t.Fatalf("no report in %q", tail)
	}
	if used, err := strconv.Atoi(string(found[1])); err != nil || used < 100 || used > 128 {
		t.Errorf("it reports %s MB of 128 after running out", found[1])
	}
	if !strings.Contains(string(tail), "Error: Runtime exited with error: signal: killed\nRuntime.ExitError") {
		t.Errorf("the log says %q", tail)
	}
}

// TestForkBomb: a function that forks without end is stopped by its own limit and by its timeout.
func TestForkBomb(t *testing.T) {
	h := start(t)
	h.createPython("f", `
import os, time
def handler(event, context):
    if not event.get("bomb"): return "fine"
    n = 0
    try:
        while True:
            if os.fork() == 0:
                time.sleep(60)
            n += 1
    except OSError as e:
        return [n, e.errno]
`, func(in *lambda.CreateFunctionInput) { in.MemorySize = aws.Int32(2048) })
	var answer [2]int
	if err := json.Unmarshal([]byte(h.ok("f", `{"bomb": true}`)), &answer); err != nil {
		t.Fatal(err)
	}
	if answer[0] > 1040 || answer[0] < 900 || answer[1] != 11 {
		t.Errorf("forked %d times, errno %d", answer[0], answer[1])
	}
}

// TestWhatAFunctionSees: nothing of the host's secrets, the daemon's data or another function.
func TestWhatAFunctionSees(t *testing.T) {
	h := start(t)
	h.createPython("victim", "def handler(event, context):\n    open('/tmp/secret', 'w').write('x')\n    return 'victim'\n")
	h.ok("victim", "{}")
	h.createPython("spy", `
import os, signal
def attempt(f):
    try: return repr(f())
    except Exception as e: return type(e).__name__ + ": " + os.strerror(getattr(e, "errno", 0) or 0)
def handler(event, context):
    return {
        "shadow": attempt(lambda: open("/etc/shadow").read()),
        "data": attempt(lambda: os.listdir(event["data"])),
        "root": attempt(lambda: os.listdir("/root")),
        "tmp": attempt(lambda: os.listdir("/tmp")),
        "write code": attempt(lambda: open("/var/task/x", "w")),
        "write root": attempt(lambda: open("/x", "w")),
        "processes": attempt(lambda: len([p for p in os.listdir("/proc") if p.isdigit()]) < 5),
        "kill init": attempt(lambda: os.kill(1, signal.SIGKILL)),
        "user": attempt(lambda: (os.getuid() != 0, os.getgroups())),
        "raise": attempt(lambda: __import__("resource").setrlimit(7, (4096, 4096))),
        "chroot": attempt(lambda: os.chroot("/tmp")),
        "mknod": attempt(lambda: os.mknod("/tmp/disk", 0o60600, os.makedev(254, 0))),
    }
`, func(in *lambda.CreateFunctionInput) { in.Timeout = aws.Int32(10) })
	event, err := json.Marshal(map[string]string{"data": filepath.Clean(h.config.DataDir)})
	if err != nil {
		t.Fatal(err)
	}
	var seen map[string]string
	if err := json.Unmarshal([]byte(h.ok("spy", string(event))), &seen); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"data": "FileNotFoundError: No such file or directory", "tmp": "[]",
		"write code": "OSError: Read-only file system", "write root": "OSError: Read-only file system",
		"processes": "True", "kill init": "PermissionError: Operation not permitted",
		"raise": "ValueError: Success", "chroot": "PermissionError: Operation not permitted",
		"mknod": "PermissionError: Permission denied", "root": "[]",
	}
	for what, refusal := range want {
		if seen[what] != refusal {
			t.Errorf("%s: got %q, want %q", what, seen[what], refusal)
		}
	}
	if !strings.HasPrefix(seen["shadow"], "FileNotFoundError") && !strings.HasPrefix(seen["shadow"], "PermissionError") {
		t.Errorf("shadow: %q", seen["shadow"])
	}
	if !strings.HasPrefix(seen["user"], "(True, ") {
		t.Errorf("user: %s", fmt.Sprint(seen["user"]))
	}
}
