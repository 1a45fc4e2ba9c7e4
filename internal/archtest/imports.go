package archtest

import (
	"slices"
	"strconv"
	"strings"
)

// wing is a group of rooms that may import the same.
type wing int

const (
	unknown wing = iota
	floor
	control
	execution
	service
	front
	whole
	program
	leaf
)

// wings says where each top-level directory belongs. services/<name> and internal/<name> are rooms each.
func wings() map[string]wing {
	return map[string]wing{
		"awsapi": floor, "store": floor, "credential": floor, "policy": floor, "pki": floor,
		"function": control, "control": control, "invoke": control, "async": control,
		"destination": control, "eventsource": control,
		"environment": execution, "pool": execution, "runtimeapi": execution, "runtime": execution,
		"sandbox": execution, "code": execution, "names": execution,
		"services": service, "gateway": front, "console": front, "authorization": front, "metrics": front,
		"daemon": whole,
		"cmd":    program, "bench": program, "demo": program, "e2e": program,
		"internal": leaf,
	}
}

// place is where a package stands in the house.
type place struct {
	wing wing
	// room is the top-level directory, or services/<name>, internal/<name>, sandbox/<driver>.
	room string
	dir  string
}

func placeOf(dir string) place {
	parts := strings.Split(dir, "/")
	p := place{wing: wings()[parts[0]], room: parts[0], dir: dir}
	nested := parts[0] == "services" || parts[0] == "internal" || parts[0] == "sandbox" || parts[0] == "cmd"
	if nested && len(parts) > 1 {
		p.room = parts[0] + "/" + parts[1]
	}
	return p
}

// edge is one import of a package of ours by another.
type edge struct {
	from, to place
	// program: the importing file is a command.
	program bool
}

// importRules are the walls. They bind what ships: a test may import more, as far as Go lets it.
func importRules() []Rule {
	wall := func(name, why string, broken func(edge) bool) Rule {
		return Rule{Name: name, Why: why, check: func(r *report, tree *Tree) { r.walk(tree, broken) }}
	}
	return []Rule{
		{
			Name: "room",
			Why: "Every room has a wing, so that the walls hold for it. Add a new one to wings in " +
				"internal/archtest/imports.go and to ARCHITECTURE.md, or move the code into the room it belongs to.",
			check: checkRooms,
		},
		wall("floor", "The floor (awsapi, store, credential, internal libraries) carries every wing, so it must not know any. "+
			"Take what you need as an argument or a small interface declared where it is used.",
			func(e edge) bool {
				low := e.from.wing == floor || e.from.wing == leaf && !e.program
				return low && e.to.wing != floor && e.to.wing != leaf
			}),
		wall("nouns", "function is nouns without I/O that every wing may use; it imports nothing of ours, so that nothing "+
			"it says depends on how something is stored or sent.",
			func(e edge) bool { return e.from.room == "function" && e.to.room != "function" }),
		wall("service", "A service can be replaced by any server that speaks the same wire, so it knows the floor and itself "+
			"alone. Services meet over the wire or over a small interface declared by the consumer and wired in daemon.",
			func(e edge) bool {
				return e.from.wing == service && e.to.room != e.from.room && e.to.wing != floor && e.to.wing != leaf
			}),
		wall("console", "The console is an ordinary client of the public API, so that it can do nothing that a script cannot.",
			func(e edge) bool {
				return e.from.room == "console" && e.to.room != "console" && e.to.wing != floor && e.to.wing != leaf
			}),
		wall("gateway", "The gateway reaches user code through invoke and services through http.Handler, both wired in daemon.",
			func(e edge) bool {
				return e.from.room == "gateway" && (e.to.wing == execution || e.to.wing == service)
			}),
		wall("control", "Every road to user code goes through invoke: no other room of the control wing may hold an "+
			"environment, and none may reach into a service.",
			func(e edge) bool {
				runs := slices.Contains([]string{"pool", "environment", "runtimeapi"}, e.to.room) ||
					strings.HasPrefix(e.to.dir, "sandbox")
				return e.from.wing == control &&
					(e.to.wing == service || e.to.wing == front || runs && e.from.room != "invoke")
			}),
		wall("execution", "The execution wing runs what it is given. It may use function's nouns, but decisions (who may "+
			"invoke, what is retried) stay in the control wing, which calls it and is never called back by import.",
			func(e edge) bool {
				up := e.to.wing == control && e.to.room != "function"
				return e.from.wing == execution && (up || e.to.wing == service || e.to.wing == front)
			}),
		wall("driver", "A sandbox driver is interchangeable: it imports the contract in sandbox and its own subpackages alone; "+
			"oci is built on namespace (docs/adr). The contract imports nothing of ours.",
			func(e edge) bool {
				if !strings.HasPrefix(e.from.dir, "sandbox") || e.from.room == "sandbox/oci" && e.to.room == "sandbox/namespace" {
					return false
				}
				return e.to.dir != "sandbox" && (e.to.room != e.from.room || e.from.room == "sandbox")
			}),
		wall("daemon", "daemon wires the rooms together and cmd starts it; a room that imports either could reach everything. "+
			"Only commands and tests may.",
			func(e edge) bool {
				return e.to.dir != e.from.dir && (e.to.room == "daemon" || strings.HasPrefix(e.to.dir, "cmd")) &&
					e.from.room != e.to.room && !e.program
			}),
	}
}

// checkRooms wants a wing for every directory that holds a package.
func checkRooms(r *report, tree *Tree) {
	for _, files := range tree.packages() {
		if placeOf(files[0].Dir).wing == unknown {
			r.whole(files[0].Dir, "this directory belongs to no wing")
		}
	}
}

// walk reports every import of ours, outside of tests, that breaks a wall.
func (r *report) walk(tree *Tree, broken func(edge) bool) {
	for _, file := range tree.Files {
		if file.Test {
			continue
		}
		for _, spec := range file.AST.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue
			}
			dir, ours := strings.CutPrefix(target, tree.Module+"/")
			if !ours {
				continue
			}
			if broken(edge{placeOf(file.Dir), placeOf(dir), file.Program()}) {
				r.at(file, spec, "%s imports %s", file.Dir, dir)
			}
		}
	}
}
