package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"hotaru/internal/load"
)

// environment is a function's variables, each NAME=value.
func environment(variables []string) *types.Environment {
	e := &types.Environment{Variables: map[string]string{}}
	for _, variable := range variables {
		name, value, _ := strings.Cut(variable, "=")
		e.Variables[name] = value
	}
	return e
}

// measureCold invokes versions for the first time. A program of one's own has no zygote: its sandbox is ready, it is not
// started.
func measureCold(ctx context.Context, b *bed) (rows []Row, err error) {
	for _, c := range []struct {
		language language
		target   Target
	}{
		{b.python, Target{Most: 5, MostP99: 15, Ratio: 0.3}},
		{b.node, Target{Most: 5, MostP99: 15, Ratio: 0.3}},
		{b.program, Target{Most: 10}},
	} {
		row, err := b.coldRow(ctx, c.language, "cold invoke, "+c.language.name, c.target, b.options.cold)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", c.language.name, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// measureColdPath does the same with functions that no zygote can serve.
func measureColdPath(ctx context.Context, b *bed) (rows []Row, err error) {
	for _, l := range []language{b.python, b.node} {
		figure := "cold invoke without a zygote, " + l.name
		row, err := b.coldRow(ctx, l, figure, Target{Ratio: 1.3, Plus: 5}, b.options.coldPath, l.startVariable)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", l.name, err)
		}
		row.Detail = "with " + l.startVariable + "; " + row.Detail
		rows = append(rows, row)
	}
	return rows, nil
}

// coldRow measures cold invokes and bare starts in turn, so that both meet the same noise.
func (b *bed) coldRow(ctx context.Context, l language, figure string, target Target, n int, variables ...string) (_ Row, err error) {
	s, err := serve(ctx)
	if err != nil {
		return Row{}, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	const name = "cold"
	if err := s.create(ctx, l.function, name, b.options.memoryMB, variables...); err != nil {
		return Row{}, err
	}
	connection, err := load.Dial(ctx, s.target(name, greeting))
	if err != nil {
		return Row{}, err
	}
	defer connection.Close()
	// The first invoke of all makes what is kept from then on: the root of the runtime, the code, the first zygotes.
	if _, err := connection.Invoke(ctx); err != nil {
		return Row{}, err
	}
	var bare, cold []time.Duration
	for i := range n {
		took, err := startBare(ctx, l.bare, variables...)
		if err != nil {
			return Row{}, err
		}
		bare = append(bare, took)
		if err := s.Renew(ctx, name, fmt.Sprint("cold start ", i)); err != nil {
			return Row{}, err
		}
		ready, err := s.settle(ctx)
		if err != nil {
			return Row{}, err
		}
		if ready == 0 && len(variables) == 0 {
			return Row{}, errors.New("no zygote is ready")
		}
		if err := pause(ctx, quiet); err != nil {
			return Row{}, err
		}
		if took, err = connection.Invoke(ctx); err != nil {
			return Row{}, err
		}
		cold = append(cold, took)
	}
	row := summarize(cold).row(figure, &target)
	row.Baseline = summarize(bare).baseline(l.bare)
	gauges, err := s.gauges(ctx)
	row.Detail = coldParts(gauges, len(variables) == 0)
	return row, err
}

// coldParts says what of a cold invoke the daemon's own metrics know: Init, and how the sandbox came to be there, which
// is when it is made and started unless it was ready for the code.
func coldParts(metrics map[string]float64, ready bool) string {
	mean := func(name, labels string) string {
		var sum, count float64
		for key, value := range metrics {
			if strings.HasPrefix(key, name+"_sum{"+labels) {
				sum += value
			}
			if strings.HasPrefix(key, name+"_count{"+labels) {
				count += value
			}
		}
		return figure(1000*sum/max(count, 1), "ms")
	}
	operation := func(name string) string { return mean("hotaru_sandbox_operation_seconds", `operation="`+name+`"`) }
	initialized := mean("aws_lambda_init_duration_seconds", "")
	if ready {
		return fmt.Sprintf("of it, on average, %s attaching code and %s Init", operation("attach"), initialized)
	}
	return fmt.Sprintf("of it, on average, %s making the sandbox, %s starting a process in it and %s Init",
		operation("create"), operation("start"), initialized)
}

// quiet is how long nothing happens before a cold invoke: the environment of the version before is gone by then.
const quiet = 50 * time.Millisecond
