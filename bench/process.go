package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// procDir is where the kernel shows processes.
const procDir = "/proc"

// procStat is what /proc/PID/stat says of one.
type procStat struct {
	pid, parent int
	// used is the CPU time of the process, and childrenUsed of those of its children that it has waited for.
	used, childrenUsed time.Duration
}

// tick is the kernel's unit of CPU time, the same on every architecture that Go runs on.
const tick = time.Second / 100

// parseStat reads /proc/PID/stat. A process may have given itself a name with spaces and brackets in it.
func parseStat(text string) (procStat, error) {
	opening, closing := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if opening < 0 || closing < opening {
		return procStat{}, fmt.Errorf("%q is not of /proc/PID/stat", text)
	}
	fields := append([]string{strings.TrimSpace(text[:opening])}, strings.Fields(text[closing+1:])...)
	// After the name, which is the second, the fields are numbered from 3: state, parent, ..., utime (14) to cstime (17).
	const parent, utime = 2, 12
	if len(fields) < utime+4 {
		return procStat{}, fmt.Errorf("%q is not of /proc/PID/stat", text)
	}
	var values [6]int
	for i, at := range []int{0, parent, utime, utime + 1, utime + 2, utime + 3} {
		value, err := strconv.Atoi(fields[at])
		if err != nil {
			return procStat{}, fmt.Errorf("%q is not of /proc/PID/stat: %w", text, err)
		}
		values[i] = value
	}
	return procStat{
		pid: values[0], parent: values[1], used: time.Duration(values[2]+values[3]) * tick,
		childrenUsed: time.Duration(values[4]+values[5]) * tick,
	}, nil
}

// family is a process and all below it, by their ids.
func family(root int) (map[int]procStat, error) {
	paths, err := filepath.Glob(filepath.Join(procDir, "[0-9]*", "stat"))
	if err != nil {
		return nil, err
	}
	all := make([]procStat, 0, len(paths))
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		p, err := parseStat(string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return descend(all, root), nil
}

// gone says that a process has ended meanwhile.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

func descend(all []procStat, root int) map[int]procStat {
	children := map[int][]procStat{}
	found := map[int]procStat{}
	for _, p := range all {
		children[p.parent] = append(children[p.parent], p)
		if p.pid == root {
			found[root] = p
		}
	}
	for next := []int{root}; len(next) > 0; {
		below := children[next[0]]
		next = next[1:]
		for _, p := range below {
			found[p.pid] = p
			next = append(next, p.pid)
		}
	}
	return found
}

// used is the CPU time of a family so far, with what its members have waited for.
func used(root int) (time.Duration, error) {
	members, err := family(root)
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, p := range members {
		sum += p.used + p.childrenUsed
	}
	return sum, nil
}

// memory is what a process has of the machine's memory, in KiB: alone, and with its part of what it shares.
type memory struct{ private, proportional, resident int64 }

func (m memory) plus(o memory) memory {
	return memory{m.private + o.private, m.proportional + o.proportional, m.resident + o.resident}
}

// memoryOf reads a process' memory. One that has ended has none.
func memoryOf(pid int) (memory, error) {
	text, err := os.ReadFile(filepath.Join(procDir, strconv.Itoa(pid), "smaps_rollup"))
	if gone(err) {
		return memory{}, nil
	}
	if err != nil {
		return memory{}, err
	}
	return parseRollup(string(text))
}

// parseRollup reads /proc/PID/smaps_rollup.
func parseRollup(text string) (memory, error) {
	var m memory
	fields := map[string]*int64{
		"Private_Clean:": &m.private, "Private_Dirty:": &m.private, "Pss:": &m.proportional, "Rss:": &m.resident,
	}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) != 3 || words[2] != "kB" {
			continue
		}
		sum, wanted := fields[words[0]]
		if !wanted {
			continue
		}
		value, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			return memory{}, fmt.Errorf("smaps_rollup: %w", err)
		}
		*sum += value
	}
	return m, nil
}

// namespaces groups a family by process namespace, as processes see its name.
func namespaces(root int) (map[string][]int, error) {
	members, err := family(root)
	if err != nil {
		return nil, err
	}
	found := map[string][]int{}
	for pid := range members {
		name, err := os.Readlink(filepath.Join(procDir, strconv.Itoa(pid), "ns", "pid"))
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found[name] = append(found[name], pid)
	}
	return found, nil
}
