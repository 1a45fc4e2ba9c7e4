package runtime

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// installNode installs the bootstrap for this machine's Node.js, and returns where.
func installNode(t *testing.T) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no Node.js on this machine")
	}
	in := &Interpreter{Language: NodeJS, Version: "0", Path: node, Prefix: filepath.Dir(filepath.Dir(node))}
	dir, err := installBootstrap(t.Context(), t.TempDir(), in, nil, runtimeDir, onHost)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCompileNodeRefuses(t *testing.T) {
	for name, says := range map[string]string{"nothing": "", "no base64": "code!"} {
		says := func(context.Context, string, []string, string) ([]byte, error) { return []byte(says), nil }
		if _, err := compileNode(t.Context(), &Interpreter{}, nil, "", "", says); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestCompiledFits has Node.js take what it compiled, whatever the limit of its heap, and do without where its flags do not
// fit or the code is damaged.
func TestCompiledFits(t *testing.T) {
	dir := installNode(t)
	begin, err := os.ReadFile(filepath.Join(dir, nodeMain))
	if err != nil {
		t.Fatal(err)
	}
	// It says whether main.js was compiled again, and does not run it.
	const runs = "withCompiled(compiled)(require, __dirname);"
	if !strings.Contains(string(begin), runs) {
		t.Fatalf("%s has no %q", nodeMain, runs)
	}
	told := strings.Replace(string(begin), runs, "withCompiled(compiled); console.log(rejected);", 1)
	told = strings.Replace(told, ".runInThisContext();", "; rejected = script.cachedDataRejected; return script.runInThisContext();", 1)
	told = strings.Replace(told, "return new Script(", "const script = new Script(", 1)
	if err := os.WriteFile(filepath.Join(dir, "told.js"), []byte("let rejected;\n"+told), 0o600); err != nil {
		t.Fatal(err)
	}
	say := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "node", append(args, filepath.Join(dir, "told.js"))...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "false"},
		{[]string{"--max-old-space-size=100"}, "false"},
		{[]string{"--max-old-space-size=100", "--stack-size=900"}, "true"},
	} {
		if got := say(c.args...); got != c.want {
			t.Errorf("%q: rejected %s, want %s", c.args, got, c.want)
		}
	}
	file := filepath.Join(dir, nodeCompiled)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	clear(content[4:1000])
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := say(); got != "true" {
		t.Errorf("damaged: rejected %s", got)
	}
}
