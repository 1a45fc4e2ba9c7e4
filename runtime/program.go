package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"hotaru/sandbox"
)

// TaskRoot is where an environment has its function's code, and LayerRoot its layers.
const (
	TaskRoot  = "/var/task"
	LayerRoot = "/opt"
)

// Where Lambda has other things.
const (
	runtimeDir = "/var/runtime"
	langDir    = "/var/lang"
)

const pythonMain = "bootstrap"

// Program is how to start a runtime.
type Program struct {
	// Root is what the program must see. It is empty for a program that runs on the host's own files.
	Root sandbox.Root
	Path string
	Args []string
	// Env is what Lambda sets for every function of the runtime and what its interpreter needs to start,
	// NAME=value. The function's own variables and its identity come after it.
	Env []string
	Dir string
	// Frames says that the program talks frames over descriptor 3; otherwise it uses the HTTP Runtime API.
	Frames bool
	// Copies says that the program can be a template (sandbox.Templater): it is ours, on files of the host's.
	Copies bool
	// Description is what INIT_START calls the runtime: "python:3.11.v7".
	Description string
	// VersionID is the last part of the runtime version's ARN: it changes with the interpreter and bootstrap.
	VersionID string

	// library is where the interpreter's own shared libraries are; empty if the linker looks there anyway.
	library string
}

// Environ returns the whole environment of the process: Env with own, the function's variables and identity,
// in place of what both have. Each name is there once, because programs differ in which of two they take. A
// function's own LD_LIBRARY_PATH keeps its order and still leads to the interpreter's libraries at its end.
func (p Program) Environ(own []string) []string {
	last := make(map[string]int, len(p.Env)+len(own))
	all := slices.Concat(p.Env, own)
	for i, entry := range all {
		name, _, _ := strings.Cut(entry, "=")
		last[name] = i
	}
	env := make([]string, 0, len(last))
	for i, entry := range all {
		name, value, _ := strings.Cut(entry, "=")
		if last[name] != i {
			continue
		}
		if name == "LD_LIBRARY_PATH" && i >= len(p.Env) && p.library != "" {
			entry = name + "=" + strings.TrimPrefix(value+":"+p.library, ":")
		}
		env = append(env, entry)
	}
	return env
}

// Options are what a program may depend on.
type Options struct {
	// MemoryMB is the function's memory: an interpreter's heap limit is fixed at its start. 0 means none.
	MemoryMB int
	// TaskRoot and LayerRoot are directories of the host, for a driver without mounts of its own. Empty
	// means inside a sandbox: /var/task and /opt.
	TaskRoot, LayerRoot string
}

// Program returns how to start the runtime.
func (r *Runtime) Program(opt Options) Program {
	host := opt.TaskRoot != ""
	at := places{task: TaskRoot, layers: LayerRoot, runtime: runtimeDir, bootstrap: runtimeDir, prefix: langDir}
	if r.Interpreter != nil && (host || r.base != nil || r.Interpreter.inUsr()) {
		at.prefix = r.Interpreter.Prefix
	}
	switch {
	case host:
		at.task, at.layers, at.runtime, at.bootstrap = opt.TaskRoot, opt.LayerRoot, r.bootstrap, r.bootstrap
	case r.base != nil:
		at.bootstrap = baseBootstrap
	}
	p := Program{Dir: at.task, Env: r.environment(at, host), Description: r.description(), VersionID: r.VersionID()}
	if !host {
		p.Root = r.root()
	}
	if r.Interpreter == nil {
		// Which file it is depends on the function's code: see Entrypoint.
		p.Path = filepath.Join(at.task, "bootstrap")
		p.Args = []string{p.Path}
		return p
	}
	p.Frames = true
	if at.prefix != "/usr" {
		p.library = at.prefix + "/lib"
	}
	p.Path = at.prefix + strings.TrimPrefix(r.Interpreter.Path, r.Interpreter.Prefix)
	switch r.Language {
	case Python:
		// -S: the bootstrap does of site what is needed, without looking through every installed package.
		// -B: code is read-only, or the host's own.
		p.Args = []string{p.Path, "-S", "-B", filepath.Join(at.bootstrap, pythonMain+".pyc")}
		p.Copies = r.base == nil && !host
	case NodeJS:
		p.Args = append([]string{p.Path}, heapLimits(opt.MemoryMB)...)
		p.Args = append(p.Args, filepath.Join(at.bootstrap, nodeMain))
	}
	return p
}

// Wrap returns the program as AWS_LAMBDA_EXEC_WRAPPER wants it: started by the wrapper, which gets the
// original command as its arguments. A wrapper that is not there makes the runtime exit with status 127, as
// on Lambda (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html#runtime-wrapper).
func (p Program) Wrap(wrapper string) Program {
	p.Args = append([]string{"/bin/sh", "-c", `exec "$0" "$@"`, wrapper, p.Path}, p.Args[1:]...)
	p.Path, p.Copies = "/bin/sh", false
	return p
}

// places are where a program sees things.
type places struct{ task, layers, runtime, bootstrap, prefix string }

// heapLimits leave an interpreter's heap a little less than the function's memory, so that it collects its
// garbage before the kernel kills it.
func heapLimits(memoryMB int) []string {
	if memoryMB <= 0 {
		return nil
	}
	return []string{fmt.Sprintf("--max-old-space-size=%d", memoryMB*9/10)}
}

// environment is what Lambda sets for every function of the runtime
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime).
func (r *Runtime) environment(at places, host bool) []string {
	path := "/usr/local/bin:/usr/bin:/bin:" + at.layers + "/bin"
	libraries := []string{"/lib64", "/usr/lib64", at.runtime, at.runtime + "/lib", at.task, at.task + "/lib", at.layers + "/lib"}
	if at.prefix != "/usr" {
		path = at.prefix + "/bin:" + path
		libraries = append([]string{at.prefix + "/lib"}, libraries...)
	}
	if r.base == nil && !host && at.prefix != langDir {
		libraries = append([]string{langDir + "/lib"}, libraries...) // see languageLibraries
	}
	env := []string{
		"LANG=" + r.locale(),
		"TZ=:UTC",
		"PATH=" + path,
		"LD_LIBRARY_PATH=" + strings.Join(libraries, ":"),
		"LAMBDA_TASK_ROOT=" + at.task,
		"LAMBDA_RUNTIME_DIR=" + at.runtime,
	}
	trusting := len(r.catalog.CA) > 0 && !host
	if host {
		env = append(env, "HOTARU_LAYER_ROOT="+at.layers)
	}
	if trusting {
		// For an OpenSSL that was built to look elsewhere.
		env = append(env, "SSL_CERT_FILE=/"+bundle)
	}
	switch r.Language {
	case Python:
		env = append(env, "AWS_EXECUTION_ENV=AWS_Lambda_"+r.ID, "PYTHONPATH="+at.runtime)
		if trusting {
			// botocore and requests bring authorities of their own. Other languages do without AWS_CA_BUNDLE: Go's
			// SDKs refuse to start with it where a function gives them an HTTP client of its own.
			env = append(env, "AWS_CA_BUNDLE=/"+bundle, "REQUESTS_CA_BUNDLE=/"+bundle)
		}
	case NodeJS:
		modules := []string{
			at.layers + "/nodejs/node" + r.Version + "/node_modules", at.layers + "/nodejs/node_modules",
			at.runtime + "/node_modules", at.runtime, at.task,
		}
		env = append(env, "AWS_EXECUTION_ENV=AWS_Lambda_"+r.ID, "NODE_PATH="+strings.Join(modules, ":"))
		if trusting && compareVersions(r.Interpreter.Version, "24") >= 0 {
			env = append(env, "NODE_EXTRA_CA_CERTS=/"+anchor) // older ones: see trust.js of the bootstrap
		}
	}
	if r.base != nil {
		env = r.base.imageEnv(env)
	}
	return env
}

func (r *Runtime) description() string {
	if r.Interpreter == nil {
		return r.ID
	}
	short, patch := r.Interpreter.Version, "0"
	if i := strings.LastIndexByte(short, '.'); i >= 0 && r.Language == Python {
		short, patch = short[:i], short[i+1:]
	} else if major, rest, ok := strings.Cut(short, "."); ok {
		short, patch = major, rest
	}
	return fmt.Sprintf("%s:%s.v%s", r.Language, short, patch)
}

// VersionID is the last part of the runtime version's ARN: it changes with the interpreter and the bootstrap.
func (r *Runtime) VersionID() string {
	root := filepath.Base(r.skeleton)
	if r.base != nil {
		root = r.base.Key
	}
	sum := sha256.Sum256([]byte(r.ID + "\n" + filepath.Base(r.bootstrap) + "\n" + root))
	return hex.EncodeToString(sum[:])
}
