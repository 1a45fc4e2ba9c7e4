package daemon

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"hotaru/sandbox"
)

// TestWall: an environment that takes more than all together may have is killed, although it may have that alone. Its
// function says so as on AWS, and works again; another function's event goes on beside it. So it is after a restart.
func TestWall(t *testing.T) {
	dir := t.TempDir()
	bounded := func(c *Config) { c.DataDir, c.MemoryBudget = dir, 200<<20 }
	h := start(t, bounded)
	if !enforces(h.driver, sandbox.LimitAllMemory) {
		t.Skip("needs a memory controller: nothing keeps all environments together in bounds here")
	}
	large := func(in *lambda.CreateFunctionInput) { in.MemorySize, in.Timeout = aws.Int32(3008), aws.Int32(60) }
	h.createPython("large", "def handler(event, context): return len(bytearray(event << 20).replace(b'\\0', b'x')) >> 20\n", large)
	h.createPython("other", "import time\ndef handler(event, context):\n    time.sleep(event)\n    return event\n")
	h.wantWall()
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	start(t, bounded).wantWall()
}

// wantWall wants the large function to be killed for what it is asked for, and the other one's event to go on.
func (h *harness) wantWall() {
	h.t.Helper()
	beside := make(chan answer)
	go func() { beside <- h.invokeRaw("other", []byte("1.5"), nil) }()
	for busy := 0; busy == 0; _, busy = h.pool.Size() {
		<-time.After(time.Millisecond)
	}
	out := h.invoke("large", "1000")
	var body struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(out.Payload, &body); err != nil {
		h.t.Fatal(err)
	}
	if aws.ToString(out.FunctionError) != "Unhandled" || body.ErrorType != "Runtime.ExitError" ||
		!strings.HasSuffix(body.ErrorMessage, "Error: Runtime exited with error: signal: killed") {
		h.t.Errorf("1,000 MiB, where all environments may have %d together: %s", h.budget.Wall()>>20, out.Payload)
	}
	if got := <-beside; got["Error"] != nil || got["FunctionError"] != nil {
		h.t.Errorf("another function's event: %v", got)
	}
	if got := h.ok("large", "10"); got != "10" {
		h.t.Errorf("the one that was killed answers %s", got)
	}
}
