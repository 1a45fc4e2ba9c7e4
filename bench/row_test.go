package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write testdata again")

func TestTargetHolds(t *testing.T) {
	row := func(change func(*Row)) *Row {
		r := &Row{N: 1, Value: 10, P99: 20, Baseline: &Baseline{Value: 40}}
		change(r)
		return r
	}
	same := func(*Row) {}
	for name, c := range map[string]struct {
		target Target
		change func(*Row)
		want   bool
	}{
		"too much":              {Target{Most: 9.9}, same, false},
		"p99 too much":          {Target{Most: 10, MostP99: 19}, same, false},
		"too little":            {Target{Least: 10.1}, same, false},
		"too many baselines":    {Target{Ratio: 0.2}, same, false},
		"and more":              {Target{Ratio: 0.2, Plus: 1.9}, same, false},
		"no baseline":           {Target{Ratio: 1}, func(r *Row) { r.Baseline = nil }, false},
		"failed":                {Target{Most: 10}, func(r *Row) { r.Failure = "no" }, false},
		"nothing measured":      {Target{Most: 10}, func(r *Row) { r.N = 0 }, false},
		"absolute, not ratio":   {Target{Most: 9, Ratio: 1}, same, false},
		"as much as may be":     {Target{Most: 10, MostP99: 20}, same, true},
		"as little as may be":   {Target{Least: 10}, same, true},
		"a part of the base":    {Target{Ratio: 0.25}, same, true},
		"a part, and some more": {Target{Ratio: 0.2, Plus: 2}, same, true},
		"no bound":              {Target{}, same, true},
	} {
		if got := c.target.holds(row(c.change)); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestFigure(t *testing.T) {
	for want, value := range map[string]float64{
		"0 ms": 0, "0.123 ms": 0.1234, "0.3 ms": 0.3, "1.24 ms": 1.236, "5 ms": 5, "36.6 ms": 36.58, "1500 ms": 1500, "-0.5 ms": -0.5,
	} {
		if got := figure(value, "ms"); got != want {
			t.Errorf("%v: %s, want %s", value, got, want)
		}
	}
}

func TestSummarize(t *testing.T) {
	ms := time.Millisecond
	got := summarize([]time.Duration{3 * ms, ms, 2 * ms})
	if want := (Summary{N: 3, P50: 2, P99: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := summarize(nil); got != (Summary{}) {
		t.Errorf("nothing: %+v", got)
	}
}

func TestChoose(t *testing.T) {
	for _, only := range []string{"nothing", "cold,nothing", "cold,", "cold,,warm"} {
		if _, err := choose(measures(), only); err == nil || !strings.Contains(err.Error(), "there is no measure") {
			t.Errorf("%s: %v", only, err)
		}
	}
	chosen, err := choose(measures(), "warm, cold")
	if err != nil || len(chosen) != 2 || chosen[0].name != "cold" || chosen[1].name != "warm" {
		t.Errorf("%v: %+v", err, chosen)
	}
	if chosen, err := choose(measures(), everything); err != nil || len(chosen) != len(measures()) {
		t.Errorf("all: %v %d", err, len(chosen))
	}
	short, err := choose(measures(), "")
	if err != nil || len(short) == 0 || slices.ContainsFunc(short, func(m measure) bool { return m.long }) {
		t.Errorf("without a name: %v %+v", err, short)
	}
	if named, err := choose(measures(), "functions"); err != nil || len(named) != 1 || !named[0].long {
		t.Errorf("a long one by its name: %v %+v", err, named)
	}
}

// TestReport compares what a report looks like with testdata, and both files with each other.
func TestReport(t *testing.T) {
	r := &Report{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), MemoryMB: 256,
		Machine: Machine{CPUs: 2, CPU: "a processor", Kernel: "6.18", Load: 0.25},
		Sandboxes: []SandboxRow{{
			Driver: "namespace", Create: Summary{1, 2, 3}, First: Summary{1, 4, 5}, Destroy: Summary{1, 6, 7}, Alive: 8,
			AliveTime: 9, AliveLast: Summary{1, 10, 11}, AliveKB: 12, ChargedKB: 13, Teardown: 14,
		}},
	}
	base := &Baseline{Command: []string{"node", "-e", "0"}, N: 10, Value: 30}
	r.add("cold", []Row{
		{Figure: "met", Unit: "ms", N: 10, Value: 4, P99: 12, Target: &Target{Most: 5, MostP99: 15, Ratio: 0.3}, Baseline: base},
		{Figure: "missed", Unit: "ms", N: 10, Value: 50, Target: &Target{Ratio: 1.3, Plus: 5}, Baseline: base, Detail: "with a|b"},
		{Figure: "only shown", Unit: "ms", N: 10, Value: 0.4, P99: 1},
		{Figure: "in part", Unit: "/s", N: 10, Value: 9000, Target: &Target{Least: 8000}, Detail: "p50 1 ms", Failure: "one\nfailed"},
		{Figure: "unbounded", Unit: "ms", N: 10, Value: 1, Target: &Target{}},
	}, nil)
	r.add("warm", nil, os.ErrDeadlineExceeded)
	var out strings.Builder
	path := filepath.Join(t.TempDir(), "made", "report.json")
	if err := r.write(&out, path); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"report.json", "report.md"} {
		got, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name)
		if *rewrite {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(got)); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
		if name == "report.md" && !strings.HasPrefix(out.String(), string(got)) {
			t.Errorf("printed: %s", &out)
		}
	}
}
