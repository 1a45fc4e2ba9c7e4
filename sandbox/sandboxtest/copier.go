package sandboxtest

import (
	_ "embed"
	"io"
	"os"
	"path/filepath"
	"testing"

	"hotaru/sandbox"
)

// python is the interpreter that copies are made of; it is in Root.
const python = "/usr/bin/python3"

// copies runs the Python code that it reads from descriptor 3: as a template's copy if descriptor 4 leads to who asks for
// copies, else by itself. Its argument is the source of what makes it a template.
const copies = `
import os, stat, sys
loaded = set(sys.modules)
try:
    asked = stat.S_ISSOCK(os.fstat(4).st_mode)
except OSError:
    asked = False
if asked:
    made = {}
    exec(compile(sys.argv[1], "template", "exec"), made)
    made["serve"](loaded)
with open(3) as file:
    code = file.read()
exec(compile(code, "code", "exec"))
`

// templateSource is the part of our Python bootstrap that makes copies, as Helper leaves it in its directory.
const templateSource = "template.py"

// Place is Python that prints all that a process can see of its own place, but for what differs between any two.
//
//go:embed place.py
var Place string

// WriteCopier leaves in a directory what Copier needs.
func WriteCopier(t testing.TB, dir string) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(sourceDir(t, "hotaru/runtime"), "bootstrap/python/hotaru_template.py"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, templateSource), source, 0o644))
}

// Copier is a command of a program that can be a template, and that runs the code of its only file. helper is what
// Helper returned, or where WriteCopier wrote. Where there is no Python the test is skipped.
func Copier(t testing.TB, helper string) sandbox.Command {
	t.Helper()
	if _, err := os.Stat(python); err != nil {
		t.Skip("what makes copies is Python: ", err)
	}
	source, err := os.ReadFile(filepath.Join(helper, templateSource))
	must(t, err)
	return sandbox.Command{
		Path: python, Args: []string{"python3", "-S", "-B", "-c", copies, string(source)}, Env: []string{"LANG=C.UTF-8", "ONE=1"}, Dir: "/tmp",
	}
}

// Template is what a template of the command is.
func Template(root sandbox.Root, cmd sandbox.Command) sandbox.TemplateSpec {
	return sandbox.TemplateSpec{Root: root, Path: cmd.Path, Args: cmd.Args, Env: cmd.Env}
}

// Code has the command run the code. The file is closed at the end of the test.
func Code(t testing.TB, cmd sandbox.Command, text string) sandbox.Command {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "code")
	must(t, err)
	t.Cleanup(func() { file.Close() })
	_, err = file.WriteString(text)
	must(t, err)
	_, err = file.Seek(0, io.SeekStart)
	must(t, err)
	cmd.Files = []*os.File{file}
	return cmd
}
