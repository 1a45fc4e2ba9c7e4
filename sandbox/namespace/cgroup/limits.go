//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
)

// CPU time is rationed in periods (docs/adr/0012-cpu-in-periods.md), in microseconds: as short as possible, because a
// group that has used its share waits for the rest of one, but long enough for leastShare in each, so that short work is
// not cut into pieces, and at most as long as the kernel's default.
const (
	shortestPeriod = 20_000
	longestPeriod  = 100_000
	leastShare     = 15_000
)

// cpuPeriod is the period of a group that has so many thousandths of a CPU.
func cpuPeriod(milli int64) int64 {
	return min(max(leastShare*1000/milli, shortestPeriod), longestPeriod)
}

// SetLimits replaces the limits, all or none. Less memory than is in use is an error.
func (g *Group) SetLimits(limits Limits) error {
	if limits.MemoryBytes != 0 && (g.limits.MemoryBytes == 0 || limits.MemoryBytes < g.limits.MemoryBytes) {
		usage, err := g.memory()
		if err != nil {
			return err
		}
		if usage > limits.MemoryBytes {
			return fmt.Errorf("cgroup: %d bytes are in use, more than the limit of %d", usage, limits.MemoryBytes)
		}
	}
	return g.replace(limits)
}

// replace is SetLimits without a look at what is in use.
func (g *Group) replace(limits Limits) error {
	if err := g.change(g.limits, limits); err != nil {
		return errors.Join(err, g.change(limits, g.limits))
	}
	g.limits = limits
	return nil
}

// change writes what differs. Memory alone can refuse what is well-formed, so it comes first.
func (g *Group) change(from, to Limits) error {
	if from.MemoryBytes != to.MemoryBytes {
		if err := g.setMemory(from.MemoryBytes, to.MemoryBytes); err != nil {
			return err
		}
	}
	if from.MilliCPU != to.MilliCPU {
		if err := g.setCPU(from.MilliCPU, to.MilliCPU); err != nil {
			return err
		}
	}
	if from.PIDs != to.PIDs {
		return g.setPIDs(to.PIDs)
	}
	return nil
}

func (g *Group) setMemory(from, to int64) error {
	r := g.parent.layout.memory
	if r.dir == "" {
		return nil
	}
	if r.v2 {
		return g.setMemoryV2(to)
	}
	return g.setMemoryV1(to, to != 0 && (from == 0 || to < from))
}

func (g *Group) setMemoryV2(bytes int64) error {
	dir := g.in(g.parent.layout.memory)
	// Absent where the kernel has no swap accounting, and then there is no swap to use up.
	if err := write(dir, "memory.swap.max", "0"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cgroup: %w", err)
	}
	if err := write(dir, "memory.max", orMax(bytes)); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	return nil
}

func (g *Group) setMemoryV1(bytes int64, lowers bool) error {
	if err := writeMemoryV1(g.in(g.parent.layout.memory), bytes, lowers); err != nil {
		return err
	}
	return g.setSocketsV1(bytes)
}

// writeMemoryV1 keeps memory alone at most memory with swap, as the kernel demands, in the order that never
// breaks it on the way.
func writeMemoryV1(dir string, bytes int64, lowers bool) error {
	value := "-1"
	if bytes > 0 {
		value = strconv.FormatInt(bytes, 10)
	}
	steps := []string{"memory.memsw.limit_in_bytes", "memory.limit_in_bytes"}
	if lowers {
		steps[0], steps[1] = steps[1], steps[0]
	}
	for _, file := range steps {
		err := write(dir, file, value)
		if errors.Is(err, fs.ErrNotExist) && file != "memory.limit_in_bytes" {
			err = write(dir, "memory.swappiness", "0") // no swap accounting: at least do not swap
		}
		if err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
	}
	return nil
}

// The least and the most that setSocketsV1 lets sockets hold, in bytes.
const minSockets, maxSockets = 16 << 20, 256 << 20

// setSocketsV1 bounds what is on its way in TCP and UDP sockets. Version 2 counts it as memory. Version 1 counts it apart,
// and only where it has a limit: without one, any group could take all that the kernel gives to the sockets of the whole host
// (net.ipv4.tcp_mem). An eighth of the memory is about what the kernel gives them on a machine of that size.
func (g *Group) setSocketsV1(memory int64) error {
	value := "-1"
	if memory > 0 {
		value = strconv.FormatInt(min(max(memory/8, minSockets), maxSockets), 10)
	}
	err := write(g.in(g.parent.layout.memory), "memory.kmem.tcp.limit_in_bytes", value)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // absent where the kernel has no networks, or no longer has the file
		return fmt.Errorf("cgroup: %w", err)
	}
	return nil
}

func (g *Group) setCPU(from, to int64) error {
	r := g.parent.layout.cpu
	if r.dir == "" {
		return nil
	}
	var quota, period int64 = 0, longestPeriod
	if to > 0 {
		period = cpuPeriod(to)
		quota = max(to*period/1000, 1000) // the kernel's least
	}
	if r.v2 {
		if err := write(g.in(r), "cpu.max", orMax(quota)+" "+strconv.FormatInt(period, 10)); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
		return nil
	}
	return g.setCPUV1(from > 0, quota, period)
}

// setCPUV1 writes the two in an order that never asks for more than the group above may have on the way. Each has the
// kernel look at every group there is, so what is so already is not written.
func (g *Group) setCPUV1(limited bool, quota, period int64) error {
	set := func(file string, value int64) error {
		if err := write(g.in(g.parent.layout.cpu), file, strconv.FormatInt(value, 10)); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
		return nil
	}
	if quota == 0 {
		return set("cpu.cfs_quota_us", -1)
	}
	if period != g.period {
		if limited {
			if err := set("cpu.cfs_quota_us", -1); err != nil {
				return err
			}
		}
		if err := set("cpu.cfs_period_us", period); err != nil {
			return err
		}
		g.period = period
	}
	return set("cpu.cfs_quota_us", quota)
}

func (g *Group) setPIDs(most int64) error {
	r := g.parent.layout.pids
	if r.dir == "" {
		return nil
	}
	if err := write(g.in(r), "pids.max", orMax(most)); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	return nil
}

func orMax(value int64) string {
	if value == 0 {
		return "max"
	}
	return strconv.FormatInt(value, 10)
}
