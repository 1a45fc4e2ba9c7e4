package archtest

import (
	"errors"
	"go/ast"
	"go/token"
	"go/types"
)

// stateRule forbids package variables that change.
func stateRule() Rule {
	return Rule{
		Name: "global",
		Why: "A package variable that changes is shared by every Hotaru in the process, tests included, and nobody owns it. " +
			"Make it a field of something that a constructor returns. Tables, patterns and error values may stay.",
		check: checkGlobals,
	}
}

func checkGlobals(r *report, tree *Tree) {
	for _, files := range tree.packages() {
		var shipped []*File
		for _, file := range files {
			if !file.Test {
				shipped = append(shipped, file)
			}
		}
		uses := resolve(tree, shipped)
		for _, file := range shipped {
			ast.Inspect(file.AST, func(node ast.Node) bool {
				for _, target := range written(node) {
					if name := root(target); name != nil && isGlobal(uses[name]) {
						r.at(file, node, "%s is a package variable and is written here", name.Name)
					}
				}
				return true
			})
		}
	}
}

// resolve binds names to declarations within one package. Imports are not read, so expressions that need them
// stay untyped; a package variable is found all the same.
func resolve(tree *Tree, files []*File) map[*ast.Ident]types.Object {
	parsed := make([]*ast.File, 0, len(files))
	for _, file := range files {
		parsed = append(parsed, file.AST)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: nothing{}, Error: func(error) {}, FakeImportC: true}
	if len(parsed) > 0 {
		// The error is that imports are missing, which is intended.
		_, _ = config.Check(files[0].Dir, tree.fset, parsed, info)
	}
	return info.Uses
}

type nothing struct{}

func (nothing) Import(string) (*types.Package, error) {
	return nil, errors.New("archtest reads no imports")
}

// written are the expressions that a statement assigns to or takes the address of for a later write.
func written(node ast.Node) []ast.Expr {
	switch n := node.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			return []ast.Expr{n.Key, n.Value}
		}
	case *ast.CallExpr:
		// A lock, a sync.Once or an atomic at package level is state by its nature.
		if selector, ok := n.Fun.(*ast.SelectorExpr); ok {
			switch selector.Sel.Name {
			case "Lock", "RLock", "TryLock", "Do", "Store", "Add", "Swap", "CompareAndSwap", "LoadOrStore":
				return []ast.Expr{selector.X}
			}
		}
	}
	return nil
}

// root is the variable at the bottom of x, x.f, x[i], *x and (x).
func root(expr ast.Expr) *ast.Ident {
	for {
		switch e := expr.(type) {
		case *ast.Ident:
			return e
		case *ast.SelectorExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.StarExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		default:
			return nil
		}
	}
}

func isGlobal(object types.Object) bool {
	variable, ok := object.(*types.Var)
	return ok && variable.Pkg() != nil && variable.Parent() == variable.Pkg().Scope()
}
