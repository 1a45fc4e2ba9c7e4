package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hotaru/sandbox"
	"hotaru/sandbox/namespace"
	"hotaru/sandbox/oci"
	"hotaru/sandbox/process"
)

// SandboxRow is what a driver's sandboxes cost, each with limits and listeners as an environment has them and
// nothing running in it but the driver's own init. Times are in milliseconds.
type SandboxRow struct {
	Driver string  `json:"driver"`
	Create Summary `json:"create"`
	// First is the start of the first process, /usr/bin/true; the oci driver's container begins with it.
	First   Summary `json:"first"`
	Destroy Summary `json:"destroy"`
	// Alive is how many there were at once, AliveTime how long it took to make them, one after the other, and
	// AliveLast the last hundred of them: what each costs when there are that many.
	Alive     int     `json:"alive"`
	AliveTime float64 `json:"aliveTime"`
	AliveLast Summary `json:"aliveLast"`
	// AliveKB is how much less memory the machine has with them, for each, in KiB.
	AliveKB int64 `json:"aliveKB"`
	// ChargedKB is what control groups say that each uses, in KiB.
	ChargedKB int64 `json:"chargedKB"`
	// Teardown is how long it took to destroy them all.
	Teardown float64 `json:"teardown"`
}

// sandboxDrivers are the measured ones. One that does not work here is left out, and that is said.
func sandboxDrivers() []sandboxDriver {
	quiet := slog.New(slog.DiscardHandler)
	over := func(runtime string) func(string) (sandbox.Driver, error) {
		return func(dir string) (sandbox.Driver, error) {
			return oci.New(oci.Config{StateDir: dir, Runtime: runtime, SearchPath: filepath.SplitList(os.Getenv("PATH")), Log: quiet})
		}
	}
	return []sandboxDriver{
		{"namespace", 1, func(dir string) (sandbox.Driver, error) {
			return namespace.New(namespace.Config{StateDir: dir, Log: quiet})
		}},
		{"oci over runc", 10, over("runc")},
		{"oci over runsc", 10, over("runsc")},
		{"process", 1, func(string) (sandbox.Driver, error) { return process.New(quiet), nil }},
	}
}

type sandboxDriver struct {
	name string
	// share of the sandboxes that others are measured with: containers take their time and memory.
	share int
	open  func(dir string) (sandbox.Driver, error)
}

// measureSandboxes makes a row for each driver, in a table of their own.
func measureSandboxes(ctx context.Context, b *bed) ([]Row, error) {
	root, remove, err := sandboxRoot()
	if err != nil {
		return nil, err
	}
	defer remove()
	for _, d := range sandboxDrivers() {
		driver, err := d.open(filepath.Join(filepath.Dir(root.Dir), strings.ReplaceAll(d.name, " ", "-")))
		if err != nil {
			fmt.Fprintf(os.Stderr, " no figures of the %s driver: %v ...", d.name, err)
			continue
		}
		row, err := measureDriver(ctx, driver, root, max(1, b.options.sandboxes/d.share), max(1, b.options.alive/d.share))
		row.Driver = d.name
		if err != nil {
			return nil, fmt.Errorf("%s driver: %w", d.name, errors.Join(err, driver.Close()))
		}
		b.report.Sandboxes = append(b.report.Sandboxes, row)
	}
	return nil, nil
}

// measureDriver ends with the driver closed.
func measureDriver(ctx context.Context, driver sandbox.Driver, root sandbox.Root, one, many int) (SandboxRow, error) {
	row := SandboxRow{Alive: many}
	create := func(n int) (sandbox.Sandbox, time.Duration, error) {
		began := time.Now()
		box, err := driver.Create(ctx, sandboxSpec(root, n))
		return box, time.Since(began), err
	}
	var creates, firsts, destroys []time.Duration
	for n := range one + warmUp {
		box, took, err := create(n)
		if err != nil {
			return row, err
		}
		first, err := startFirst(ctx, box)
		if err != nil {
			return row, err
		}
		began := time.Now()
		if err := box.Destroy(ctx); err != nil {
			return row, err
		}
		if n >= warmUp {
			creates, firsts, destroys = append(creates, took), append(firsts, first), append(destroys, time.Since(began))
		}
	}
	row.Create, row.First, row.Destroy = summarize(creates), summarize(firsts), summarize(destroys)

	before, err := availableKB()
	if err != nil {
		return row, err
	}
	began := time.Now()
	creates = creates[:0]
	var boxes []sandbox.Sandbox
	for n := range many {
		box, took, err := create(n)
		if err == nil && strings.HasPrefix(driver.Name(), "oci") {
			var first time.Duration
			first, err = startFirst(ctx, box)
			took += first
		}
		if err != nil {
			return row, fmt.Errorf("sandbox %d of %d: %w", n, many, err)
		}
		creates, boxes = append(creates, took), append(boxes, box)
	}
	row.AliveTime = milliseconds(time.Since(began))
	if row.ChargedKB, err = charged(ctx, boxes); err != nil {
		return row, err
	}
	row.AliveLast = summarize(creates[max(0, many-100):])
	after, err := availableKB()
	if err != nil {
		return row, err
	}
	row.AliveKB = (before - after) / int64(many)
	began = time.Now()
	if err := driver.Close(); err != nil {
		return row, err
	}
	row.Teardown = milliseconds(time.Since(began))
	return row, nil
}

// charged is what each of the sandboxes uses, in KiB.
func charged(ctx context.Context, boxes []sandbox.Sandbox) (int64, error) {
	var total int64
	for _, box := range boxes {
		stats, err := box.Stats(ctx)
		if err != nil {
			return 0, err
		}
		total += stats.MemoryBytes >> 10
	}
	return total / int64(len(boxes)), nil
}

// startFirst runs a program that does nothing and says how long its start took.
func startFirst(ctx context.Context, box sandbox.Sandbox) (time.Duration, error) {
	began := time.Now()
	p, err := box.Start(ctx, sandbox.Command{Path: "/usr/bin/true", Args: []string{"true"}})
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	<-p.Done()
	return took, nil
}

// sandboxSpec is a sandbox as an environment of 128 MB begins: its share of the CPU comes with the end of Init.
func sandboxSpec(root sandbox.Root, n int) sandbox.Spec {
	return sandbox.Spec{
		ID: fmt.Sprint("bench-", n), Root: root,
		Limits: sandbox.Limits{MemoryBytes: 128 << 20, TmpBytes: 512 << 20, DiskBytesPerSecond: 256 << 20},
		Listen: []string{"127.0.0.1:9001", "127.0.0.1:4566", "127.0.0.1:443", "127.0.0.1:80"}, ListenPacket: []string{"127.0.0.1:53"},
	}
}

// sandboxRoot makes a root of the host's /usr. remove removes it, and the drivers' state beside it.
func sandboxRoot() (root sandbox.Root, remove func(), err error) {
	above, err := os.MkdirTemp("", "hotaru-bench-")
	if err != nil {
		return sandbox.Root{}, nil, err
	}
	remove = func() { _ = os.RemoveAll(above) }
	dir := filepath.Join(above, "root")
	for _, path := range []string{"proc", "dev", "tmp", "usr"} {
		if err := os.MkdirAll(filepath.Join(dir, path), 0o755); err != nil {
			remove()
			return sandbox.Root{}, nil, err
		}
	}
	for _, name := range []string{"bin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+name, filepath.Join(dir, name)); err != nil {
			remove()
			return sandbox.Root{}, nil, err
		}
	}
	return sandbox.Root{Dir: dir, Binds: []sandbox.Bind{{Source: "/usr", Target: "/usr"}}}, remove, nil
}

// availableKB is how much memory programs could still have, caches given back.
func availableKB() (int64, error) {
	content, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "MemAvailable:" {
			return strconv.ParseInt(fields[1], 10, 64)
		}
	}
	return 0, errors.New("/proc/meminfo has no MemAvailable")
}

func sandboxTable(rows []SandboxRow) string {
	table := "| sandboxes (ms) | create p50 / p99 | first process p50 / p99 | destroy p50 / p99 | alive | to make them | the last hundred p50 / p99 | KiB each | of its control groups | teardown |\n" +
		"|---|---|---|---|---|---|---|---|---|---|\n"
	for _, r := range rows {
		table += fmt.Sprintf("| %s | %.2f / %.2f | %.2f / %.2f | %.2f / %.2f | %d | %.0f | %.2f / %.2f | %d | %d | %.0f |\n", r.Driver,
			r.Create.P50, r.Create.P99, r.First.P50, r.First.P99, r.Destroy.P50, r.Destroy.P99, r.Alive, r.AliveTime, r.AliveLast.P50, r.AliveLast.P99, r.AliveKB, r.ChargedKB, r.Teardown)
	}
	return table
}
