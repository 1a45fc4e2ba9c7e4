package main

import (
	"time"

	"hotaru/internal/load"
)

// burst sends first invokes at once, each of which sleeps, and says when the last of them began.
func (b *bench) burst() error {
	slept := b.sleep
	if err := b.create("burst"); err != nil {
		return err
	}
	time.Sleep(settle) // until what is prepared for the language is there
	before, err := cpuOf(b.server.PID())
	if err != nil {
		return err
	}
	result, err := load.Run(b.ctx, b.target("burst", slept.Seconds()), load.Plan{Clients: b.options.burst, Count: b.options.burst})
	if err != nil {
		return err
	}
	after, err := cpuOf(b.server.PID())
	if err != nil {
		return err
	}
	row := struct {
		Language          string
		Burst, Ran        int
		Throttled, Failed int
		// FirstStarted, MedianStarted and LastStarted are in seconds after the first event left.
		FirstStarted, MedianStarted, LastStarted float64
		// CPU is what server, sandboxes and functions have used, in milliseconds for each event.
		CPU float64
		Err string `json:",omitempty"`
	}{
		Language: b.language, Burst: b.options.burst, Ran: len(result.Took), Throttled: result.Throttled,
		Failed:       result.Failed + result.Refused + result.Broken,
		FirstStarted: seconds(result.Percentile(0) - slept), MedianStarted: seconds(result.Percentile(0.5) - slept),
		LastStarted: seconds(result.Percentile(1) - slept),
		CPU:         seconds(after-before) * 1000 / float64(b.options.burst),
	}
	if result.Err != nil {
		row.Err = result.Err.Error()
	}
	return show(row)
}

// settle is how long a server gets before it is measured.
const settle = 3 * time.Second
