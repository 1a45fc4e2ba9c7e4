package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"hotaru/internal/load"
)

// watched is how long idle environments are looked at.
const watched = 10 * time.Second

// idle leaves environments idle, and says what they cost: processor time of the server and of everything beneath it, and
// memory by the machine's own count.
func (b *bench) idle() error {
	if err := b.create("idle"); err != nil {
		return err
	}
	free, err := availableKB()
	if err != nil {
		return err
	}
	made, err := load.Run(b.ctx, b.target("idle", b.sleep.Seconds()), load.Plan{Clients: b.options.idle, Count: b.options.idle})
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
	return show(struct {
		Language string
		Idle     int
		// CPU is the part of one processor that they take.
		CPU float64
		// MachineKB is how much less memory the machine has for each.
		MachineKB int64
	}{b.language, b.options.idle, part, (free - left) / int64(b.options.idle)})
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
