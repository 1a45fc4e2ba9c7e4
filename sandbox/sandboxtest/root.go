package sandboxtest

import (
	"os"
	"path/filepath"
	"testing"

	"hotaru/sandbox"
)

// Root makes a root file system of the host's /usr and a skeleton of our own, in a temporary directory.
func Root(t testing.TB) sandbox.Root {
	t.Helper()
	dir := t.TempDir()
	for _, path := range []string{"etc", "proc", "dev", "tmp", "usr", "var/task", "var/lang", "var/runtime", "opt"} {
		must(t, os.MkdirAll(filepath.Join(dir, path), 0o755))
	}
	for _, name := range []string{"bin", "lib", "lib64", "sbin"} {
		if _, err := os.Stat("/usr/" + name); err == nil {
			must(t, os.Symlink("usr/"+name, filepath.Join(dir, name)))
		}
	}
	const passwd = "root:x:0:0:root:/root:/sbin/nologin\nsbx_user1051:x:993:990::/home/sbx_user1051:/sbin/nologin\n"
	must(t, os.WriteFile(filepath.Join(dir, "etc/passwd"), []byte(passwd), 0o644))
	return sandbox.Root{Dir: dir, Binds: []sandbox.Bind{{Source: "/usr", Target: "/usr"}}}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
