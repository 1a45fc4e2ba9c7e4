package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"hotaru/store"
)

// TestPayloadLimits: 6 MB each way, and AWS's refusals beyond.
func TestPayloadLimits(t *testing.T) {
	h := start(t)
	h.createPython("f", `
def handler(event, context):
    if isinstance(event, str): return event
    return "x" * event["size"]
`, func(in *lambda.CreateFunctionInput) { in.MemorySize = aws.Int32(1024) })

	const limit = 6291456
	big := append(append([]byte{'"'}, bytes.Repeat([]byte("a"), limit-2)...), '"')
	_, err := h.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), Payload: append([]byte(" "), big...)})
	refused(t, err, "RequestEntityTooLargeException", "Request must be smaller than 6291456 bytes for the InvokeFunction operation")

	out, err := h.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), Payload: []byte(`{"size": 6291555}`)})
	if err != nil || out.FunctionError == nil {
		t.Fatalf("an answer that is too large: %v %v", out, err)
	}
	var body struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(out.Payload, &body); err != nil || body.ErrorType != "Function.ResponseSizeTooLarge" ||
		!strings.Contains(body.ErrorMessage, "maximum allowed payload size (6291556 bytes)") {
		t.Errorf("%s", out.Payload)
	}
	if got := h.ok("f", string(big)); got != string(big) {
		t.Errorf("6 MB both ways: %d bytes came back", len(got))
	}
	if got := h.ok("f", `{"size": 6291554}`); len(got) != 6291556 {
		t.Errorf("the largest answer: %d bytes", len(got))
	}
}

func TestTwoOnOneDataDirectory(t *testing.T) {
	h := start(t)
	_, err := Start(t.Context(), Config{DataDir: h.config.DataDir, Listen: "localhost:0"})
	if !errors.Is(err, store.ErrLocked) {
		t.Errorf("a second Hotaru on the same data: %v", err)
	}
}

// What was acknowledged is there after a restart, unreadable on the disk where it is secret.
func TestRestart(t *testing.T) {
	h := start(t)
	const secret = "the-secret-of-the-firefly"
	h.createPython("f", "import os\ndef handler(event, context): return os.environ['SECRET']", func(in *lambda.CreateFunctionInput) {
		in.Environment = variables(map[string]string{"SECRET": secret})
	})
	dir, role := h.config.DataDir, h.role
	before := h.call("GET", functions+"/f/configuration", nil, nil)
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"state", "logs"} {
		if found := filesWith(t, filepath.Join(dir, kind), secret); found != nil {
			t.Errorf("the secret can be read in %v", found)
		}
	}
	again := start(t, func(c *Config) { c.DataDir = dir })
	again.role = role
	after := again.call("GET", functions+"/f/configuration", nil, nil)
	want, _ := json.Marshal(before)
	if got, _ := json.Marshal(after); !bytes.Equal(got, want) {
		t.Errorf("before: %s\nafter:  %s", want, got)
	}
	if got := again.ok("f", "{}"); got != `"`+secret+`"` {
		t.Errorf("answer: %s", got)
	}
	again.createPython("g", "def handler(event, context): return 1")
}

// TestProcessDriver: without isolation the same functions run, for development.
func TestProcessDriver(t *testing.T) {
	h := start(t, func(c *Config) { c.Sandbox = "process" })
	h.createPython("f", "import os\ndef handler(event, context): return os.path.basename(context.log_group_name)")
	if got := h.ok("f", "{}"); got != `"f"` {
		t.Errorf("Python: %s", got)
	}
	if h.node != "" {
		h.create("n", h.node, "index.handler", map[string]string{"index.js": "exports.handler = async (e, c) => c.functionName"})
		if got := h.ok("n", "{}"); got != `"n"` {
			t.Errorf("Node.js: %s", got)
		}
	}
}
