package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"hotaru/internal/load"
	"hotaru/internal/sample"
)

// pressed is a load of two functions that have too little of something, one of them greedy.
type pressed struct {
	figure, source, event string
	modest, greedy        int // clients
	flags                 []string
}

const (
	// sleepySource holds memory for as long as its event says, busySource a CPU, in seconds of CPU time.
	sleepySource = "import time\ndef handler(event, context):\n    time.sleep(event)\n"
	busySource   = "import time\ndef handler(event, context):\n    end = time.process_time() + event\n    while time.process_time() < end: pass\n"
	// roomOfFifty is memory for some 50 environments of Python, in MiB.
	roomOfFifty = 700
)

// keptOfOne is the part of its rate alone that a modest function keeps at least, in percent.
const keptOfOne = 40

// measurePressure has a modest function run alone and then beside a greedy one, on memory for 50 environments.
func measurePressure(ctx context.Context, b *bed) ([]Row, error) {
	row, err := b.pressedRow(ctx, pressed{
		figure: "what a modest function keeps beside a greedy one, memory for 50 environments", source: sleepySource, event: "0.1",
		modest: 20, greedy: b.options.crowd - 20, flags: []string{fmt.Sprint("--memory-budget=", roomOfFifty)},
	})
	return []Row{row}, err
}

// measureBusy does the same with functions that use all the CPU time that they get.
func measureBusy(ctx context.Context, b *bed) ([]Row, error) {
	row, err := b.pressedRow(ctx, pressed{
		figure: "what a modest function keeps beside a greedy one, both burning CPU time", source: busySource, event: "0.005",
		modest: 2, greedy: 200,
	})
	return []Row{row}, err
}

func (b *bed) pressedRow(ctx context.Context, p pressed) (_ Row, err error) {
	s, err := serve(ctx, p.flags...)
	if err != nil {
		return Row{}, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	f := b.python.function
	if f.Zip, err = sample.Zip(map[string]string{"app.py": p.source}); err != nil {
		return Row{}, err
	}
	for _, name := range []string{"modest", "greedy"} {
		if err := s.create(ctx, f, name, smallMB); err != nil {
			return Row{}, err
		}
	}
	var alone, together, greedy *load.Result
	var asked []time.Duration
	err = b.options.alone.through(ctx, func() (err error) {
		plan := load.Plan{Clients: p.modest, Time: b.options.pressed}
		if alone, err = load.Run(ctx, s.target("modest", p.event), plan); err != nil {
			return err
		}
		var greedyErr error
		var both sync.WaitGroup
		both.Go(func() {
			greedy, greedyErr = load.Run(ctx, s.target("greedy", p.event), load.Plan{Clients: p.greedy, Time: b.options.pressed})
		})
		answered := make(chan error, 1)
		done := make(chan struct{})
		go func() { answered <- s.askMeanwhile(ctx, done, &asked) }()
		together, err = load.Run(ctx, s.target("modest", p.event), plan)
		close(done)
		both.Wait()
		return errors.Join(err, greedyErr, <-answered)
	})
	if err != nil {
		return Row{}, err
	}
	row := pressedRow(p, alone, together, greedy)
	row.Detail += fmt.Sprintf("; GetFunction meanwhile p50 %s, p99 %s of %d", figure(summarize(asked).P50, "ms"),
		figure(summarize(asked).P99, "ms"), len(asked))
	return row, nil
}

// askInterval is how long after an answer the next request for a function's configuration is sent.
const askInterval = 20 * time.Millisecond

// askMeanwhile asks for a function's configuration over and over until done is closed, and says how long each answer took.
func (s *scene) askMeanwhile(ctx context.Context, done <-chan struct{}, took *[]time.Duration) error {
	for {
		select {
		case <-done:
			return nil
		case <-time.After(askInterval):
		}
		began := time.Now()
		if _, err := s.Lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("modest")}); err != nil {
			return fmt.Errorf("bench: under pressure: %w", err)
		}
		*took = append(*took, time.Since(began))
	}
}

func pressedRow(p pressed, alone, together, greedy *load.Result) Row {
	row := Row{Figure: p.figure, Unit: "%", N: len(together.Took), Target: &Target{Least: keptOfOne}}
	if alone.Rate() > 0 {
		row.Value = 100 * together.Rate() / alone.Rate()
	}
	row.Detail = fmt.Sprintf("%s alone with %d clients, %s beside %d of the greedy one, which has %s; p99 %s; throttled %d of it and %d of the greedy one",
		figure(alone.Rate(), "/s"), p.modest, figure(together.Rate(), "/s"), p.greedy, figure(greedy.Rate(), "/s"),
		figure(milliseconds(together.Percentile(0.99)), "ms"), together.Throttled, greedy.Throttled)
	for _, r := range []*load.Result{alone, together, greedy} {
		if wrong := r.Failed + r.Refused + r.Broken; wrong > 0 {
			row.Failure = fmt.Sprintf("%d events failed, one with %v", wrong, r.Err)
		}
	}
	return row
}

// pressedTime is how long each load of two functions lasts.
const pressedTime = 8 * time.Second
