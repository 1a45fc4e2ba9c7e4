package runtime_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/runtime"
)

// fake installs a program that says it is an interpreter, under dir/bin, and counts in dir/asked how often it
// was asked. Asked to compile, it makes empty files.
func fake(t *testing.T, dir, name, version string) {
	t.Helper()
	program := filepath.Join(dir, "bin", name)
	write(t, program, fmt.Sprintf(`#!/bin/sh
if [ -n "$5" ]; then
	echo "$5" | sed 's/[^,]*/"&c":""/g; s/^/{/; s/$/}/'
	exit
fi
if [ "$1" = -e ] && [ -n "$4" ]; then
	echo Y29kZQ==
	exit
fi
echo x >> %s/asked
echo '{"version":%q,"path":%q,"prefix":%q}'
`, dir, version, program, dir))
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
}

func asked(t *testing.T, dir string) int {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "asked"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(content), "x")
}

// only looks for interpreters in the given installations and nowhere else.
func only(t *testing.T, dirs ...string) *runtime.Catalog {
	t.Helper()
	c := &runtime.Catalog{StateDir: t.TempDir(), Search: runtime.Search{Globs: []string{}}}
	for _, dir := range dirs {
		c.Search.Path = append(c.Search.Path, filepath.Join(dir, "bin"))
	}
	return c
}

func TestResolveRefusals(t *testing.T) {
	empty := only(t)
	for id, want := range map[string]string{
		"python9.9":  `"python9.9" is no runtime of Lambda's`,
		"python3.12": "python3.12 is not installed here: install Python 3.12 (Debian: apt-get install python3.12, or pyenv install 3.12) or serve with --runtimes=nearest",
		"nodejs22.x": "nodejs22.x is not installed here: install Node.js 22 (nvm install 22, or the packages of nodejs.org) or serve with --runtimes=nearest",
		"java21":     "java21 cannot run here: Hotaru has no bootstrap for it yet",
		"ruby3.4":    "ruby3.4 cannot run here: Hotaru has no bootstrap for it yet",
		"dotnet8":    "dotnet8 cannot run here: Hotaru has no bootstrap for it yet",
		"go1.x":      "go1.x cannot run here: Hotaru has no bootstrap for it yet",
		"python2.7":  "python2.7 cannot run here: Hotaru has no bootstrap for it yet",
		"nodejs14.x": "nodejs14.x cannot run here: Hotaru has no bootstrap for it yet",
	} {
		_, err := empty.Resolve(t.Context(), id)
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", id, err, want)
		}
		if missing := (*runtime.MissingError)(nil); errors.As(err, &missing) != (id != "python9.9") {
			t.Errorf("%s: %T", id, err)
		}
	}
	relative := &runtime.Catalog{StateDir: "state"}
	if _, err := relative.Resolve(t.Context(), "provided.al2023"); err == nil {
		t.Error("a relative StateDir was accepted")
	}
}

// TestWhatIsNoInterpreter has programs of the right name that must not be taken.
func TestWhatIsNoInterpreter(t *testing.T) {
	dir := t.TempDir()
	for name, script := range map[string]string{
		"fails":      "exit 1",
		"silent":     "exit 0",
		"chatty":     "echo hello",
		"relative":   `echo '{"version":"3.12.0","path":"bin/python","prefix":"."}'`,
		"elsewhere":  `echo '{"version":"3.12.0","path":"/usr/bin/python3.12","prefix":"/opt/other"}'`,
		"everything": `echo '{"version":"3.12.0","path":"/bin/python3.12","prefix":"/"}'`,
		"home":       fmt.Sprintf(`echo '{"version":"3.12.0","path":"%s/bin/python3.12","prefix":"%s"}'`, dir, dir),
		"old":        `echo '{"version":"3.11.9","path":"/opt/a/bin/python3.12","prefix":"/opt/a"}'`,
	} {
		program := filepath.Join(dir, name, "bin", "python3.12")
		write(t, program, "#!/bin/sh\n"+script+"\n")
		if err := os.Chmod(program, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "unexecutable", "bin", "python3.12"), "#!/bin/sh\n")
	shim := filepath.Join(dir, "shims", "python3.12")
	write(t, shim, "#!/bin/sh\ntouch "+dir+"/shim-was-run\n")
	if err := os.Chmod(shim, 0o755); err != nil {
		t.Fatal(err)
	}
	c := only(t)
	c.Search.Globs = []string{filepath.Join(dir, "*", "bin")}
	c.Search.Path = []string{filepath.Join(dir, "shims"), "relative/bin"}
	c.Search.Homes = []string{dir}
	r, err := c.Resolve(t.Context(), "python3.12")
	if missing := (*runtime.MissingError)(nil); !errors.As(err, &missing) {
		t.Errorf("%v, %v; want a MissingError", r, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "shim-was-run")); err == nil {
		t.Error("a shim was run")
	}
}

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	for name, version := range map[string]string{"a": "3.9.18", "b": "3.12.1", "c": "3.13.0"} {
		fake(t, filepath.Join(dir, name), "python3", version)
	}
	fake(t, filepath.Join(dir, "n"), "node", "20.20.2")
	paths := func() *runtime.Catalog {
		return only(t, filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c"), filepath.Join(dir, "n"))
	}
	for _, test := range []struct{ id, version, warning string }{
		{"python3.12", "3.12.1", ""},
		{"nodejs20.x", "20.20.2", ""},
		{"python3.10", "3.12.1", "python3.10 is not installed here: python 3.12.1 serves it"},
		{"python3.8", "3.9.18", "python3.8 is not installed here: python 3.9.18 serves it"},
		{"python3.14", "3.13.0", "python3.14 is not installed here: python 3.13.0 serves it"},
		{"nodejs16.x", "20.20.2", "nodejs16.x is not installed here: nodejs 20.20.2 serves it"},
		{"nodejs24.x", "20.20.2", "nodejs24.x is not installed here: nodejs 20.20.2 serves it"},
	} {
		strict := paths()
		if r, err := strict.Resolve(t.Context(), test.id); (err == nil) != (test.warning == "") {
			t.Errorf("%s without nearest: %v, %v", test.id, r, err)
		}
		near := paths()
		near.Nearest = true
		r, err := near.Resolve(t.Context(), test.id)
		if err != nil {
			t.Errorf("%s: %v", test.id, err)
			continue
		}
		if r.Interpreter.Version != test.version || r.Warning != test.warning {
			t.Errorf("%s: %s, %q; want %s, %q", test.id, r.Interpreter.Version, r.Warning, test.version, test.warning)
		}
	}
	for _, id := range []string{"provided", "provided.al2", "provided.al2023"} {
		if r, err := only(t).Resolve(t.Context(), id); err != nil || r.Interpreter != nil {
			t.Errorf("%s: %v, %v", id, r, err)
		}
	}
	// A runtime that is installed while the daemon runs is found without a restart.
	late := only(t, filepath.Join(dir, "late"))
	if _, err := late.Resolve(t.Context(), "python3.11"); err == nil {
		t.Error("python3.11 is there")
	}
	fake(t, filepath.Join(dir, "late"), "python3.11", "3.11.1")
	if _, err := late.Resolve(t.Context(), "python3.11"); err != nil {
		t.Error(err)
	}
}

func TestVersionManagers(t *testing.T) {
	home := t.TempDir()
	fake(t, filepath.Join(home, ".pyenv/versions/3.10.13"), "python3.10", "3.10.13")
	fake(t, filepath.Join(home, ".nvm/versions/node/v18.20.1"), "node", "18.20.1")
	fake(t, filepath.Join(home, "elsewhere/versions/3.9.1"), "python3.9", "3.9.1")
	write(t, filepath.Join(home, "elsewhere/shims/python3.9"), "#!/bin/sh\n")
	c := only(t)
	c.Search.Homes = []string{home}
	c.Search.Path = []string{filepath.Join(home, "elsewhere/shims")}
	for id, want := range map[string]string{"python3.10": "3.10.13", "nodejs18.x": "18.20.1", "python3.9": "3.9.1"} {
		if r, err := c.Resolve(t.Context(), id); err != nil || r.Interpreter.Version != want {
			t.Errorf("%s: %v, want %s", id, err, want)
		}
	}
}

// TestProbeIsKept starts a program once, and again only when it has changed.
func TestProbeIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "p")
	fake(t, dir, "node", "20.1.0")
	state := t.TempDir()
	resolve := func() string {
		c := only(t, dir)
		c.StateDir = state
		r, err := c.Resolve(t.Context(), "nodejs20.x")
		if err != nil {
			t.Fatal(err)
		}
		return r.Interpreter.Version
	}
	resolve()
	if resolve(); asked(t, dir) != 1 {
		t.Errorf("asked %d times, want once", asked(t, dir))
	}
	fake(t, dir, "node", "20.2.0")
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "bin/node"), later, later); err != nil {
		t.Fatal(err)
	}
	if got := resolve(); got != "20.2.0" {
		t.Errorf("%s after the program changed", got)
	}
	write(t, filepath.Join(state, "interpreters.json"), "damaged")
	if got := resolve(); got != "20.2.0" {
		t.Errorf("%s with a damaged file", got)
	}
	info, err := os.Stat(filepath.Join(state, "interpreters.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestKnownIsTheModels compares the table with the service model's enumeration.
func TestKnownIsTheModels(t *testing.T) {
	data := os.Getenv("HOTARU_AWS_DATA")
	if data == "" {
		data = filepath.Join("..", "..", "shared", "aws")
	}
	content, err := os.ReadFile(filepath.Join(data, "models", "lambda", "service-2.json"))
	if err != nil {
		t.Skip("the service models are not here (HOTARU_AWS_DATA): ", err)
	}
	var model struct {
		Shapes struct{ Runtime struct{ Enum []string } }
	}
	if err := json.Unmarshal(content, &model); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, info := range runtime.Known() {
		ids = append(ids, info.ID)
	}
	slices.Sort(ids)
	slices.Sort(model.Shapes.Runtime.Enum)
	if diff := cmp.Diff(model.Shapes.Runtime.Enum, ids); diff != "" {
		t.Error(diff)
	}
}

func TestList(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "p")
	fake(t, dir, "python3.11", "3.11.7")
	var here []string
	for _, status := range only(t, dir).List(t.Context()) {
		if status.Err == nil {
			here = append(here, status.ID)
		}
	}
	if diff := cmp.Diff([]string{"python3.11", "provided", "provided.al2", "provided.al2023"}, here); diff != "" {
		t.Error(diff)
	}
}

func TestVariables(t *testing.T) {
	for name, want := range map[string]bool{
		"PYTHONPATH": true, "PYTHONHOME": true, "NODE_OPTIONS": true, "NODE_EXTRA_CA_CERTS": true, "LD_PRELOAD": true,
		"LANG": true, "LC_ALL": true, "AWS_LAMBDA_EXEC_WRAPPER": true, "SSL_CERT_FILE": true,
		"TZ": false, "PATH": false, "TABLE_NAME": false, "LANGUAGES": false, "MY_LD_PATH": false,
	} {
		if got := runtime.ReadAtStart(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	names := runtime.ReservedVariables()
	for _, name := range []string{"_HANDLER", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "LAMBDA_TASK_ROOT"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not reserved", name)
		}
	}
	if slices.Contains(names, "TZ") || slices.Contains(names, "PATH") {
		t.Error("PATH or TZ is reserved")
	}
}
