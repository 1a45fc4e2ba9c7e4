package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hotaru/internal/load"
)

// wholeCPU is the memory, in MB, that comes with one whole CPU. Less of it is rationed, which a loop that never
// pauses meets and a function with pauses does not.
const wholeCPU = 1769

// warmUp is how many warm invokes come before those that are measured: the first of them is cold.
const warmUp = 50

// measureWarm has one client invoke without pause, at the usual size and with a whole CPU.
func measureWarm(ctx context.Context, b *bed) (rows []Row, err error) {
	for _, l := range []language{b.python, b.node, b.program} {
		for _, memoryMB := range []int{b.options.memoryMB, wholeCPU} {
			figure := "warm invoke, 1 client, " + l.name
			target := &Target{Most: 0.3, MostP99: 1}
			if memoryMB == wholeCPU {
				figure += " with a whole CPU"
				target = nil
			}
			if l.name == b.program.name {
				target = nil
			}
			row, err := b.warmRow(ctx, l, figure, target, memoryMB)
			if err != nil {
				return rows, fmt.Errorf("%s: %w", figure, err)
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

func (b *bed) warmRow(ctx context.Context, l language, figure string, target *Target, memoryMB int) (_ Row, err error) {
	s, err := serve(ctx)
	if err != nil {
		return Row{}, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if err := s.create(ctx, l.function, "warm", memoryMB); err != nil {
		return Row{}, err
	}
	// The first event has zygotes and hulls made, which take the CPUs for a while.
	if _, err := oneByOne(ctx, s.target("warm", greeting), 0); err != nil {
		return Row{}, err
	}
	if _, err := s.settle(ctx); err != nil {
		return Row{}, err
	}
	took, err := oneByOne(ctx, s.target("warm", greeting), b.options.warm)
	if err != nil {
		return Row{}, err
	}
	return summarize(took).row(figure, target), nil
}

// oneByOne invokes one after the other, after some that are not measured.
func oneByOne(ctx context.Context, target *load.Target, n int) ([]time.Duration, error) {
	connection, err := load.Dial(ctx, target)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	var warm []time.Duration
	for i := range n + warmUp {
		took, err := connection.Invoke(ctx)
		if err != nil {
			return nil, err
		}
		if i >= warmUp {
			warm = append(warm, took)
		}
	}
	return warm, nil
}

// measureThroughput has many clients invoke without pause.
func measureThroughput(ctx context.Context, b *bed) (rows []Row, err error) {
	for _, l := range []language{b.python, b.node, b.program} {
		var target *Target
		if l.name != b.program.name {
			target = &Target{Least: 8000}
		}
		row, err := b.throughputRow(ctx, l, target)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", l.name, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (b *bed) throughputRow(ctx context.Context, l language, target *Target) (_ Row, err error) {
	s, err := serve(ctx)
	if err != nil {
		return Row{}, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if err := s.create(ctx, l.function, "busy", b.options.memoryMB); err != nil {
		return Row{}, err
	}
	row, err := throughput(ctx, s.target("busy", greeting), b.options)
	row.Figure, row.Target = fmt.Sprintf("warm throughput, %d clients, %s", b.options.clients, l.name), target
	return row, err
}

// throughput measures a load after one that starts the environments.
func throughput(ctx context.Context, target *load.Target, o options) (Row, error) {
	if _, err := load.Run(ctx, target, load.Plan{Clients: o.clients, Time: o.load / 2}); err != nil {
		return Row{}, err
	}
	result, err := load.Run(ctx, target, load.Plan{Clients: o.clients, Time: o.load})
	if err != nil {
		return Row{}, err
	}
	row := Row{
		Unit: "/s", N: len(result.Took), Value: result.Rate(),
		Detail: fmt.Sprintf("p50 %s, p99 %s", figure(milliseconds(result.Percentile(0.5)), "ms"), figure(milliseconds(result.Percentile(0.99)), "ms")),
	}
	if bad := result.Throttled + result.Failed + result.Refused + result.Broken; bad > 0 {
		row.Failure = fmt.Sprintf("%d throttled, %d function errors, %d refused, %d without an answer (%v)",
			result.Throttled, result.Failed, result.Refused, result.Broken, result.Err)
	}
	return row, nil
}
