package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"golang.org/x/sys/unix"

	"hotaru/sandbox/sandboxtest"
)

// The functions of these tests do what their event says, in three languages. Those that hang are deaf to SIGTERM too.
const (
	faultyPython = `
import os, signal, socket, time
def fault(what):
    print("fault", what, flush=True)
    if what == "exit":
        os._exit(3)
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "leave a child":
        if os.fork() == 0:
            os.setsid()
            time.sleep(60)
        os._exit(4)
    if what == "flood":
        for _ in range(1000):
            print("flood " * 200)
    if what == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    if what == "answer late":
        time.sleep(3)
if os.environ.get("INIT_FAULT") and not os.path.exists("/tmp/once"):
    open("/tmp/once", "w").close()
    fault(os.environ["INIT_FAULT"])
if os.environ.get("SHUTDOWN_FAULT"):
    deaf = os.environ["SHUTDOWN_FAULT"] == "ignore SIGTERM"
    signal.signal(signal.SIGTERM, signal.SIG_IGN if deaf else lambda *_: fault(os.environ["SHUTDOWN_FAULT"]))
def handler(event, context):
    if event == "where":
        return socket.gethostname()
    fault(event)
    return "ok"
`
	faultyNode = `
const fs = require('fs');
const pause = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
function fault(what) {
  process.stdout.write('fault ' + what + '\n');
  if (what === 'exit') process.exit(3);
  if (what === 'crash') process.kill(process.pid, 'SIGSEGV');
  if (what === 'leave a child') {
    require('child_process').spawn('sleep', ['60'], { detached: true, stdio: 'inherit' });
    process.exit(4);
  }
  if (what === 'flood') for (let i = 0; i < 1000; i++) console.log('flood '.repeat(200));
  if (what === 'hang') process.on('SIGTERM', () => {});
  if (what === 'hang') pause(60000);
  if (what === 'answer late') pause(3000);
}
if (process.env.INIT_FAULT && !fs.existsSync('/tmp/once')) {
  fs.writeFileSync('/tmp/once', '');
  fault(process.env.INIT_FAULT);
}
if (process.env.SHUTDOWN_FAULT) process.on('SIGTERM', () => fault(process.env.SHUTDOWN_FAULT));
exports.handler = async (event) => {
  if (event === 'where') return require('os').hostname();
  fault(event);
  return 'ok';
};
`
	faultyShell = `#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
id=none
fault() {
  echo "fault $1"
  case "$1" in
  'exit') exit 3 ;;
  'crash') kill -SEGV $$ ;;
  'leave a child') setsid sleep 60 & exit 4 ;;
  'flood') i=0; while [ $i -lt 1000 ]; do echo "flood flood flood $i"; i=$((i+1)); done ;;
  'hang') trap '' TERM; sleep 60 ;;
  'answer late') sleep 3 ;;
  'answer twice') curl -sS -o /dev/null -d '"ok"' "$api/invocation/$id/response" ;;
  'answer another') curl -sS -o /dev/null -d '"no"' "$api/invocation/another/response" ;;
  'fail twice') for i in 1 2; do curl -sS -o /dev/null -d '{"errorMessage":"no","errorType":"Own.Error"}' "$api/init/error"; done; exit 5 ;;
  esac
}
if [ -n "$INIT_FAULT" ] && [ ! -e /tmp/once ]; then touch /tmp/once; fault "$INIT_FAULT"; fi
case "$SHUTDOWN_FAULT" in
'') ;;
'ignore SIGTERM') trap '' TERM ;;
*) trap 'fault "$SHUTDOWN_FAULT"' TERM ;;
esac
while true; do
  curl -sS -D /tmp/headers -o /tmp/event "$api/invocation/next" & # in the background, so that a trap need not wait for it
  wait $!
  id=$(grep -i '^lambda-runtime-aws-request-id:' /tmp/headers | tr -d '\r' | cut -d' ' -f2)
  answer='"ok"'
  event=$(tr -d '"' </tmp/event)
  if [ "$event" = where ]; then answer="\"$(cat /proc/sys/kernel/hostname)\""; fi
  fault "$event"
  curl -sS -o /dev/null -d "$answer" "$api/invocation/$id/response"
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

// invokeFaults are events that the functions of these tests do not survive, or only just. An answer comes once in Python and
// Node.js, whatever the function does.
var invokeFaults = []struct{ event, kind, message, reason string }{
	{"exit", "Runtime.ExitError", "Runtime exited with error: exit status 3", "failure"},
	{"leave a child", "Runtime.ExitError", "Runtime exited with error: exit status 4", "failure"},
	{"crash", "Runtime.ExitError", "Runtime exited with error: signal: segmentation fault", "failure"},
	{"answer late", "Sandbox.Timedout", "Task timed out after 2.00 seconds", "timeout"},
	{"hang", "Sandbox.Timedout", "Task timed out after 2.00 seconds", "timeout"},
	{"flood", "", "", ""},
	{"answer twice", "", "", ""},
	{"answer another", "", "", ""},
}

// initFaults are what code does while it is loaded, once, and what the log says about it. That Init is repeated inside the first
// invocation. One that hangs lasts 10 s; package environment plays it with a shorter limit.
var initFaults = []struct {
	fault, message string
	languages      []string
}{
	{"exit", "Runtime exited with error: exit status 3\nRuntime.ExitError\n", allLanguages},
	{"crash", "Runtime exited with error: signal: segmentation fault\nRuntime.ExitError\n", allLanguages},
	{"leave a child", "Runtime exited with error: exit status 4\nRuntime.ExitError\n", allLanguages},
	{"flood", "", allLanguages},
	{"answer another", "", []string{"shell"}},
	{"fail twice", "Phase: init\tStatus: error\tError Type: Own.Error", []string{"shell"}},
}

// shutdownFaults are what a runtime does when it gets SIGTERM.
var shutdownFaults = []string{"ignore SIGTERM", "hang", "exit", "crash", "flood", "leave a child"}

var allLanguages = []string{"python", "node", "shell"}

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
		run := func(name string, check func(*harness)) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				check(of(t))
			})
		}
		for _, language := range allLanguages {
			run(language, func(h *harness) { h.invokeFaults(language, layer) })
			for _, fault := range shutdownFaults {
				run(language+" at Shutdown "+fault, func(h *harness) { h.shutdownFault(language, fault, layer) })
			}
		}
		for _, tc := range initFaults {
			for _, language := range tc.languages {
				run(language+" at Init "+tc.fault, func(h *harness) { h.initFault(language, tc.fault, tc.message, layer) })
			}
		}
		for fault, message := range extensionFaults {
			run(fault, func(h *harness) { h.extensionFault(fault, message, layer) })
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

// functionName is a function's name made of what it is for.
func functionName(words ...string) string {
	return strings.ReplaceAll(strings.Join(words, "-"), " ", "-")
}

func (h *harness) initFault(language, fault, message, layer string) {
	name := functionName(language, "init", fault)
	h.faulty(name, language, layer, map[string]string{"TELEMETRY_SCHEMA": "2022-12-13", "INIT_FAULT": fault})
	for range 2 {
		if got := h.ok(name, `"go"`); got != `"ok"` {
			h.t.Error(got)
		}
	}
	if message == "" {
		h.said(name, 2, "extension: registered")
		return
	}
	h.said(name, 2, message, "extension: shutdown failure", "Phase: init\tStatus: error\tError Type: ")
}

// shutdownFault updates a function, which ends its environment: nothing of that stays, and the new version runs.
func (h *harness) shutdownFault(language, fault, layer string) {
	name := functionName(language, "shutdown", fault)
	h.faulty(name, language, layer, map[string]string{"TELEMETRY_SCHEMA": "2022-12-13", "SHUTDOWN_FAULT": fault})
	before := strings.Trim(h.ok(name, `"where"`), `"`)
	groups := h.groupsOf(before)
	if len(groups) == 0 {
		h.t.Fatalf("%s is no sandbox", before)
	}
	_, err := h.lambda.UpdateFunctionConfiguration(h.t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: &name, Environment: variables(map[string]string{"TELEMETRY_SCHEMA": "2022-12-13"}),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.waitUpdated(name)
	if after := strings.Trim(h.ok(name, `"where"`), `"`); after == before {
		h.t.Errorf("%s serves the new version", before)
	}
	left := func(group string) bool {
		_, err := os.Stat(group)
		return !errors.Is(err, fs.ErrNotExist)
	}
	for deadline := time.Now().Add(settling); slices.ContainsFunc(groups, left); {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s is left", groups)
		}
		<-time.After(10 * time.Millisecond)
	}
	said := []string{"extension: shutdown spindown"}
	if fault != "ignore SIGTERM" {
		said = append(said, "fault "+fault)
	}
	h.said(name, 2, said...)
}

// groupsOf are the control groups of a running sandbox, whatever they are called: as long as there is one, there may be a
// process of it, and with that its mounts.
func (h *harness) groupsOf(id string) []string {
	h.t.Helper()
	var parents, found []string
	record, err := os.ReadFile(filepath.Join(h.config.DataDir, "sandboxes", "cgroups.json"))
	if err == nil {
		err = json.Unmarshal(record, &parents)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	for _, parent := range parents {
		_ = filepath.WalkDir(parent, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.IsDir() { // others go while they are looked at
				return nil
			}
			members, _ := os.ReadFile(filepath.Join(name, "cgroup.procs"))
			if pid, _, _ := strings.Cut(string(members), "\n"); pid != "" && hostnameOf(pid) == id {
				found = append(found, name)
			}
			return nil
		})
	}
	return found
}

// hostnameOf is the name of the host that a process sees; empty once that has ended.
func hostnameOf(pid string) (name string) {
	var done sync.WaitGroup
	done.Go(func() {
		runtime.LockOSThread() // for good: the thread ends with this
		namespace, err := os.Open(filepath.Join("/proc", pid, "ns/uts"))
		if err != nil {
			return
		}
		defer namespace.Close()
		var seen unix.Utsname
		if unix.Setns(int(namespace.Fd()), unix.CLONE_NEWUTS) == nil && unix.Uname(&seen) == nil {
			name = unix.ByteSliceToString(seen.Nodename[:])
		}
	})
	done.Wait()
	return name
}

func (h *harness) invokeFaults(language, layer string) {
	h.faulty(language, language, layer, map[string]string{"TELEMETRY_SCHEMA": "2022-12-13"})
	if got := h.ok(language, `"go"`); got != `"ok"` {
		h.t.Error(got)
	}
	reports := 1
	for _, fault := range invokeFaults {
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
	name := functionName(fault)
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
