//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hotaru/sandbox"
	"hotaru/sandbox/sandboxtest"
)

// Real interpreters must not notice the filter: threads, just-in-time compilers, child processes, sockets, name
// resolution, timers, temporary files.
func TestInterpreters(t *testing.T) {
	sandboxtest.CheckLeaks(t)
	driver := newDriver(t)
	box, err := driver.Create(t.Context(), sandbox.Spec{
		ID: "interpreters", Root: sandboxtest.Root(t), Limits: sandbox.Limits{MemoryBytes: 1 << 30},
		Binds: append([]sandbox.Bind{{Source: programs(t), Target: "/var/task"}}, etc(t)...),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"python3": {"/usr/bin/python3", "/var/task/all.py"},
		"node":    {"/usr/bin/node", "/var/task/all.js"},
		"java":    {"/usr/bin/java", "-Xmx256m", "-Djava.io.tmpdir=/tmp", "/var/task/All.java"},
		"go":      {"/var/task/helper", "env"},
		"bash":    {"/bin/bash", "-c", "set -e; for i in 1 2 3; do (echo $i | cat) & done; wait; echo <(true) >/dev/null; mktemp >/dev/null"},
		"curl":    {"/usr/bin/curl", "--version"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(args[0], "/usr/bin/") {
				if _, err := os.Stat(args[0]); err != nil {
					t.Skip("not on this host: ", err)
				}
			}
			out := runIn(t, box, sandbox.Command{
				Path: args[0], Args: args, Dir: "/tmp", Env: []string{"PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8"},
			})
			if (name == "python3" || name == "node" || name == "java") && !strings.HasSuffix(out, "all is well\n") {
				t.Errorf("%s", out)
			}
		})
	}
}

// etc shows what an interpreter of the host keeps in /etc and cannot do without: java's configuration.
func etc(t *testing.T) []sandbox.Bind {
	t.Helper()
	found, err := filepath.Glob("/etc/java-*-openjdk")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		return nil
	}
	return []sandbox.Bind{{Source: "/etc", Target: "/etc"}}
}

func programs(t *testing.T) string {
	t.Helper()
	dir := sandboxtest.Helper(t)
	for _, name := range []string{"all.py", "all.js", "All.java"} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
