package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"hotaru/internal/client"
	"hotaru/internal/sample"
)

// page is a page of docs/.
func page(t *testing.T, name string) string {
	t.Helper()
	root, err := client.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPages does what docs/logs.md, docs/tracing.md and docs/metrics.md say, in a world where their functions are there.
func TestPages(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("isolation takes root")
	}
	require(t, "aws")
	root, err := client.Root()
	if err != nil {
		t.Fatal(err)
	}
	metrics := freeAddress(t)
	w := start(t, "--metrics", metrics)
	w.env = append(w.env, "HOTARU_DATA_DIR="+w.DataDir, "PATH="+filepath.Join(root, "bin")+":"+os.Getenv("PATH"))
	role, err := w.Role(t.Context(), "fn")
	if err != nil {
		t.Fatal(err)
	}
	pack, err := sample.Zip(map[string]string{"app.py": "def handler(event, context):\n    print('ERROR', event)\n"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"my-function", "on-error"} {
		f := sample.Function{Name: name, Runtime: w.python(), Handler: "app.handler", Zip: pack}
		if err := w.CreateFunction(t.Context(), role, f, 128); err != nil {
			t.Fatal(err)
		}
	}
	w.printError("first")
	t.Run("logs", w.logsPage)
	t.Run("tracing", w.tracingPage)
	t.Run("metrics", func(t *testing.T) { w.metricsPage(t, metrics) })
}

// freeAddress is an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.Replace(free.Addr().String(), "127.0.0.1", "localhost", 1)
}

// printError has my-function print ERROR and a word.
func (w *world) printError(word string) {
	w.t.Helper()
	_, err := w.Lambda.Invoke(w.t.Context(), &lambda.InvokeInput{FunctionName: aws.String("my-function"), Payload: []byte(`"` + word + `"`)})
	if err != nil {
		w.t.Fatal(err)
	}
}

// follow runs a command that does not end by itself until it has printed every word, with between after the first.
func (w *world) follow(t *testing.T, script string, between func(), words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", "exec "+script)
	cmd.Dir, cmd.Env = w.dir, append(slices.Clone(w.env), "PYTHONUNBUFFERED=1") // the AWS CLI keeps back what goes into a pipe
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for i, word := range words {
		found := false
		for !found && lines.Scan() {
			found = strings.Contains(lines.Text(), word)
		}
		if !found {
			t.Errorf("%s: nothing with %q\n%s", script, word, stderr.String())
			break
		}
		if i == 0 {
			between()
		}
	}
	cancel()
	_ = cmd.Wait() // the interrupt is its end
}

// logsPage uses the AWS CLI of version 2 where the page says that it takes that.
func (w *world) logsPage(t *testing.T) {
	text := page(t, "logs.md")
	reading := commands(shellBlocks(text, "# Logs")[0])
	if len(reading) != 4 {
		t.Fatalf("%q", reading)
	}
	for i, command := range reading {
		word := fmt.Sprint("again", i)
		again := func() { w.printError(word) }
		switch {
		case strings.Contains(command, "aws logs tail"):
			tail := w.cli2()
			if tail == "" {
				t.Log("there is no AWS CLI of version 2, so aws logs tail was not tried: run make deps")
				continue
			}
			// Before 2.13 it does not know AWS_ENDPOINT_URL.
			w.follow(t, strings.Replace(command, "aws", tail+" --endpoint-url "+w.Endpoint.URL, 1), again, "ERROR first", "ERROR "+word)
		case strings.Contains(command, " -f "):
			w.follow(t, command, again, "ERROR first", "ERROR "+word)
		default:
			// What is printed can be read some 50 ms later.
			out := w.shell(command)
			for deadline := time.Now().Add(20 * time.Second); !strings.Contains(out, "ERROR first") && time.Now().Before(deadline); {
				out = w.shell(command)
			}
			if !strings.Contains(out, "ERROR first") {
				t.Errorf("%s: %s", command, out)
			}
		}
	}
	filters := shellBlocks(text, "## Subscription filters")
	if out := w.shell(filters[0]); !strings.Contains(out, `"filterPattern": "ERROR"`) {
		t.Errorf("%s: %s", filters[0], out)
	}
}

// cli2 is an AWS CLI of version 2; empty where there is none.
func (w *world) cli2() string {
	w.t.Helper()
	root, err := client.Root()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, command := range []string{filepath.Join(root, ".tools", "awscli2", "aws"), "aws"} {
		version, err := exec.CommandContext(w.t.Context(), command, "--version").Output()
		if err == nil && strings.HasPrefix(string(version), "aws-cli/2") {
			return command
		}
	}
	return ""
}

func (w *world) tracingPage(t *testing.T) {
	blocks := shellBlocks(page(t, "tracing.md"), "# Tracing")
	shape := regexp.MustCompile(`XRAY TraceId: 1-[0-9a-f]{8}-[0-9a-f]{24}\tSegmentId: [0-9a-f]{16}\tSampled: true`)
	if len(blocks) != 2 || !shape.MatchString(blocks[1]) {
		t.Fatalf("%q", blocks)
	}
	if out := w.shell(blocks[0]); !shape.MatchString(out) {
		t.Errorf("%s", out)
	}
}

// metricsPage: the metrics that the page names are there, and no others of ours.
func (w *world) metricsPage(t *testing.T, address string) {
	text := page(t, "metrics.md")
	lines := commands(shellBlocks(text, "# Metrics")[0])
	if len(lines) != 2 || lines[0] != "sudo hotaru serve --metrics localhost:9464" {
		t.Fatalf("%q", lines)
	}
	out := w.shell(strings.Replace(lines[1], "localhost:9464", address, 1))
	ours := regexp.MustCompile(`\b(aws_lambda|hotaru)_[a-z_]+`)
	named, there := map[string]bool{}, map[string]bool{}
	for _, name := range ours.FindAllString(text, -1) {
		named[strings.TrimSuffix(name, "_bucket")] = true
	}
	for _, name := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(out, -1) {
		if ours.MatchString(name[1]) {
			there[name[1]] = true
		}
	}
	if got, want := slices.Sorted(maps.Keys(there)), slices.Sorted(maps.Keys(named)); !slices.Equal(got, want) {
		t.Errorf("there are\n%s\nthe page names\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
