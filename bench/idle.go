package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

const (
	// memoryFirst environments are there before the daemon's own memory is looked at, and memoryCount more are counted.
	memoryFirst, memoryCount = 10, 50
	// calm is how long everything has been idle before it is looked at: frozen, and the daemon's garbage gone.
	calm = 3 * time.Second
)

// measureMemory compares an idle environment's private memory with that of the bare interpreter.
func measureMemory(ctx context.Context, b *bed) (rows []Row, err error) {
	for _, l := range []language{b.python, b.node} {
		row, err := b.memoryRow(ctx, l)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", l.name, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (b *bed) memoryRow(ctx context.Context, l language) (_ Row, err error) {
	bare, err := bareMemory(ctx, l.idle, memoryFirst)
	if err != nil {
		return Row{}, err
	}
	s, err := serve(ctx)
	if err != nil {
		return Row{}, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if _, err := s.crowd(ctx, l, "first", memoryFirst, b.options.memoryMB); err != nil {
		return Row{}, err
	}
	before, err := memoryOf(s.PID())
	if err != nil {
		return Row{}, err
	}
	idle, err := s.crowd(ctx, l, "idle", memoryCount, b.options.memoryMB)
	if err != nil {
		return Row{}, err
	}
	after, err := memoryOf(s.PID())
	if err != nil {
		return Row{}, err
	}
	each, processes, err := s.memoryIn(idle.where)
	if err != nil {
		return Row{}, err
	}
	n := len(idle.where)
	return Row{
		Figure: "one more idle environment: private memory over the bare interpreter's, " + l.name, Unit: "MiB", N: n,
		Value: mebibytes(each.private - bare.private), Target: &Target{Most: 1.5},
		Detail: fmt.Sprintf("%s private (%s with its part of what is shared) in %.1f processes; the bare one %s (%s); the daemon grows by %s",
			figure(mebibytes(each.private), "MiB"), figure(mebibytes(each.proportional), "MiB"), float64(processes)/float64(n),
			figure(mebibytes(bare.private), "MiB"), figure(mebibytes(bare.proportional), "MiB"),
			figure(mebibytes(after.private-before.private)/float64(n), "MiB")),
	}, nil
}

func mebibytes(kibibytes int64) float64 { return float64(kibibytes) / 1024 }

// crowd leaves n idle environments behind.
func (s *scene) crowd(ctx context.Context, l language, name string, n, memoryMB int) (*crowd, error) {
	// Long enough for every one of them to need an environment of its own.
	sleep := burstSleep + time.Duration(n)*50*time.Millisecond
	c, err := s.burst(ctx, l, name, n, memoryMB, sleep)
	if err != nil {
		return nil, err
	}
	if len(c.failures) > 0 || len(c.where) != n {
		return nil, fmt.Errorf("%d events came to %d environments and %d failures (%w)", n, len(c.where), len(c.failures), errors.Join(c.failures...))
	}
	if _, err := s.settle(ctx); err != nil {
		return nil, err
	}
	return c, pause(ctx, calm)
}

// memoryIn is the average memory of the environments with the given process namespaces, and how many processes they have
// in all.
func (s *scene) memoryIn(where map[string]bool) (each memory, processes int, err error) {
	all, err := namespaces(s.PID())
	if err != nil {
		return memory{}, 0, err
	}
	for name := range where {
		if len(all[name]) == 0 {
			return memory{}, 0, fmt.Errorf("no process of environment %s can be seen", name)
		}
		for _, pid := range all[name] {
			m, err := memoryOf(pid)
			if err != nil {
				return memory{}, 0, err
			}
			each = each.plus(m)
			processes++
		}
	}
	n := int64(len(where))
	return memory{each.private / n, each.proportional / n, each.resident / n}, processes, nil
}

// bareMemory is the average memory of n idle interpreters: of several, so that what they share is not counted as
// private, as it would be of a single one.
func bareMemory(ctx context.Context, command []string, n int) (each memory, err error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	silent, mute, err := os.Pipe() // whoever reads of it waits
	if err != nil {
		return memory{}, err
	}
	var running []*exec.Cmd
	defer func() {
		end()
		for _, cmd := range running {
			_ = cmd.Wait() // they are killed
		}
		_, _ = silent.Close(), mute.Close()
	}()
	for range n {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Env = []string{}
		cmd.Stdin = silent
		if err := cmd.Start(); err != nil {
			return memory{}, err
		}
		running = append(running, cmd)
	}
	if err := pause(ctx, calm); err != nil {
		return memory{}, err
	}
	for _, cmd := range running {
		m, err := memoryOf(cmd.Process.Pid)
		if err != nil {
			return memory{}, err
		}
		each = each.plus(m)
	}
	k := int64(n)
	return memory{each.private / k, each.proportional / k, each.resident / k}, nil
}

// cpuWindow is how long idle environments are watched.
const cpuWindow = 10 * time.Second

// measureIdleCPU watches the daemon and all its processes while every environment is idle.
func measureIdleCPU(ctx context.Context, b *bed) (_ []Row, err error) {
	s, err := serve(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	const memoryMB = 128
	if _, err := s.crowd(ctx, b.python, "idle", b.options.idle, memoryMB); err != nil {
		return nil, err
	}
	before, err := used(s.PID())
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := pause(ctx, cpuWindow); err != nil {
		return nil, err
	}
	after, err := used(s.PID())
	if err != nil {
		return nil, err
	}
	share := 100 * (after - before).Seconds() / time.Since(began).Seconds()
	return []Row{{
		Figure: fmt.Sprintf("CPU with %d idle warm environments, of one core", b.options.idle), Unit: "%", N: b.options.idle, Value: share,
		Target: &Target{Most: 1}, Detail: fmt.Sprintf("the daemon and all its processes over %s", cpuWindow),
	}}, nil
}
