package runtime

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"time"
)

//go:embed bootstrap
var bootstraps embed.FS

// compileScript compiles Python bootstraps ahead, under the names they will have inside: the main file beside
// itself, because Python never caches the file it is started with, the others where it looks for them. No
// start has to check dates or parse.
const compileScript = `import py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for spec in sys.argv[1:]:
    source, shown, target = spec.split("|")
    py_compile.compile(source, target or None, shown, True, -1, mode)
`

// installBootstrap writes the bootstrap of an interpreter under dir, once, and returns its directory. inside
// is where the directory will be seen: it is in the names that stack traces show.
func installBootstrap(ctx context.Context, dir string, in *Interpreter, inside string) (string, error) {
	source := path.Join("bootstrap", string(in.Language))
	entries, err := bootstraps.ReadDir(source)
	if err != nil {
		return "", fmt.Errorf("runtime: no bootstrap for %s: %w", in.Language, err)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s\n%s\n", in.Path, in.Version, inside)
	for _, entry := range entries {
		content, err := bootstraps.ReadFile(path.Join(source, entry.Name()))
		if err != nil {
			return "", fmt.Errorf("runtime: read bootstrap: %w", err)
		}
		fmt.Fprintf(sum, "%s %x\n", entry.Name(), sha256.Sum256(content))
	}
	name := fmt.Sprintf("%s-%s-%s", in.Language, in.Version, hex.EncodeToString(sum.Sum(nil))[:16])
	return buildOnce(dir, name, func(tmp string) error {
		for _, entry := range entries {
			content, err := bootstraps.ReadFile(path.Join(source, entry.Name()))
			if err != nil {
				return err
			}
			if err := writeFile(filepath.Join(tmp, entry.Name()), content, 0o644); err != nil {
				return err
			}
		}
		if in.Language != Python {
			return nil
		}
		return compilePython(ctx, in, tmp, entries, inside)
	})
}

func compilePython(ctx context.Context, in *Interpreter, dir string, entries []fs.DirEntry, inside string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	args := []string{"-I", "-S", "-c", compileScript}
	for _, entry := range entries {
		target := ""
		if entry.Name() == pythonMain+".py" {
			target = filepath.Join(dir, pythonMain+".pyc")
		}
		args = append(args, filepath.Join(dir, entry.Name())+"|"+path.Join(inside, entry.Name())+"|"+target)
	}
	cmd := exec.CommandContext(ctx, in.Path, args...)
	cmd.Env = []string{"LC_ALL=C.UTF-8"}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compile the bootstrap with %s: %w: %s", in.Path, err, out)
	}
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Chmod(path, 0o755) //nolint:gosec // a directory of ours, mode 0700, that nobody else can reach yet
		}
		return os.Chmod(path, 0o644) //nolint:gosec // as above
	})
}

// buildOnce returns dir/name, which build fills if it is not there yet. Whoever comes first wins: what is
// there under a name is always whole.
func buildOnce(dir, name string, build func(tmp string) error) (string, error) {
	final := filepath.Join(dir, name)
	if _, err := os.Lstat(final); err == nil {
		return final, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("runtime: %w", err)
	}
	tmp, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return "", fmt.Errorf("runtime: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", fmt.Errorf("runtime: %w", err)
	}
	if err := build(tmp); err != nil {
		return "", fmt.Errorf("runtime: make %s: %w", name, err)
	}
	if err := os.Rename(tmp, final); err != nil && !errors.Is(err, fs.ErrExist) && !isDirectory(final) {
		return "", fmt.Errorf("runtime: %w", err)
	}
	return final, nil
}

// writeFile writes a file with exactly mode, whatever the umask.
func writeFile(name string, content []byte, mode fs.FileMode) error {
	if err := os.WriteFile(name, content, mode); err != nil {
		return err
	}
	return os.Chmod(name, mode)
}

func isDirectory(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}
