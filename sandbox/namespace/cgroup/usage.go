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
		kernel, whole := stat.find("kernel")
		if !whole { // before Linux 5.18
			kernel = stat.sum("kernel_stack", "slab", "percpu", "pagetables")
		}
		// What the kernel remembers of files is given back as the page cache is.
		return stat.sum("anon", "shmem") + kernel - stat.sum("slab_reclaimable"), nil
	}
	kernel, err := g.number(r, "memory.kmem.usage_in_bytes")
	if err != nil {
		kernel = 0 // a kernel without CONFIG_MEMCG_KMEM: it does not charge what it does not count
	}
	return stat.sum("rss", "shmem") + kernel, nil
}

func (g *Group) cpuTime() (time.Duration, error) {
	r := g.parent.layout.cpuacct
	switch {
	case r.dir == "":
		return 0, nil
	case r.v2:
		stat, err := g.pairs(r, "cpu.stat")
		return time.Duration(stat.sum("usage_usec")) * time.Microsecond, err
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
	events, err := g.pairs(r, file)
	return events.sum("oom_kill"), err
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

// pairs is a file of "name number" lines.
type pairs string

func (g *Group) pairs(r role, file string) (pairs, error) {
	content, err := read(g.in(r), file)
	if err != nil {
		return "", fmt.Errorf("cgroup: %w", err)
	}
	return pairs(content), nil
}

// find is a number, if it is there.
func (p pairs) find(name string) (int64, bool) {
	for line := range strings.Lines(string(p)) {
		value, ok := strings.CutPrefix(line, name)
		if !ok || !strings.HasPrefix(value, " ") {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		return n, err == nil
	}
	return 0, false
}

// sum adds numbers up; one that is not there is 0.
func (p pairs) sum(names ...string) int64 {
	var all int64
	for _, name := range names {
		n, _ := p.find(name)
		all += n
	}
	return all
}
