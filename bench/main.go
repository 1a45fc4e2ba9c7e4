// Command bench measures a Hotaru through its signed public API, beside the bare interpreters' own start in the
// same run: machines differ, ratios travel. It writes bench/out/latest.json and prints a table. It is a client
// like any other.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"hotaru/internal/client"
	"hotaru/internal/load"
	"hotaru/internal/sample"
)

// options bound the run.
type options struct {
	cold, warm, bare int
	// sandboxes are made and destroyed one after the other, alive at once.
	sandboxes, alive int
	memoryMB         int
	out              string
}

func main() {
	var o options
	flag.IntVar(&o.cold, "cold", 40, "cold starts to measure per runtime")
	flag.IntVar(&o.warm, "warm", 2000, "warm invokes to measure per runtime")
	flag.IntVar(&o.bare, "bare", 40, "starts of the bare interpreter to measure")
	flag.IntVar(&o.sandboxes, "sandboxes", 200, "sandboxes to make and destroy per driver")
	flag.IntVar(&o.alive, "alive", 1000, "sandboxes to have at once per driver")
	flag.IntVar(&o.memoryMB, "memory", 256, "memory size of the functions in MB")
	flag.StringVar(&o.out, "out", "bench/out/latest.json", "where the results go")
	flag.Parse()
	// One invoke at a time needs one CPU: more threads of the client's would take those of the server and the
	// function away, and be measured as theirs.
	runtime.GOMAXPROCS(1)
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// runLimit bounds the whole run.
const runLimit = 15 * time.Minute

func run(ctx context.Context, o options) (err error) {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	server, err := client.Launch(ctx, "bin/hotaru", io.Discard)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	role, err := server.Role(ctx, "bench")
	if err != nil {
		return err
	}
	installed, err := server.Installed(ctx)
	if err != nil {
		return err
	}
	python, node := installed["python"], installed["nodejs"]
	functions, err := sample.Functions(ctx, python.ID, node.ID, sample.Silent())
	if err != nil {
		return err
	}
	binary, remove, err := goBinary(functions[2].Zip)
	if err != nil {
		return err
	}
	defer remove()
	bare := [][]string{
		{python.Interpreter, "-I", "-c", "import json,socket,traceback"},
		{node.Interpreter, "-e", "0"},
		{binary},
	}
	report := newReport(o)
	if report.Wire, err = measureWire(ctx); err != nil {
		return err
	}
	if report.Sandboxes, err = measureSandboxes(ctx, os.Stdout, o.sandboxes, o.alive); err != nil {
		return err
	}
	for i, f := range functions {
		row, err := measure(ctx, server, role, f, bare[i], o)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		report.Rows = append(report.Rows, row)
	}
	return report.write(os.Stdout, o.out)
}

// target is a function for a load.
func target(s *client.Server, name string) *load.Target {
	e := s.Endpoint
	return &load.Target{
		URL: e.URL, Function: name, Payload: []byte(`{"name":"bench"}`), Region: e.Region,
		Credentials: aws.Credentials{AccessKeyID: e.AccessKeyID, SecretAccessKey: e.SecretAccessKey},
	}
}

// measure makes one row: the bare start, cold invokes and warm invokes, the first two in turn so that both meet
// the same noise.
func measure(ctx context.Context, s *client.Server, role string, f sample.Function, bare []string, o options) (Row, error) {
	if err := s.CreateFunction(ctx, role, f, int32(o.memoryMB)); err != nil {
		return Row{}, err
	}
	row := Row{Runtime: f.Runtime, Baseline: bare[1:]}
	connection, err := load.Dial(ctx, target(s, f.Name))
	if err != nil {
		return Row{}, err
	}
	defer connection.Close()
	var baseline, cold []time.Duration
	for i := range max(o.cold, o.bare) {
		if i < o.bare {
			took, err := startBare(ctx, bare)
			if err != nil {
				return Row{}, err
			}
			baseline = append(baseline, took)
		}
		if i < o.cold {
			if err := s.Renew(ctx, f.Name, fmt.Sprint("cold start ", i)); err != nil {
				return Row{}, err
			}
			took, err := connection.Invoke(ctx)
			if err != nil {
				return Row{}, err
			}
			cold = append(cold, took)
		}
	}
	warm, err := measureWarm(ctx, connection, o.warm)
	if err != nil {
		return Row{}, err
	}
	if err := s.Resize(ctx, f.Name, wholeCPU); err != nil {
		return Row{}, err
	}
	whole, err := measureWarm(ctx, connection, o.warm)
	if err != nil {
		return Row{}, err
	}
	row.Bare, row.Cold = summarize(baseline), summarize(cold)
	row.Warm, row.WarmWhole = summarize(warm), summarize(whole)
	row.ColdRatio = row.Cold.P50 / row.Bare.P50
	return row, nil
}

// wholeCPU is the memory, in MB, that comes with one whole CPU. Less of it is rationed, which a loop that never
// pauses meets and a function with pauses does not.
const wholeCPU = 1769

// measureWarm invokes one after the other, after some that are not measured.
func measureWarm(ctx context.Context, connection *load.Conn, n int) ([]time.Duration, error) {
	var warm []time.Duration
	for i := range n + warmUp {
		took, err := connection.Invoke(ctx)
		if err != nil {
			return nil, err
		}
		if i >= warmUp {
			warm = append(warm, took)
		}
	}
	return warm, nil
}

// warmUp is how many warm invokes come before those that are measured: the first of them is cold.
const warmUp = 20

// startBare runs a command with an empty environment, from start to exit. What it exits with is its own matter:
// a Go function without a Runtime API ends with an error.
func startBare(ctx context.Context, command []string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = []string{}
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	return took, nil
}

// goBinary unpacks the Go function's program.
func goBinary(zip []byte) (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "hotaru-bench-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	path = filepath.Join(dir, "bootstrap")
	if err := sample.Extract(zip, "bootstrap", path); err != nil {
		remove()
		return "", nil, err
	}
	return path, remove, nil
}
