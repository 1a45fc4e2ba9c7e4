package runtime

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Search says where to look for interpreters. What is earlier wins.
type Search struct {
	// Path are directories of programs, as in $PATH. Beside a directory of shims (pyenv's, asdf's) the
	// installations that it stands for are looked at instead.
	Path []string
	// Homes are home directories, in which pyenv, uv, asdf, mise, nvm and Volta keep their installations.
	Homes []string
	// Globs are patterns of directories of programs. nil means DefaultGlobs.
	Globs []string
}

// DefaultGlobs are where packages put interpreters.
var DefaultGlobs = []string{"/usr/local/bin", "/usr/bin", "/opt/*/bin", "/usr/lib/nodejs/*/bin", "/usr/local/lib/nodejs/*/bin"}

// homeGlobs are where version managers put them, below a home directory.
var homeGlobs = map[Language][]string{
	Python: {".pyenv/versions/*/bin", ".local/share/uv/python/*/bin", ".asdf/installs/python/*/bin",
		".local/share/mise/installs/python/*/bin", ".local/bin"},
	NodeJS: {".nvm/versions/node/*/bin", ".asdf/installs/nodejs/*/bin", ".local/share/mise/installs/node/*/bin",
		".volta/tools/image/node/*/bin", ".local/bin"},
}

// shimGlobs are where the installations of a directory of shims are, seen from it.
var shimGlobs = map[Language][]string{
	Python: {"../versions/*/bin", "../installs/python/*/bin"},
	NodeJS: {"../installs/nodejs/*/bin", "../installs/node/*/bin"},
}

// directories lists the directories to look at for a language, in order, each once.
func (s Search) directories(language Language) []string {
	var dirs []string
	add := func(pattern string) {
		found, _ := filepath.Glob(pattern) // fails only on a bad pattern
		slices.SortFunc(found, func(a, b string) int { return strings.Compare(b, a) })
		for _, dir := range found {
			if !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	for _, dir := range s.Path {
		if !filepath.IsAbs(dir) {
			continue
		}
		if filepath.Base(dir) != "shims" {
			add(globEscape(dir))
			continue
		}
		for _, pattern := range shimGlobs[language] {
			add(filepath.Join(globEscape(dir), pattern))
		}
	}
	for _, home := range s.Homes {
		for _, pattern := range homeGlobs[language] {
			add(filepath.Join(globEscape(home), pattern))
		}
	}
	globs := s.Globs
	if globs == nil {
		globs = DefaultGlobs
	}
	for _, pattern := range globs {
		add(pattern)
	}
	return dirs
}

// globEscape makes a pattern of a name that is meant literally.
func globEscape(name string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(name)
}

// programs are the names an interpreter of a version may have, the surest first.
func programs(language Language, version string) []string {
	if language == NodeJS {
		return []string{"node", "nodejs"}
	}
	if version == "" {
		return []string{"python3", "python"}
	}
	return []string{"python" + version, "python3", "python"}
}

// find returns the installed interpreter of a language that accept takes first.
func (c *Catalog) find(ctx context.Context, language Language, names []string, accept func(*Interpreter) bool) (*Interpreter, error) {
	seen := map[string]bool{}
	for _, name := range names {
		for _, dir := range c.Search.directories(language) {
			program, err := filepath.EvalSymlinks(filepath.Join(dir, name))
			if err != nil || seen[program] || !executable(program) || isShim(program) {
				continue
			}
			seen[program] = true
			in, err := c.prober.probe(ctx, language, program)
			if err != nil {
				return nil, err
			}
			if in != nil && c.boundable(in.Prefix) && accept(in) {
				return in, nil
			}
		}
	}
	return nil, nil
}

// boundable says whether an interpreter's prefix may be shown to a function: never one that holds more than
// an installation.
func (c *Catalog) boundable(prefix string) bool {
	if prefix == "/usr" || strings.HasPrefix(prefix, "/usr/") {
		return true
	}
	if strings.Count(prefix, "/") < 2 || slices.Contains([]string{"/etc", "/var", "/proc", "/sys", "/dev"}, filepath.Dir(prefix)) {
		return false
	}
	for _, home := range c.Search.Homes {
		if home == prefix || strings.HasPrefix(home, prefix+"/") || prefix == filepath.Join(home, ".local") {
			return false
		}
	}
	return filepath.Dir(prefix) != "/home" && prefix != c.StateDir && !strings.HasPrefix(c.StateDir, prefix+"/")
}

func executable(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// isShim says whether a program is a version manager's script, which does not work without an environment.
func isShim(name string) bool {
	if filepath.Base(filepath.Dir(name)) != "shims" {
		return false
	}
	file, err := os.Open(name)
	if err != nil {
		return false
	}
	defer file.Close()
	var magic [2]byte
	n, _ := file.Read(magic[:])
	return bytes.Equal(magic[:n], []byte("#!"))
}
