package runtime_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/runtime"
)

// client is how to start a runtime interface client of AWS's. The handler's name is its last argument.
type client struct {
	path  string
	args  []string
	files string // where its own files are
}

// TestReference plays the golden functions with AWS's own runtime interface clients, where scripts/deps.sh has put them,
// and compares what is answered and logged. A golden file's "differs" section says why a function is left out.
func TestReference(t *testing.T) {
	tools, err := filepath.Abs(filepath.Join("..", ".tools"))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("python", func(t *testing.T) {
		python := filepath.Join(tools, "ric-python", "bin", "python")
		found, _ := filepath.Glob(filepath.Join(tools, "ric-python", "lib", "python3.*", "site-packages", "awslambdaric"))
		if len(found) == 0 {
			t.Skip("needs awslambdaric in .tools/ric-python: see scripts/deps.sh")
		}
		version := strings.Split(strings.TrimPrefix(found[0], filepath.Join(tools, "ric-python", "lib")), "/")[1]
		compareReference(t, resolve(t, version), client{path: python, args: []string{python, "-m", "awslambdaric"}, files: found[0]})
	})
	t.Run("nodejs", func(t *testing.T) {
		found := filepath.Join(tools, "ric-node", "node_modules", "aws-lambda-ric", "dist", "index.mjs")
		if _, err := os.Stat(found); err != nil {
			t.Skip("needs aws-lambda-ric in .tools/ric-node: see scripts/deps.sh")
		}
		ours, err := filepath.Abs(filepath.Join("testdata", "reference"))
		if err != nil {
			t.Fatal(err)
		}
		r := resolve(t, "nodejs20.x")
		compareReference(t, r, client{path: r.Interpreter.Path, files: filepath.Dir(found), args: []string{
			r.Interpreter.Path, "-r", filepath.Join(ours, "rapid-client.cjs"), filepath.Join(ours, "run.mjs"), found,
		}})
	})
}

// withoutOwn leaves out of a transcript how a process ended that was killed when all was said, the frames of a stack that
// are no function's, and what Lambda says about its own updates.
func withoutOwn(transcript string) string {
	var kept strings.Builder
	for line := range strings.Lines(transcript) {
		if line == "exit -1\n" || line == "exit 0\n" || strings.Contains(line, "LAMBDA_WARNING") {
			continue
		}
		kept.WriteString(functionFrames.ReplaceAllString(otherFrames.ReplaceAllString(line, ""), "    at $1"))
	}
	return kept.String()
}

var (
	otherFrames    = regexp.MustCompile(`,\\?"    at [^"]*(<runtime>|reference/|index\.mjs:\d|/var/runtime/|<anonymous>\)?)[^"/]*"`)
	functionFrames = regexp.MustCompile(`    at [\w.]+(?: \[as \w+\])? \(([^)]*)\)`)
)

func compareReference(t *testing.T, r *runtime.Runtime, c client) {
	var err error
	if c.files, err = filepath.EvalSymlinks(c.files); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join("testdata", string(r.Language), "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			sections := readSections(t, file)
			if i := slices.IndexFunc(sections, func(s section) bool { return s.name == "differs" }); i >= 0 {
				t.Skip(sections[i].text)
			}
			f := readPlayed(sections)
			theirs := f.playWith(t, setup{runtime: r, way: reference, client: c})
			ours := f.playWith(t, setup{runtime: r, way: cold})
			if diff := cmp.Diff(said(withoutOwn(theirs)), said(withoutOwn(ours))); diff != "" {
				t.Errorf("(-theirs +ours):\n%s", diff)
			}
		})
	}
}
