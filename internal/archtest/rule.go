package archtest

import (
	"fmt"
	"go/ast"
)

// Rule is one law of the house.
type Rule struct {
	// Name is what a house:allow comment calls it.
	Name string
	// Why is the reason, and what to do instead. Every violation shows it.
	Why   string
	check func(*report, *Tree)
}

// Violation is one place that breaks a rule.
type Violation struct {
	Path string
	// Line is 0 where the whole file or package is meant.
	Line int
	What string
}

func (v Violation) String() string {
	if v.Line == 0 {
		return v.Path + ": " + v.What
	}
	return fmt.Sprintf("%s:%d: %s", v.Path, v.Line, v.What)
}

// Check returns what breaks the rule, in the order of the files.
func (r Rule) Check(tree *Tree) []Violation {
	rep := &report{rule: r.Name, tree: tree}
	r.check(rep, tree)
	return rep.violations
}

// Rules are all laws, the check of the house:allow comments last: it needs to know which the others used.
func Rules() []Rule {
	rules := append(importRules(), callRules()...)
	rules = append(rules, shapeRules()...)
	rules = append(rules, stateRule(), leakRule())
	return append(rules, allowRule(rules))
}

// report collects one rule's violations and leaves out those that a comment lifts.
type report struct {
	rule       string
	tree       *Tree
	violations []Violation
}

func (r *report) at(file *File, node ast.Node, format string, args ...any) {
	line := r.tree.line(node)
	if !file.allowed(r.rule, line) {
		r.violations = append(r.violations, Violation{file.Path, line, fmt.Sprintf(format, args...)})
	}
}

func (r *report) whole(name string, format string, args ...any) {
	r.violations = append(r.violations, Violation{Path: name, What: fmt.Sprintf(format, args...)})
}

// allowRule runs every other rule first, because "used" is what they leave behind.
func allowRule(others []Rule) Rule {
	return Rule{
		Name: "allow",
		Why:  "A lifted rule needs a reason that a reader can judge, and must go when the code that needed it goes.",
		check: func(r *report, tree *Tree) {
			known := map[string]bool{}
			for _, rule := range others {
				known[rule.Name] = true
				rule.Check(tree)
			}
			for _, file := range tree.Files {
				for line, allows := range file.allows {
					for _, a := range allows {
						if a.line == line {
							r.judge(file, a, known[a.rule])
						}
					}
				}
			}
		},
	}
}

func (r *report) judge(file *File, a *allow, known bool) {
	var what string
	switch {
	case !known:
		what = fmt.Sprintf("house:allow names no rule: %q", a.rule)
	case a.reason == "":
		what = "house:allow " + a.rule + " gives no reason"
	case !a.used:
		what = "house:allow " + a.rule + " lifts nothing here"
	default:
		return
	}
	r.violations = append(r.violations, Violation{file.Path, a.line, what})
}
