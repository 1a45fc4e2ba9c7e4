package archtest

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// house is a small module in txtar's spirit: path to source.
type house map[string]string

func parse(t *testing.T, h house) *Tree {
	t.Helper()
	fsys := fstest.MapFS{"go.mod": {Data: []byte("module example\n\ngo 1.26\n")}}
	for name, source := range h {
		fsys[name] = &fstest.MapFile{Data: []byte(source)}
	}
	tree, err := Parse(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func rule(t *testing.T, name string) Rule {
	t.Helper()
	for _, r := range Rules() {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("no rule is named %q", name)
	return Rule{}
}

// imports is the source of a package whose only content is one import.
func imports(name, target string) string {
	return "package " + name + "\n\nimport \"" + target + "\"\n"
}

// Each case is a house and what the rule must say of it; nothing means that it is a good one.
type ruleCase struct {
	rule string
	name string
	in   house
	want []string
}

func run(t *testing.T, cases []ruleCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.rule+"/"+c.name, func(t *testing.T) {
			var got []string
			for _, violation := range rule(t, c.rule).Check(parse(t, c.in)) {
				got = append(got, violation.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestImportRules(t *testing.T) {
	run(t, []ruleCase{
		{"room", "unknown", house{"util/x.go": "package util\n"}, []string{"util: this directory belongs to no wing"}},
		{"room", "known", house{"store/pebble/x.go": "package pebble\n", "services/logs/x.go": "package logs\n"}, nil},

		{"floor", "store reaches up", house{"store/x.go": imports("store", "example/function")},
			[]string{"store/x.go:3: store imports function"}},
		{"floor", "library reaches up", house{"internal/atomicfile/x.go": imports("atomicfile", "example/services/logs")},
			[]string{"internal/atomicfile/x.go:3: internal/atomicfile imports services/logs"}},
		{"floor", "command may", house{"internal/compatdoc/x.go": imports("main", "example/control")}, nil},
		{"floor", "floor and library", house{"store/pebble/x.go": imports("pebble", "example/internal/atomicfile"),
			"awsapi/lambda/x.go": imports("lambda", "example/awsapi")}, nil},
		{"floor", "test may", house{"store/x_test.go": imports("store_test", "example/daemon")}, nil},

		{"nouns", "floor", house{"function/x.go": imports("function", "example/awsapi")},
			[]string{"function/x.go:3: function imports awsapi"}},
		{"nouns", "standard library", house{"function/x.go": imports("function", "strings")}, nil},

		{"service", "neighbour", house{"services/sqs/x.go": imports("sqs", "example/services/sns")},
			[]string{"services/sqs/x.go:3: services/sqs imports services/sns"}},
		{"service", "control", house{"services/sqs/x.go": imports("sqs", "example/function")},
			[]string{"services/sqs/x.go:3: services/sqs imports function"}},
		{"service", "execution", house{"services/sqs/api/x.go": imports("api", "example/runtimeapi")},
			[]string{"services/sqs/api/x.go:3: services/sqs/api imports runtimeapi"}},
		{"service", "floor and itself", house{"services/sqs/x.go": imports("sqs", "example/store"),
			"services/sqs/api/x.go": imports("api", "example/services/sqs")}, nil},

		{"console", "control", house{"console/x.go": imports("console", "example/control")},
			[]string{"console/x.go:3: console imports control"}},
		{"console", "floor", house{"console/x.go": imports("console", "example/awsapi")}, nil},

		{"gateway", "pool", house{"gateway/x.go": imports("gateway", "example/pool")},
			[]string{"gateway/x.go:3: gateway imports pool"}},
		{"gateway", "invoke", house{"gateway/x.go": imports("gateway", "example/invoke")}, nil},

		{"control", "round invoke", house{"async/x.go": imports("async", "example/pool")},
			[]string{"async/x.go:3: async imports pool"}},
		{"control", "a driver", house{"control/x.go": imports("control", "example/sandbox/namespace")},
			[]string{"control/x.go:3: control imports sandbox/namespace"}},
		{"control", "a service", house{"destination/x.go": imports("destination", "example/services/sqs")},
			[]string{"destination/x.go:3: destination imports services/sqs"}},
		{"control", "the road", house{"invoke/x.go": imports("invoke", "example/pool"),
			"control/x.go": imports("control", "example/code"), "async/x.go": imports("async", "example/invoke")}, nil},

		{"execution", "upwards", house{"pool/x.go": imports("pool", "example/invoke")},
			[]string{"pool/x.go:3: pool imports invoke"}},
		{"execution", "a service", house{"environment/x.go": imports("environment", "example/services/logs")},
			[]string{"environment/x.go:3: environment imports services/logs"}},
		{"execution", "nouns and its own", house{"pool/x.go": imports("pool", "example/function"),
			"environment/x.go": imports("environment", "example/sandbox")}, nil},

		{"driver", "another driver", house{"sandbox/process/x.go": imports("process", "example/sandbox/namespace"),
			"sandbox/namespace/x.go": imports("namespace", "example/sandbox/oci")},
			[]string{"sandbox/namespace/x.go:3: sandbox/namespace imports sandbox/oci", "sandbox/process/x.go:3: sandbox/process imports sandbox/namespace"}},
		{"driver", "what oci is built on", house{"sandbox/oci/x.go": imports("oci", "example/sandbox/namespace")}, nil},
		{"driver", "the floor", house{"sandbox/oci/x.go": imports("oci", "example/store")},
			[]string{"sandbox/oci/x.go:3: sandbox/oci imports store"}},
		{"driver", "the contract looks down", house{"sandbox/x.go": imports("sandbox", "example/sandbox/oci")},
			[]string{"sandbox/x.go:3: sandbox imports sandbox/oci"}},
		{"driver", "contract and own parts", house{"sandbox/oci/x.go": imports("oci", "example/sandbox"),
			"sandbox/namespace/x.go": imports("namespace", "example/sandbox/namespace/seccomp")}, nil},

		{"daemon", "a room", house{"control/x.go": imports("control", "example/daemon")},
			[]string{"control/x.go:3: control imports daemon"}},
		{"daemon", "cmd from daemon", house{"daemon/x.go": imports("daemon", "example/cmd/hotaru")},
			[]string{"daemon/x.go:3: daemon imports cmd/hotaru"}},
		{"daemon", "commands", house{"cmd/hotaru/x.go": imports("main", "example/daemon"),
			"bench/x.go": imports("main", "example/daemon"), "e2e/x_test.go": imports("e2e", "example/daemon")}, nil},
	})
}

func TestCallRules(t *testing.T) {
	body := func(pkg, imported, expr string) string {
		return "package " + pkg + "\n\nimport \"" + imported + "\"\n\nvar x = " + expr + "\n"
	}
	run(t, []ruleCase{
		{"env", "a room reads it", house{"pool/x.go": body("pool", "os", `os.Getenv("X")`)}, []string{"pool/x.go:5: os.Getenv"}},
		{"env", "renamed import", house{"pool/x.go": "package pool\n\nimport sys \"os\"\n\nvar x = sys.Args\n"},
			[]string{"pool/x.go:5: os.Args"}},
		{"env", "flags", house{"pool/x.go": body("pool", "flag", `flag.Bool("x", false, "")`)}, []string{"pool/x.go:5: flag.Bool"}},
		{"env", "command, test, other os", house{"cmd/hotaru/x.go": body("main", "os", "os.Args"),
			"pool/x_test.go": body("pool", "os", `os.Getenv("X")`), "pool/x.go": body("pool", "os", "os.Getpid()")}, nil},

		{"terminal", "print", house{"pool/x.go": "package pool\n\nimport \"fmt\"\n\nfunc f() { fmt.Println() }\n"},
			[]string{"pool/x.go:5: fmt.Println"}},
		{"terminal", "log", house{"pool/x.go": body("pool", "log", "log.Default()")}, []string{"pool/x.go:5: log.Default"}},
		{"terminal", "a logger of its own", house{"pool/x.go": body("pool", "log", "log.New(nil, \"\", 0)")}, nil},
		{"terminal", "global slog", house{"pool/x.go": body("pool", "log/slog", "slog.Default()")},
			[]string{"pool/x.go:5: slog.Default"}},
		{"terminal", "own logger", house{"pool/x.go": body("pool", "log/slog", "slog.New(nil)"),
			"bench/x.go": body("main", "os", "os.Stdout")}, nil},

		{"exit", "a room", house{"pool/x.go": "package pool\n\nimport \"os\"\n\nfunc f() { os.Exit(1) }\n"},
			[]string{"pool/x.go:5: os.Exit"}},
		{"exit", "a command", house{"cmd/hotaru/x.go": "package main\n\nimport \"os\"\n\nfunc main() { os.Exit(1) }\n"}, nil},

		{"globalhttp", "default client", house{"cmd/hotaru/x.go": body("main", "net/http", "http.DefaultClient")},
			[]string{"cmd/hotaru/x.go:5: http.DefaultClient"}},
		{"globalhttp", "own client", house{"pool/x.go": body("pool", "net/http", "http.Client{}")}, nil},

		{"sleep", "a test", house{"pool/x_test.go": "package pool\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n"},
			[]string{"pool/x_test.go:5: time.Sleep"}},
		{"sleep", "lifted with a reason", house{"pool/x_test.go": "package pool\n\nimport \"time\"\n\nfunc f() {\n" +
			"\t//house:allow sleep the point is to outlive the kernel's timer\n\ttime.Sleep(1)\n}\n"}, nil},

		{"import", "testify", house{"pool/x_test.go": imports("pool", "github.com/stretchr/testify/require")},
			[]string{"pool/x_test.go:3: import of github.com/stretchr/testify/require"}},
		{"import", "blank", house{"cmd/hotaru/x.go": "package main\n\nimport _ \"net/http/pprof\"\n"},
			[]string{"cmd/hotaru/x.go:3: blank import of net/http/pprof"}},
		{"import", "old rand", house{"pool/x.go": imports("pool", "math/rand")}, []string{"pool/x.go:3: import of math/rand"}},
		{"import", "embed", house{"pool/x.go": "package pool\n\nimport _ \"embed\"\n", "pool/y.go": imports("pool", "math/rand/v2")}, nil},

		{"panic", "silent", house{"pool/x.go": "package pool\n\n// f is fine.\n\nfunc f() { panic(1) }\n"},
			[]string{"pool/x.go:5: panic that no comment explains"}},
		{"panic", "explained", house{"pool/x.go": "package pool\n\nfunc f() {\n\tpanic(1) // it cannot happen\n}\n"}, nil},
		{"panic", "net/http's own", house{"pool/x.go": "package pool\n\nfunc f() { panic(http.ErrAbortHandler) }\n"}, nil},
		{"panic", "documented", house{"pool/x.go": "package pool\n\n// f panics if it is called.\nfunc f() { panic(1) }\n"}, nil},
	})
}

func TestShapeRules(t *testing.T) {
	long := "package pool\n" + strings.Repeat("\n", 500)
	function := func(lines int) string {
		return "package pool\n\nfunc f() {" + strings.Repeat("\n", lines-1) + "}\n"
	}
	generated := "// Code generated by hand. DO NOT EDIT.\n\n"
	run(t, []ruleCase{
		{"filelength", "501 lines", house{"pool/x.go": long}, []string{"pool/x.go: 501 lines, 500 at most"}},
		{"filelength", "generated or test", house{"pool/x.go": generated + long, "pool/x_test.go": long}, nil},
		{"funclength", "81 lines", house{"pool/x.go": function(81)}, []string{"pool/x.go:3: func f has 81 lines, 80 at most"}},
		{"funclength", "80 lines", house{"pool/x.go": function(80), "pool/y.go": generated + function(81)}, nil},
		{"init", "init", house{"pool/x.go": "package pool\n\nfunc init() {}\n"}, []string{"pool/x.go:3: func init"}},
		{"init", "method", house{"pool/x.go": "package pool\n\nfunc (t T) init() {}\n"}, nil},

		{"comment", "none", house{"pool/x.go": "package pool\n"}, []string{"pool: no package comment"}},
		{"comment", "one sentence", house{"pool/x.go": "// Package pool pools.\npackage pool\n"},
			[]string{"pool: a room's comment has two sentences at least"}},
		{"comment", "two files", house{"pool/x.go": "// Package pool pools. It knows nothing.\npackage pool\n",
			"pool/y.go": "// Package pool pools. It knows nothing.\npackage pool\n"}, []string{"pool: 2 files have a package comment"}},
		{"comment", "wrong start", house{"pool/x.go": "// This pools. It knows nothing.\npackage pool\n"},
			[]string{"pool/x.go: the comment does not start with \"Package pool\""}},
		{"comment", "good", house{"pool/x.go": "// Package pool pools. It knows nothing.\npackage pool\n",
			"pool/warm/x.go": "// Package warm warms.\npackage warm\n", "e2e/x_test.go": "package e2e\n"}, nil},
	})
}

func TestStateRules(t *testing.T) {
	run(t, []ruleCase{
		{"global", "assigned", house{"pool/x.go": "package pool\n\nvar n int\n", "pool/y.go": "package pool\n\nfunc f() { n++ }\n"},
			[]string{"pool/y.go:3: n is a package variable and is written here"}},
		{"global", "table filled", house{"pool/x.go": "package pool\n\nvar m = map[int]int{}\n\nfunc f() { m[1] = 2 }\n"},
			[]string{"pool/x.go:5: m is a package variable and is written here"}},
		{"global", "lock", house{"pool/x.go": "package pool\n\nimport \"sync\"\n\nvar mu sync.Mutex\n\nfunc f() { mu.Lock() }\n"},
			[]string{"pool/x.go:7: mu is a package variable and is written here"}},
		{"global", "shadowed and read", house{"pool/x.go": "package pool\n\nvar n = 1\n\nfunc f() int { k := n; n := k; n++; return n }\n"}, nil},

		{"leak", "unproven", house{"pool/x.go": "package pool\n\nfunc f() { go f() }\n", "pool/x_test.go": "package pool\n"},
			[]string{"pool/x.go:3: pool starts goroutines and no test of it uses goleak"}},
		{"leak", "a suite", house{"store/storetest/x.go": "package storetest\n\nfunc f() { go f() }\n"}, nil},
		{"leak", "proven", house{"pool/x.go": "package pool\n\nfunc f() { go f() }\n",
			"pool/x_test.go": imports("pool", "go.uber.org/goleak")}, nil},

		{"allow", "unknown rule", house{"pool/x.go": "package pool\n\n//house:allow everything because\n"},
			[]string{"pool/x.go:3: house:allow names no rule: \"everything\""}},
		{"allow", "no reason", house{"pool/x.go": "package pool\n\n//house:allow init\nfunc init() {}\n"},
			[]string{"pool/x.go:3: house:allow init gives no reason"}},
		{"allow", "stale", house{"pool/x.go": "package pool\n\n//house:allow init it was needed once\nfunc f() {}\n"},
			[]string{"pool/x.go:3: house:allow init lifts nothing here"}},
		{"allow", "needed", house{"pool/x.go": "package pool\n\n//house:allow init the linker wants it\nfunc init() {}\n"}, nil},
	})
}

// TestEveryRuleCanFail keeps the tables honest: a rule without a bad house would be a rule that nobody tested.
func TestEveryRuleCanFail(t *testing.T) {
	bad := house{
		"util/x.go":          "package util\n",
		"store/x.go":         imports("store", "example/function"),
		"function/x.go":      imports("function", "example/awsapi"),
		"services/sqs/x.go":  imports("sqs", "example/pool"),
		"console/x.go":       imports("console", "example/control"),
		"gateway/x.go":       imports("gateway", "example/pool"),
		"control/x.go":       imports("control", "example/daemon"),
		"async/x.go":         imports("async", "example/pool"),
		"pool/x.go":          imports("pool", "example/invoke"),
		"sandbox/oci/x.go":   imports("oci", "example/store"),
		"environment/x.go":   "package environment\n\nimport \"os\"\n\nvar n int\n\nfunc init() { n++; os.Getenv(\"\"); os.Exit(1); panic(os.Stdin) }\n",
		"code/x.go":          "package code\n\nimport \"net/http\"\n\nvar x = http.DefaultClient\n\nfunc f() { go f() }\n",
		"code/x_test.go":     "package code\n\nimport _ \"time\"\nimport \"time\"\n\nfunc g() { time.Sleep(1) }\n",
		"runtime/x.go":       "package runtime\n\nfunc f() {" + strings.Repeat("\n", 600) + "}\n",
		"eventsource/x.go":   "package eventsource\n\n//house:allow init\n",
		"_ignored/x.go":      "not Go at all",
		"pool/testdata/x.go": "not Go at all",
		"demo/fn/go.mod":     "module fn\n",
		"demo/fn/x.go":       "not Go at all",
	}
	tree := parse(t, bad)
	for _, r := range Rules() {
		if len(r.Check(tree)) == 0 {
			t.Errorf("rule %s finds nothing wrong in a house that breaks every rule", r.Name)
		}
		if r.Why == "" {
			t.Errorf("rule %s gives no reason", r.Name)
		}
	}
}
