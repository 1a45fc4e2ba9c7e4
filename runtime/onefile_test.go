package runtime

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestOneFileRefuses(t *testing.T) {
	for name, files := range map[string]map[string][]byte{
		"a file that is not there": {"main.js": []byte("const a = require('./a.js');\n")},
		"files that need each other": {
			"main.js": []byte("const a = require('./a.js');\n"),
			"a.js":    []byte("const { b } = require('./b.js');\n"),
			"b.js":    []byte("const a = require('./a.js');\n"),
		},
	} {
		if _, _, err := oneFile("main.js", files, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestOneFile runs what it made: each file once, after those that it needs, and what is loaded later from its own file.
func TestOneFile(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no Node.js on this machine")
	}
	made, _, err := oneFile("main.js", map[string][]byte{
		"main.js":  []byte("const a = require('./a.js');\nconst { b } = require('./b.js');\nconst later = () => require('./later.js');\nconsole.log(a.name, b, later(), require.main === module);\n"),
		"a.js":     []byte("const { b } = require('./b.js');\nmodule.exports = { name: 'a' + b };\n"),
		"b.js":     []byte("const os = require('os');\nconsole.log(typeof os.arch);\nmodule.exports = { b: 'b' };\n"),
		"later.js": []byte("throw new Error('it is not part of it');\n"),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"main.js": made, "later.js": []byte("module.exports = 'later';\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), node, filepath.Join(dir, "main.js"))
	cmd.Env = []string{}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, want := string(out), "function\nab b later true\n"; got != want {
		t.Errorf("it prints %q, want %q:\n%s", got, want, made)
	}
}

// TestCompiledKeepsTheLimit has what loads modules compiled leave the limit of the heap, and that of workers, alone.
func TestCompiledKeepsTheLimit(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no Node.js on this machine")
	}
	files, err := filepath.Abs("bootstrap/nodejs")
	if err != nil {
		t.Fatal(err)
	}
	const script = `
const { getHeapStatistics } = require('v8');
const { Worker } = require('worker_threads');
const limit = () => getHeapStatistics().heap_size_limit;
const before = limit();
const loaded = require(process.argv[1] + '/compiled.js').withCompiled(() => require('https'));
if (typeof loaded.request !== 'function') throw new Error('https is not loaded');
if (limit() !== before) throw new Error('the limit was ' + before + ' and is ' + limit());
const script = "require('worker_threads').parentPort.postMessage(require('v8').getHeapStatistics().heap_size_limit)";
new Worker(script, { eval: true }).on('message', (of) => {
  console.log(of < 2 * before, process.noDeprecation);
});`
	cmd := exec.CommandContext(t.Context(), node, "--max-old-space-size=100", "-e", script, files)
	cmd.Env = []string{}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "true undefined" {
		t.Errorf("%v: %s", err, out)
	}
}
