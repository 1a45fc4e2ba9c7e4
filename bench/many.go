package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"hotaru/internal/load"
)

// What a first invoke may take beside many functions or environments, in what it takes without them.
const besideMany = 1.2

// creators is how many functions are created at once.
const creators = 16

// measureFunctions compares first invokes among many functions with those among few.
func measureFunctions(ctx context.Context, b *bed) (_ []Row, err error) {
	few, many, stop, err := b.coldScenes(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	n := b.options.functions
	if err := b.options.preparing.through(ctx, func() error { return many.createMany(ctx, b, n) }); err != nil {
		return nil, err
	}
	var took [2][]time.Duration
	if err := b.options.alone.through(ctx, func() error { return b.coldInTurn(ctx, few, many, &took) }); err != nil {
		return nil, err
	}
	row := summarize(took[1]).row(fmt.Sprintf("cold invoke among %d functions, Python", n), &Target{Ratio: besideMany})
	row.Baseline = summarize(took[0]).baseline([]string{"the same of a Hotaru with one function, in turn"})
	return []Row{row}, nil
}

// measureEnvironments compares first invokes beside many idle environments with those before these were there.
func measureEnvironments(ctx context.Context, b *bed) (_ []Row, err error) {
	few, many, stop, err := b.coldScenes(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	var before, beside [2][]time.Duration
	if err := b.options.alone.through(ctx, func() error { return b.coldInTurn(ctx, few, many, &before) }); err != nil {
		return nil, err
	}
	n := b.options.environments
	if err := b.options.preparing.through(ctx, func() error { return many.idleMany(ctx, b, n) }); err != nil {
		return nil, err
	}
	if err := b.options.alone.through(ctx, func() error { return b.coldInTurn(ctx, few, many, &beside) }); err != nil {
		return nil, err
	}
	row := summarize(beside[1]).row(fmt.Sprintf("cold invoke beside %d idle environments, Python", n), &Target{Ratio: besideMany})
	row.Baseline = summarize(before[1]).baseline([]string{"the same before"})
	row.Detail = fmt.Sprintf("another Hotaru, which has none of them: %s before, %s beside", figure(summarize(before[0]).P50, "ms"),
		figure(summarize(beside[0]).P50, "ms"))
	return []Row{row}, nil
}

// coldName is the function that is invoked for the first time, over and over.
const coldName = "cold"

// coldScenes are two of them, and what ends both.
func (b *bed) coldScenes(ctx context.Context) (few, many *scene, stop func() error, err error) {
	if few, err = b.coldScene(ctx); err != nil {
		return nil, nil, nil, err
	}
	if many, err = b.coldScene(ctx); err != nil {
		return nil, nil, nil, errors.Join(err, few.Stop())
	}
	return few, many, func() error { return errors.Join(many.Stop(), few.Stop()) }, nil
}

// coldScene is a Hotaru with that function, and zygotes for it.
func (b *bed) coldScene(ctx context.Context) (*scene, error) {
	s, err := serve(ctx)
	if err != nil {
		return nil, err
	}
	err = s.create(ctx, b.python.function, coldName, b.options.memoryMB)
	if err == nil {
		_, err = s.coldInvoke(ctx, "the first of all") // which makes what is kept from then on
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// coldInTurn invokes for the first time, now at the one and now at the other.
func (b *bed) coldInTurn(ctx context.Context, one, other *scene, took *[2][]time.Duration) error {
	for n := range b.options.cold {
		for i, s := range []*scene{one, other} {
			t, err := s.coldInvoke(ctx, fmt.Sprint("cold start ", time.Now().UnixNano(), n))
			if err != nil {
				return err
			}
			took[i] = append(took[i], t)
		}
	}
	return nil
}

// coldInvoke invokes a new version of the function, with a zygote ready.
func (s *scene) coldInvoke(ctx context.Context, description string) (time.Duration, error) {
	connection, err := load.Dial(ctx, s.target(coldName, greeting))
	if err != nil {
		return 0, err
	}
	defer connection.Close()
	if err := s.Renew(ctx, coldName, description); err != nil {
		return 0, err
	}
	if _, err := s.settle(ctx); err != nil {
		return 0, err
	}
	if err := pause(ctx, quiet); err != nil {
		return 0, err
	}
	return connection.Invoke(ctx)
}

// createMany creates functions that nobody invokes.
func (s *scene) createMany(ctx context.Context, b *bed, n int) error {
	numbers := make(chan int)
	failures := make([]error, creators)
	var all sync.WaitGroup
	for i := range creators {
		all.Go(func() {
			for n := range numbers {
				if failures[i] == nil {
					failures[i] = s.create(ctx, b.python.function, fmt.Sprint("function-", n), b.options.memoryMB)
				}
			}
		})
	}
	for n := range n {
		numbers <- n
	}
	close(numbers)
	all.Wait()
	return errors.Join(failures...)
}

// idleCrowd is how many environments are made idle at a time, in idleSleep: they have to run at once for that.
const (
	idleCrowd = 100
	idleSleep = 10 * time.Second
)

// idleMany leaves idle environments of several functions behind.
func (s *scene) idleMany(ctx context.Context, b *bed, n int) error {
	for made := 0; made < n; {
		c, err := s.burst(ctx, b.python, fmt.Sprint("idle-", made), min(idleCrowd, n-made), smallMB, idleSleep)
		if err == nil {
			err = errors.Join(c.failures...)
		}
		if err != nil {
			return err
		}
		made += len(c.where)
	}
	if _, err := s.settle(ctx); err != nil {
		return err
	}
	return pause(ctx, calm)
}

// smallMB is the memory size of functions that there are many of.
const smallMB = 128
