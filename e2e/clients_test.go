package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/internal/client"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/clients.json again from what the SDK for Go sees")

// walker is a client that walks the scenario.
type walker struct {
	name string
	// needs are files and commands without which it cannot run.
	needs []string
	run   func(context.Context, *errand) ([]seen, error)
	// narrow reduces the golden list to what this client shows at all; nil: it shows everything.
	narrow func([]seen) []seen
}

// walkers are all clients, the one that writes the golden file first.
func walkers(root string) []walker {
	tools, here := filepath.Join(root, ".tools", "clients"), filepath.Join(root, "e2e", "clients")
	boto3, v3, v2 := filepath.Join(tools, "boto3"), filepath.Join(tools, "js-v3"), filepath.Join(tools, "js-v2")
	java := filepath.Join(tools, "java")
	return []walker{
		{name: "go", run: runGoSDK},
		{name: "boto3", needs: []string{filepath.Join(boto3, "done")},
			run: program(nil, filepath.Join(boto3, "bin", "python"), filepath.Join(here, "boto3", "scenario.py"))},
		{name: "js-v3", needs: []string{"node", filepath.Join(v3, "done")},
			run: program([]string{"NODE_PATH=" + filepath.Join(v3, "node_modules")}, "node", filepath.Join(here, "js-v3", "scenario.js"))},
		{name: "js-v2", needs: []string{"node", filepath.Join(v2, "done")},
			run: program([]string{"NODE_PATH=" + filepath.Join(v2, "node_modules")}, "node", filepath.Join(here, "js-v2", "scenario.js"))},
		{name: "java", needs: []string{"java", filepath.Join(java, "done")},
			run: program(nil, "java", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(java, "classes")+":"+filepath.Join(java, "lib", "*"), "Scenario")},
		{name: "aws-cli", needs: []string{"aws"}, run: runCLI, narrow: narrowToCLI},
	}
}

// TestClients sends every client through one scenario, each on a server of its own. All see the same.
func TestClients(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("isolation takes root")
	}
	root, err := client.Root()
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "clients.json")
	all := walkers(root)
	if *rewrite {
		text, err := render(all[0].walk(t))
		if err == nil {
			err = os.WriteFile(golden, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range all {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			require(t, w.needs...)
			var want []seen
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			if w.narrow != nil {
				want = w.narrow(want)
			}
			for _, got := range w.walk(t) {
				i := slices.IndexFunc(want, func(s seen) bool { return s.Step == got.Step })
				if i < 0 {
					t.Fatalf("the golden file has no step %q: run with -rewrite", got.Step)
				}
				if diff := cmp.Diff(want[i], got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", got.Step, diff)
				}
			}
		})
	}
}

// require skips a test that this machine cannot run, for want of a command or a file. CI must be able to run them all.
func require(t *testing.T, needs ...string) {
	t.Helper()
	for _, need := range needs {
		_, err := exec.LookPath(need)
		if filepath.IsAbs(need) {
			_, err = os.Stat(need)
		}
		switch {
		case err == nil:
		case os.Getenv("CI") == "true":
			t.Fatalf("%s is missing: run make deps", need)
		default:
			t.Skipf("%s is missing: run make deps", need)
		}
	}
}

// walk runs the client against a new server and returns what it saw, made plain.
func (w walker) walk(t *testing.T) []seen {
	t.Helper()
	e := newErrand(t, start(t), w.name)
	began := time.Now()
	list, err := w.run(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d steps in %v", len(list), time.Since(began).Round(time.Millisecond))
	if len(list) != len(e.Steps) {
		t.Fatalf("saw %d steps of %d", len(list), len(e.Steps))
	}
	return (&plainer{errand: e, t: t, began: began}).all(list)
}

// program makes a client of a program that reads an errand from the file it is given and prints what it saw.
func program(env []string, name string, args ...string) func(context.Context, *errand) ([]seen, error) {
	return func(ctx context.Context, e *errand) ([]seen, error) {
		dir, err := os.MkdirTemp("", "hotaru-e2e-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		text, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		file := filepath.Join(dir, "errand.json")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, name, append(args, file)...)
		// Nothing of this machine's configuration for AWS.
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "AWS_EC2_METADATA_DISABLED=true"}, env...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("%w\n%s", err, stderr.String())
		}
		var list []seen
		decoder := json.NewDecoder(&stdout)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&list); err != nil {
			return nil, errors.Join(err, errors.New(stderr.String()))
		}
		return list, nil
	}
}
