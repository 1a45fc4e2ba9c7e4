package archtest

import (
	"go/ast"
	"regexp"
	"strings"
)

const (
	maxFileLines = 500
	maxFuncLines = 80
)

// shapeRules say what a file looks like.
func shapeRules() []Rule {
	return []Rule{
		{
			Name:  "filelength",
			Why:   "A file of more than 500 lines hides more than one idea. Split it by idea and name each file for its own.",
			check: checkFileLength,
		},
		{
			Name:  "funclength",
			Why:   "A function of more than 80 lines does several things. Name the steps.",
			check: checkFuncLength,
		},
		{
			Name: "init",
			Why: "init runs before anybody can pass it a logger, a context or a choice. Build the value in a constructor, or in a " +
				"function that returns it.",
			check: checkInit,
		},
		{
			Name: "comment",
			Why: "A package comment says what the package is for and, for a room, what it must not know (two sentences at least). " +
				"It stands in one file and starts with \"Package <name>\".",
			check: checkComments,
		},
	}
}

func checkFileLength(r *report, tree *Tree) {
	for _, file := range tree.Files {
		if !file.Test && !file.Generated && file.Lines > maxFileLines {
			r.whole(file.Path, "%d lines, %d at most", file.Lines, maxFileLines)
		}
	}
}

func checkFuncLength(r *report, tree *Tree) {
	for _, file := range tree.Files {
		if file.Test || file.Generated {
			continue
		}
		for _, decl := range file.AST.Decls {
			function, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := tree.fset.Position(function.End()).Line - tree.line(function) + 1
			if lines > maxFuncLines {
				r.at(file, function, "func %s has %d lines, %d at most", function.Name.Name, lines, maxFuncLines)
			}
		}
	}
}

func checkInit(r *report, tree *Tree) {
	for _, file := range tree.Files {
		for _, decl := range file.AST.Decls {
			if function, ok := decl.(*ast.FuncDecl); ok && function.Recv == nil && function.Name.Name == "init" {
				r.at(file, function, "func init")
			}
		}
	}
}

// checkComments looks at each package's non-test files together. A directory of tests alone needs none.
func checkComments(r *report, tree *Tree) {
	for _, files := range tree.packages() {
		dir := files[0].Dir
		var comments []string
		packages := 0
		for _, file := range files {
			if file.Test {
				continue
			}
			packages++
			if text := file.AST.Doc.Text(); text != "" {
				comments = append(comments, text)
				if !file.Program() && !strings.HasPrefix(text, "Package "+file.AST.Name.Name+" ") {
					r.whole(file.Path, "the comment does not start with \"Package %s\"", file.AST.Name.Name)
				}
			}
		}
		if packages == 0 {
			continue
		}
		switch {
		case len(comments) == 0:
			r.whole(dir, "no package comment")
		case len(comments) > 1:
			r.whole(dir, "%d files have a package comment", len(comments))
		case isRoom(dir) && sentences(comments[0]) < 2:
			r.whole(dir, "a room's comment has two sentences at least")
		}
	}
}

// isRoom: the directory is a room itself and not a subpackage of one.
func isRoom(dir string) bool { return placeOf(dir).room == dir }

var sentenceEnd = regexp.MustCompile(`[.!?:]["')]*(\s|$)`)

func sentences(text string) int { return len(sentenceEnd.FindAllString(text, -1)) }
