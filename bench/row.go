package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hotaru/internal/load"
)

// Row is one figure, what it should be and what it is compared with. P99 is 0 where there is none.
type Row struct {
	// Measure is the name for -only.
	Measure string  `json:"measure"`
	Figure  string  `json:"figure"`
	Unit    string  `json:"unit"`
	N       int     `json:"n"`
	Value   float64 `json:"value"`
	P99     float64 `json:"p99,omitempty"`
	// Target is nil for a figure that is only shown.
	Target   *Target   `json:"target,omitempty"`
	Baseline *Baseline `json:"baseline,omitempty"`
	// Met says that the target was met.
	Met    bool   `json:"met"`
	Detail string `json:"detail,omitempty"`
	// Failure is what went wrong; such a row does not meet its target.
	Failure string `json:"failure,omitempty"`
}

// Baseline is what the same machine takes without Hotaru, in the row's unit.
type Baseline struct {
	Command []string `json:"command"`
	N       int      `json:"n"`
	Value   float64  `json:"value"`
	P99     float64  `json:"p99,omitempty"`
}

// Target bounds a row. Zero fields bound nothing.
type Target struct {
	// Most and MostP99 are the most that the value and its 99th percentile may be, Least the least.
	Most    float64 `json:"most,omitempty"`
	MostP99 float64 `json:"mostP99,omitempty"`
	Least   float64 `json:"least,omitempty"`
	// Ratio, with Plus, is what the value may be at most in baselines.
	Ratio float64 `json:"ratio,omitempty"`
	Plus  float64 `json:"plus,omitempty"`
}

// holds says whether a row meets the target.
func (t *Target) holds(r *Row) bool {
	switch {
	case r.Failure != "" || r.N == 0:
		return false
	case t.Most != 0 && r.Value > t.Most, t.MostP99 != 0 && r.P99 > t.MostP99, t.Least != 0 && r.Value < t.Least:
		return false
	case t.Ratio != 0:
		return r.Baseline != nil && r.Value <= t.Ratio*r.Baseline.Value+t.Plus
	}
	return true
}

// text says the target in words.
func (t *Target) text(unit string) string {
	var parts []string
	if t.Most != 0 {
		parts = append(parts, "<= "+figure(t.Most, unit))
	}
	if t.MostP99 != 0 {
		parts = append(parts, "p99 <= "+figure(t.MostP99, unit))
	}
	if t.Least != 0 {
		parts = append(parts, ">= "+figure(t.Least, unit))
	}
	if t.Ratio != 0 {
		part := "<= " + strconv.FormatFloat(t.Ratio, 'g', -1, 64) + " x baseline"
		if t.Plus != 0 {
			part += " + " + figure(t.Plus, unit)
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return "no failure"
	}
	return strings.Join(parts, ", ")
}

// figure writes a number with as many digits as say something.
func figure(value float64, unit string) string {
	digits := 0
	switch size := max(value, -value); {
	case size == 0 || size >= 100:
	case size >= 10:
		digits = 1
	case size >= 1:
		digits = 2
	default:
		digits = 3
	}
	text := strconv.FormatFloat(value, 'f', digits, 64)
	if digits > 0 {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text + " " + unit
}

// verdict is a row's last word in the table.
func (r *Row) verdict() string {
	switch {
	case r.Failure != "" && r.Target == nil:
		return "failed"
	case r.Target == nil:
		return ""
	case r.Met:
		return "ok"
	}
	return "**missed**"
}

// against shows the baseline and how the value compares with it.
func (r *Row) against() string {
	b := r.Baseline
	if b == nil {
		return ""
	}
	text := figure(b.Value, r.Unit)
	if b.Value > 0 && r.Failure == "" {
		text += fmt.Sprintf(" (x %.2f)", r.Value/b.Value)
	}
	return text
}

// table is the rows in markdown.
func table(rows []Row) string {
	var b strings.Builder
	b.WriteString("| figure | target | value | p99 | baseline | | |\n|---|---|---|---|---|---|---|\n")
	for i := range rows {
		r := &rows[i]
		var target, value, p99 string
		if r.Target != nil {
			target = r.Target.text(r.Unit)
		}
		if r.N > 0 {
			value = figure(r.Value, r.Unit)
		}
		if r.P99 != 0 {
			p99 = figure(r.P99, r.Unit)
		}
		note := r.Detail
		if r.Failure != "" {
			note = strings.TrimPrefix(note+"; "+r.Failure, "; ")
		}
		note = strings.ReplaceAll(strings.ReplaceAll(note, "\n", " "), "|", "\\|")
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", r.Figure, target, value, p99, r.against(), r.verdict(), note)
	}
	return b.String()
}

// Summary is the distribution of one figure in milliseconds.
type Summary struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// summarize sorts the durations.
func summarize(durations []time.Duration) Summary {
	slices.Sort(durations)
	return Summary{
		N: len(durations), P50: milliseconds(load.Percentile(durations, 0.5)), P99: milliseconds(load.Percentile(durations, 0.99)),
	}
}

// row begins a row in milliseconds from a distribution.
func (s Summary) row(figure string, target *Target) Row {
	return Row{Figure: figure, Unit: "ms", N: s.N, Value: s.P50, P99: s.P99, Target: target}
}

// baseline is a distribution as what others are compared with.
func (s Summary) baseline(command []string) *Baseline {
	return &Baseline{Command: command, N: s.N, Value: s.P50, P99: s.P99}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
