package main

import (
	"sync"
	"time"

	"hotaru/internal/load"
)

// eventTime is how long the events of the two functions take, in seconds.
const eventTime = 0.1

// shareRow is one function's part of a measurement with two.
type shareRow struct {
	Function string
	Beside   string
	Clients  int
	// Rate is how many events a second succeeded.
	Rate                      float64
	Served, Throttled, Failed int
	P50, P99                  float64 // in seconds
	Err                       string  `json:",omitempty"`
}

func shareRowOf(function, beside string, clients int, r *load.Result) shareRow {
	row := shareRow{
		Function: function, Beside: beside, Clients: clients, Rate: r.Rate(), Served: len(r.Took), Throttled: r.Throttled,
		Failed: r.Failed + r.Refused + r.Broken, P50: seconds(r.Percentile(0.5)), P99: seconds(r.Percentile(0.99)),
	}
	if r.Err != nil {
		row.Err = r.Err.Error()
	}
	return row
}

// share lets a modest function run alone and then beside a greedy one.
func (b *bench) share() error {
	for _, name := range []string{"modest", "greedy"} {
		if err := b.create(name); err != nil {
			return err
		}
	}
	lasting := time.Duration(b.seconds) * time.Second
	alone, err := load.Run(b.ctx, b.target("modest", eventTime), load.Plan{Clients: b.modest, Time: lasting})
	if err != nil {
		return err
	}
	if err := show(shareRowOf("modest", "", b.modest, alone)); err != nil {
		return err
	}
	var greedy *load.Result
	var greedyErr error
	var both sync.WaitGroup
	both.Go(func() {
		greedy, greedyErr = load.Run(b.ctx, b.target("greedy", eventTime), load.Plan{Clients: b.greedy, Time: lasting})
	})
	together, err := load.Run(b.ctx, b.target("modest", eventTime), load.Plan{Clients: b.modest, Time: lasting})
	both.Wait()
	if err != nil {
		return err
	}
	if greedyErr != nil {
		return greedyErr
	}
	if err := show(shareRowOf("greedy", "modest", b.greedy, greedy)); err != nil {
		return err
	}
	if err := show(shareRowOf("modest", "greedy", b.modest, together)); err != nil {
		return err
	}
	return show(struct {
		// Kept is the part of its rate alone that the modest function has beside the greedy one.
		Kept float64
	}{together.Rate() / alone.Rate()})
}
