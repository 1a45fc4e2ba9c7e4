package daemon

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/google/go-cmp/cmp"
)

// userland reads one of the functions of these tests.
func userland(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "userland", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestUserlandBash runs a custom runtime of bash and curl, and what commands find in its root.
func TestUserlandBash(t *testing.T) {
	h := start(t)
	h.create("shell", "provided.al2023", "any", map[string]string{"bootstrap": userland(t, "bootstrap")},
		func(in *lambda.CreateFunctionInput) { in.MemorySize = aws.Int32(1769) })
	var got map[string]any
	if err := json.Unmarshal([]byte(h.ok("shell", `{"who":"shell"}`)), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"event": `{"who":"shell"}`, "zone": "EDT 05:46", "clock": "UTC 09:46", "charmap": "UTF-8", "perl": "silent", "letters": "3",
		"user": "sbx_user1051", "https": "HTTPS 0", "plain": "127.0.0.1", "libraries": "1", "tools": "", "end": true,
		"port": "postgresql            5432/tcp", "certificate": "-----BEGIN CERTIFICATE-----",
	}
	said, _ := got["locale"].(string)
	if delete(got, "locale"); !strings.Contains(said, ".UTF-8") || strings.Contains(said, "annot") {
		t.Errorf("locale says %q", said)
	}
	if _, err := exec.LookPath("dig"); err == nil {
		for name, said := range map[string]any{
			"dig": "127.0.0.1", "digTCP": "127.0.0.1", "digMX": "", "digStatus": "status: NXDOMAIN", "digBack": "localhost.",
		} {
			want[name] = said
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestUserlandPython runs a wheel that needs the system's libstdc++, in a time zone of the function's own.
func TestUserlandPython(t *testing.T) {
	h := start(t)
	id := h.installed("python3.13", "python3.12", "python3.11", "python3.10", "python3.9", "python3.8")
	version := strings.TrimPrefix(id, "python")
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[goruntime.GOARCH]
	// As AWS tells its users to install for Lambda on a machine of another kind.
	install := []string{
		"python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile", "--target", ".",
		"--only-binary", ":all:", "--implementation", "cp", "--python-version", version,
		"--platform", "manylinux2014_" + machine, "-r", "requirements.txt",
	}
	files := filesBelow(t, pinned(t, "ujson-"+version+"-"+machine, install, []string{"testdata/userland/requirements.txt"}),
		func(path string) bool { return strings.HasSuffix(path, ".so") })
	if len(files) != 1 {
		t.Fatalf("the wheel has %d shared objects", len(files))
	}
	files["handler.py"] = userland(t, "handler.py")
	zone := func(extra ...string) func(*lambda.CreateFunctionInput) {
		return func(in *lambda.CreateFunctionInput) {
			own := map[string]string{"TZ": "America/New_York"}
			for _, name := range extra {
				own[name] = "C.UTF-8"
			}
			in.Environment = variables(own)
		}
	}
	h.create("zygote", id, "handler.handler", files, zone())
	h.create("cold", id, "handler.handler", files, zone("LC_ALL"))
	for _, name := range []string{"zygote", "cold"} {
		want := map[string]any{
			"event": map[string]any{"n": 1.5}, "libstdc++": true, "own library": true, "zone": "EDT 05:46", "authorities": true,
			"encodings": []any{"utf-8", "utf-8", "utf-8"}, "setlocale": true, "letters": 3.0, "zoneinfo": "2024-07-03 18:46:40+09:00",
		}
		if version == "3.8" {
			delete(want, "zoneinfo")
		}
		if diff := cmp.Diff(want, h.saidBy(name, `{"n": 1.5}`, name == "zygote")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
