//go:build linux

package cgroup

import (
	"fmt"
	"strconv"
)

// SetWeight says what a group gets of the CPUs where all groups together want more than there is: in proportion to the
// memory that it was made with, as its quota is, divided by crowd, the number of groups that share one claim. The quota
// alone bounds each, and is worth nothing where the quotas of those that run are more than there are CPUs. A group without a
// limit on memory keeps the kernel's usual weight.
func (g *Group) SetWeight(crowd int) error {
	if g.claim == 0 {
		return nil
	}
	weight := g.claim / int64(max(crowd, 1))
	// Eight times that with version 1, so that a small one can be shared among as many as with version 2; the kernel's least is 2.
	return g.writeWeight(min(max(weight, 1), 10_000), max(8*weight, 2)) // https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
}

// writeWeight writes a weight, as version 2 of control groups has it or as version 1 does, where there is one.
func (g *Group) writeWeight(v2, v1 int64) error {
	r := g.parent.layout.cpu
	if r.dir == "" {
		return nil
	}
	file, weight := "cpu.shares", v1
	if r.v2 {
		file, weight = "cpu.weight", v2
	}
	if err := write(g.in(r), file, strconv.FormatInt(weight, 10)); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	return nil
}
