//go:build linux

package cgroup

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// lateFile is where version 1 has the limits of writing (blkio-controller, "Throttling/Upper limit policy").
const lateFile = "blkio.throttle.write_bps_device"

// LimitsDisk says whether groups can be held to a rate, of all that reaches a device, or of what a process waits for
// alone.
func (p *Parent) LimitsDisk() (all, waitedFor bool) {
	r := p.layout.io
	// Version 2 knows whose page it writes late by the memory controller.
	return r.v2 && p.layout.memory.v2 || p.LimitsLate(), r.dir != ""
}

// LimitDisk bounds how many bytes a second the group reads from a block device ("8:0"), and how many it writes. A rate
// of 0 lifts the limit. What this host cannot limit it leaves alone: see LimitsDisk.
func (g *Group) LimitDisk(device string, rate int64) error {
	r := g.parent.layout.io
	if r.dir == "" {
		return nil
	}
	if r.v2 {
		most := orMax(rate)
		if err := write(g.in(r), "io.max", device+" rbps="+most+" wbps="+most); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
		return nil
	}
	for _, file := range []string{"blkio.throttle.read_bps_device", lateFile} {
		if err := write(g.in(r), file, rule(device, rate)); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
	}
	return nil
}

func rule(device string, rate int64) string { return device + " " + strconv.FormatInt(rate, 10) }

// LimitLate bounds what the kernel writes to a device by itself, after the program that wrote it has gone on. Version 2
// counts that for the program's group, version 1 for nobody's: there the device itself gets the limit, so it
// must be one that a single group uses. LiftLate lifts it; until then the limit lasts, even beyond this process.
func (p *Parent) LimitLate(device string, rate int64) error {
	if !p.LimitsLate() {
		return nil
	}
	if err := write(p.layout.ioRoot, lateFile, rule(device, rate)); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	return nil
}

// LimitsLate says whether LimitLate does anything here.
func (p *Parent) LimitsLate() bool { return p.layout.ioRoot != "" && !p.layout.io.v2 }

// LiftLate lifts a limit of LimitLate, if it is still that one: the device may have become another's.
func (p *Parent) LiftLate(device string, rate int64) error {
	if !p.LimitsLate() {
		return nil
	}
	rules, err := read(p.layout.ioRoot, lateFile)
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	if !slices.Contains(strings.Split(rules, "\n"), rule(device, rate)) {
		return nil
	}
	if err := write(p.layout.ioRoot, lateFile, rule(device, 0)); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	return nil
}
