package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

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

// measureWire runs Go benchmarks of awsapi/server: what an Invoke costs without a network and without a function.
func measureWire(ctx context.Context, _ *bed) ([]Row, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkInvoke", "-benchmem", "./awsapi/server")
	var output, failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &failure
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("benchmark the wire: %w\n%s%s", err, output.String(), failure.String())
	}
	return parseBenchmarks(output.String())
}

// parseBenchmarks reads `go test -bench -benchmem`: a name with the number of CPUs, a count, and values with units.
func parseBenchmarks(text string) ([]Row, error) {
	var rows []Row
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
		n, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, fmt.Errorf("benchmark %q: %w", line, err)
		}
		values := map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("benchmark %q: %w", line, err)
			}
			values[fields[i+1]] = value
		}
		rows = append(rows, limits.row(n, values["ns/op"]/1000, int64(values["allocs/op"]), int64(values["B/op"])))
	}
	if len(rows) != len(wireBenchmarks) {
		return nil, fmt.Errorf("%d of %d benchmarks of the wire ran:\n%s", len(rows), len(wireBenchmarks), text)
	}
	return rows, nil
}

func (l wireLimits) row(n int, microseconds float64, allocations, allocated int64) Row {
	r := Row{
		Figure: "wire alone, " + l.name, Unit: "us", N: n, Value: microseconds, Target: &Target{Most: l.microseconds},
		Detail: fmt.Sprintf("%d allocations, %d bytes", allocations, allocated),
	}
	if l.allocations != 0 && allocations > l.allocations {
		r.Failure = fmt.Sprintf("more than %d allocations", l.allocations)
	}
	if l.allocated != 0 && allocated > l.allocated {
		r.Failure = fmt.Sprintf("more than %d bytes allocated", l.allocated)
	}
	return r
}
