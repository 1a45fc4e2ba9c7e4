package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// processes are a process and everything that descends from it, by their PIDs.
func processes(root int) (map[int][]string, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	all, children := map[int][]string{}, map[int][]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || len(fields) < 15 {
			return nil, fmt.Errorf("%s: %q", file, text)
		}
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, err
		}
		all[pid] = fields
		children[parent] = append(children[parent], pid)
	}
	mine := map[int][]string{}
	for next := []int{root}; len(next) > 0; next = next[1:] {
		mine[next[0]] = all[next[0]]
		next = append(next, children[next[0]]...)
	}
	return mine, nil
}

// tick is the unit of times in /proc/PID/stat (USER_HZ, which is the same on every Linux).
const tick = 10 * time.Millisecond

// cpuOf is the time that a process, everything that descends from it and those that have ended have used.
func cpuOf(root int) (time.Duration, error) {
	all, err := processes(root)
	if err != nil {
		return 0, err
	}
	ticks := 0
	for _, fields := range all {
		if len(fields) < 15 {
			return 0, fmt.Errorf("process %d is gone", root)
		}
		for _, field := range fields[11:15] { // utime, stime, and those of children that were waited for
			n, err := strconv.Atoi(field)
			if err != nil {
				return 0, err
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * tick, nil
}
