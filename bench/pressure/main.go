// Command pressure measures what many environments at once do to a Hotaru, through its signed public API: a burst of
// first invokes, the cost of idle environments and of many functions, and two functions that share too little memory,
// one of them greedy. It prints one JSON object per measurement. It is a client like any other.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"hotaru/internal/client"
	"hotaru/internal/load"
	"hotaru/internal/sample"
)

// options say what is measured; 0 leaves a measurement out.
type options struct {
	binary, language string
	// burst is how many first invokes come at once.
	burst int
	// idle is how many environments are left idle.
	idle int
	// functions is how many there are in the end.
	functions int
	// shared is how many MiB of memory the two functions share, greedy and modest how many clients each has.
	shared, greedy, modest int
	memoryMB               int
	seconds                int
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/hotaru", "the server")
	flag.StringVar(&o.language, "language", "python", "python or nodejs")
	flag.IntVar(&o.burst, "burst", 0, "first invokes at once, each of which sleeps for 3 s")
	flag.IntVar(&o.idle, "idle", 0, "environments that are left idle")
	flag.IntVar(&o.functions, "functions", 0, "functions to create, beside which one is invoked for the first time")
	flag.IntVar(&o.shared, "shared", 0, "MiB of memory budget that two functions share")
	flag.IntVar(&o.greedy, "greedy", 1980, "clients of the greedy function")
	flag.IntVar(&o.modest, "modest", 20, "clients of the modest function")
	flag.IntVar(&o.memoryMB, "memory", 128, "memory size of the functions in MB")
	flag.IntVar(&o.seconds, "seconds", 10, "how long each load of -shared lasts")
	flag.Parse()
	if err := run(context.Background(), o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "pressure:", err)
		os.Exit(1)
	}
}

// runLimit bounds the whole run.
const runLimit = 10 * time.Minute

// run measures what is asked for; flags go to the server.
func run(ctx context.Context, o options, flags []string) error {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	for _, m := range []struct {
		wanted  bool
		measure func(*bench) error
		flags   []string
	}{
		{o.burst > 0, (*bench).burst, nil},
		{o.idle > 0, (*bench).idle, nil},
		{o.functions > 0, (*bench).grow, nil},
		{o.shared > 0, (*bench).share, []string{"--memory-budget", fmt.Sprint(o.shared)}},
	} {
		if !m.wanted {
			continue
		}
		if err := measure(ctx, o, append(m.flags, flags...), m.measure); err != nil {
			return err
		}
	}
	return nil
}

// bench is a server to measure.
type bench struct {
	options
	ctx    context.Context //nolint:containedctx // it is of one measurement
	server *client.Server
	role   string
	// runtime is the identifier of the language's newest.
	runtime client.Runtime
}

// measure starts a server of its own for a measurement.
func measure(ctx context.Context, o options, flags []string, f func(*bench) error) (err error) {
	b := &bench{options: o, ctx: ctx}
	if b.server, err = client.Launch(ctx, o.binary, os.Stderr, flags...); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.server.Stop()) }()
	if b.role, err = b.server.Role(ctx, "bench"); err != nil {
		return err
	}
	installed, err := b.server.Installed(ctx)
	if err != nil {
		return err
	}
	b.runtime = installed[o.language]
	return f(b)
}

// create creates a function that sleeps for as many seconds as its event says.
func (b *bench) create(name string) error {
	file, source := "app.py", "import time\ndef handler(event, context):\n    time.sleep(event)\n"
	if b.language == "nodejs" {
		file, source = "app.js", "exports.handler = (event) => new Promise((done) => setTimeout(done, event * 1000));\n"
	}
	pack, err := sample.Zip(map[string]string{file: source})
	if err != nil {
		return err
	}
	f := sample.Function{Name: name, Runtime: b.runtime.ID, Handler: "app.handler", Zip: pack}
	return b.server.CreateFunction(b.ctx, b.role, f, int32(b.memoryMB), func(in *lambda.CreateFunctionInput) {
		in.Timeout = aws.Int32(60)
	})
}

// target is a function that is invoked to sleep.
func (b *bench) target(name string, sleep float64) *load.Target {
	e := b.server.Endpoint
	return &load.Target{
		URL: e.URL, Function: name, Payload: fmt.Append(nil, sleep), Region: e.Region,
		Credentials: aws.Credentials{AccessKeyID: e.AccessKeyID, SecretAccessKey: e.SecretAccessKey},
	}
}

// show prints a measurement.
func show(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
