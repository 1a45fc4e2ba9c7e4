package sdk_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/runtime/sdk"
)

func TestInstallRefuses(t *testing.T) {
	s := sdk.Store{Dir: filepath.Join(t.TempDir(), "sdk")}
	before, err := s.Install(t.Context(), "python3.11", filled(t, boto("1")))
	if err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no network")
	for name, tc := range map[string]struct {
		fill sdk.Fill
		want string
	}{
		"what fails":   {func(context.Context, string) error { return failed }, "no network"},
		"nothing":      {func(context.Context, string) error { return nil }, "no package"},
		"no package":   {filled(t, map[string]string{"readme": "x"}), "no package"},
		"a way out":    {linked("/etc", boto("2")), "leads out"},
		"a way up":     {linked("../../credentials.json", boto("2")), "leads out"},
		"a named pipe": {piped(boto("2")), "is no file"},
	} {
		_, err := s.Install(t.Context(), "python3.11", func(ctx context.Context, dir string) error {
			write(t, dir, map[string]string{"partly": ""})
			return errors.Join(tc.fill(ctx, dir), os.Remove(filepath.Join(dir, "partly")))
		})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	after, err := s.Installed("python3.11")
	if diff := cmp.Diff(before, after); diff != "" || err != nil {
		t.Errorf("%s %v", diff, err)
	}
	if found := names(t, s.Dir); len(found) != 3 { // the lock, the record and the directory
		t.Errorf("%q is left", found)
	}
}

// linked adds a link to files.
func linked(target string, files map[string]string) sdk.Fill {
	return func(_ context.Context, dir string) error {
		for name, text := range files {
			name = strings.TrimSuffix(name, "*")
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				return err
			}
		}
		return os.Symlink(target, filepath.Join(dir, "boto3", "link"))
	}
}

func piped(files map[string]string) sdk.Fill {
	return func(ctx context.Context, dir string) error {
		return errors.Join(linked("__init__.py", files)(ctx, dir), syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}

// TestInstall: everybody can read what is there whatever the umask, it replaces what was there, and only what is in it
// counts.
func TestInstall(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	s := sdk.Store{Dir: filepath.Join(t.TempDir(), "sdk")}
	if in, err := s.Installed("python3.11"); in != nil || err != nil {
		t.Fatal(in, err)
	}
	if digests, err := s.Digests(); digests != nil || err != nil {
		t.Fatal(digests, err)
	}
	first, err := s.Install(t.Context(), "python3.11", linked("__init__.py", boto("1")))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(first.Dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type() == fs.ModeSymlink {
			return err
		}
		info, err := entry.Info()
		if err == nil && (info.Mode()&0o444 != 0o444 || info.Mode()&0o022 != 0 || info.IsDir() && info.Mode()&0o111 != 0o111) {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// The same again, but for what is compiled, and then another.
	same, err := s.Install(t.Context(), "python3.11", linked("__init__.py", boto("1")))
	if err != nil || same.Digest != first.Digest || same.Dir == first.Dir {
		t.Errorf("%+v after %+v, %v", same, first, err)
	}
	second, err := s.Install(t.Context(), "python3.11", linked("__init__.py", boto("2")))
	if err != nil || second.Digest == first.Digest || second.Summary() != "boto3 2" {
		t.Errorf("%+v after %+v, %v", second, first, err)
	}
	if _, err := os.Stat(first.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the one before is still there: %v", err)
	}
	other, err := s.Install(t.Context(), "python3.1", linked("__init__.py", boto("3")))
	if err != nil {
		t.Fatal(err)
	}
	if digests, err := s.Digests(); err != nil || !cmp.Equal(digests, []string{other.Digest, second.Digest}) {
		t.Errorf("%q, %v", digests, err)
	}
	if err := errors.Join(s.Remove("python3.11"), s.Remove("python3.11"), sdk.Store{Dir: "/nowhere/sdk"}.Remove("python3.11")); err != nil {
		t.Error(err)
	}
	if in, err := s.Installed("python3.11"); in != nil || err != nil {
		t.Error(in, err)
	}
	if in, err := s.Installed("python3.1"); err != nil || in.Summary() != "boto3 3" {
		t.Error(in, err)
	}
}

// TestOneAtATime: whoever comes second is told so, and disturbs nothing.
func TestOneAtATime(t *testing.T) {
	s := sdk.Store{Dir: t.TempDir()}
	_, err := s.Install(t.Context(), "python3.11", func(ctx context.Context, dir string) error {
		if _, err := s.Install(ctx, "python3.11", filled(t, boto("2"))); err == nil || !strings.Contains(err.Error(), "somebody else") {
			t.Errorf("the second is answered %v", err)
		}
		write(t, dir, boto("1"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// What one that was killed has left goes with the next.
	write(t, s.Dir, map[string]string{"python3.11-99/half": ""})
	if _, err := s.Install(t.Context(), "python3.11", filled(t, boto("3"))); err != nil {
		t.Fatal(err)
	}
	if found := names(t, s.Dir); len(found) != 3 {
		t.Errorf("%q is left", found)
	}
}

func TestDamagedRecords(t *testing.T) {
	s := sdk.Store{Dir: t.TempDir()}
	for _, record := range []string{
		"", "{", `{}`, `{"digest":"0123456789abcdef","directory":"../../etc"}`, `{"digest":"0123456789abcdef","directory":"n/../x"}`,
		`{"digest":"../../../../etc","directory":"n-1"}`, `{"digest":"0123456789abcdef","directory":"n-1/../../x"}`,
	} {
		write(t, s.Dir, map[string]string{"n.json": record})
		if in, err := s.Installed("n"); err == nil || !strings.Contains(err.Error(), "install the SDK again") {
			t.Errorf("%s: %+v, %v", record, in, err)
		}
		if _, err := s.Digests(); err == nil {
			t.Errorf("%s: no error", record)
		}
	}
}

// TestShowIn: the files appear beside others, as the same files where that can be, and take nothing's place.
func TestShowIn(t *testing.T) {
	s := sdk.Store{Dir: t.TempDir()}
	in, err := s.Install(t.Context(), "python3.11", linked("__init__.py", boto("1")))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{"boto3/beside.py": "ours", "bootstrap.py": "ours"})
	if err := in.ShowIn(dir); err != nil {
		t.Fatal(err)
	}
	here, err := os.Stat(filepath.Join(dir, "boto3/__init__.py"))
	if err != nil {
		t.Fatal(err)
	}
	if there, err := os.Stat(filepath.Join(in.Dir, "boto3/__init__.py")); err != nil || !os.SameFile(here, there) {
		t.Errorf("%v is not %v: %v", here, there, err)
	}
	if target, err := os.Readlink(filepath.Join(dir, "boto3/link")); err != nil || target != "__init__.py" {
		t.Errorf("a link leads to %q: %v", target, err)
	}
	if err := in.ShowIn(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("again: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "boto3/beside.py")); err != nil || string(text) != "ours" {
		t.Errorf("%q, %v", text, err)
	}
}
