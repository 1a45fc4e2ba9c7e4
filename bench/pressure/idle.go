package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"hotaru/internal/load"
)

// watched is how long idle environments are looked at.
const watched = 10 * time.Second

// idle leaves environments idle, and says what they cost: processor time of the server and of everything beneath it, and
// memory by the machine's own count. It also invokes another function for the first time, again and again, before and
// beside them.
func (b *bench) idle() error {
	if err := errors.Join(b.create("idle"), b.create("cold")); err != nil {
		return err
	}
	before, err := b.coldStarts()
	if err != nil {
		return err
	}
	free, err := availableKB()
	if err != nil {
		return err
	}
	made, err := load.Run(b.ctx, b.target("idle", slept), load.Plan{Clients: b.options.idle, Count: b.options.idle})
	if err != nil {
		return err
	}
	if len(made.Took) < b.options.idle {
		return fmt.Errorf("%d of %d ran: %w", len(made.Took), b.options.idle, made.Err)
	}
	time.Sleep(settle)
	left, err := availableKB()
	if err != nil {
		return err
	}
	began := time.Now()
	start, err := cpuOf(b.server.PID())
	if err != nil {
		return err
	}
	time.Sleep(watched)
	end, err := cpuOf(b.server.PID())
	if err != nil {
		return err
	}
	part := float64(end-start) / float64(time.Since(began))
	beside, err := b.coldStarts()
	if err != nil {
		return err
	}
	return show(struct {
		Language string
		Idle     int
		// CPU is the part of one processor that they take.
		CPU float64
		// MachineKB is how much less memory the machine has for each.
		MachineKB int64
		// ColdBefore and ColdBeside are medians of first invokes, without them and beside them, in milliseconds.
		ColdBefore, ColdBeside float64
	}{b.language, b.options.idle, part, (free - left) / int64(b.options.idle), milliseconds(before), milliseconds(beside)})
}

// colds is how many first invokes a median is of.
const colds = 21

// coldStarts is the median of first invokes, one after the other.
func (b *bench) coldStarts() (time.Duration, error) {
	conn, err := load.Dial(b.ctx, b.target("cold", 0))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	var all []time.Duration
	for i := range colds {
		if err := b.server.Renew(b.ctx, "cold", fmt.Sprint(time.Now().UnixNano(), i)); err != nil {
			return 0, err
		}
		took, err := conn.Invoke(b.ctx)
		if err != nil {
			return 0, err
		}
		all = append(all, took)
	}
	slices.Sort(all)
	return all[len(all)/2], nil
}

func availableKB() (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); fields[0] == "MemAvailable:" {
			return strconv.ParseInt(fields[1], 10, 64)
		}
	}
	return 0, errors.New("/proc/meminfo does not say what is available")
}
