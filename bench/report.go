package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Report is bench/out/latest.json.
type Report struct {
	Time    time.Time `json:"time"`
	Machine Machine   `json:"machine"`
	// Endpoint is what was measured, empty for the Hotaru of this tree.
	Endpoint string `json:"endpoint,omitempty"`
	MemoryMB int    `json:"memoryMB"`
	Rows     []Row  `json:"rows"`
	// Sandboxes has a row for each driver.
	Sandboxes []SandboxRow `json:"sandboxes,omitempty"`
}

// Machine is where it was measured.
type Machine struct {
	CPUs   int    `json:"cpus"`
	CPU    string `json:"cpu"`
	Kernel string `json:"kernel"`
	// Load is the average load of the last minute before the run began: what others did is in the figures.
	Load float64 `json:"load"`
}

func newReport(o options) *Report {
	return &Report{Time: time.Now().UTC().Truncate(time.Second), Machine: machine(), Endpoint: o.against.url, MemoryMB: o.memoryMB}
}

// machine says what /proc says; what it does not say stays empty.
func machine() Machine {
	m := Machine{CPUs: runtime.NumCPU()}
	read := func(path string) string {
		content, _ := os.ReadFile(path)
		return strings.TrimSpace(string(content))
	}
	m.Kernel = read("/proc/sys/kernel/osrelease")
	_, _ = fmt.Sscan(read("/proc/loadavg"), &m.Load)
	for line := range strings.Lines(read("/proc/cpuinfo")) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	return m
}

// add takes a measure's rows. One that failed is a row, too, so that nobody takes its absence for success.
func (r *Report) add(measure string, rows []Row, err error) {
	if err != nil {
		rows = append(rows, Row{Figure: measure, Failure: err.Error()})
	}
	for _, row := range rows {
		row.Measure = measure
		row.Met = row.Target != nil && row.Target.holds(&row)
		r.Rows = append(r.Rows, row)
	}
}

// markdown is the report to read.
func (r *Report) markdown() string {
	m := r.Machine
	what := fmt.Sprintf("functions of %d MB, ", r.MemoryMB)
	if r.Endpoint != "" {
		what = r.Endpoint + ", "
	}
	text := fmt.Sprintf("%s: %d CPUs (%s), Linux %s, %sclient on the same machine, load before the run %.1f. p50 unless said.\n\n%s",
		r.Time.Format("2006-01-02 15:04 UTC"), m.CPUs, m.CPU, m.Kernel, what, m.Load, table(r.Rows))
	if len(r.Sandboxes) > 0 {
		text += "\n" + sandboxTable(r.Sandboxes)
	}
	return text
}

// write prints the report and keeps it, as JSON at path and as markdown beside it.
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
	beside := strings.TrimSuffix(path, filepath.Ext(path)) + ".md"
	if err := os.WriteFile(beside, []byte(r.markdown()), 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\nKept in %s and %s.\n", r.markdown(), path, beside)
	return err
}
