package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Interpreter is one interpreter that is installed on this machine.
type Interpreter struct {
	Language Language `json:"language"`
	// Version is its full version: "3.11.7".
	Version string `json:"version"`
	// Path is the program itself, no link or script.
	Path string `json:"path"`
	// Prefix is the directory of its installation: Path and its library are under it.
	Prefix string `json:"prefix"`
}

// probeTimeout is long: the first start of an interpreter reads it from a disk.
const probeTimeout = 20 * time.Second

const pythonProbe = `import json, os, sys
sys.stdout.write(json.dumps({"version": "%d.%d.%d" % sys.version_info[:3], "path": os.path.realpath(sys.executable), "prefix": os.path.realpath(sys.base_prefix)}))`

const nodeProbe = `process.stdout.write(JSON.stringify({version: process.versions.node, path: require("fs").realpathSync(process.execPath), prefix: ""}))`

// prober asks programs what they are, and remembers the answers in a file for as long as the programs do not
// change.
type prober struct {
	file string // empty: nothing is kept

	mu     sync.Mutex // guards known
	known  map[string]*Interpreter
	loaded bool
}

// probe returns the interpreter that program is; nil if it is none.
func (p *prober) probe(ctx context.Context, language Language, program string) (*Interpreter, error) {
	key, err := identity(language, program)
	if err != nil {
		return nil, nil // gone since it was listed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.load()
	if in, ok := p.known[key]; ok {
		return in, nil
	}
	in := run(ctx, language, program)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	p.known[key] = in // nil too: it will be none next time
	return in, p.save()
}

// identity is a key that changes when the program does.
func identity(language Language, program string) (string, error) {
	info, err := os.Stat(program)
	if err != nil {
		return "", err
	}
	var inode uint64
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = stat.Ino
	}
	return fmt.Sprintf("%s %s %d %d %d", language, program, info.ModTime().UnixNano(), info.Size(), inode), nil
}

// run starts a program with an empty environment and asks it.
func run(ctx context.Context, language Language, program string) *Interpreter {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, probeArgs(language)...)
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil || out.Len() > 64*1024 {
		return nil
	}
	return parseProbe(language, out.Bytes())
}

// probeArgs have an interpreter of a language say what it is.
func probeArgs(language Language) []string {
	if language == NodeJS {
		return []string{"-e", nodeProbe}
	}
	return []string{"-I", "-S", "-c", pythonProbe}
}

// parseProbe reads what an interpreter says of itself; nil if it is none.
func parseProbe(language Language, out []byte) *Interpreter {
	in := &Interpreter{Language: language}
	if json.Unmarshal(out, in) != nil || in.Version == "" || !filepath.IsAbs(in.Path) {
		return nil
	}
	in.Language = language
	if in.Prefix == "" {
		in.Prefix = filepath.Dir(filepath.Dir(in.Path))
	}
	if !strings.HasPrefix(in.Path, strings.TrimSuffix(in.Prefix, "/")+"/") {
		return nil // a program apart from its library: no bind would hold both
	}
	return in
}

func (p *prober) load() {
	if p.loaded {
		return
	}
	p.loaded = true
	p.known = map[string]*Interpreter{}
	if p.file == "" {
		return
	}
	if content, err := os.ReadFile(p.file); err == nil {
		// A damaged file costs a new look, nothing else.
		if json.Unmarshal(content, &p.known) != nil || p.known == nil {
			p.known = map[string]*Interpreter{}
		}
	}
}

func (p *prober) save() error {
	if p.file == "" {
		return nil
	}
	content, err := json.MarshalIndent(p.known, "", "  ")
	if err != nil {
		return fmt.Errorf("runtime: %w", err)
	}
	tmp := p.file + ".new"
	if err := os.MkdirAll(filepath.Dir(p.file), 0o755); err != nil {
		return fmt.Errorf("runtime: keep what interpreters are here: %w", err)
	}
	if err := os.WriteFile(tmp, content, 0o600); err != nil {
		return fmt.Errorf("runtime: keep what interpreters are here: %w", err)
	}
	if err := os.Rename(tmp, p.file); err != nil {
		return fmt.Errorf("runtime: keep what interpreters are here: %w", err)
	}
	return nil
}
