package runtime

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hotaru/runtime/sdk"
)

//go:embed bootstrap
var bootstraps embed.FS

// compileScript compiles Python bootstraps ahead and prints them as JSON: arguments are the names of the sources, what
// comes before them in the names that they will have inside, and, last, where the sources are. No start then has to
// check dates or parse. The main file goes beside itself, because Python never caches the file it is started with.
const compileScript = `import base64, importlib.util, json, marshal, sys
names, shown, where = sys.argv[1].split(","), sys.argv[2], sys.argv[3]
made = {}
for name in names:
    with open(where + "/" + name, "rb") as source:
        text = source.read()
    code = compile(text, shown + "/" + name, "exec", dont_inherit=True)
    unchecked = (1).to_bytes(4, "little") + importlib.util.source_hash(text)
    target = name + "c" if name == "` + pythonMain + `.py" else importlib.util.cache_from_source(name)
    made[target] = base64.b64encode(importlib.util.MAGIC_NUMBER + unchecked + marshal.dumps(code)).decode()
sys.stdout.write(json.dumps(made))
`

// compiler runs an interpreter and returns what it prints. It appends to args where the interpreter sees the directory
// files.
type compiler func(ctx context.Context, program string, args []string, files string) ([]byte, error)

// onHost is the compiler for interpreters of the host.
func onHost(ctx context.Context, program string, args []string, files string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(args, files)...)
	cmd.Env = []string{"LC_ALL=C.UTF-8"}
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, failure.Bytes())
	}
	return out, nil
}

// installBootstrap writes the bootstrap of an interpreter under dir, once, and returns its directory, with an SDK in it
// unless given is nil. inside is where the directory will be seen: it is in the names that stack traces show.
func installBootstrap(ctx context.Context, dir string, in *Interpreter, given *sdk.Installed, inside string, compile compiler) (string, error) {
	files, err := bootstrapFiles(in.Language)
	if err != nil {
		return "", err
	}
	names := slices.Sorted(maps.Keys(files))
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s\n%s\n", in.Path, in.Version, inside)
	for _, name := range names {
		fmt.Fprintf(sum, "%s %x\n", name, sha256.Sum256(files[name]))
	}
	name := fmt.Sprintf("%s-%s-%s", in.Language, in.Version, hex.EncodeToString(sum.Sum(nil))[:16])
	if given != nil {
		name += withSDK + given.Digest
	}
	return buildOnce(dir, name, func(tmp string) error {
		for name, content := range files {
			if err := writeFile(filepath.Join(tmp, name), content, 0o644); err != nil {
				return err
			}
		}
		if err := compileBootstrap(ctx, in, tmp, files, inside, compile); err != nil {
			return err
		}
		if given == nil {
			return nil
		}
		return given.ShowIn(tmp)
	})
}

// bootstrapFiles are a language's bootstrap as it is installed.
func bootstrapFiles(language Language) (map[string][]byte, error) {
	source := path.Join("bootstrap", string(language))
	entries, err := bootstraps.ReadDir(source)
	if err != nil {
		return nil, fmt.Errorf("runtime: no bootstrap for %s: %w", language, err)
	}
	files := map[string][]byte{}
	for _, entry := range entries {
		if files[entry.Name()], err = bootstraps.ReadFile(path.Join(source, entry.Name())); err != nil {
			return nil, fmt.Errorf("runtime: read bootstrap: %w", err)
		}
	}
	if language == NodeJS {
		if err := nodeFiles(files); err != nil {
			return nil, fmt.Errorf("runtime: %w", err)
		}
	}
	return files, nil
}

// compileBootstrap adds to a bootstrap's files in dir what its interpreter makes of them.
func compileBootstrap(ctx context.Context, in *Interpreter, dir string, files map[string][]byte, inside string, compile compiler) error {
	if in.Language == Python {
		return compilePython(ctx, in, dir, slices.Sorted(maps.Keys(files)), inside, compile)
	}
	made, err := compileNode(ctx, in, files[nodeProgram], dir, inside, compile)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, nodeCompiled), made, 0o644)
}

func compilePython(ctx context.Context, in *Interpreter, dir string, names []string, inside string, compile compiler) error {
	out, err := compile(ctx, in.Path, []string{"-I", "-S", "-c", compileScript, strings.Join(names, ","), inside}, dir)
	made := map[string][]byte{}
	if err == nil {
		err = json.Unmarshal(out, &made)
	}
	if err == nil && len(made) != len(names) {
		err = fmt.Errorf("%d files became %d", len(names), len(made))
	}
	if err != nil {
		return fmt.Errorf("compile the bootstrap with %s: %w", in.Path, err)
	}
	cache := filepath.Join(dir, "__pycache__")
	if err := os.Mkdir(cache, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(cache, 0o755); err != nil { // whatever the umask
		return err
	}
	for name, content := range made {
		base := strings.TrimPrefix(name, "__pycache__/")
		if strings.ContainsAny(base, "/\\") || !strings.HasSuffix(base, ".pyc") {
			return fmt.Errorf("compile the bootstrap with %s: it makes %.100q", in.Path, name)
		}
		if err := writeFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
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
