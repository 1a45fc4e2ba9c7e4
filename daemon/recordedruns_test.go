package daemon

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"hotaru/internal/recorded"
	"hotaru/runtime"
)

// tailed invokes with a log tail, which it returns beside the answer, which names it.
func (h *harness) tailed(name string, payload []byte) (a answer, log string) {
	h.t.Helper()
	path := functions + "/" + name + "/invocations"
	response, text := h.send(http.MethodPost, path, payload, map[string]string{"X-Amz-Log-Type": "Tail"})
	a = parseAnswer(h.t, response, text, true)
	a["LogResult"] = response.Header.Get("X-Amz-Log-Result")
	tail, err := base64.StdEncoding.DecodeString(response.Header.Get("X-Amz-Log-Result"))
	if err != nil {
		h.t.Fatal(err)
	}
	return a, string(tail)
}

// TestRecordedContexts compares what code is told about its invocation, in Python and Node.js.
func TestRecordedContexts(t *testing.T) {
	h := start(t)
	const integration = `
import logging
logging.getLogger().setLevel(logging.INFO)
def handler(event, context):
    print("Lambda log message - print function")
    logging.getLogger().info("Lambda log message - logging module")
    names = ["invoked_function_arn", "function_version", "function_name", "memory_limit_in_mb", "aws_request_id",
             "log_group_name", "log_stream_name", "client_context"]
    return {"event": event, "context": {name: getattr(context, name) for name in names}}
`
	event := []byte(`{"foo":"bar with 'quotes\""}`)
	s := record(t, "lambda", "TestLambdaFeatures::test_invocation_with_qualifier")
	same(t, s, "creation-response", h.createRaw(map[string]any{"FunctionName": "qualified", "Publish": true, "Timeout": 10,
		"Code": map[string]any{"ZipFile": h.zip("handler.py", integration)}}), itsRuntime)
	h.waitActive("qualified")
	a, log := h.tailed("qualified:1", event)
	same(t, s, "invocation-response", a)
	var lines []any
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "INIT_START") && !strings.HasPrefix(line, "REPORT") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	for _, line := range recorded.Diff(s["log_result"], map[string]any{"log_result": lines}) {
		t.Error(line)
	}
	same(t, record(t, "lambda", "TestLambdaFeatures::test_upload_lambda_from_s3"), "invocation-response", h.invokeRaw("qualified", event, nil))

	variables := map[string]any{"Variables": map[string]string{"Hello": "World"}}
	s = record(t, "lambda", "TestLambdaFeatures::test_lambda_environment")
	later := []string{itsRuntime, "LoggingConfig", "RuntimeVersionConfig", "SnapStart"} // what AWS did not answer in 2022
	same(t, s, "creation-result", h.createRaw(map[string]any{"FunctionName": "environment", "Environment": variables, "Timeout": 30,
		"Code": map[string]any{"ZipFile": h.zip("handler.py",
			"import os\ndef handler(event, context):\n    return {'Hello': os.environ['Hello']}\n")}}), later...)
	h.waitActive("environment")
	same(t, s, "get-configuration-result", h.call(http.MethodGet, functions+"/environment/configuration", nil, nil), later...)
	same(t, s, "invocation-result", h.invokeRaw("environment", []byte("{}"), nil))

	if h.node == "" {
		t.Skip("no Node.js that Lambda knows is installed")
	}
	h.create("node", h.node, "index.handler", map[string]string{"index.js": "exports.handler = async (event, context) => ({ context });\n"})
	client := base64.StdEncoding.EncodeToString([]byte(`{"custom":{"foo":"bar"},"client":{"snap":["crackle","pop"]},"env":{"fizz":"buzz"}}`))
	same(t, record(t, "lambda", "TestLambdaFeatures::test_lambda_with_context"), "invocation",
		h.invokeRaw("node", []byte("{}"), map[string]string{"X-Amz-Client-Context": client}))
}

// TestRecordedLanguages compares what every version of Python and Node.js that is installed answers, and custom runtimes.
func TestRecordedLanguages(t *testing.T) {
	h := start(t)
	for _, runs := range h.runtimes.List(t.Context()) {
		uncaught := "TestLambdaRuntimesCommon::test_uncaught_exception_invoke[" + runs.ID + "]"
		if runs.Err != nil || !h.isRecorded(uncaught) {
			continue
		}
		name := strings.ReplaceAll(runs.ID, ".", "-")
		switch runs.Language {
		case runtime.Python:
			h.create(name, runs.ID, "handler.handler", map[string]string{"handler.py": `
def handler(event, context):
    raise Exception("Failed: " + event["error_msg"])
`})
		case runtime.NodeJS:
			h.create(name, runs.ID, "index.handler", map[string]string{"index.js": `
exports.handler = async (event) => { throw new Error('Error: ' + event.error_msg); };
`})
		default:
			continue
		}
		same(t, record(t, "lambda_common", uncaught), "error_result", h.invokeRaw(name, []byte(`{"error_msg":"some_error_msg"}`), nil))
	}
	if h.node != "" {
		h.create("es6", h.node, "index.handler", map[string]string{"index.mjs": `
import path from 'node:path';
export const handler = async (event) => ({
  statusCode: 200, body: JSON.stringify(path.basename('/response from localstack lambda: ') + JSON.stringify(event)),
});
`})
		same(t, record(t, "lambda_runtimes", "TestNodeJSRuntimes::test_invoke_nodejs_es6_lambda["+h.node+"]"), "invocation-result",
			h.invokeRaw("es6", []byte(`{"event_type":"test_lambda"}`), nil))
		h.create("nothing", h.node, "index.handler", map[string]string{"index.js": "exports.handler = async () => {};\n"})
		s := record(t, "lambda", "TestLambdaFeatures::test_invocation_type_no_return_payload[nodejs-RequestResponse]")
		want := maps.Clone(s["invoke-result"].(map[string]any))
		want["Payload"] = nil // the record has the text, this the value
		same(t, recorded.Scenario{"x": want}, "x", h.invokeRaw("nothing", nil, nil))
	}

	// A custom runtime's error is what it said, to the letter.
	s := record(t, "lambda_common", "TestLambdaRuntimesCommon::test_uncaught_exception_invoke[provided.al2023]")
	said := s["error_result"].(map[string]any)["Payload"]
	h.create("custom", "provided.al2023", "any", map[string]string{"said.json": string(h.json(said)), "bootstrap": `#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while :; do
  id=$(curl -sS -D - -o /dev/null "$api/next" | sed -n 's/^Lambda-Runtime-Aws-Request-Id: *//Ip' | tr -d '\r')
  curl -sS -o /dev/null -H "Lambda-Runtime-Function-Error-Type: Custom" --data-binary @/var/task/said.json "$api/$id/error"
done
`})
	same(t, s, "error_result", h.invokeRaw("custom", []byte("{}"), nil))
}

// isRecorded says whether AWS's answers to a scenario of the languages are there.
func (h *harness) isRecorded(scenario string) bool {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(awsData(h.t), "recorded", "lambda", "lambda_common.json"))
	if err != nil {
		h.t.Fatal(err)
	}
	var file map[string]json.RawMessage
	if err := json.Unmarshal(text, &file); err != nil {
		h.t.Fatal(err)
	}
	return file[scenario] != nil
}

// TestRecordedPlace compares where code finds itself.
func TestRecordedPlace(t *testing.T) {
	h := start(t)
	h.createPython("f", `
import os, platform, pwd, stat, subprocess
def handler(event, context):
    modes = {}
    for path in ["/var/task", "/opt", "/tmp"]:
        modes[path.replace("/", "_") + "_mode"] = stat.filemode(os.stat(path).st_mode)
    run = lambda *command: subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return {"event": event, "user_login_name": pwd.getpwuid(os.getuid()).pw_name, "user_whoami": run("whoami"), "pwd": run("pwd"),
            "platform_system": platform.system(), "platform_machine": platform.machine(), "paths": modes}
`, func(in *lambda.CreateFunctionInput) { in.Timeout = aws.Int32(30) })
	machine := map[string]string{"amd64": "x86", "arm64": "arm"}[goruntime.GOARCH]
	s := record(t, "lambda", "TestLambdaBehavior::test_runtime_introspection_"+machine)
	name := "invoke_runtime_" + machine + "_introspection"
	want := s[name].(map[string]any)
	paths := want["Payload"].(map[string]any)["paths"].(map[string]any)
	// Who owns them is nobody here, as nothing in a sandbox is root's, and the entrypoint is an image's.
	maps.DeleteFunc(paths, func(member string, _ any) bool {
		return !strings.HasSuffix(member, "_mode") || strings.Contains(member, "entrypoint")
	})
	same(t, s, name, h.invokeRaw("f", []byte("{}"), nil))
}
