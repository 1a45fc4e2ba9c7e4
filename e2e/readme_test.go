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
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", blocks[1])
	cmd.Dir = w.dir
	cmd.Env = []string{
		"PATH=" + w.dir + ":" + os.Getenv("PATH"), "HOME=" + w.dir, "AWS_PAGER=", "HOTARU_DATA_DIR=" + w.DataDir,
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, stdout.String(), stderr.String())
	}
	if want := `{"greeting": "Hello, firefly"}`; !strings.HasSuffix(stdout.String(), want) {
		t.Errorf("the last line is not %s:\n%s", want, stdout.String())
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
