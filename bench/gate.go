package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// gate is a shell command that waits until the machine may be used in some way, prints a line then, and keeps it so until
// its standard input ends. A measurement that takes long to prepare can so be alone for the seconds that count. The empty
// one waits for nothing.
type gate string

// enter waits for the line. Call leave when the machine is no longer needed.
func (g gate) enter(ctx context.Context) (leave func() error, err error) {
	if g == "" {
		return func() error { return nil }, nil
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", string(g))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	leave = func() error { return errors.Join(in.Close(), cmd.Wait()) }
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it ended without a line")
		}
		return nil, errors.Join(fmt.Errorf("bench: %s: %w", g, err), leave())
	}
	return leave, nil
}

// through runs f inside the gate.
func (g gate) through(ctx context.Context, f func() error) (err error) {
	leave, err := g.enter(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave()) }()
	return f()
}
