package e2e

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"hotaru/internal/client"
	"hotaru/internal/sample"
)

// bootstrap is a custom runtime as one writes it in a shell: it asks the Runtime API for events and answers them.
// The handler is FILE.FUNCTION.
const bootstrap = `#!/bin/bash
set -euo pipefail
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
source "$LAMBDA_TASK_ROOT/${_HANDLER%%.*}.sh"
while true; do
  event="$(curl -sS -D /tmp/headers "$api/invocation/next")"
  id="$(tr -d '\r' </tmp/headers | awk 'tolower($1) == "lambda-runtime-aws-request-id:" { print $2 }')"
  if answer="$("${_HANDLER#*.}" "$event")"; then
    curl -sS -o /dev/null -d "$answer" "$api/invocation/$id/response"
  else
    curl -sS -o /dev/null -H 'Lambda-Runtime-Function-Error-Type: Shell.Refused' \
      -d "{\"errorMessage\": \"$answer\", \"errorType\": \"Shell.Refused\"}" "$api/invocation/$id/error"
  fi
  served=$((${served:-0} + 1))
done
`

// greeter is the function's own code: it tells on its standard error what the runtime served before.
const greeter = `greet() {
  echo "served ${served:-0} before" >&2
  case "$1" in
    *refuse*) echo "not today"; return 1 ;;
    *die*) kill $$ ;;
    *) echo "{\"greeting\": \"Hello from a shell\", \"event\": $1, \"memory\": \"$AWS_LAMBDA_FUNCTION_MEMORY_SIZE\"}" ;;
  esac
}
`

// TestShellRuntime runs a function whose runtime is a shell script.
func TestShellRuntime(t *testing.T) {
	pack, err := sample.Zip(map[string]string{"bootstrap": bootstrap, "function.sh": greeter})
	if err != nil {
		t.Fatal(err)
	}
	invoke := deploy(t, sample.Function{Name: "shell", Runtime: "provided.al2023", Handler: "function.greet", Zip: pack})
	for _, test := range []struct{ event, wantError, want, wantLog string }{
		{`"refuse"`, "Unhandled", `{"errorMessage": "not today", "errorType": "Shell.Refused"}`, "served 0 before\n"},
		{`{"name":"é"}`, "", `{"greeting": "Hello from a shell", "event": {"name":"é"}, "memory": "128"}`, "served 1 before\n"},
		{`"die"`, "Unhandled", `"errorType":"Runtime.ExitError"`, "served 2 before\n"},
		{`[1]`, "", `{"greeting": "Hello from a shell", "event": [1], "memory": "128"}`, "served 0 before\n"},
	} {
		invoke(test.event, test.wantError, test.want, test.wantLog)
	}
}

// TestGoFunction runs a function that was built with aws-lambda-go.
func TestGoFunction(t *testing.T) {
	root, err := client.Root()
	if err != nil {
		t.Fatal(err)
	}
	pack, err := sample.BuildGo(t.Context(), filepath.Join(root, "demo", "gofunction"))
	if err != nil {
		t.Fatal(err)
	}
	invoke := deploy(t, sample.Function{Name: "gofunction", Runtime: "provided.al2023", Handler: "bootstrap", Zip: pack})
	for _, test := range []struct{ event, wantError, want, wantLog string }{
		{`{"name":1}`, "Unhandled", `"errorType":"UnmarshalTypeError"`, ""},
		{`{"name":"蛍"}`, "", `{"greeting":"Hello from Go, 蛍"}`, "greeting 蛍\n"},
		{`{}`, "", `{"greeting":"Hello from Go, "}`, "greeting \n"},
	} {
		invoke(test.event, test.wantError, test.want, test.wantLog)
	}
}

// deploy starts a server with one function and returns how to invoke it: with an event, the function error or "",
// and what must be in the answer (all of it, where there is no error) and in the log.
func deploy(t *testing.T, f sample.Function) func(event, wantError, want, wantLog string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("isolation takes root")
	}
	w := start(t)
	role, err := w.Role(t.Context(), "fn")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.CreateFunction(t.Context(), role, f, 128); err != nil {
		t.Fatal(err)
	}
	return func(event, wantError, want, wantLog string) {
		t.Helper()
		out, err := w.Lambda.Invoke(t.Context(), &lambda.InvokeInput{
			FunctionName: &f.Name, Payload: []byte(event), LogType: types.LogTypeTail,
		})
		if err != nil {
			t.Fatalf("%s: %v", event, err)
		}
		log, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
		got := string(out.Payload)
		right := got == want || wantError != "" && strings.Contains(got, want)
		if err != nil || !right || aws.ToString(out.FunctionError) != wantError || !strings.Contains(string(log), wantLog) {
			t.Errorf("%s:\n got %s %q\nwant %s %q\nlog, which must hold %q (%v):\n%s", event, got, aws.ToString(out.FunctionError),
				want, wantError, wantLog, err, log)
		}
	}
}
