// Command pressure measures what many environments at once do to a Hotaru, through its signed public API: a burst of
// first invokes, and the cost of idle environments. It prints one JSON object per measurement; command bench has what has a
// target. It is a client like any other.
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
	// sleep is how long each of their events sleeps: all run at once if the last begins sooner.
	sleep time.Duration
	// idle is how many environments are left idle.
	idle     int
	memoryMB int
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/hotaru", "the server")
	flag.StringVar(&o.language, "language", "python", "python or nodejs")
	flag.IntVar(&o.burst, "burst", 0, "first invokes at once, each of which sleeps")
	flag.DurationVar(&o.sleep, "sleep", 3*time.Second, "how long an event of a burst sleeps")
	flag.IntVar(&o.idle, "idle", 0, "environments that are left idle")
	flag.IntVar(&o.memoryMB, "memory", 128, "memory size of the functions in MB")
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
	}{
		{o.burst > 0, (*bench).burst},
		{o.idle > 0, (*bench).idle},
	} {
		if !m.wanted {
			continue
		}
		if err := measure(ctx, o, flags, m.measure); err != nil {
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
