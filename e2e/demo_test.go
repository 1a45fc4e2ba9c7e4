package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"hotaru/internal/client"
)

// TestDemo runs the demonstration: three languages answer, each cold and then warm.
func TestDemo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("isolation takes root")
	}
	root, err := client.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "./demo")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sections := strings.Split(string(out), "\n== ")[1:]
	if len(sections) != 3 {
		t.Fatalf("%d functions:\n%s", len(sections), out)
	}
	for i, language := range []string{"Python", "Node.js", "Go"} {
		starts := regexp.MustCompile(`(?m)^(cold|warm) start, answered in [0-9.]+ ms: \{"greeting": ?"Hello from `+
			regexp.QuoteMeta(language)+`, firefly"\}$`).FindAllStringSubmatch(sections[i], -1)
		if len(starts) != 2 || starts[0][1] != "cold" || starts[1][1] != "warm" {
			t.Errorf("%s answered %v:\n%s", language, starts, sections[i])
		}
		// The log tails say so, too: only the first start had to initialise.
		if strings.Count(sections[i], "greeting firefly\n") != 2 || strings.Count(sections[i], "Init Duration: ") != 1 {
			t.Errorf("%s logged:\n%s", language, sections[i])
		}
	}
}
