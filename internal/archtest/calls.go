package archtest

import (
	"go/ast"
	"path"
	"strconv"
	"strings"
)

// ban forbids some names of one package of the standard library.
type ban struct {
	pkg string
	// names are exact, or prefixes where they end in "*".
	names []string
}

// where says which files a ban binds.
type where func(*File) bool

func inRooms(f *File) bool   { return !f.Test && !f.Program() }
func inTests(f *File) bool   { return f.Test }
func inShipped(f *File) bool { return !f.Test }

// callRules forbid what makes code depend on more than its arguments.
func callRules() []Rule {
	return []Rule{
		banned("env", inRooms, "Configuration is read once, in cmd: a room that reads the environment or the arguments cannot be "+
			"run twice in one process with different settings. Take a plain field with a documented default.",
			ban{"os", []string{"Getenv", "LookupEnv", "Environ", "Setenv", "Unsetenv", "Clearenv", "ExpandEnv", "Args"}},
			ban{"syscall", []string{"Getenv", "Environ", "Setenv"}},
			ban{"flag", []string{"*"}}),
		banned("terminal", inRooms, "A room speaks through its injected *slog.Logger or its return values; the terminal belongs to "+
			"the command that started the process.",
			ban{"fmt", []string{"Print", "Printf", "Println", "Scan*"}},
			ban{"os", []string{"Stdout", "Stderr", "Stdin"}},
			ban{"log", []string{"Print*", "Fatal*", "Panic*", "Default", "Set*", "Writer", "Output"}},
			ban{"slog", []string{"Default", "SetDefault", "Debug*", "Info*", "Warn*", "Error*", "Log", "LogAttrs", "With"}}),
		banned("exit", inRooms, "Only a command may end the process: everything else returns an error, so that its caller can clean up.",
			ban{"os", []string{"Exit"}},
			ban{"syscall", []string{"Exit"}}),
		banned("globalhttp", inShipped, "The default client has no timeout, and the default mux is shared with whoever imports it. "+
			"Make an http.Client or an http.ServeMux and pass it.",
			ban{"http", []string{"DefaultClient", "DefaultServeMux", "DefaultTransport", "Get", "Head", "Post", "PostForm",
				"Handle", "HandleFunc", "ListenAndServe*", "Serve", "ServeTLS"}}),
		banned("sleep", inTests, "A test that sleeps is slow on a fast machine and wrong on a slow one. Wait for a signal, or use "+
			"testing/synctest for time.",
			ban{"time", []string{"Sleep"}}),
		{
			Name: "import",
			Why: "Each of these has a better home: testing + go-cmp for assertions, fmt.Errorf with %w for wrapping, io and os for " +
				"ioutil, math/rand/v2 for rand. A blank import (except embed) has effects that nobody can see.",
			check: checkImports,
		},
		{
			Name: "panic",
			Why: "A panic takes the whole daemon down for one request's fault. Return an error; where a panic really marks what " +
				"cannot happen, a comment on it, or the function's doc comment, says so. http.ErrAbortHandler is fine.",
			check: checkPanics,
		},
	}
}

// banned makes a rule that forbids names.
func banned(name string, binds where, why string, bans ...ban) Rule {
	return Rule{Name: name, Why: why, check: func(r *report, tree *Tree) {
		for _, file := range tree.Files {
			if !binds(file) {
				continue
			}
			locals := localNames(file.AST)
			ast.Inspect(file.AST, func(node ast.Node) bool {
				if selector, ok := node.(*ast.SelectorExpr); ok {
					r.judgeSelector(file, selector, locals, bans)
				}
				return true
			})
		}
	}}
}

func (r *report) judgeSelector(file *File, selector *ast.SelectorExpr, locals map[string]string, bans []ban) {
	ident, ok := selector.X.(*ast.Ident)
	if !ok {
		return
	}
	for _, b := range bans {
		if path.Base(locals[ident.Name]) == b.pkg && standard(locals[ident.Name]) && b.forbids(selector.Sel.Name) {
			r.at(file, selector, "%s.%s", b.pkg, selector.Sel.Name)
		}
	}
}

func (b ban) forbids(name string) bool {
	for _, banned := range b.names {
		prefix, open := strings.CutSuffix(banned, "*")
		if name == banned || open && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// localNames maps what a file calls its imports to their paths.
func localNames(file *ast.File) map[string]string {
	names := map[string]string{}
	for _, spec := range file.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(target)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = target
	}
	return names
}

// standard says whether an import path belongs to Go's own library: the first part has no dot. The project's
// module has none either, but no package of ours is named like those that are banned.
func standard(target string) bool {
	first, _, _ := strings.Cut(target, "/")
	return target != "" && !strings.Contains(first, ".")
}

// checkImports refuses packages by name, everywhere, and blank imports.
func checkImports(r *report, tree *Tree) {
	refused := []string{"github.com/stretchr/testify", "github.com/pkg/errors", "io/ioutil"}
	for _, file := range tree.Files {
		for _, spec := range file.AST.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue
			}
			if spec.Name != nil && spec.Name.Name == "_" && target != "embed" {
				r.at(file, spec, "blank import of %s", target)
			}
			if target == "math/rand" {
				r.at(file, spec, "import of %s", target)
			}
			for _, name := range refused {
				if target == name || strings.HasPrefix(target, name+"/") {
					r.at(file, spec, "import of %s", target)
				}
			}
		}
	}
}

// checkPanics wants every panic explained: in a comment on its line or above it, or in the function's doc comment.
func checkPanics(r *report, tree *Tree) {
	for _, file := range tree.Files {
		if file.Test {
			continue
		}
		explained := commentLines(tree, file)
		for _, decl := range file.AST.Decls {
			function, ok := decl.(*ast.FuncDecl)
			if ok && strings.Contains(strings.ToLower(function.Doc.Text()), "panic") {
				continue
			}
			ast.Inspect(decl, func(node ast.Node) bool {
				call, ok := node.(*ast.CallExpr)
				if !ok {
					return true
				}
				line := tree.line(call)
				name, ok := call.Fun.(*ast.Ident)
				if ok && name.Name == "panic" && !aborts(call) && !explained[line] && !explained[line-1] {
					r.at(file, call, "panic that no comment explains")
				}
				return true
			})
		}
	}
}

// aborts says whether the panic is net/http's own way to break off an answer.
func aborts(call *ast.CallExpr) bool {
	if len(call.Args) != 1 {
		return false
	}
	selector, ok := call.Args[0].(*ast.SelectorExpr)
	return ok && selector.Sel.Name == "ErrAbortHandler"
}

// commentLines are the lines on which a comment ends.
func commentLines(tree *Tree, file *File) map[int]bool {
	lines := map[int]bool{}
	for _, group := range file.AST.Comments {
		lines[tree.fset.Position(group.End()).Line] = true
	}
	return lines
}
