package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Tree is the parsed source of one Go module.
type Tree struct {
	// Module is the module's path, as go.mod names it.
	Module string
	// Files are all of its Go files, tests and generated ones included, in path order.
	Files []*File

	fset *token.FileSet
}

// File is one Go source file.
type File struct {
	// Path is relative to the module's root, with slashes.
	Path string
	// Dir is the directory of Path: "." for the root, "services/logs" for a room in a wing.
	Dir       string
	AST       *ast.File
	Lines     int
	Test      bool
	Generated bool

	// allows maps a line to the rules that a comment lifts there.
	allows map[int][]*allow
}

// allow is one house:allow comment.
type allow struct {
	rule, reason string
	line         int
	used         bool
}

// Parse reads every Go file of the module at the root of fsys. It leaves out what the go command leaves out:
// testdata, vendor, names that start with "." or "_", and directories that are modules of their own.
func Parse(fsys fs.FS) (*Tree, error) {
	gomod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, fmt.Errorf("archtest: the root of the module: %w", err)
	}
	tree := &Tree{Module: moduleOf(string(gomod)), fset: token.NewFileSet()}
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && skipped(fsys, name, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" || strings.HasPrefix(entry.Name(), ".") || strings.HasPrefix(entry.Name(), "_") {
			return nil
		}
		return tree.add(fsys, name)
	})
	if err != nil {
		return nil, fmt.Errorf("archtest: reading the source: %w", err)
	}
	return tree, nil
}

// Program says whether the file belongs to a command: package main and all below cmd may speak to their
// terminal and their environment, because a person started them.
func (f *File) Program() bool {
	return f.AST.Name.Name == "main" || strings.HasPrefix(f.Path, "cmd/")
}

func (t *Tree) add(fsys fs.FS, name string) error {
	source, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(t.fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	file := &File{
		Path:      name,
		Dir:       path.Dir(name),
		AST:       parsed,
		Lines:     t.fset.File(parsed.FileStart).LineCount(),
		Test:      strings.HasSuffix(name, "_test.go"),
		Generated: ast.IsGenerated(parsed),
		allows:    map[int][]*allow{},
	}
	for _, group := range parsed.Comments {
		for _, comment := range group.List {
			if text, ok := strings.CutPrefix(comment.Text, "//house:allow"); ok {
				file.allow(t.fset.Position(comment.Pos()).Line, text)
			}
		}
	}
	t.Files = append(t.Files, file)
	return nil
}

// allow notes a comment for its own line and for the next.
func (f *File) allow(line int, text string) {
	rule, reason, _ := strings.Cut(strings.TrimSpace(text), " ")
	a := &allow{rule: rule, reason: strings.TrimSpace(reason), line: line}
	f.allows[line] = append(f.allows[line], a)
	f.allows[line+1] = append(f.allows[line+1], a)
}

// allowed says whether a comment lifts the rule at the line, and remembers that it was needed.
func (f *File) allowed(rule string, line int) bool {
	for _, a := range f.allows[line] {
		if a.rule == rule && a.reason != "" {
			a.used = true
			return true
		}
	}
	return false
}

// line is where a node starts.
func (t *Tree) line(node ast.Node) int { return t.fset.Position(node.Pos()).Line }

// packages groups the files by directory, in path order.
func (t *Tree) packages() [][]*File {
	byDir := map[string][]*File{}
	for _, file := range t.Files {
		byDir[file.Dir] = append(byDir[file.Dir], file)
	}
	var groups [][]*File
	for _, files := range byDir {
		groups = append(groups, files)
	}
	slices.SortFunc(groups, func(a, b []*File) int { return strings.Compare(a[0].Dir, b[0].Dir) })
	return groups
}

func moduleOf(gomod string) string {
	for line := range strings.Lines(gomod) {
		if rest, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func skipped(fsys fs.FS, name, base string) bool {
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := fs.Stat(fsys, path.Join(name, "go.mod"))
	return err == nil
}
