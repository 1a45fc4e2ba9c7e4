package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"hotaru/daemon"
)

type serveCommand struct {
	dataDir
	Listen                 string        `help:"HOST:PORT; localhost means both 127.0.0.1 and ::1." default:"localhost:4566" env:"HOTARU_LISTEN"`
	Account                string        `help:"The twelve-digit account of the root credential." default:"000000000000" env:"HOTARU_ACCOUNT"`
	Region                 string        `help:"The region that hotaru env prints." default:"us-east-1" env:"HOTARU_REGION"`
	Sandbox                string        `help:"How functions are isolated: auto, namespace, or process (not at all)." default:"auto" enum:"auto,namespace,process" env:"HOTARU_SANDBOX"`
	Runtimes               string        `help:"For a runtime that is not installed: exact refuses it, nearest runs the nearest version of its language." default:"exact" enum:"exact,nearest" env:"HOTARU_RUNTIMES"`
	InsecureAnyCredentials bool          `help:"Accept every access key and signature, as emulators do. For migration only: whoever reaches the port is root."`
	DrainTimeout           time.Duration `help:"How long running invocations may take to end after SIGTERM." default:"15m"`
	LogFormat              string        `help:"The daemon's own log: text or json." default:"text" enum:"text,json"`
}

func (c serveCommand) Run() error {
	dir, err := c.path()
	if err != nil {
		return err
	}
	var handler slog.Handler = slog.NewTextHandler(os.Stderr, nil)
	if c.LogFormat == "json" {
		handler = slog.NewJSONHandler(os.Stderr, nil)
	}
	logger := slog.New(handler)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)

	d, err := daemon.Start(context.Background(), daemon.Config{
		DataDir: dir, Listen: c.Listen, Account: c.Account, Region: c.Region, Sandbox: c.Sandbox,
		Runtimes: c.Runtimes, InsecureAnyCredentials: c.InsecureAnyCredentials,
		SearchPath: filepath.SplitList(os.Getenv("PATH")), HomeDirs: homes(), Logger: logger,
	})
	if err != nil {
		return err
	}
	select {
	case s := <-signals:
		logger.Info("draining: running invocations may end, a second signal cuts them off", "signal", s.String())
	case <-d.Failed():
		logger.Error("stopping", "error", d.Err())
	}
	return errors.Join(d.Err(), drain(d, signals, c.DrainTimeout))
}

// drain stops the daemon, gently until a second signal or the limit.
func drain(d *daemon.Daemon, signals <-chan os.Signal, limit time.Duration) error {
	ctx, cut := context.WithTimeout(context.Background(), limit)
	defer cut()
	ended := make(chan error, 1)
	go func() { ended <- d.Close(ctx) }()
	for {
		select {
		case err := <-ended:
			return err
		case <-signals:
			cut()
		}
	}
}

type envCommand struct {
	dataDir
}

func (c envCommand) Run() error {
	dir, err := c.path()
	if err != nil {
		return err
	}
	e, err := daemon.ReadEndpoint(dir)
	if err != nil {
		return err
	}
	for _, v := range e.Variables() {
		if _, err := fmt.Println("export " + v); err != nil {
			return err
		}
	}
	return nil
}
