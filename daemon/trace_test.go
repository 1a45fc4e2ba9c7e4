package daemon

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"hotaru/awsapi/xray"
)

// traced invokes a function that answers its trace header and returns that, and the log's tail.
func (h *harness) traced(name, given string) (header, tail string) {
	h.t.Helper()
	response, text := h.send("POST", "/2015-03-31/functions/"+name+"/invocations", []byte(`{}`),
		map[string]string{"X-Amzn-Trace-Id": given, "X-Amz-Log-Type": "Tail"})
	if err := json.Unmarshal(text, &header); err != nil {
		h.t.Fatalf("%s: %v: %s", name, err, text)
	}
	if sent := response.Header.Get("X-Amzn-Trace-Id"); sent != header {
		h.t.Errorf("%s: the function has %q, the answer %q", name, header, sent)
	}
	log, err := base64.StdEncoding.DecodeString(response.Header.Get("X-Amz-Log-Result"))
	if err != nil {
		h.t.Fatal(err)
	}
	return header, string(log)
}

// TestTraceHeader follows X-Ray's header from a caller through Lambda to code, by both transports.
func TestTraceHeader(t *testing.T) {
	const given = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
	h := start(t)
	active := func(in *lambda.CreateFunctionInput) {
		in.TracingConfig = &types.TracingConfig{Mode: types.TracingModeActive}
	}
	const python = `
import os
def handler(event, context):
    assert os.environ["AWS_XRAY_CONTEXT_MISSING"] == "LOG_ERROR" and os.environ["AWS_XRAY_DAEMON_ADDRESS"]
    return os.environ["_X_AMZN_TRACE_ID"]
`
	h.createPython("passes", python)
	h.createPython("traces", python, active)
	names := []string{"passes", "traces"}
	if h.node != "" {
		h.create("node", h.node, "app.handler", map[string]string{
			"app.js": `exports.handler = async () => process.env._X_AMZN_TRACE_ID`})
		names = append(names, "node")
	}
	h.create("custom", "provided.al2023", "any", map[string]string{"bootstrap": `#!/bin/sh
while :; do
  curl -s -D /tmp/head -o /dev/null "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next"
  field() { sed -n "s/^$1: *//Ip" /tmp/head | tr -d '\r'; }
  curl -s -o /dev/null -d "\"$(field Lambda-Runtime-Trace-Id)\"" \
    "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$(field Lambda-Runtime-Aws-Request-Id)/response"
done
`})
	names = append(names, "custom")

	for _, name := range names {
		header, tail := h.traced(name, given)
		got := xray.Parse(header)
		segment := regexp.MustCompile(`\nXRAY TraceId: 1-5759e988-bd862e3fe1be46a994272793\tSegmentId: ` + got.Parent + `\tSampled: true\t\n$`)
		if traces := name == "traces"; got.Root != "1-5759e988-bd862e3fe1be46a994272793" || got.Sampled != xray.Yes ||
			(got.Parent == "53995c3f42cd8ad8") == traces || segment.MatchString(tail) != traces || got.Lineage.Requests != 1 {
			t.Errorf("%s: %q, log %q", name, header, tail)
		}
	}
	for name, want := range map[string]xray.Sampled{"passes": xray.No, "traces": xray.Yes} {
		first, _ := h.traced(name, "Root=junk;Sampled=maybe")
		second, _ := h.traced(name, first)
		a, b := xray.Parse(first), xray.Parse(second)
		if a.Root == "" || a.Parent == "" || a.Sampled != want || a.Root != b.Root || a.Sampled != b.Sampled ||
			b.Lineage.Requests != 2 || b.Lineage.Loops != 1 {
			t.Errorf("%s: %q, then %q", name, first, second)
		}
	}
	if _, tail := h.traced("traces", strings.Replace(given, "Sampled=1", "Sampled=0", 1)); strings.Contains(tail, "XRAY") {
		t.Errorf("not sampled, but the log says %q", tail)
	}
}
