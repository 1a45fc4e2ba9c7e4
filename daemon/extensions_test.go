package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"hotaru/internal/sample"
	"hotaru/sandbox/sandboxtest"
)

// extensionLayer publishes a layer with the extension of package sample.
func (h *harness) extensionLayer() string {
	h.t.Helper()
	binary := filepath.Join(h.t.TempDir(), "observer")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "hotaru/internal/sample/extension")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		h.t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.publish("observer", map[string]string{"extensions/observer": string(text)})
}

// The functions of these tests do what their event says, in three languages. Those that hang are deaf to SIGTERM too.
const (
	faultyPython = `
import os, signal, time
if os.environ.get("INIT_FAULT") and not os.path.exists("/tmp/once"):
    open("/tmp/once", "w").close()
    os._exit(7)
def handler(event, context):
    if event == "exit":
        os._exit(3)
    if event == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    if event == "leave a child":
        if os.fork() == 0:
            time.sleep(60)
        os._exit(4)
    if event == "flood":
        for _ in range(1000):
            print("flood " * 200)
    return "ok"
`
	faultyNode = `
const fs = require('fs');
if (process.env.INIT_FAULT && !fs.existsSync('/tmp/once')) {
  fs.writeFileSync('/tmp/once', '');
  process.exit(7);
}
exports.handler = async (event) => {
  if (event === 'exit') process.exit(3);
  if (event === 'hang') process.on('SIGTERM', () => {});
  if (event === 'hang') await new Promise((resolve) => setTimeout(resolve, 60000));
  if (event === 'leave a child') {
    require('child_process').spawn('sleep', ['60'], { detached: true, stdio: 'inherit' });
    process.exit(4);
  }
  if (event === 'flood') for (let i = 0; i < 1000; i++) console.log('flood '.repeat(200));
  return 'ok';
};
`
	faultyShell = `#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
if [ -n "$INIT_FAULT" ] && [ ! -e /tmp/once ]; then touch /tmp/once; exit 7; fi
while true; do
  event=$(curl -sS -D /tmp/headers "$api/next")
  id=$(grep -i '^lambda-runtime-aws-request-id:' /tmp/headers | tr -d '\r' | cut -d' ' -f2)
  case "$event" in
  '"exit"') exit 3 ;;
  '"hang"') trap '' TERM; sleep 60 ;;
  '"leave a child"') sleep 60 & exit 4 ;;
  '"flood"') i=0; while [ $i -lt 1000 ]; do echo "flood flood flood $i"; i=$((i+1)); done ;;
  '"answer twice"') curl -sS -o /dev/null -d '"ok"' "$api/$id/response" ;;
  '"answer another"') curl -sS -o /dev/null -d '"no"' "$api/another/response" ;;
  esac
  curl -sS -o /dev/null -d '"ok"' "$api/$id/response"
done
`
)

// faulty creates a function that does what its event says; shell is one for the custom runtime.
func (h *harness) faulty(name, language, layer string, variable map[string]string) {
	h.t.Helper()
	change := func(in *lambda.CreateFunctionInput) {
		in.Timeout, in.Layers, in.Environment = aws.Int32(2), []string{layer}, variables(variable)
	}
	switch {
	case language == "shell":
		h.create(name, "provided.al2023", "any", map[string]string{"bootstrap": faultyShell}, change, wholeCPU)
	case language == "python" && h.python != "":
		h.createPython(name, faultyPython, change)
	case language == "node" && h.node != "":
		h.create(name, h.node, "index.handler", map[string]string{"index.js": faultyNode}, change)
	default:
		h.t.Skip("no " + language)
	}
}

// wholeCPU spares a test that starts many processes the small share that 128 MB have.
func wholeCPU(in *lambda.CreateFunctionInput) { in.MemorySize = aws.Int32(1769) }

// said waits until a function's log has a line with all the texts, one after the other or the same.
func (h *harness) said(name string, reports int, texts ...string) {
	h.t.Helper()
	log := strings.Join(messages(h.logged("/aws/lambda/"+name, reports)), "")
	for _, text := range texts {
		if !strings.Contains(log, text) {
			h.t.Errorf("%s: no %q in the log:\n%s", name, text, log)
		}
	}
}

// TestTelemetryInSandboxes: an extension of a layer hears what happens, over HTTP and TCP, in every version's words.
func TestTelemetryInSandboxes(t *testing.T) {
	h := start(t)
	layer := h.extensionLayer()
	for _, schema := range []string{"2020-08-15", "2021-03-18", "2022-07-01", "2022-12-13", "2025-01-29"} {
		for _, protocol := range []string{"HTTP", "TCP"} {
			name := protocol + schema
			h.faulty(name, "shell", layer, map[string]string{"TELEMETRY_SCHEMA": schema, "TELEMETRY_PROTOCOL": protocol})
			for range 2 {
				if got := h.ok(name, `"go"`); got != `"ok"` {
					t.Errorf("%s: %s", name, got)
				}
			}
			want := []string{
				`"accountId":"000000000000"`, "EXTENSION\tName: observer\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n",
				"extension: heard platform.extension", "extension: heard platform.start", "extension: heard platform.report",
			}
			if schema < "2022" {
				want = append(want, "LOGS\tName: observer\tState: Subscribed\tTypes: [Platform]\n", "extension: heard platform.logsSubscription", "extension: heard platform.end")
			} else {
				want = append(want, "TELEMETRY\tName: observer\tState: Subscribed\tTypes: [Platform]\n",
					"extension: heard platform.initStart", "extension: heard platform.telemetrySubscription",
					"extension: heard platform.initRuntimeDone", "extension: heard platform.initReport", "extension: heard platform.runtimeDone")
			}
			h.said(name, 2, want...)
		}
	}
}

// runtimeFaults are events that the functions of these tests do not survive, or only just.
var runtimeFaults = []struct{ event, kind, message, reason string }{
	{"exit", "Runtime.ExitError", "Runtime exited with error: exit status 3", "failure"},
	{"leave a child", "Runtime.ExitError", "Runtime exited with error: exit status 4", "failure"},
	{"hang", "Sandbox.Timedout", "Task timed out after 2.00 seconds", "timeout"},
	{"flood", "", "", ""},
	{"answer twice", "", "", ""},
	{"answer another", "", "", ""},
}

// extensionFaults are what an extension does, once, and what the log says about it.
var extensionFaults = map[string]string{
	"exit at Init": "exit status 3\nExtension.Crash", "exit at Invoke": "exit status 6\nExtension.Crash",
	"hang at Invoke": "Task timed out after 2.00 seconds", "ignore SHUTDOWN": "extension: heard",
}

// TestFaultsInSandboxes has runtimes and extensions fail for real: each gives AWS's error, and the next event finds a
// function that works, in the same environment.
func TestFaultsInSandboxes(t *testing.T) {
	sandboxtest.CheckLeaks(t)
	h := start(t)
	layer := h.extensionLayer()
	h.makeRole()
	of := func(t *testing.T) *harness {
		own := *h
		own.t = t
		return &own
	}
	t.Run("all", func(t *testing.T) { // and wait for all
		for _, language := range []string{"python", "node", "shell"} {
			t.Run(language, func(t *testing.T) {
				t.Parallel()
				of(t).runtimeFaults(language, layer)
			})
		}
		for fault, message := range extensionFaults {
			t.Run(fault, func(t *testing.T) {
				t.Parallel()
				of(t).extensionFault(fault, message, layer)
			})
		}
	})
	alive := map[string]int{}
	for v := range h.pool.Versions() {
		alive[v.ID.Name]++
	}
	for name, count := range alive {
		if count != 1 {
			t.Errorf("%s had %d environments", name, count)
		}
	}
}

func (h *harness) runtimeFaults(language, layer string) {
	h.faulty(language, language, layer, map[string]string{"TELEMETRY_SCHEMA": "2022-12-13"})
	if got := h.ok(language, `"go"`); got != `"ok"` {
		h.t.Error(got)
	}
	h.faulty(language+"-init", language, layer, map[string]string{"TELEMETRY_SCHEMA": "2022-12-13", "INIT_FAULT": "1"})
	if got := h.ok(language+"-init", `"go"`); got != `"ok"` {
		h.t.Error(got)
	}
	h.said(language+"-init", 1, "Runtime exited with error: exit status 7\nRuntime.ExitError\n", "extension: shutdown failure",
		"Phase: init\tStatus: error\tError Type: Runtime.ExitError")
	reports := 1
	for _, fault := range runtimeFaults {
		out := h.invoke(language, fmt.Sprintf("%q", fault.event))
		kind := fmt.Sprintf(`"errorType":%q`, fault.kind)
		if fault.kind != "" && (out.FunctionError == nil || !strings.Contains(string(out.Payload), kind) || !strings.Contains(string(out.Payload), fault.message)) {
			h.t.Errorf("%s: %s", fault.event, out.Payload)
		}
		if fault.kind == "" && string(out.Payload) != `"ok"` {
			h.t.Errorf("%s: %s", fault.event, out.Payload)
		}
		if got := h.ok(language, `"go"`); got != `"ok"` {
			h.t.Errorf("after %s: %s", fault.event, got)
		}
		if reports += 2; fault.reason != "" {
			h.said(language, reports, "extension: shutdown "+fault.reason, fault.message)
		}
	}
}

func (h *harness) extensionFault(fault, message, layer string) {
	name := strings.ReplaceAll(fault, " ", "-")
	h.faulty(name, "shell", layer, map[string]string{"TELEMETRY_SCHEMA": "2022-12-13", "EXTENSION_FAULT": fault})
	for i := range 3 {
		// Which comes first, the runtime's answer or the extension's end, is not for sure.
		out := h.invoke(name, `"go"`)
		if string(out.Payload) != `"ok"` && (i > 0 || !strings.Contains(string(out.Payload), "Extension.Crash")) {
			h.t.Errorf("%s: %s", fault, out.Payload)
		}
	}
	h.said(name, 3, message)
}

// TestInternalExtension: code of a managed runtime registers as an extension from inside the runtime process, hears of
// events, and gets SIGTERM when the environment ends.
func TestInternalExtension(t *testing.T) {
	h := start(t)
	h.createPython("f", `
import json, os, signal, sys, threading, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension/"
heard = threading.Semaphore(0)
def ask(path, **headers):
    body = b'{"events":["INVOKE"]}' if path == "register" else None
    return urllib.request.urlopen(urllib.request.Request(api + path, data=body, headers={k.replace("_", "-"): v for k, v in headers.items()}))
identifier = ask("register", Lambda_Extension_Name="inside").headers["Lambda-Extension-Identifier"]
def hear():
    while True:
        print("heard", json.load(ask("event/next", Lambda_Extension_Identifier=identifier))["eventType"])
        heard.release()
threading.Thread(target=hear, daemon=True).start()
def leave(*_):
    print("goodbye", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, leave)
def handler(event, context):
    return heard.acquire(timeout=5)
`)
	h.saysGoodbye("f", "EXTENSION\tName: inside\tState: Ready\tEvents: [INVOKE]\n", "heard INVOKE\n")

	goodbye, err := sample.BuildGo(t.Context(), "hotaru/daemon/testdata/goodbye")
	if err != nil {
		t.Fatal(err)
	}
	h.createPack("go", "provided.al2023", "bootstrap", goodbye)
	h.saysGoodbye("go", "EXTENSION\tName: GoLangEnableSIGTERM\tState: Ready\tEvents: []\n")
}

// saysGoodbye invokes a function twice, deletes it, and waits until it has said goodbye; texts are in its log then.
func (h *harness) saysGoodbye(name string, texts ...string) {
	h.t.Helper()
	for range 2 {
		if got := h.ok(name, "{}"); got != "true" {
			h.t.Errorf("%s answers %s", name, got)
		}
	}
	if _, err := h.lambda.DeleteFunction(h.t.Context(), &lambda.DeleteFunctionInput{FunctionName: &name}); err != nil {
		h.t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		log := strings.Join(messages(h.logged("/aws/lambda/"+name, 2)), "")
		if strings.Contains(log, "goodbye") {
			for _, want := range texts {
				if !strings.Contains(log, want) {
					h.t.Errorf("no %q in the log:\n%s", want, log)
				}
			}
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("no goodbye in the log:\n%s", log)
		}
	}
}
