package daemon

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"hotaru/internal/recorded"
	"hotaru/internal/sample"
)

// awsData finds AWS's recorded answers.
func awsData(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("HOTARU_AWS_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "aws")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("AWS's recorded answers are not here: set HOTARU_AWS_DATA")
	}
	return dir
}

// record loads a recorded scenario.
func record(t *testing.T, file, scenario string) recorded.Scenario {
	t.Helper()
	s, err := recorded.Load(filepath.Join(awsData(t), "recorded", "lambda", file+".json"), scenario)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// same compares an answer with the recorded one of a name, except for the members named.
func same(t *testing.T, s recorded.Scenario, name string, got answer, except ...string) {
	t.Helper()
	want, ok := s[name].(map[string]any)
	if !ok {
		t.Fatalf("no recorded answer %q", name)
	}
	if wrapped, ok := want["CreateFunctionResponse"].(map[string]any); ok {
		want = wrapped
	}
	want, got = maps.Clone(want), maps.Clone(got)
	for _, member := range except {
		delete(want, member)
		delete(got, member)
	}
	for _, line := range recorded.Diff(want, map[string]any(got)) {
		t.Errorf("%s: %s", name, line)
	}
}

const functions = "/2015-03-31/functions"

// createRaw sends CreateFunction as it stands.
func (h *harness) createRaw(members map[string]any) answer {
	h.t.Helper()
	in := map[string]any{
		"Runtime": h.python, "Handler": "handler.handler", "Role": h.makeRole(),
		"Code": map[string]any{"ZipFile": h.zip("handler.py", "def handler(event, context):\n    return event\n")},
	}
	maps.Copy(in, members)
	return h.call(http.MethodPost, functions, h.json(in), nil)
}

func (h *harness) zip(name, text string) []byte {
	h.t.Helper()
	pack, err := sample.Zip(map[string]string{name: text})
	if err != nil {
		h.t.Fatal(err)
	}
	return pack
}

func (h *harness) json(v any) []byte {
	h.t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		h.t.Fatal(err)
	}
	return text
}

func (h *harness) invokeRaw(name string, payload []byte, header map[string]string) answer {
	h.t.Helper()
	return h.call(http.MethodPost, functions+"/"+url.PathEscape(name)+"/invocations", payload, header)
}

// The version of Python or Node.js is this machine's, not the record's.
const itsRuntime = "Runtime"

func TestRecordedRefusals(t *testing.T) {
	h := start(t)

	s := record(t, "lambda_api", "TestLambdaFunction::test_delete_on_nonexisting_version")
	same(t, s, "delete_function_response_non_existent", h.call(http.MethodDelete, functions+"/nope", nil, nil))
	same(t, s, "delete_function_response_non_existent_with_qualifier",
		h.call(http.MethodDelete, functions+"/nope?Qualifier=1", nil, nil))

	s = record(t, "lambda_api", "TestLambdaFunction::test_function_arns")
	long := strings.Repeat("a", 65)
	same(t, s, "invalid_function_name_exc", h.createRaw(map[string]any{"FunctionName": "invalid:function:name"}))
	same(t, s, "long_function_name_exc", h.createRaw(map[string]any{"FunctionName": long}))
	same(t, s, "long_function_arn_exc", h.createRaw(map[string]any{
		"FunctionName": "arn:aws:lambda:us-east-1:000000000000:function:" + strings.Repeat("a", 120)}))
	same(t, s, "function_arn_other_region_exc",
		h.call(http.MethodGet, functions+"/"+url.PathEscape("arn:aws:lambda:ap-southeast-1:000000000000:function:f"), nil, nil))
	other := h.call(http.MethodGet, functions+"/"+url.PathEscape("arn:aws:lambda:us-east-1:123412341234:function:f"), nil, nil)
	delete(other["Error"].(map[string]any), "Message") // AWS's is not recorded
	same(t, recorded.Scenario{"x": map[string]any{"Error": map[string]any{"Code": "AccessDeniedException"},
		"ResponseMetadata": other["ResponseMetadata"]}}, "x", other, "Message", "message", "Type")

	s = record(t, "lambda_api", "TestLambdaSizeLimits::test_large_environment_variables_fails")
	same(t, s, "failed_create_fn_result", h.createRaw(map[string]any{"FunctionName": "f",
		"Environment": map[string]any{"Variables": map[string]string{"LARGE_VAR": strings.Repeat("x", 4081)}}}))

	s = record(t, "lambda_api", "TestLambdaSizeLimits::test_oversized_request_create_lambda")
	noise := make([]byte, 53<<20)
	source := rand.NewChaCha8([32]byte{})
	_, _ = source.Read(noise) // never fails
	same(t, s, "invalid_param_exc", h.createRaw(map[string]any{"FunctionName": "f",
		"Code": map[string]any{"ZipFile": h.zip("handler.py", string(noise))}}))

	out, err := h.lambda.ListFunctions(t.Context(), &lambda.ListFunctionsInput{})
	if err != nil || len(out.Functions) != 0 {
		t.Errorf("refusals left functions: %v %v", out, err)
	}
}

func TestRecordedPayloadRefusals(t *testing.T) {
	h := start(t)
	h.createPython("echo", "def handler(event, context):\n    return event\n")
	for _, tc := range []struct{ scenario, answer, payload string }{
		{"[body-n\\x87r\\x9e\\xe9\\xb5\\xd7I\\xee\\x9bmt]", "invoke_function_invalid_payload_body", "n\x87r\x9e\xe9\xb5\xd7I\xee\x9bmt"},
		{"[message-\\x99\\xeb,j\\x07\\xa1zYh]", "invoke_function_invalid_payload_message", "\x99\xeb,j\x07\xa1zYh"},
	} {
		s := record(t, "lambda", "TestLambdaErrors::test_lambda_invoke_payload_encoding_error"+tc.scenario)
		same(t, s, tc.answer, h.invokeRaw("echo", []byte(tc.payload), nil))
	}
}

func TestRecordedStates(t *testing.T) {
	h := start(t)
	s := record(t, "lambda", "TestLambdaBaseFeatures::test_function_state")
	same(t, s, "create-fn-response", h.createRaw(map[string]any{"FunctionName": "f"}), itsRuntime)
	h.waitActive("f")
	same(t, s, "get-fn-response", h.getFunction("f"), itsRuntime)

	s = record(t, "lambda_api", "TestLambdaFunction::test_function_arns")
	environment := map[string]any{"Variables": map[string]any{}}
	same(t, s, "create-function-arn-response", h.createRaw(map[string]any{
		"FunctionName": "arn:aws:lambda:us-east-1:000000000000:function:by-arn", "Environment": environment, "Timeout": 30}), itsRuntime)
	same(t, s, "create-function-partial-arn-response", h.createRaw(map[string]any{
		"FunctionName": "000000000000:function:by-partial-arn", "Environment": environment, "Timeout": 30}), itsRuntime)
	h.waitActive("by-arn")
	h.waitActive("us-east-1:000000000000:function:by-partial-arn")

	s = record(t, "lambda_api", "TestLambdaSizeLimits::test_lambda_envvars_near_limit_succeeds")
	near := s["successful_create_fn_result"].(map[string]any)["CreateFunctionResponse"].(map[string]any)
	same(t, s, "successful_create_fn_result", h.createRaw(map[string]any{
		"FunctionName": "near", "Environment": near["Environment"], "Timeout": near["Timeout"]}), itsRuntime)
}

// getFunction is GetFunction's answer with the configuration's runtime removed, which is this machine's.
func (h *harness) getFunction(name string) answer {
	h.t.Helper()
	got := h.call(http.MethodGet, functions+"/"+name, nil, nil)
	configuration, _ := got["Configuration"].(map[string]any)
	if configuration["Runtime"] != h.python {
		h.t.Errorf("runtime: %v", configuration["Runtime"])
	}
	configuration["Runtime"] = "python3.12"
	return got
}

func TestRecordedUpdateInProgress(t *testing.T) {
	h := start(t)
	s := record(t, "lambda_api", "TestLambdaFunction::test_lambda_concurrent_code_updates")
	same(t, s, "create-function-response", h.createRaw(map[string]any{"FunctionName": "f"}), itsRuntime)
	h.waitActive("f")
	// Whoever comes second while an update is in progress is refused, and how long that is depends on the
	// machine: try until one does.
	code := h.json(map[string]any{"ZipFile": h.zip("handler.py", strings.Repeat("# a comment\n", 1<<20))})
	for range 50 {
		first := make(chan answer, 1)
		go func() { first <- h.call(http.MethodPut, functions+"/f/code", code, nil) }()
		second := h.call(http.MethodPut, functions+"/f/code", code, nil)
		refused := <-first
		if refused["Error"] == nil {
			refused = second
		}
		h.waitUpdated("f")
		if refused["Error"] != nil {
			same(t, s, "update-during-in-progress-update-exc", refused)
			return
		}
	}
	t.Skip("updates were always over before the next one came")
}

func TestRecordedRevision(t *testing.T) {
	h := start(t)
	h.createPython("f", "def handler(event, context): pass")
	s := record(t, "lambda_api", "TestLambdaVersions::test_publish_with_wrong_revisionid")
	wrong := h.json(map[string]any{"RevisionId": "00000000-0000-0000-0000-000000000000", "Description": "x"})
	same(t, s, "publish_wrong_revisionid_exc", h.call(http.MethodPut, functions+"/f/configuration", wrong, nil))
	right := h.call(http.MethodGet, functions+"/f/configuration", nil, nil)
	if got := h.call(http.MethodPut, functions+"/f/configuration",
		h.json(map[string]any{"RevisionId": right["RevisionId"], "Description": "x"}), nil); got["Error"] != nil ||
		got["LastUpdateStatus"] != "InProgress" || got["LastUpdateStatusReasonCode"] != "Creating" || got["Description"] != "x" {
		t.Errorf("update with the right revision: %v", got)
	}
}

func TestRecordedInvokes(t *testing.T) {
	h := start(t)
	h.createPython("echo", "def handler(event, context):\n    return event\n")
	s := record(t, "lambda", "TestLambdaFeatures::test_invocation_type_request_response[python3.10]")
	same(t, s, "invoke-result", h.invokeRaw("echo", nil, map[string]string{"X-Amz-Invocation-Type": "RequestResponse"}))
	s = record(t, "lambda", "TestLambdaFeatures::test_invocation_type_dry_run[python3.10]")
	same(t, s, "invoke-result", h.invokeRaw("echo", nil, map[string]string{"X-Amz-Invocation-Type": "DryRun"}))

	const counter = "counter = -1\ndef handler(event, context):\n    global counter\n    counter += 1\n    return {'counter': counter}\n"
	h.createPython("counter", counter)
	s = record(t, "lambda", "TestLambdaBehavior::test_lambda_cache_local[python]")
	same(t, s, "first_invoke_result", h.invokeRaw("counter", nil, nil))
	same(t, s, "second_invoke_result", h.invokeRaw("counter", nil, nil))

	h.createPython("nothing", "def handler(event, context):\n    pass\n")
	s = record(t, "lambda", "TestLambdaFeatures::test_invocation_type_no_return_payload[python-RequestResponse]")
	want := maps.Clone(s["invoke-result"].(map[string]any))
	want["Payload"] = nil // the record has the text, this the value
	same(t, recorded.Scenario{"invoke-result": want}, "invoke-result", h.invokeRaw("nothing", nil, nil))

	if h.node != "" {
		h.create("node-counter", h.node, "index.handler", map[string]string{
			"index.js": "let counter = -1; exports.handler = async () => ({counter: ++counter});"})
		s = record(t, "lambda", "TestLambdaBehavior::test_lambda_cache_local[nodejs]")
		same(t, s, "first_invoke_result", h.invokeRaw("node-counter", nil, nil))
		same(t, s, "second_invoke_result", h.invokeRaw("node-counter", nil, nil))
	}
}

func TestRecordedFunctionErrors(t *testing.T) {
	h := start(t)
	h.createPython("init-error", `raise Exception("Runtime startup fails")`)
	s := record(t, "lambda", "TestLambdaErrors::test_lambda_runtime_error")
	got := h.invokeRaw("init-error", nil, nil)
	want := maps.Clone(s["invocation_error"].(map[string]any))
	want["Payload"] = maps.Clone(want["Payload"].(map[string]any))
	trace, _ := got["Payload"].(map[string]any)["stackTrace"].([]any)
	if len(trace) == 0 || trace[len(trace)-1] != "  File \"/var/task/handler.py\", line 1, in <module>\n    raise Exception(\"Runtime startup fails\")\n" {
		t.Errorf("stack trace: %v", trace)
	}
	want["Payload"].(map[string]any)["stackTrace"] = trace // its import frames are the Python version's
	same(t, recorded.Scenario{"x": want}, "x", got)

	for name, source := range map[string]string{
		"test_lambda_runtime_exit": "import sys\nsys.exit(0)\n",
		"test_lambda_handler_exit": "import sys\ndef handler(event, context):\n    sys.exit(0)\n",
	} {
		h.createPython(name, source)
		same(t, record(t, "lambda", "TestLambdaErrors::"+name), "invocation_error", h.invokeRaw(name, nil, nil))
	}
	h.createPython("wrapper", "def handler(event, context): pass\n", func(in *lambda.CreateFunctionInput) {
		in.Environment = variables(map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": "/idontexist"})
	})
	same(t, record(t, "lambda", "TestLambdaErrors::test_lambda_runtime_wrapper_not_found"), "invocation_error",
		h.invokeRaw("wrapper", nil, nil))

	h.createPython("uncaught", "def handler(event, context):\n    raise Exception('Failed: some_error_msg')\n")
	same(t, record(t, "lambda_common", "TestLambdaRuntimesCommon::test_uncaught_exception_invoke[python3.11]"), "error_result",
		h.invokeRaw("uncaught", []byte(`{"error_msg":"some_error_msg"}`), nil))
	if h.node != "" {
		h.create("uncaught-node", h.node, "index.handler", map[string]string{
			"index.js": "exports.handler = async () => { throw 'Error: some_error_msg' }"})
		s := record(t, "lambda_common", "TestLambdaRuntimesCommon::test_uncaught_exception_invoke[nodejs20.x]")
		same(t, s, "error_result", h.invokeRaw("uncaught-node", []byte(`{}`), nil), "Payload")
	}
}

func TestRecordedTimeout(t *testing.T) {
	h := start(t)
	h.createPython("f", `
import os, time
number = 0
def handler(event, context):
    global number
    if event.get("write"):
        open("/tmp/file", "w").write(event["write"])
    if event.get("read"):
        return {"content": open("/tmp/file").read()}
    if event.get("set"):
        number = event["set"]
    if event.get("number"):
        return {"number": number}
    if event.get("sleep"):
        time.sleep(event["sleep"])
`, func(in *lambda.CreateFunctionInput) { in.Timeout = aws.Int32(1) })
	s := record(t, "lambda", "TestLambdaBehavior::test_lambda_invoke_timed_out_environment_reuse")
	for _, tc := range []struct{ name, event string }{
		{"invoke-result-file-read", `{"write":"some-content","read":true}`},
		{"invoke-result-read-number", `{"set":42,"number":true}`},
	} {
		same(t, s, tc.name, h.invokeRaw("f", []byte(tc.event), nil))
	}
	timedOut := h.invokeRaw("f", []byte(`{"sleep":30}`), nil)
	// The record is from 2024; since then the body has a type and another start.
	same(t, s, "invoke-result-timed-out", timedOut, "Payload")
	body, _ := timedOut["Payload"].(map[string]any)
	if message, _ := body["errorMessage"].(string); body["errorType"] != "Sandbox.Timedout" ||
		!strings.HasSuffix(message, " Error: Task timed out after 1.00 seconds") || !strings.HasPrefix(message, "RequestId: ") {
		t.Errorf("timed out: %v", body)
	}
	same(t, s, "invoke-result-file-read-after-timeout", h.invokeRaw("f", []byte(`{"read":true}`), nil))
	same(t, s, "invoke-result-read-number-after-timeout", h.invokeRaw("f", []byte(`{"number":true}`), nil))
}

func variables(v map[string]string) *types.Environment {
	return &types.Environment{Variables: v}
}
