package daemon

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"hotaru/internal/sample"
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

// said waits until a function's log has so many REPORT lines and a place with each text: extensions print what they hear
// when they hear it.
func (h *harness) said(name string, reports int, texts ...string) {
	h.t.Helper()
	h.logged("/aws/lambda/"+name, reports)
	h.loggedWhen("/aws/lambda/"+name, func(events []types.FilteredLogEvent) bool {
		log := strings.Join(messages(events), "")
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(log, text) })
	})
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
	h.said(name, 2, append(texts, "goodbye")...)
}
