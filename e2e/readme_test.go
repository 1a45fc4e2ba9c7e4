package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hotaru/internal/client"
	"hotaru/internal/sample"
)

// TestReadme runs what the README tells a new user to type, to the letter. Only sudo is one of the test's own, which
// the test need not ask for anything.
func TestReadme(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("isolation takes root")
	}
	require(t, "zip", "aws")
	root, err := client.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := shellBlocks(string(text), "## A minute to the first answer")
	if len(blocks) != 2 {
		t.Fatalf("%d shell blocks: %q", len(blocks), blocks)
	}
	// The first is how the test's own server came up, but for where it listens and what it has of runtimes.
	if got, want := commands(blocks[0]), []string{"make build", "sudo bin/hotaru serve"}; !slices.Equal(got, want) {
		t.Errorf("the first block starts a server by %q, the test knows %q", got, want)
	}
	w := start(t, "--runtimes=nearest")
	w.write("sudo", "#!/bin/sh\nexec \"$@\"\n")
	if err := os.Chmod(filepath.Join(w.dir, "sudo"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "bin"), filepath.Join(w.dir, "bin")); err != nil {
		t.Fatal(err)
	}
	w.env = []string{
		"PATH=" + w.dir + ":" + os.Getenv("PATH"), "HOME=" + w.dir, "AWS_PAGER=", "HOTARU_DATA_DIR=" + w.DataDir,
	}
	w.wantLast(blocks[1], `{"greeting": "Hello, firefly"}`)
}

// TestFunctionPages runs what the pages about layers, versions, concurrency, policies and extensions of functions tell to type.
func TestFunctionPages(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("isolation takes root")
	}
	require(t, "zip", "aws")
	text := page(t, "layers.md")
	w := start(t, "--runtimes=nearest")
	w.write("trust.json", trust)
	w.aws("", "iam", "create-role", "--role-name", "fn", "--assume-role-policy-document", "file://trust.json")
	use, permit := shellBlocks(text, "## Publish a layer and use it"), shellBlocks(text, "## Who may use a layer")
	if len(use) != 1 || len(permit) != 1 {
		t.Fatalf("%d and %d shell blocks", len(use), len(permit))
	}
	w.wantLast(use[0], `"Hello from a layer, firefly"`)
	if said := w.shell(permit[0]); !strings.Contains(said, "layer:greetings:1") {
		t.Errorf("the policy: %s", said)
	}
	w.aws("No policy is associated with the given resource.", "lambda", "get-layer-version-policy",
		"--layer-name", "greetings", "--version-number", "1")

	pack, err := sample.Zip(map[string]string{"app.py": sample.Python})
	if err != nil {
		t.Fatal(err)
	}
	f := sample.Function{Name: "hello", Runtime: w.python(), Handler: "app.handler", Zip: pack}
	if err := w.CreateFunction(t.Context(), "arn:aws:iam::000000000000:role/fn", f, 128); err != nil {
		t.Fatal(err)
	}
	for _, section := range []struct{ page, heading, shows string }{
		{"versions.md", "# Versions and aliases", `"Version": "1"`},
		{"versions.md", "## Aliases", `"FunctionVersion": "2"`},
		{"concurrency.md", "## Reserve executions for a function", `"ReservedConcurrentExecutions": 50`},
		{"iam.md", "## Policies of functions", `user/alice`},
		{"logs.md", "## Format and levels", `"ApplicationLogLevel": "WARN"`},
		{"tenants.md", "# Tenants", `Hello, blue`},
		{"extensions.md", "## Add an extension to a function", `watcher: {"eventType":"INVOKE"`},
	} {
		blocks := shellBlocks(page(t, section.page), section.heading)
		script := strings.ReplaceAll(strings.Join(blocks, ""), "my-function", "hello")
		if said := w.shell(script); len(blocks) == 0 || !strings.Contains(said, section.shows) {
			t.Errorf("%s, %s: nothing with %s in\n%s", section.page, section.heading, section.shows, said)
		}
	}
	t.Run("streaming", func(t *testing.T) {
		require(t, "node", "curl")
		if err := exec.CommandContext(t.Context(), "curl", "--aws-sigv4", "x", "--version").Run(); err != nil {
			t.Skip("this curl signs nothing")
		}
		w.wantInOrder(strings.Join(shellBlocks(page(t, "streaming.md"), "## Stream from Node.js"), ""), "first ", "last", "InvokeComplete")
	})
}

// wantInOrder wants a script to print words, one after the other.
func (w *world) wantInOrder(script string, words ...string) {
	w.t.Helper()
	said := w.shell(script)
	rest := said
	for _, word := range words {
		_, after, found := strings.Cut(rest, word)
		if !found {
			w.t.Errorf("no %q in its place in\n%s", word, said)
			return
		}
		rest = after
	}
}

// shell runs a script and returns what it prints.
func (w *world) shell(script string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = w.dir, w.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		w.t.Fatalf("%v\n%s\n%s", err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// wantLast wants a script to end with a line.
func (w *world) wantLast(script, want string) {
	w.t.Helper()
	if said := w.shell(script); !strings.HasSuffix(said, want) {
		w.t.Errorf("the last line is not %s:\n%s", want, said)
	}
}

// shellBlocks are the indented blocks of the section under a heading.
func shellBlocks(text, heading string) []string {
	_, section, _ := strings.Cut(text, heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var blocks []string
	inside := false
	for line := range strings.Lines(section) {
		code, indented := strings.CutPrefix(line, "    ")
		switch {
		case indented && inside:
			blocks[len(blocks)-1] += code
		case indented:
			blocks = append(blocks, code)
		case inside && line == "\n":
			blocks[len(blocks)-1] += line
			continue
		}
		inside = indented
	}
	return blocks
}

// commands are the lines of a block without comments.
func commands(block string) []string {
	var list []string
	for line := range strings.Lines(block) {
		line, _, _ = strings.Cut(line, " #")
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, line)
		}
	}
	return list
}
