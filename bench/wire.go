package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
)

// WireRow is what decoding, authenticating and encoding one Invoke costs, without a network and without a function:
// a Go benchmark of awsapi/server.
type WireRow struct {
	Name         string  `json:"name"`
	Microseconds float64 `json:"microseconds"`
	Allocations  int64   `json:"allocations"`
	// Allocated counts bytes.
	Allocated int64 `json:"allocated"`
	// Within says that the limits were kept.
	Within bool `json:"within"`
}

// wireLimits bound a benchmark; 0 means unbounded.
type wireLimits struct {
	name                   string
	microseconds           float64
	allocations, allocated int64
}

// wireBenchmarks are the measured ones. A large payload of 6 MiB may be copied once: read into memory.
var wireBenchmarks = map[string]wireLimits{
	"BenchmarkInvokeSmall": {name: "small Invoke", microseconds: 40, allocations: 60},
	"BenchmarkInvokeLarge": {name: "6 MB Invoke", allocated: 6<<20 + 64<<10},
}

// measureWire runs the benchmarks.
func measureWire(ctx context.Context) ([]WireRow, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkInvoke", "-benchmem", "./awsapi/server")
	var output, failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &failure
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("benchmark the wire: %w\n%s%s", err, output.String(), failure.String())
	}
	return parseBenchmarks(output.String())
}

// parseBenchmarks reads `go test -bench -benchmem`: a name with the number of CPUs, a count, and values with units.
func parseBenchmarks(text string) ([]WireRow, error) {
	var rows []WireRow
	for line := range strings.SplitSeq(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		name, _, _ := strings.Cut(fields[0], "-")
		limits, ok := wireBenchmarks[name]
		if !ok || len(fields) < 4 {
			continue
		}
		values := map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("benchmark %q: %w", line, err)
			}
			values[fields[i+1]] = value
		}
		row := WireRow{Name: limits.name, Microseconds: values["ns/op"] / 1000, Allocations: int64(values["allocs/op"]), Allocated: int64(values["B/op"])}
		row.Within = limits.hold(row)
		rows = append(rows, row)
	}
	if len(rows) != len(wireBenchmarks) {
		return nil, fmt.Errorf("%d of %d benchmarks of the wire ran:\n%s", len(rows), len(wireBenchmarks), text)
	}
	return rows, nil
}

func (l wireLimits) hold(r WireRow) bool {
	return (l.microseconds == 0 || r.Microseconds <= l.microseconds) &&
		(l.allocations == 0 || r.Allocations <= l.allocations) && (l.allocated == 0 || r.Allocated <= l.allocated)
}

func writeWire(w io.Writer, rows []WireRow) error {
	table := "| wire: decode, authenticate, encode | µs | allocations | bytes allocated | within limits |\n|---|---|---|---|---|\n"
	for _, r := range rows {
		table += fmt.Sprintf("| %s | %.1f | %d | %d | %t |\n", r.Name, r.Microseconds, r.Allocations, r.Allocated, r.Within)
	}
	_, err := fmt.Fprintf(w, "%s\n", table)
	return err
}
