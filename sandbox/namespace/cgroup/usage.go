//go:build linux

package cgroup

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Usage reads what the group uses now.
func (g *Group) Usage() (Usage, error) {
	var u Usage
	var err error
	if u.MemoryBytes, err = g.memory(); err != nil {
		return Usage{}, err
	}
	if u.CPUTime, err = g.cpuTime(); err != nil {
		return Usage{}, err
	}
	if r := g.parent.layout.pids; r.dir != "" {
		if u.PIDs, err = g.number(r, "pids.current"); err != nil {
			return Usage{}, err
		}
	}
	return u, nil
}

// memory is what cannot be given back to the kernel without swap.
func (g *Group) memory() (int64, error) {
	r := g.parent.layout.memory
	if r.dir == "" {
		return 0, nil
	}
	stat, err := g.pairs(r, "memory.stat")
	if err != nil {
		return 0, err
	}
	if r.v2 {
		kernel, whole := stat["kernel"]
		if !whole { // before Linux 5.18
			kernel = stat["kernel_stack"] + stat["slab"] + stat["percpu"] + stat["pagetables"]
		}
		// What the kernel remembers of files is given back as the page cache is.
		return stat["anon"] + stat["shmem"] + kernel - stat["slab_reclaimable"], nil
	}
	kernel, err := g.number(r, "memory.kmem.usage_in_bytes")
	if err != nil {
		kernel = 0 // a kernel without CONFIG_MEMCG_KMEM: it does not charge what it does not count
	}
	return stat["rss"] + stat["shmem"] + kernel, nil
}

func (g *Group) cpuTime() (time.Duration, error) {
	r := g.parent.layout.cpuacct
	switch {
	case r.dir == "":
		return 0, nil
	case r.v2:
		stat, err := g.pairs(r, "cpu.stat")
		return time.Duration(stat["usage_usec"]) * time.Microsecond, err
	}
	nanoseconds, err := g.number(r, "cpuacct.usage")
	return time.Duration(nanoseconds), err
}

// OOMKills counts the processes that the kernel killed in this group because memory ran out.
func (g *Group) OOMKills() (int64, error) {
	r := g.parent.layout.memory
	if r.dir == "" {
		return 0, nil
	}
	file := "memory.oom_control"
	if r.v2 {
		file = "memory.events"
	}
	pairs, err := g.pairs(r, file)
	return pairs["oom_kill"], err
}

func (g *Group) number(r role, file string) (int64, error) {
	content, err := read(g.in(r), file)
	if err != nil {
		return 0, fmt.Errorf("cgroup: %w", err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(content), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("cgroup: %s: %w", file, err)
	}
	return n, nil
}

// pairs reads a file of "name number" lines.
func (g *Group) pairs(r role, file string) (map[string]int64, error) {
	content, err := read(g.in(r), file)
	if err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	return parsePairs(content), nil
}

func parsePairs(content string) map[string]int64 {
	pairs := make(map[string]int64, 64)
	for line := range strings.Lines(content) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			pairs[name] = n
		}
	}
	return pairs
}
