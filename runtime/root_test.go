package runtime_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/runtime"
)

// TestRoot looks at what a sandbox's root is made of, for every kind of runtime that is installed.
func TestRoot(t *testing.T) {
	old := syscall.Umask(0o077) // the daemon's umask must not matter
	defer syscall.Umask(old)
	c := &runtime.Catalog{Search: machine(), StateDir: filepath.Join(t.TempDir(), "state")}
	for _, id := range []string{"provided.al2023", "python3.11", "python3.13", "nodejs20.x"} {
		t.Run(id, func(t *testing.T) {
			r, err := c.Resolve(t.Context(), id)
			if missing := (*runtime.MissingError)(nil); errors.As(err, &missing) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			root := r.Program(runtime.Options{}).Root
			for _, bind := range root.Binds {
				source, err := os.Stat(bind.Source)
				if err != nil {
					t.Error(err)
					continue
				}
				target, err := os.Lstat(filepath.Join(root.Dir, bind.Target))
				if err != nil || target.IsDir() != source.IsDir() || target.Mode().Type() == fs.ModeSymlink {
					t.Errorf("%s cannot be bound at %s: %v", bind.Source, bind.Target, err)
				}
				if !filepath.IsAbs(bind.Source) || !allowed(bind.Source, c.StateDir, r) {
					t.Errorf("%s of the host's is shown at %s", bind.Source, bind.Target)
				}
			}
			checkSkeleton(t, root.Dir)
		})
	}
}

// allowed says whether a host path may be seen inside.
func allowed(source, state string, r *runtime.Runtime) bool {
	for _, prefix := range []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ssl/certs", "/etc/pki",
		filepath.Join(state, "bootstraps"), filepath.Join(state, "roots")} {
		if source == prefix || strings.HasPrefix(source, prefix+"/") {
			return true
		}
	}
	return r.Interpreter != nil && source == r.Interpreter.Prefix
}

func checkSkeleton(t *testing.T, dir string) {
	t.Helper()
	for path, want := range map[string]fs.FileMode{
		"proc": fs.ModeDir | 0o755, "dev": fs.ModeDir | 0o755, "sys": fs.ModeDir | 0o755, "opt": fs.ModeDir | 0o755,
		"opt/lib": fs.ModeDir | 0o755, "var/task/lib": fs.ModeDir | 0o755,
		"tmp": fs.ModeDir | fs.ModeSticky | 0o777, "var/task": fs.ModeDir | 0o755, "var/lang": fs.ModeDir | 0o755,
		"var/runtime": fs.ModeDir | 0o755, "etc/passwd": 0o644, "etc/resolv.conf": 0o644, ".": fs.ModeDir | 0o755,
	} {
		info, err := os.Lstat(filepath.Join(dir, path))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want mode %v", path, info, err, want)
		}
	}
	passwd, err := os.ReadFile(filepath.Join(dir, "etc/passwd"))
	if err != nil || !strings.Contains(string(passwd), "sbx_user1051:x:993:990:") || strings.Count(string(passwd), "\n") != 3 {
		t.Errorf("passwd: %q, %v", passwd, err)
	}
	for _, name := range []string{"bin", "lib"} {
		host, hostErr := os.Readlink("/" + name)
		inside, err := os.Readlink(filepath.Join(dir, name))
		if (hostErr == nil) != (err == nil) || hostErr == nil && filepath.Join("/", host) != filepath.Join("/", inside) {
			t.Errorf("%s leads to %q, on the host to %q", name, inside, host)
		}
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && entry.Type().IsRegular() && info.Size() > 1024 && info.Name() != "ca-certificates.crt" {
			t.Errorf("%s has %d bytes", path, info.Size())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestSkeletonIsShared makes it once for all runtimes and all starts of the daemon.
func TestSkeletonIsShared(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	var dirs []string
	for range 2 {
		c := &runtime.Catalog{StateDir: state, Search: runtime.Search{Globs: []string{}}}
		for _, id := range []string{"provided", "provided.al2"} {
			r, err := c.Resolve(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			dirs = append(dirs, r.Program(runtime.Options{}).Root.Dir)
		}
	}
	if slices.Sort(dirs); len(slices.Compact(dirs)) != 1 {
		t.Errorf("%q", dirs)
	}
	entries, err := os.ReadDir(filepath.Join(state, "roots"))
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v; want one root and nothing half-made", entries, err)
	}
}

func TestProgram(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lang")
	fake(t, dir, "python3.11", "3.11.7")
	fake(t, dir, "node", "20.20.2")
	c := only(t, dir)
	t.Run("python in a sandbox", func(t *testing.T) {
		r, err := c.Resolve(t.Context(), "python3.11")
		if err != nil {
			t.Fatal(err)
		}
		p := r.Program(runtime.Options{MemoryMB: 128})
		want := []string{"/var/lang/bin/python3.11", "-S", "-B", "/var/runtime/bootstrap.pyc"}
		if diff := cmp.Diff(want, p.Args); diff != "" || p.Path != want[0] || p.Dir != "/var/task" || !p.Frames || p.Description != "python:3.11.v7" {
			t.Errorf("%+v %s", p, diff)
		}
		for _, want := range []string{
			"PATH=/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
			"LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
			"LAMBDA_TASK_ROOT=/var/task", "LAMBDA_RUNTIME_DIR=/var/runtime", "PYTHONPATH=/var/runtime",
			"AWS_EXECUTION_ENV=AWS_Lambda_python3.11", "TZ=:UTC",
		} {
			if !slices.Contains(p.Env, want) {
				t.Errorf("no %s in %q", want, p.Env)
			}
		}
		wrapped := p.Wrap("/opt/wrapper")
		if diff := cmp.Diff(append([]string{"/bin/sh", "-c", `exec "$0" "$@"`, "/opt/wrapper"}, want...), wrapped.Args); diff != "" || wrapped.Path != "/bin/sh" {
			t.Error(diff)
		}
	})
	t.Run("node in a sandbox", func(t *testing.T) {
		r, err := c.Resolve(t.Context(), "nodejs20.x")
		if err != nil {
			t.Fatal(err)
		}
		p := r.Program(runtime.Options{MemoryMB: 128})
		want := []string{"/var/lang/bin/node", "--max-old-space-size=115", "/var/runtime/bootstrap.js"}
		if diff := cmp.Diff(want, p.Args); diff != "" || p.Description != "nodejs:20.v20.2" {
			t.Error(p.Description, diff)
		}
		if !slices.Contains(p.Env, "NODE_PATH=/opt/nodejs/node20/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task") {
			t.Errorf("%q", p.Env)
		}
	})
	t.Run("custom", func(t *testing.T) {
		r, err := c.Resolve(t.Context(), "provided.al2023")
		if err != nil {
			t.Fatal(err)
		}
		p := r.Program(runtime.Options{})
		if p.Frames || p.Path != "/var/task/bootstrap" || p.Description != "provided.al2023" ||
			slices.ContainsFunc(p.Env, func(v string) bool { return strings.HasPrefix(v, "AWS_EXECUTION_ENV=") }) {
			t.Errorf("%+v", p)
		}
	})
	t.Run("on the host", func(t *testing.T) {
		r, err := c.Resolve(t.Context(), "python3.11")
		if err != nil {
			t.Fatal(err)
		}
		p := r.Program(runtime.Options{TaskRoot: "/srv/code", LayerRoot: "/srv/layers"})
		if p.Path != filepath.Join(dir, "bin/python3.11") || p.Dir != "/srv/code" || p.Root.Dir != "" ||
			!slices.Contains(p.Env, "LAMBDA_TASK_ROOT=/srv/code") || !slices.Contains(p.Env, "HOTARU_LAYER_ROOT=/srv/layers") {
			t.Errorf("%+v", p)
		}
	})
}

func TestEnviron(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lang")
	fake(t, dir, "python3.11", "3.11.7")
	r, err := only(t, dir).Resolve(t.Context(), "python3.11")
	if err != nil {
		t.Fatal(err)
	}
	p := r.Program(runtime.Options{})
	p.Env = []string{"LANG=C.UTF-8", "PATH=/usr/bin", "LD_LIBRARY_PATH=/var/lang/lib:/lib64"}
	for _, test := range []struct{ own, want []string }{
		{nil, p.Env},
		{[]string{"A=1", "PATH=/opt/bin", "A=2=3"}, []string{"LANG=C.UTF-8", "LD_LIBRARY_PATH=/var/lang/lib:/lib64", "PATH=/opt/bin", "A=2=3"}},
		{[]string{"LD_LIBRARY_PATH=/opt/lib"}, []string{"LANG=C.UTF-8", "PATH=/usr/bin", "LD_LIBRARY_PATH=/opt/lib:/var/lang/lib"}},
		{[]string{"LD_LIBRARY_PATH="}, []string{"LANG=C.UTF-8", "PATH=/usr/bin", "LD_LIBRARY_PATH=/var/lang/lib"}},
	} {
		if diff := cmp.Diff(test.want, p.Environ(test.own)); diff != "" {
			t.Errorf("%q: %s", test.own, diff)
		}
	}
}

// filesOf are a directory's, from which no link leads out.
func filesOf(t *testing.T, dir string) fs.FS {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root.FS()
}

func TestEntrypoint(t *testing.T) {
	dir := t.TempDir()
	make := func(name string, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		write(t, filepath.Join(path, "bootstrap"), "#!/bin/sh\n")
		if err := os.Chmod(filepath.Join(path, "bootstrap"), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, other, plain := make("good", 0o755), make("other", 0o500), make("plain", 0o644)
	empty, folder := filepath.Join(dir, "empty"), filepath.Join(dir, "folder")
	absolute, escaping, inside := filepath.Join(dir, "absolute"), filepath.Join(dir, "escaping"), filepath.Join(dir, "inside")
	for _, path := range []string{empty, filepath.Join(folder, "bootstrap"), absolute, escaping, inside} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(inside, "main"), "")
	for link, target := range map[string]string{absolute: "/opt/bootstrap", escaping: "../good/bootstrap", inside: "main"} {
		if err := os.Symlink(target, filepath.Join(link, "bootstrap")); err != nil {
			t.Fatal(err)
		}
	}
	none := "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
	for _, test := range []struct {
		name   string
		task   string
		layers []string
		want   string
		err    string
	}{
		{"nothing", empty, nil, "", none},
		{"a directory", folder, []string{empty}, "", none},
		{"not executable", plain, nil, "", "fork/exec /var/task/bootstrap: permission denied"},
		{"not executable in a layer", empty, []string{plain, good}, "", "fork/exec /opt/bootstrap: permission denied"},
		{"a link out of the code", escaping, nil, "", none},
		{"a link to what is not executable", inside, nil, "", "fork/exec /var/task/bootstrap: permission denied"},
		{"in the code", good, []string{other}, "/var/task/bootstrap", ""},
		{"in a layer", empty, []string{empty, other}, "/opt/bootstrap", ""},
		{"a link that is valid inside", absolute, nil, "/var/task/bootstrap", ""},
	} {
		var layers []fs.FS
		for _, layer := range test.layers {
			layers = append(layers, filesOf(t, layer))
		}
		got, err := runtime.Entrypoint(filesOf(t, test.task), layers...)
		var invalid runtime.EntrypointError
		if test.err != "" && (!errors.As(err, &invalid) || err.Error() != test.err) || test.err == "" && (err != nil || got != test.want) {
			t.Errorf("%s: %q, %v; want %q, %q", test.name, got, err, test.want, test.err)
		}
	}
}
