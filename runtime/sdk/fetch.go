package sdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The languages whose runtimes have an SDK on Lambda.
const (
	Python = "python"
	NodeJS = "nodejs"
)

// Name is what the SDK of an interpreter is called: "python3.11" of 3.11.7, "nodejs20" of 20.20.2. Python's packages are
// chosen by the minor version, and Node.js's by the major one.
func Name(language, version string) string {
	parts := strings.SplitN(version, ".", 3)
	if language == Python && len(parts) > 1 {
		return language + parts[0] + "." + parts[1]
	}
	return language + parts[0]
}

// Clients are the packages of Node.js's SDK that are installed unless somebody says which, for a version of Node.js: of the
// four hundred that Lambda has, those that most functions use. Until Node.js 16 Lambda has version 2, which is one package.
func Clients(version string) []string {
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err == nil && n < 18 {
		return []string{"aws-sdk"}
	}
	return []string{
		"apigatewaymanagementapi", "bedrock-runtime", "cloudwatch", "cloudwatch-logs", "cognito-identity-provider", "dynamodb",
		"eventbridge", "firehose", "iam", "kinesis", "kms", "lambda", "s3", "scheduler", "secrets-manager", "ses", "sesv2", "sfn",
		"sns", "sqs", "ssm", "sts", "lib-dynamodb", "lib-storage", "util-dynamodb", "s3-request-presigner", "credential-providers",
	}
}

// bareNames are the packages of @aws-sdk that are no client.
var bareNames = regexp.MustCompile(`^(client|lib|util|credential)-|^s3-request-presigner$|^cloudfront-signer$|^rds-signer$|^dsql-signer$`)

// packageName is what npm or pip may be asked for: a package, and which version.
var packageName = regexp.MustCompile(`^(@[a-z0-9][a-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*((@|==)[0-9A-Za-z^~][0-9A-Za-z.^~+-]*)?$`)

// CheckPythonPackages says what is wrong with the names of packages.
func CheckPythonPackages(packages []string) error {
	for _, name := range packages {
		if !packageName.MatchString(name) || strings.Contains(name, "@") {
			return fmt.Errorf("sdk: %q is no name of a package", name)
		}
	}
	return nil
}

// NodePackage is the package of npm's that a client's name stands for: "s3" for "@aws-sdk/client-s3@3", "lib-dynamodb" for
// "@aws-sdk/lib-dynamodb@3". A name with a scope or a version stays as it is.
func NodePackage(client string) (string, error) {
	if !packageName.MatchString(client) || strings.Contains(client, "==") {
		return "", fmt.Errorf("sdk: %q is no name of a client or package", client)
	}
	name, version, pinned := strings.Cut(strings.TrimPrefix(client, "@"), "@")
	if !pinned {
		version = "3" // the newest that runs on this Node.js
	}
	switch {
	case strings.HasPrefix(client, "@") && pinned, client == "aws-sdk":
		return client, nil
	case strings.HasPrefix(client, "@"):
		name = "@" + name
	case bareNames.MatchString(name):
		name = "@aws-sdk/" + name
	default:
		name = "@aws-sdk/client-" + name
	}
	return name + "@" + version, nil
}

// Fetcher gets packages by a language's own client, which the user has set up: registries, proxies, caches.
type Fetcher struct {
	// Program is the interpreter, absolute. Path are directories where npm is looked for after the interpreter's own.
	Program string
	Path    []string
	// Env is what the client is started with, NAME=value.
	Env []string
	// Out is told what the client says; nil is nobody.
	Out io.Writer
}

// Python returns what fills a directory with packages of pip's. Only wheels are taken, because nothing else can be installed
// without running it.
func (f Fetcher) Python(packages []string) Fill {
	return func(ctx context.Context, dir string) error {
		args := []string{"-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-compile",
			"--only-binary", ":all:", "--target", dir, "--"}
		if err := f.run(ctx, f.Program, append(args, packages...)); err != nil {
			return fmt.Errorf("sdk: pip: %w (without pip: apt-get install python3-pip, or --from)", err)
		}
		if err := os.RemoveAll(filepath.Join(dir, "bin")); err != nil {
			return fmt.Errorf("sdk: %w", err)
		}
		return f.compile(ctx, dir)
	}
}

// compile has Python read the sources of a directory ahead, because nothing that runs later may write there.
func (f Fetcher) compile(ctx context.Context, dir string) error {
	// A file that is of another version's syntax cannot be imported either: that is no error here.
	const script = `import compileall, py_compile, sys
compileall.compile_dir(sys.argv[1], quiet=2, force=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)`
	if err := f.run(ctx, f.Program, []string{"-I", "-c", script, dir}); err != nil {
		return fmt.Errorf("sdk: compile: %w", err)
	}
	return nil
}

// NodeJS returns what fills a directory with packages of npm's, as NodePackage names them. No package's own scripts are run.
func (f Fetcher) NodeJS(packages []string) Fill {
	return func(ctx context.Context, dir string) error {
		npm, err := f.npm()
		if err != nil {
			return err
		}
		// A package of its own, so that npm does not look for one further up.
		if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte("{\"private\":true}\n"), fileMode); err != nil {
			return fmt.Errorf("sdk: %w", err)
		}
		args := []string{"install", "--prefix", dir, "--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund",
			"--loglevel=error", "--"}
		if err := f.run(ctx, npm, append(args, packages...)); err != nil {
			return fmt.Errorf("sdk: npm: %w", err)
		}
		modules := filepath.Join(dir, shapes[NodeJS].below)
		return errors.Join(os.Remove(filepath.Join(dir, "package.json")), os.RemoveAll(filepath.Join(modules, ".bin")),
			os.RemoveAll(filepath.Join(modules, ".package-lock.json")))
	}
}

// npm is the one that came with the interpreter, else the first there is.
func (f Fetcher) npm() (string, error) {
	for _, dir := range append([]string{filepath.Dir(f.Program)}, f.Path...) {
		name := filepath.Join(dir, "npm")
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return name, nil
		}
	}
	return "", errors.New("sdk: there is no npm here: install it (Debian: apt-get install npm), or prepare a directory elsewhere and give it with --from")
}

// run runs a client in a directory of its own, where it finds nothing of anybody's. npm is a script that starts the node of
// its PATH, and that node's version decides which versions of packages are taken.
func (f Fetcher) run(ctx context.Context, program string, args []string) error {
	dir, err := os.MkdirTemp("", "hotaru-sdk-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = slices.Clone(f.Env)
	path := []string{filepath.Dir(f.Program)}
	for _, entry := range f.Env {
		if value, found := strings.CutPrefix(entry, "PATH="); found {
			path = append(path, value)
		}
	}
	cmd.Env = append(cmd.Env, "PATH="+strings.Join(path, string(filepath.ListSeparator)))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if f.Out != nil {
		cmd.Stdout = io.MultiWriter(&said, f.Out)
		cmd.Stderr = cmd.Stdout
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}
