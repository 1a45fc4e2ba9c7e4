package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"hotaru/internal/sample"
	"hotaru/store"
)

const pythonWithLayers = `
import ctypes, os, subprocess
import both, from_layer, versioned

def handler(event, context):
    return {
        "zygote": b"_HANDLER=" not in open("/proc/self/environ", "rb").read(),
        "modules": [from_layer.NAME, both.NAME, versioned.NAME],
        "tool": subprocess.run(["layer-tool"], capture_output=True, text=True).stdout,
        "library": bool(ctypes.CDLL("libfromlayer.so")),
        "opt": sorted(os.listdir("/opt")),
        "writable": os.access("/opt", os.W_OK) or os.access("/opt/bin/layer-tool", os.W_OK),
    }
`

const nodeWithLayers = `
const fs = require('fs');
const names = [require('from-layer').NAME, require('both').NAME, require('versioned').NAME];
exports.handler = async () => ({
  zygote: !fs.readFileSync('/proc/self/environ', 'utf8').includes('_HANDLER='),
  modules: names,
  tool: require('child_process').execFileSync('layer-tool').toString(),
  opt: fs.readdirSync('/opt').sort(),
});
`

// library is a shared library of this machine, which a layer can carry.
func library(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/lib/*/libz.so.1") // an impossible pattern only
	if len(found) == 0 {
		t.Skip("no libz where Debian has it")
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// withLayers lets a function use layers, and takes it to the cold path if it is the one called cold.
func withLayers(arns ...string) func(in *lambda.CreateFunctionInput) {
	return func(in *lambda.CreateFunctionInput) {
		in.Layers = arns
		if *in.FunctionName == "cold" {
			atStart(in)
		}
	}
}

// TestLayersOfPython: modules, programs and libraries of layers are found, by a zygote and by a cold start.
func TestLayersOfPython(t *testing.T) {
	h := start(t)
	if h.python == "" {
		t.Skip("no Python that Lambda knows is installed")
	}
	first := h.publish("first", map[string]string{
		"python/from_layer.py": "NAME = 'from a layer'\n", "python/both.py": "NAME = 'first'\n",
		"python/lib/" + h.python + "/site-packages/versioned.py": "NAME = 'versioned'\n",
		"bin/layer-tool": "#!/bin/sh\necho a tool\n", "only-first": "x",
	})
	second := h.publish("second", map[string]string{"python/both.py": "NAME = 'second'\n", "lib/libfromlayer.so": library(t)})
	want := map[string]any{
		"modules": []any{"from a layer", "second", "versioned"}, "tool": "a tool\n", "library": true,
		"opt": []any{"bin", "lib", "only-first", "python"}, "writable": false,
	}
	files := map[string]string{"handler.py": pythonWithLayers}
	for _, name := range []string{"zygote", "cold"} {
		h.create(name, h.python, "handler.handler", files, withLayers(first, second))
		if diff := cmp.Diff(want, h.saidBy(name, "{}", name == "zygote")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	_, err := h.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("zygote"), Layers: []string{second, first}})
	if err != nil {
		t.Fatal(err)
	}
	h.waitUpdated("zygote")
	want["modules"] = []any{"from a layer", "first", "versioned"}
	if diff := cmp.Diff(want, h.saidBy("zygote", "{}", true)); diff != "" {
		t.Errorf("in the other order: %s", diff)
	}
}

func TestLayersOfNode(t *testing.T) {
	h := start(t)
	if h.node == "" {
		t.Skip("no Node.js that Lambda knows is installed")
	}
	major := strings.TrimSuffix(strings.TrimPrefix(h.node, "nodejs"), ".x")
	module := func(name string) string { return "exports.NAME = '" + name + "';\n" }
	first := h.publish("first", map[string]string{
		"nodejs/node_modules/from-layer/index.js":                  module("from a layer"),
		"nodejs/node_modules/both/index.js":                        module("first"),
		"nodejs/node" + major + "/node_modules/versioned/index.js": module("versioned"),
	})
	second := h.publish("second", map[string]string{
		"nodejs/node_modules/both/index.js": module("second"), "bin/layer-tool": "#!/bin/sh\necho a tool\n"})
	want := map[string]any{
		"modules": []any{"from a layer", "second", "versioned"}, "tool": "a tool\n", "opt": []any{"bin", "nodejs"},
	}
	for _, name := range []string{"zygote", "cold"} {
		h.create(name, h.node, "index.handler", map[string]string{"index.js": nodeWithLayers}, withLayers(first, second))
		if diff := cmp.Diff(want, h.saidBy(name, "{}", name == "zygote")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestLayerWithBootstrap: a custom runtime may come in a layer, whose deleted version serves on as long as a function
// uses it.
func TestLayerWithBootstrap(t *testing.T) {
	h := start(t)
	pack, err := sample.BuildGo(t.Context(), "hotaru/demo/gofunction")
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.lambda.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
		LayerName: aws.String("runtime"), Content: &types.LayerVersionContentInput{ZipFile: pack}})
	if err != nil {
		t.Fatal(err)
	}
	other := h.publish("other", map[string]string{"f": "x"})
	h.create("f", "provided.al2023", "any", map[string]string{"data": "x"}, withLayers(*out.LayerVersionArn, other))
	const want = `{"greeting":"Hello from Go, you"}`
	if got := h.ok("f", `{"name":"you"}`); got != want {
		t.Errorf("from a layer's bootstrap: %s", got)
	}
	for _, name := range []string{"runtime", "other"} {
		if _, err := h.lambda.DeleteLayerVersion(t.Context(), &lambda.DeleteLayerVersionInput{
			LayerName: &name, VersionNumber: aws.Int64(1)}); err != nil {
			t.Fatal(err)
		}
	}
	h.packages.Grace = 0
	h.sweep()
	if _, err := h.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("f"), Description: aws.String("a new environment")}); err != nil {
		t.Fatal(err)
	}
	h.waitUpdated("f")
	h.sweep()
	if got := h.ok("f", `{"name":"you"}`); got != want {
		t.Errorf("with deleted layers: %s", got)
	}
	digest := h.layerDigest("f")
	if _, err := h.lambda.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: aws.String("f")}); err != nil {
		t.Fatal(err)
	}
	h.pool.Close() // whose environments use what nobody else does
	h.sweep()
	if _, err := h.packages.Open(t.Context(), digest); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the package of a layer that nothing uses: %v, want ErrNotFound", err)
	}
}

func (h *harness) sweep() {
	h.t.Helper()
	if err := h.sweepPackages(context.WithoutCancel(h.t.Context())); err != nil {
		h.t.Fatal(err)
	}
}

// layerDigest is the package of a function's first layer.
func (h *harness) layerDigest(name string) string {
	h.t.Helper()
	for v := range h.functions.Versions() {
		if v.ID.Name == name {
			return v.Layers[0].Code.Digest
		}
	}
	h.t.Fatalf("no function %s", name)
	return ""
}
