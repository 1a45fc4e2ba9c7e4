// Command bench measures a Hotaru through its signed public API, beside the bare interpreters' own start in the same
// run: machines differ, ratios travel. It writes its figures as JSON and as a markdown table, to bench/out. With -against
// it sends the same load to any endpoint that speaks Lambda's Invoke. It is a client like any other.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// options bound the run.
type options struct {
	only string
	out  string
	// cold, coldPath and warm are how many invokes are measured per runtime, bare how many bare starts.
	cold, coldPath, warm int
	// clients invoke at once for the time load.
	clients int
	load    time.Duration
	// burst and bigBurst are how many first invokes come at once, idle how many environments are counted.
	burst, bigBurst, idle int
	// sandboxes are made and destroyed one after the other, alive at once.
	sandboxes, alive int
	memoryMB         int
	against          againstOptions
}

func main() {
	var o options
	flag.StringVar(&o.only, "only", "", "measure only these, NAME,NAME,... of:\n"+describeMeasures())
	flag.StringVar(&o.out, "out", "bench/out/latest.json", "where the figures go; the table goes beside them, .md")
	flag.IntVar(&o.cold, "cold", 100, "cold invokes to measure per runtime, each after a bare start")
	flag.IntVar(&o.coldPath, "cold-path", 30, "cold invokes without a zygote to measure per runtime, each after a bare start")
	flag.IntVar(&o.warm, "warm", 2000, "warm invokes to measure per runtime")
	flag.IntVar(&o.clients, "clients", 32, "clients that measure throughput")
	flag.DurationVar(&o.load, "load", 5*time.Second, "how long throughput is measured per runtime")
	flag.IntVar(&o.burst, "burst", 200, "first invokes of a burst")
	flag.IntVar(&o.bigBurst, "big-burst", 1000, "first invokes of a large burst")
	flag.IntVar(&o.idle, "idle", 500, "idle environments whose CPU time is measured")
	flag.IntVar(&o.sandboxes, "sandboxes", 200, "sandboxes to make and destroy per driver")
	flag.IntVar(&o.alive, "alive", 1000, "sandboxes to have at once per driver")
	flag.IntVar(&o.memoryMB, "memory", 256, "memory size of the functions in MB")
	o.against.flags()
	flag.Parse()
	// One invoke at a time needs one CPU: more threads of the client's would take those of the server and the
	// function away, and be measured as theirs.
	runtime.GOMAXPROCS(1)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// runLimit bounds the whole run.
const runLimit = 30 * time.Minute

func run(ctx context.Context, o options, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	report := newReport(o)
	if o.against.url != "" {
		if err := measureAgainst(ctx, o, report); err != nil {
			return err
		}
		return report.write(w, o.out)
	}
	chosen, err := choose(measures(), o.only)
	if err != nil {
		return err
	}
	b, err := newBed(ctx, o, report)
	if err != nil {
		return err
	}
	defer b.close()
	for _, m := range chosen {
		began := time.Now()
		fmt.Fprintf(os.Stderr, "bench: %s ...", m.name)
		rows, err := m.run(ctx, b)
		report.add(m.name, rows, err)
		fmt.Fprintf(os.Stderr, " %.1f s\n", time.Since(began).Seconds())
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return report.write(w, o.out)
}

// measure makes rows of the report, on a Hotaru of its own.
type measure struct {
	name, about string
	run         func(ctx context.Context, b *bed) ([]Row, error)
}

// measures are all there are, in the order of the report.
func measures() []measure {
	return []measure{
		{"cold", "first invokes of a version, a zygote ready", measureCold},
		{"coldpath", "the same without a zygote", measureColdPath},
		{"warm", "one client, one invoke after the other", measureWarm},
		{"throughput", "many clients", measureThroughput},
		{"burst", "first invokes at once", measureBurst},
		{"bigburst", "many first invokes at once", measureBigBurst},
		{"memory", "private memory of an idle environment", measureMemory},
		{"cpu", "CPU time of idle environments", measureIdleCPU},
		{"start", "the daemon's start and its memory", measureStart},
		{"wire", "Go benchmarks of decoding, authenticating and encoding an Invoke", measureWire},
		{"sandboxes", "what the drivers' sandboxes cost", measureSandboxes},
	}
}

func describeMeasures() string {
	var b strings.Builder
	for _, m := range measures() {
		fmt.Fprintf(&b, "  %-11s %s\n", m.name, m.about)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// choose picks the measures that are named, all for an empty list.
func choose(all []measure, only string) ([]measure, error) {
	if only == "" {
		return all, nil
	}
	wanted := map[string]bool{}
	for name := range strings.SplitSeq(only, ",") {
		wanted[strings.TrimSpace(name)] = true
	}
	var chosen []measure
	for _, m := range all {
		if wanted[m.name] {
			chosen = append(chosen, m)
			delete(wanted, m.name)
		}
	}
	for name := range wanted {
		return nil, fmt.Errorf("there is no measure %q; there are:\n%s", name, describeMeasures())
	}
	return chosen, nil
}
