package daemon

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"hotaru/function"
	"hotaru/internal/sample"
)

func TestDriversRefuse(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("isolation takes root")
	}
	for name, test := range map[string]struct {
		config Config
		want   string
	}{
		"no such driver":        {Config{Sandbox: "docker"}, `no sandbox driver "docker"`},
		"none to choose":        {Config{Sandbox: "process", AllowedSandboxes: []string{"vm"}}, `no sandbox driver "vm"`},
		"none of an account":    {Config{Sandbox: "process", AccountSandbox: map[string]string{"111122223333": ""}}, `no sandbox driver ""`},
		"no account":            {Config{Sandbox: "process", AccountSandbox: map[string]string{"me": "oci"}}, `"me" is no account`},
		"no OCI runtime":        {Config{Sandbox: "oci"}, "no OCI runtime"},
		"no OCI runtime of one": {Config{Sandbox: "process", AllowedSandboxes: []string{"oci"}}, "no OCI runtime"},
	} {
		test.config.DataDir, test.config.Listen = t.TempDir(), "localhost:0"
		test.config.SearchPath = []string{t.TempDir()} // nothing is there
		d, err := Start(t.Context(), test.config)
		if err == nil {
			t.Errorf("%s: started", name)
			_ = d.Close(t.Context())
		} else if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestChoose(t *testing.T) {
	d := drivers{usual: "namespace", accounts: map[string]string{"111122223333": "oci"}, allowed: []string{"process"}}
	for _, test := range []struct{ account, tag, want string }{
		{"000000000000", "", "namespace"},
		{"111122223333", "", "oci"},
		{"000000000000", "process", "process"},
		{"111122223333", "process", "process"},
		{"000000000000", "namespace", "namespace"},
		{"111122223333", "namespace", `may be oci or process here, not "namespace"`},
		{"000000000000", "oci", `may be namespace or process here, not "oci"`},
		{"000000000000", "Process", `not "Process"`},
	} {
		tags := map[string]string{"other": "x"}
		if test.tag != "" {
			tags[function.SandboxTag] = test.tag
		}
		got, err := d.choose(function.ID{Account: test.account, Name: "f"}, tags)
		if err != nil {
			got = err.Error()
		}
		if got != test.want && (err == nil || !strings.HasSuffix(got, test.want)) {
			t.Errorf("%s with %q: %s, want %s", test.account, test.tag, got, test.want)
		}
	}
	if _, err := d.choose(function.ID{Account: "000000000000"}, map[string]string{function.SandboxTag: ""}); err == nil {
		t.Error("an empty choice is none")
	}
}

// inContainer is a function that says whether an OCI runtime made what is around it.
const inContainer = "import os\ndef handler(event, context): return os.path.exists('/dev/init')\n"

func tagged(driver string) func(*lambda.CreateFunctionInput) {
	return func(in *lambda.CreateFunctionInput) { in.Tags = map[string]string{function.SandboxTag: driver} }
}

// TestSandboxTag: a function chooses among what the operator allows, and a later choice is the next environment's.
func TestSandboxTag(t *testing.T) {
	needRuntime(t, "runc")
	dir := t.TempDir()
	h := start(t, func(c *Config) { c.DataDir, c.AllowedSandboxes = dir, []string{"oci"} })
	if h.python == "" {
		t.Skip("no Python that Lambda knows is installed")
	}
	for tag, text := range map[[2]string]string{
		{function.SandboxTag, "process"}: `may be namespace or oci here, not "process"`, {function.SandboxTag, ""}: `not ""`,
		{"hotaru:sandboxes", "oci"}: "reserved for Hotaru",
	} {
		_, err := h.lambda.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
			FunctionName: aws.String("refused"), Runtime: types.Runtime(h.python), Handler: aws.String("handler.handler"),
			Role: aws.String(h.makeRole()), Code: &types.FunctionCode{ZipFile: h.zip("handler.py", inContainer)},
			Tags: map[string]string{tag[0]: tag[1]},
		})
		refused(t, err, "InvalidParameterValueException", text)
	}

	h.createPython("strong", inContainer, tagged("oci"))
	h.createPython("usual", inContainer)
	if got := h.ok("strong", "{}"); got != "true" {
		t.Error("the tag does not choose")
	}
	if got := h.ok("usual", "{}"); got != "false" {
		t.Error("the tag of another function chooses")
	}
	arn := aws.String(functionARN("usual"))
	_, err := h.lambda.TagResource(t.Context(), &lambda.TagResourceInput{Resource: arn, Tags: map[string]string{"a": "b", function.SandboxTag: "process"}})
	refused(t, err, "InvalidParameterValueException", "not \"process\"")
	out, err := h.lambda.ListTags(t.Context(), &lambda.ListTagsInput{Resource: arn})
	if err != nil || len(out.Tags) != 0 {
		t.Errorf("after a refusal: %v, %v", out, err)
	}
	_, err = h.lambda.TagResource(t.Context(), &lambda.TagResourceInput{Resource: arn, Tags: map[string]string{function.SandboxTag: "oci"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("usual"), Description: aws.String("its next environment"),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.waitUpdated("usual")
	if got := h.ok("usual", "{}"); got != "true" {
		t.Error("a later tag does not choose")
	}

	// The operator changes their mind: what asked for more does not run with less.
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h = start(t, func(c *Config) { c.DataDir = dir })
	if out, err := h.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("strong")}); err == nil {
		t.Errorf("runs in another sandbox than its tag says: %s", out.Payload)
	}
}

// TestAccountSandbox: an account's functions run in its own kind of sandbox.
func TestAccountSandbox(t *testing.T) {
	needRuntime(t, "runc")
	h := start(t, func(c *Config) { c.Sandbox, c.AccountSandbox = "namespace", map[string]string{DefaultAccount: "oci"} })
	h.createPython("f", inContainer)
	if got := h.ok("f", "{}"); got != "true" {
		t.Error("the account's sandbox is not used")
	}
}

// TestSweepUnused: what a driver left that is used no more is removed as well.
func TestSweepUnused(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "sandboxes-oci", "sandboxes", "env-1", "tmp")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	h := start(t, func(c *Config) { c.DataDir = dir })
	if _, err := os.Stat(filepath.Dir(left)); !os.IsNotExist(err) {
		t.Errorf("%s: %v", left, err)
	}
	h.createPython("f", inContainer)
	if got := h.ok("f", "{}"); got != "false" {
		t.Errorf("the usual sandbox: %s", got)
	}
}

// needRuntime skips a test where an OCI runtime is not installed.
func needRuntime(t *testing.T, command string) {
	t.Helper()
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, command)); err == nil {
			return
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", command)
	}
	t.Skipf("%s is not installed", command)
}

// TestFunctionsInContainers runs functions of each kind over each OCI runtime, and what they do wrong.
func TestFunctionsInContainers(t *testing.T) {
	goFunction, err := sample.BuildGo(t.Context(), "hotaru/demo/gofunction")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"runc", "runsc"} {
		t.Run(command, func(t *testing.T) {
			needRuntime(t, command)
			h := start(t, func(c *Config) { c.Sandbox, c.OCIRuntime = "oci", command })
			if h.python == "" {
				t.Skip("no Python that Lambda knows is installed")
			}
			testFaults(h)
			if h.node != "" {
				h.create("node", h.node, "index.handler", map[string]string{
					"index.js": "exports.handler = async (event) => ({got: event.n + 1, tmp: require('fs').readdirSync('/tmp').length})",
				})
				for range 2 {
					if got := h.ok("node", `{"n": 41}`); got != `{"got":42,"tmp":0}` {
						t.Errorf("Node.js: %s", got)
					}
				}
			}
			h.createPack("go", "provided.al2023", "bootstrap", goFunction)
			if got := h.ok("go", `{"name": "container"}`); !strings.Contains(got, "container") {
				t.Errorf("Go: %s", got)
			}
		})
	}
}

// testFaults has one function succeed, end too late, end, and take too much memory, and be well after each.
func testFaults(h *harness) {
	h.createPython("f", `
import os, socket, time
def handler(event, context):
    what = event["what"]
    if what == "sleep": time.sleep(60)
    if what == "exit": os._exit(3)
    if what == "eat": return len(bytearray(400 << 20).replace(b"\0", b"x"))
    if what == "write":
        try: open("/var/task/x", "w")
        except OSError: return "refused"
    if what == "name": return socket.gethostbyname("sqs.us-east-1.amazonaws.com")
    return open("/tmp/n", "a").write("x")
`, func(in *lambda.CreateFunctionInput) { in.Timeout = aws.Int32(3) })
	for _, step := range []struct{ what, fault, text string }{
		{"name", "", `"127.0.0.1"`},
		{"write", "", `"refused"`},
		{"sleep", "Sandbox.Timedout", "Task timed out after 3.00 seconds"},
		{"exit", "Runtime.ExitError", "Runtime exited with error: exit status 3"},
		{"eat", "Runtime.ExitError", "Runtime exited with error: signal: killed"},
	} {
		out := h.invoke("f", `{"what": "`+step.what+`"}`)
		var body struct{ ErrorType, ErrorMessage string }
		if step.fault != "" {
			if err := json.Unmarshal(out.Payload, &body); err != nil {
				h.t.Fatalf("%s: %s", step.what, out.Payload)
			}
		}
		if body.ErrorType != step.fault || !strings.Contains(string(out.Payload), step.text) {
			h.t.Errorf("%s: %s", step.what, out.Payload)
		}
		if got := h.ok("f", `{"what": ""}`); got != "1" {
			h.t.Errorf("after %s: %s", step.what, got)
		}
	}
}
