package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"hotaru/internal/load"
	"hotaru/internal/sample"
)

// timedPython and timedNode are handlers that say when they began, on the machine's clock, and where: the name of the
// environment's process namespace. Then they sleep for as many seconds as the event says.
const (
	timedPython = `import os, time

def handler(event, context):
    started = time.time()
    time.sleep(event["sleep"])
    return {"started": started, "where": os.readlink("/proc/self/ns/pid")}
`
	timedNode = `const fs = require("fs");
exports.handler = async (event) => {
  const started = Date.now() / 1000;
  await new Promise((resolve) => setTimeout(resolve, event.sleep * 1000));
  return { started, where: fs.readlinkSync("/proc/self/ns/pid") };
};
`
)

// timedFunction is the language's function that says when it began.
func (l language) timedFunction() (sample.Function, error) {
	pack, err := sample.Zip(l.timed)
	f := l.function
	f.Zip = pack
	return f, err
}

// sleepEvent is the event of timed functions.
func sleepEvent(sleep time.Duration) string { return fmt.Sprintf(`{"sleep":%g}`, sleep.Seconds()) }

// burstSleep is how long a handler of a burst sleeps at least.
const burstSleep = 3 * time.Second

// burstZygotes are ready when a burst comes.
const burstZygotes = 10

// measureBurst invokes functions that have never run, all at once.
func measureBurst(ctx context.Context, b *bed) (rows []Row, err error) {
	n := b.options.burst
	for _, l := range []language{b.python, b.node} {
		bare, err := bareAtOnce(ctx, l.bare, n)
		if err != nil {
			return rows, err
		}
		target, sleep := Target{Most: 1500}, burstSleep
		if l.name == b.node.name {
			// All can only run at once if the first still sleeps when the last begins.
			target, sleep = Target{Ratio: 1.1}, max(burstSleep, 2*bare)
		}
		row, err := b.burstRow(ctx, l, n, b.options.memoryMB, sleep)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", l.name, err)
		}
		row.Target = &target
		row.Baseline = &Baseline{Command: l.bare, N: n, Value: milliseconds(bare)}
		rows = append(rows, row)
	}
	return rows, nil
}

// measureBigBurst does the same with more and smaller ones.
func measureBigBurst(ctx context.Context, b *bed) (rows []Row, err error) {
	const memoryMB = 128
	for _, c := range []struct {
		language language
		target   Target
		sleep    time.Duration
	}{
		{b.python, Target{Most: 8000}, 20 * time.Second},
		{b.node, Target{}, 60 * time.Second},
	} {
		row, err := b.burstRow(ctx, c.language, b.options.bigBurst, memoryMB, c.sleep)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", c.language.name, err)
		}
		row.Target = &c.target
		rows = append(rows, row)
	}
	return rows, nil
}

// bareAtOnce starts a command n times at once and says how long it takes until the last has ended.
func bareAtOnce(ctx context.Context, command []string, n int) (time.Duration, error) {
	var starts sync.WaitGroup
	failures := make([]error, n)
	began := time.Now()
	for i := range n {
		starts.Go(func() { _, failures[i] = startBare(ctx, command) })
	}
	starts.Wait()
	return time.Since(began), errors.Join(failures...)
}

// burstRow is in milliseconds from the first event's leaving to the last handler's beginning.
func (b *bed) burstRow(ctx context.Context, l language, n, memoryMB int, sleep time.Duration) (_ Row, err error) {
	s, err := serve(ctx, fmt.Sprintf("--prewarm=%s:%d=%d", l.function.Runtime, memoryMB, burstZygotes))
	if err != nil {
		return Row{}, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	zygotes, err := s.prepare(ctx, l, memoryMB)
	if err != nil {
		return Row{}, err
	}
	crowd, err := s.burst(ctx, l, "burst", n, memoryMB, sleep)
	if err != nil {
		return Row{}, err
	}
	return crowd.row(fmt.Sprintf("burst: %d first invokes at once, %s", n, l.name), zygotes), nil
}

// prepare has a function of the same kind run, so that there are zygotes, and says how many.
func (s *scene) prepare(ctx context.Context, l language, memoryMB int) (zygotes int, err error) {
	if err := s.create(ctx, l.function, "before", memoryMB); err != nil {
		return 0, err
	}
	connection, err := load.Dial(ctx, s.target("before", greeting))
	if err != nil {
		return 0, err
	}
	defer connection.Close()
	if _, err := connection.Invoke(ctx); err != nil {
		return 0, err
	}
	zygotes, err = s.settle(ctx)
	if err != nil {
		return 0, err
	}
	return zygotes, pause(ctx, time.Second)
}

// crowd is what a burst came to, sorted by when handlers began.
type crowd struct {
	sent time.Time
	// started and ended are when handlers began and answers came, since sent, and where the environments.
	started, ended []time.Duration
	where          map[string]bool
	failures       []error
	n              int
}

// burst creates a function that says when it begins and invokes it n times at once.
func (s *scene) burst(ctx context.Context, l language, name string, n, memoryMB int, sleep time.Duration) (*crowd, error) {
	f, err := l.timedFunction()
	if err != nil {
		return nil, err
	}
	if err := s.create(ctx, f, name, memoryMB); err != nil {
		return nil, err
	}
	answers, err := load.Burst(ctx, s.target(name, sleepEvent(sleep)), n, 2*functionTime)
	if err != nil {
		return nil, err
	}
	return newCrowd(answers), nil
}

func newCrowd(answers []load.Answer) *crowd {
	c := &crowd{where: map[string]bool{}, n: len(answers)}
	for _, a := range answers {
		if c.sent.IsZero() || a.Sent.Before(c.sent) {
			c.sent = a.Sent
		}
	}
	for _, a := range answers {
		var said struct {
			Started float64
			Where   string
		}
		err := a.Err
		if err == nil {
			err = json.Unmarshal(a.Payload, &said)
		}
		if err != nil {
			c.failures = append(c.failures, err)
			continue
		}
		c.started = append(c.started, time.UnixMicro(int64(said.Started*1e6)).Sub(c.sent))
		c.ended = append(c.ended, a.Sent.Add(a.Took).Sub(c.sent))
		c.where[said.Where] = true
	}
	slices.Sort(c.started)
	slices.Sort(c.ended)
	return c
}

// atOnce is the most handlers that ran at a time.
func (c *crowd) atOnce() int {
	most, ended := 0, 0
	for i, started := range c.started {
		for ended < len(c.ended) && c.ended[ended] < started {
			ended++
		}
		most = max(most, i+1-ended)
	}
	return most
}

func (c *crowd) row(title string, zygotes int) Row {
	r := Row{Figure: title, Unit: "ms", N: len(c.started)}
	if len(c.started) > 0 {
		r.Value = milliseconds(c.started[len(c.started)-1])
	}
	r.Detail = fmt.Sprintf("the last of them started; half of them after %s; %d at once in %d environments; %d zygotes ready",
		figure(milliseconds(load.Percentile(c.started, 0.5)), "ms"), c.atOnce(), len(c.where), zygotes)
	switch {
	case len(c.failures) > 0:
		r.Failure = fmt.Sprintf("%d of %d failed, one with %v", len(c.failures), c.n, c.failures[0])
	case c.atOnce() < c.n:
		r.Failure = "not all ran at once"
	}
	return r
}
