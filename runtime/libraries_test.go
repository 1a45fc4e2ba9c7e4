package runtime_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hotaru/runtime"
)

// TestLibraries has the links to the system's libraries lead to files of /usr, which every root shows, and LD_LIBRARY_PATH
// begin with them, for an interpreter of /usr too.
func TestLibraries(t *testing.T) {
	for _, id := range []string{"python3.11", "nodejs20.x"} {
		t.Run(id, func(t *testing.T) {
			r := resolve(t, id)
			p := r.Program(runtime.Options{})
			const dir = "/var/lang/lib"
			found := false
			for _, entry := range p.Env {
				found = found || strings.HasPrefix(entry, "LD_LIBRARY_PATH="+dir+":")
			}
			if !found {
				t.Errorf("no %s in %q", dir, p.Env)
			}
			if on := r.Program(runtime.Options{TaskRoot: "/srv"}); strings.Contains(strings.Join(on.Env, " "), dir) {
				t.Errorf("on the host's own files: %q", on.Env)
			}
			links, err := os.ReadDir(filepath.Join(p.Root.Dir, dir))
			if err != nil {
				t.Fatal(err)
			}
			for _, link := range links {
				path := filepath.Join(p.Root.Dir, dir, link.Name())
				to, err := os.Readlink(path)
				if err != nil {
					t.Fatal(err)
				}
				if info, err := os.Stat(to); err != nil || !info.Mode().IsRegular() || !strings.HasPrefix(to, "/usr/") {
					t.Errorf("%s leads to %s: %v", link.Name(), to, err)
				}
			}
		})
	}
}
