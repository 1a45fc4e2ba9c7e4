//go:build linux && (amd64 || arm64)

package namespace_test

import (
	_ "embed"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/sandbox"
	"hotaru/sandbox/sandboxtest"
)

// bootstrap is where a template's program finds its part.
const bootstrap = "../../runtime/bootstrap/python"

// copier is a program that runs the code that it reads from descriptor 3: as a template's copy, or by itself.
const copier = `
import os, stat, sys
sys.path.insert(0, "/var/runtime")
if not stat.S_ISSOCK(os.fstat(3).st_mode) and not stat.S_ISREG(os.fstat(3).st_mode):
    loaded = set(sys.modules)
    import hotaru_template
    hotaru_template.serve(loaded)
with open(3) as code:
    exec(compile(code.read(), "code", "exec"))
`

// copied is a root with an interpreter, and a command of it.
func copied(t *testing.T) (sandbox.Root, sandbox.Command) {
	t.Helper()
	const python = "/usr/bin/python3"
	if _, err := os.Stat(python); err != nil {
		t.Skip("the template is Python: ", err)
	}
	source, err := filepath.Abs(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	root := sandboxtest.Root(t)
	root.Binds = append(root.Binds, sandbox.Bind{Source: source, Target: "/var/runtime"})
	return root, sandbox.Command{
		Path: python, Args: []string{"python3", "-S", "-B", "-c", copier}, Env: []string{"LANG=C.UTF-8", "ONE=1"}, Dir: "/tmp",
	}
}

func newTemplate(t *testing.T, driver sandbox.Driver, root sandbox.Root, cmd sandbox.Command) sandbox.Template {
	t.Helper()
	template, err := sandbox.NewTemplate(t.Context(), driver, sandbox.TemplateSpec{Root: root, Path: cmd.Path, Args: cmd.Args, Env: cmd.Env})
	if err != nil {
		t.Fatal(err)
	}
	return template
}

// code is a file to be read.
func code(t *testing.T, text string) *os.File {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "code")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return file
}

//go:embed testdata/place.py
var place string

// A copy finds what a process finds that was started in the same sandbox.
func TestCopyIsLikeStarted(t *testing.T) {
	sandboxtest.CheckLeaks(t)
	driver := newDriver(t)
	root, cmd := copied(t)
	template := newTemplate(t, driver, root, cmd)
	box, err := driver.Create(t.Context(), sandbox.Spec{
		ID: "one", Root: root, Limits: sandbox.Limits{MemoryBytes: 128 << 20, TmpBytes: 8 << 20}, Listen: []string{"127.0.0.1:9001"},
	})
	if err != nil {
		t.Fatal(err)
	}
	run := func(template sandbox.Template) string {
		cmd.Template, cmd.Files = template, []*os.File{code(t, place)}
		return runIn(t, box, cmd)
	}
	forked := run(template)
	if diff := cmp.Diff(strings.Split(run(nil), "\n"), strings.Split(forked, "\n")); diff != "" {
		t.Errorf("(-started +copied):\n%s", diff)
	}
	if err := template.Close(); err != nil {
		t.Error(err)
	}
}
