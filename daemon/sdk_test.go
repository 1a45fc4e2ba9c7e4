package daemon

import (
	"maps"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"hotaru/runtime"
	"hotaru/runtime/sdk"
)

// installSDKs gives a Hotaru that has not started AWS's SDKs for the interpreters of this machine.
func installSDKs(t *testing.T, c *Config) {
	t.Helper()
	python := pinned(t, "boto3", []string{"python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
		"--no-compile", "--target", ".", "-r", "requirements.txt"}, []string{"../e2e/clients/boto3/requirements.txt"})
	node := pinned(t, "aws-sdk-v3", []string{"npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"},
		[]string{"../e2e/clients/js-v3/package.json", "../e2e/clients/js-v3/package-lock.json"})
	catalog := runtime.Catalog{Search: runtime.Search{Path: c.SearchPath, Homes: c.HomeDirs}, StateDir: t.TempDir()}
	for from, ids := range map[string][]string{python: {"python3.13", "python3.12", "python3.11"}, node: {"nodejs20.x"}} {
		found := (*runtime.Runtime)(nil)
		for _, id := range ids {
			if r, err := catalog.Resolve(t.Context(), id); err == nil && found == nil {
				found = r
			}
		}
		if found == nil {
			t.Skipf("none of %v is on this machine", ids)
		}
		fetcher := sdk.Fetcher{Program: found.Interpreter.Path}
		_, err := SDKs(c.DataDir).Install(t.Context(), found.Interpreter.SDK(), fetcher.From(string(found.Language), from))
		if err != nil {
			t.Fatal(err)
		}
	}
}

const (
	identifiesPython = `
import boto3
def handler(event, context):
    return boto3.client("sts").get_caller_identity()["Arn"].split("/")[-1] if hasattr(boto3, "client") else boto3.WHOSE
`
	identifiesNode = `
const { STSClient, GetCallerIdentityCommand, WHOSE } = require('@aws-sdk/client-sts');
exports.handler = async () => WHOSE || (await new STSClient({}).send(new GetCallerIdentityCommand({}))).Arn.split('/').pop();
`
	identifiesModule = `
import * as sdk from '@aws-sdk/client-sts';
export const handler = async () => sdk.WHOSE || (await new sdk.STSClient({}).send(new sdk.GetCallerIdentityCommand({}))).Arn.split('/').pop();
`
	// What the host has installed beside an interpreter is not Lambda's.
	hidesPython = `
import importlib.util
def handler(event, context):
    return [name for name in ("pip", "boto3") if importlib.util.find_spec(name)]
`
)

// bringsOwn are the files of a function that has SDKs of its own.
func bringsOwn(files map[string]string) map[string]string {
	own := map[string]string{
		"boto3/__init__.py":                             "WHOSE = 'own'\n",
		"node_modules/@aws-sdk/client-sts/package.json": `{"name":"@aws-sdk/client-sts","version":"0.0.1","main":"index.js"}`,
		"node_modules/@aws-sdk/client-sts/index.js":     "exports.WHOSE = 'own';\n",
	}
	maps.Copy(own, files)
	return own
}

// TestSDKs: functions that bring no SDK along use the one of their runtime, as on Lambda, on every way they can be started
// and in every kind of sandbox; one that brings its own, or has a layer with one, gets that.
func TestSDKs(t *testing.T) {
	sandboxes := []string{"process"}
	if _, err := exec.LookPath("runc"); err == nil {
		sandboxes = append(sandboxes, "oci")
	}
	h := start(t, func(c *Config) {
		installSDKs(t, c)
		c.AllowedSandboxes, c.OCIRuntime = sandboxes, "runc"
	})
	layer := h.publish("sdks", map[string]string{
		"python/boto3/__init__.py":                                    "WHOSE = 'layer'\n",
		"nodejs/node_modules/@aws-sdk/client-sts/package.json":        `{"name":"@aws-sdk/client-sts","version":"0.0.1"}`,
		"nodejs/node_modules/@aws-sdk/client-sts/index.js":            "exports.WHOSE = 'unversioned layer';\n",
		"nodejs/node20/node_modules/@aws-sdk/client-sts/package.json": `{"name":"@aws-sdk/client-sts","version":"0.0.1"}`,
		"nodejs/node20/node_modules/@aws-sdk/client-sts/index.js":     "exports.WHOSE = 'layer';\n",
	})
	layered := func(in *lambda.CreateFunctionInput) { in.Layers = []string{layer} }
	larger := func(in *lambda.CreateFunctionInput) { in.MemorySize, in.Timeout = aws.Int32(1769), aws.Int32(30) }
	for _, f := range []struct{ name, runtime, file, source, layer string }{
		{"python", h.python, "index.py", identifiesPython, "layer"},
		{"node", h.node, "index.js", identifiesNode, "layer"},
		{"module", h.node, "index.mjs", identifiesModule, "unversioned layer"},
	} {
		files := map[string]string{f.file: f.source}
		own := bringsOwn(files)
		want := map[string]string{f.name: f.name, f.name + "-cold": f.name + "-cold", f.name + "-own": "own", f.name + "-layer": f.layer}
		h.create(f.name, f.runtime, "index.handler", files, larger)
		h.create(f.name+"-cold", f.runtime, "index.handler", files, larger, atStart)
		h.create(f.name+"-own", f.runtime, "index.handler", own, larger, layered)
		h.create(f.name+"-layer", f.runtime, "index.handler", files, larger, layered)
		for _, sandbox := range sandboxes {
			name := f.name + "-" + sandbox
			want[name], want[name+"-own"] = name, "own"
			h.create(name, f.runtime, "index.handler", files, larger, tagged(sandbox))
			h.create(name+"-own", f.runtime, "index.handler", own, larger, tagged(sandbox))
		}
		for name, answer := range want {
			if got := strings.Trim(h.ok(name, "{}"), `"`); got != answer {
				t.Errorf("%s is answered by %s, want %s", name, got, answer)
			}
		}
	}
}

// TestWithoutSDK: what an interpreter has installed is not shown, and a function that needs what is not there fails as on
// Lambda.
func TestWithoutSDK(t *testing.T) {
	h := start(t)
	h.createPython("hides", hidesPython)
	if got := h.ok("hides", "{}"); got != "[]" {
		t.Errorf("a function sees %s", got)
	}
	h.createPython("python", identifiesPython)
	h.create("node", h.node, "index.handler", map[string]string{"index.js": identifiesNode})
	for name, want := range map[string]string{
		"python": `"Unable to import module 'handler': No module named 'boto3'"`,
		"node":   `"errorMessage":"Error: Cannot find module '@aws-sdk/client-sts'`,
	} {
		out := h.invoke(name, "{}")
		if out.FunctionError == nil || !strings.Contains(string(out.Payload), want) || !strings.Contains(string(out.Payload), "Runtime.ImportModuleError") {
			t.Errorf("%s: %s", name, out.Payload)
		}
	}
}
