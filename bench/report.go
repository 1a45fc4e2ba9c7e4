package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// Report is bench/out/latest.json. All times are in milliseconds.
type Report struct {
	Time     time.Time `json:"time"`
	CPUs     int       `json:"cpus"`
	MemoryMB int       `json:"memoryMB"`
	Rows     []Row     `json:"rows"`
	Wire     []WireRow `json:"wire"`
	// Sandboxes has a row for each driver.
	Sandboxes []SandboxRow `json:"sandboxes"`
}

// Row is one runtime.
type Row struct {
	Runtime  string   `json:"runtime"`
	Baseline []string `json:"baseline"`
	Bare     Summary  `json:"bare"`
	Cold     Summary  `json:"cold"`
	Warm     Summary  `json:"warm"`
	// WarmWhole is Warm for a function with a whole CPU.
	WarmWhole Summary `json:"warmWholeCPU"`
	// ColdRatio is the median cold invoke in median bare starts.
	ColdRatio float64 `json:"coldRatio"`
}

// Summary is the distribution of one figure.
type Summary struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

func newReport(o options) *Report {
	return &Report{Time: time.Now().UTC(), CPUs: runtime.NumCPU(), MemoryMB: o.memoryMB}
}

func summarize(durations []time.Duration) Summary {
	if len(durations) == 0 {
		return Summary{}
	}
	slices.Sort(durations)
	at := func(q float64) float64 {
		return float64(durations[int(q*float64(len(durations)-1))]) / float64(time.Millisecond)
	}
	return Summary{N: len(durations), P50: at(0.5), P99: at(0.99)}
}

// write prints the table and keeps the figures.
func (r *Report) write(w io.Writer, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return err
	}
	table := "| runtime | bare start p50 / p99 | cold invoke p50 / p99 | cold / bare | warm invoke p50 / p99 | with a whole CPU |\n|---|---|---|---|---|---|\n"
	for _, row := range r.Rows {
		table += fmt.Sprintf("| %s | %.1f / %.1f | %.1f / %.1f | %.2f | %.3f / %.3f | %.3f / %.3f |\n", row.Runtime,
			row.Bare.P50, row.Bare.P99, row.Cold.P50, row.Cold.P99, row.ColdRatio, row.Warm.P50, row.Warm.P99,
			row.WarmWhole.P50, row.WarmWhole.P99)
	}
	if err := writeWire(w, r.Wire); err != nil {
		return err
	}
	if err := writeSandboxes(w, r.Sandboxes); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "Milliseconds, %d CPUs, %d MB, client on the same machine, signed requests.\n\n%s\nKept in %s.\n",
		r.CPUs, r.MemoryMB, table, path)
	return err
}
