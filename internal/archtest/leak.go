package archtest

import (
	"go/ast"
	"strconv"
	"strings"
)

// leakRule wants a goroutine check wherever goroutines start. Suites (storetest, sandboxtest) start theirs in the tests
// of those who run them, which are bound.
func leakRule() Rule {
	return Rule{
		Name: "leak",
		Why: "Every goroutine has an owner and ends. A package that starts one proves it with go.uber.org/goleak in its tests " +
			"(goleak.VerifyTestMain, or VerifyNone in each).",
		check: checkLeaks,
	}
}

func checkLeaks(r *report, tree *Tree) {
	for _, files := range tree.packages() {
		var starts *File
		var statement ast.Node
		proven := false
		for _, file := range files {
			if file.Test {
				proven = proven || importsGoleak(file)
				continue
			}
			if file.Program() || starts != nil || strings.HasSuffix(file.Dir, "test") {
				continue
			}
			ast.Inspect(file.AST, func(node ast.Node) bool {
				if _, ok := node.(*ast.GoStmt); ok && starts == nil {
					starts, statement = file, node
				}
				return starts == nil
			})
		}
		if starts != nil && !proven {
			r.at(starts, statement, "%s starts goroutines and no test of it uses goleak", starts.Dir)
		}
	}
}

func importsGoleak(file *File) bool {
	for _, spec := range file.AST.Imports {
		if target, err := strconv.Unquote(spec.Path.Value); err == nil && target == "go.uber.org/goleak" {
			return true
		}
	}
	return false
}
