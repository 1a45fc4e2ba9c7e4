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
	"slices"
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
	// functions and environments are how many there are beside what is invoked for the first time, crowd how many clients
	// two functions have that share too little memory, for the time pressed.
	functions, environments, crowd int
	pressed                        time.Duration
	// preparing and alone are entered where much is prepared, and where that is measured then.
	preparing, alone gate
	against          againstOptions
}

func main() {
	var o options
	flag.StringVar(&o.only, "only", "", "measure only these, all, or NAME,NAME,... of:\n"+describeMeasures())
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
	flag.IntVar(&o.functions, "functions", 10000, "functions among which one is invoked for the first time")
	flag.IntVar(&o.environments, "environments", 1000, "idle environments beside which a function is invoked for the first time")
	flag.IntVar(&o.crowd, "crowd", 2000, "clients of the two functions that share too little memory")
	flag.DurationVar(&o.pressed, "pressed", pressedTime, "how long each load of two functions lasts")
	flag.StringVar((*string)(&o.preparing), "preparing", "", "a shell command that holds the machine while functions and environments are made: it prints a line when they may be, and ends with its standard input")
	flag.StringVar((*string)(&o.alone), "alone", "", "the same for the measuring beside them")
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
const runLimit = 60 * time.Minute

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
	// long ones take minutes: they run when they are named, or all are asked for.
	long bool
}

// measures are all there are, in the order of the report.
func measures() []measure {
	return []measure{
		{name: "cold", about: "first invokes of a version, a zygote ready", run: measureCold},
		{name: "coldpath", about: "the same without a zygote", run: measureColdPath},
		{name: "warm", about: "one client, one invoke after the other", run: measureWarm},
		{name: "throughput", about: "many clients", run: measureThroughput},
		{name: "burst", about: "first invokes at once", run: measureBurst},
		{name: "bigburst", about: "many first invokes at once", run: measureBigBurst},
		{name: "memory", about: "private memory of an idle environment", run: measureMemory},
		{name: "cpu", about: "CPU time of idle environments", run: measureIdleCPU},
		{name: "start", about: "the daemon's start and its memory", run: measureStart},
		{name: "wire", about: "Go benchmarks of decoding, authenticating and encoding an Invoke", run: measureWire},
		{name: "sandboxes", about: "what the drivers' sandboxes cost", run: measureSandboxes},
		{name: "pressure", about: "two functions that share too little memory, one of them greedy", run: measurePressure},
		{name: "busy", about: "two functions that share too little CPU time, one of them greedy", run: measureBusy},
		{name: "functions", about: "first invokes among many functions", run: measureFunctions, long: true},
		{name: "environments", about: "first invokes beside many idle environments", run: measureEnvironments, long: true},
	}
}

func describeMeasures() string {
	var b strings.Builder
	for _, m := range measures() {
		about := m.about
		if m.long {
			about += "; not without being named: it takes minutes"
		}
		fmt.Fprintf(&b, "  %-12s %s\n", m.name, about)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// everything is the list of all measures, long ones too.
const everything = "all"

// choose picks the measures that are named; for an empty list all that are not long.
func choose(all []measure, only string) ([]measure, error) {
	switch only {
	case "":
		return slices.DeleteFunc(slices.Clone(all), func(m measure) bool { return m.long }), nil
	case everything:
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
