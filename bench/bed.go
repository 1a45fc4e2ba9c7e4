package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"hotaru/internal/client"
	"hotaru/internal/load"
	"hotaru/internal/sample"
)

// binary is what is measured.
const binary = "bin/hotaru"

// bed is what all measures share.
type bed struct {
	options options
	report  *Report
	// python, node and program are what hello-world functions are made of.
	python, node, program language
	dir                   string
}

// language is one way to write a function.
type language struct {
	name     string
	function sample.Function
	// bare is the command whose start is the baseline, and idle one that does the same and stays.
	bare, idle []string
	// startVariable is an environment variable that is read at the interpreter's start alone, so that no zygote
	// serves the function.
	startVariable string
	// timed is the source of a handler that says when it began and where.
	timed map[string]string
}

func newBed(ctx context.Context, o options, report *Report) (*bed, error) {
	installed, err := client.Installed(ctx, binary)
	if err != nil {
		return nil, err
	}
	python, node := installed["python"], installed["nodejs"]
	functions, err := sample.Functions(ctx, python.ID, node.ID, sample.Silent())
	if err != nil {
		return nil, err
	}
	b := &bed{options: o, report: report}
	if b.dir, err = os.MkdirTemp("", "hotaru-bench-"); err != nil {
		return nil, err
	}
	path := filepath.Join(b.dir, "bootstrap")
	if err := sample.Extract(functions[2].Zip, "bootstrap", path); err != nil {
		return nil, errors.Join(err, os.RemoveAll(b.dir))
	}
	const imports = "import json,socket,traceback"
	b.python = language{
		name: "Python", function: functions[0], startVariable: "PYTHONUNBUFFERED=1", timed: map[string]string{"app.py": timedPython},
		bare: []string{python.Interpreter, "-I", "-c", imports}, idle: []string{python.Interpreter, "-I", "-c", imports + "; input()"},
	}
	b.node = language{
		name: "Node.js", function: functions[1], startVariable: "NODE_OPTIONS=--no-deprecation", timed: map[string]string{"index.js": timedNode},
		bare: []string{node.Interpreter, "-e", "0"}, idle: []string{node.Interpreter, "-e", "setInterval(() => 0, 1e9)"},
	}
	b.program = language{name: "static Go", function: functions[2], bare: []string{path}}
	return b, nil
}

func (b *bed) close() { _ = os.RemoveAll(b.dir) }

// scene is a Hotaru for one measure.
type scene struct {
	*client.Server
	role    string
	metrics string
	scraper http.RoundTripper
}

// serve starts a Hotaru with the defaults of a user, and flags. Stop it.
func serve(ctx context.Context, flags ...string) (*scene, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	server, err := client.Launch(ctx, binary, io.Discard, append([]string{"--metrics", address}, flags...)...)
	if err != nil {
		return nil, err
	}
	role, err := server.Role(ctx, "bench")
	if err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return &scene{Server: server, role: role, metrics: "http://" + address + "/metrics", scraper: &http.Transport{DisableKeepAlives: true}}, nil
}

// freeAddress is one of the loopback that nobody listens on now.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// functionTime is the timeout of the functions: bursts wait.
const functionTime = 2 * time.Minute

// create creates a language's function of a name, with environment variables NAME=value.
func (s *scene) create(ctx context.Context, f sample.Function, name string, memoryMB int, variables ...string) error {
	f.Name = name
	return s.CreateFunction(ctx, s.role, f, int32(memoryMB), func(in *lambda.CreateFunctionInput) {
		in.Timeout = aws.Int32(int32(functionTime.Seconds()))
		if len(variables) > 0 {
			in.Environment = environment(variables)
		}
	})
}

// target is a function for a load.
func (s *scene) target(name, payload string) *load.Target {
	e := s.Endpoint
	return &load.Target{
		URL: e.URL, Function: name, Payload: []byte(payload), Region: e.Region,
		Credentials: aws.Credentials{AccessKeyID: e.AccessKeyID, SecretAccessKey: e.SecretAccessKey},
	}
}

// greeting is the event of hello-world functions.
const greeting = `{"name":"bench"}`

// stockLimit is how long zygotes may take to be ready.
const stockLimit = 20 * time.Second

// settle waits until no zygote and no hull is on its way any more and says how many zygotes are ready.
func (s *scene) settle(ctx context.Context) (ready int, err error) {
	ctx, cancel := context.WithTimeout(ctx, stockLimit)
	defer cancel()
	for {
		gauges, err := s.gauges(ctx)
		if err != nil {
			return 0, err
		}
		if gauges[`hotaru_blanks{state="coming"}`]+gauges[`hotaru_hulls{state="coming"}`] == 0 {
			return int(gauges[`hotaru_blanks{state="ready"}`]), nil
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return 0, fmt.Errorf("zygotes do not get ready: %w", err)
		}
	}
}

// gauges reads the metrics.
func (s *scene) gauges(ctx context.Context) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.metrics, nil)
	if err != nil {
		return nil, err
	}
	answer, err := s.scraper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	return parseMetrics(string(text)), nil
}

// parseMetrics reads Prometheus' text format, without timestamps.
func parseMetrics(text string) map[string]float64 {
	values := map[string]float64{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		end := strings.LastIndexByte(line, ' ')
		if end < 0 || line[0] == '#' {
			continue
		}
		if value, err := strconv.ParseFloat(line[end+1:], 64); err == nil {
			values[line[:end]] = value
		}
	}
	return values
}

// pause waits, or less when ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// startBare runs a command with nothing but the given environment, from start to exit. What it exits with is its own
// matter: a Go function without a Runtime API ends with an error.
func startBare(ctx context.Context, command []string, environment ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append([]string{}, environment...)
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	return took, nil
}
