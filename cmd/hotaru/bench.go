package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"hotaru/internal/load"
)

// benchCommand is an ordinary client of Lambda's API, here or anywhere.
type benchCommand struct {
	dataDir
	Function      string        `arg:"" help:"A function's name or ARN."`
	Clients       int           `help:"How many clients invoke, each one event after the other." default:"1"`
	Count         int           `help:"How many events in all. Default: 1000, or as many as --time allows." placeholder:"N"`
	Time          time.Duration `help:"For how long." placeholder:"DURATION"`
	Payload       string        `help:"A file with the event; - is standard input. Default: {}." placeholder:"FILE"`
	Against       string        `help:"Another endpoint that speaks Lambda's Invoke, http://HOST:PORT or https://HOST:PORT. Requests are signed if AWS_ACCESS_KEY_ID is set." placeholder:"URL"`
	NoSignRequest bool          `help:"Do not sign requests." name:"no-sign-request"`
	JSON          bool          `help:"Print JSON." name:"json"`
}

// benchCount is how many events are sent when nobody says.
const benchCount = 1000

// Validate implements kong's hook.
func (c benchCommand) Validate() error {
	switch {
	case c.Clients < 1:
		return errors.New("--clients is at least 1")
	case c.Count < 0 || c.Time < 0:
		return errors.New("--count and --time are not negative")
	}
	return nil
}

func (c benchCommand) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return c.measure(ctx, os.Stdin, os.Stdout, os.Getenv)
}

// measure prints what a load comes to. An interrupt ends it early, and what it came to until then is printed.
func (c benchCommand) measure(ctx context.Context, in io.Reader, out io.Writer, getenv func(string) string) error {
	target, err := c.target(getenv)
	if err != nil {
		return err
	}
	if target.Payload, err = c.event(in); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	plan := load.Plan{Clients: c.Clients, Count: c.Count, Time: c.Time}
	if c.Count == 0 && c.Time == 0 {
		plan.Count = benchCount
	}
	result, err := load.Run(ctx, target, plan)
	if err != nil && !errors.Is(err, context.Canceled) || result == nil {
		return err
	}
	figures := benchFiguresOf(c.Clients, result)
	if c.JSON {
		err = json.NewEncoder(out).Encode(figures)
	} else {
		err = figures.print(out)
	}
	if len(result.Took) == 0 {
		err = errors.Join(err, errors.New("no event succeeded"))
	}
	return err
}

// target is the function, without an event.
func (c benchCommand) target(getenv func(string) string) (*load.Target, error) {
	target := &load.Target{URL: c.Against, Function: c.Function}
	if c.Against == "" {
		e, err := c.endpoint()
		if err != nil {
			return nil, err
		}
		target.URL, target.Region = e.URL, e.Region
		target.Credentials = aws.Credentials{AccessKeyID: e.Credential.AccessKeyID, SecretAccessKey: e.Credential.SecretAccessKey}
	} else {
		target.Credentials, target.Region = load.Credentials(getenv), load.Region(getenv)
	}
	if c.NoSignRequest {
		target.Credentials = aws.Credentials{}
	}
	return target, nil
}

// maxEvent is Lambda's limit of an event.
const maxEvent = 6 << 20

func (c benchCommand) event(in io.Reader) ([]byte, error) {
	if c.Payload == "" {
		return []byte("{}"), nil
	}
	if c.Payload != "-" {
		f, err := os.Open(c.Payload)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	event, err := io.ReadAll(io.LimitReader(in, maxEvent+1))
	if err == nil && len(event) > maxEvent {
		err = fmt.Errorf("more than %d bytes", maxEvent)
	}
	return event, err
}

// benchFigures is what --json prints. Durations, in milliseconds, are those of the events that succeeded.
type benchFigures struct {
	Clients   int     `json:"clients"`
	Succeeded int     `json:"succeeded"`
	P50       float64 `json:"p50"`
	P99       float64 `json:"p99"`
	Max       float64 `json:"max"`
	// Rate is per second.
	Rate      float64 `json:"rate"`
	Throttled int     `json:"throttled"`
	// FunctionErrors counts answers that say the function failed, Refused other ones than 200 and 429, and Broken the
	// events without an answer. Error is one of the last two.
	FunctionErrors int    `json:"functionErrors"`
	Refused        int    `json:"refused"`
	Broken         int    `json:"broken"`
	Error          string `json:"error,omitempty"`
}

func benchFiguresOf(clients int, r *load.Result) benchFigures {
	at := func(part float64) float64 { return float64(r.Percentile(part)) / float64(time.Millisecond) }
	f := benchFigures{
		Clients: clients, Succeeded: len(r.Took), P50: at(0.5), P99: at(0.99), Max: at(1), Rate: r.Rate(),
		Throttled: r.Throttled, FunctionErrors: r.Failed, Refused: r.Refused, Broken: r.Broken,
	}
	if r.Err != nil {
		f.Error = r.Err.Error()
	}
	return f
}

func (f benchFigures) print(out io.Writer) error {
	text := fmt.Appendf(nil, "%d invocations, %d at a time: p50 %.3f ms, p99 %.3f ms, max %.3f ms, %.0f/s\n",
		f.Succeeded, f.Clients, f.P50, f.P99, f.Max, f.Rate)
	for _, c := range []struct {
		n    int
		what string
	}{{f.Throttled, "throttled"}, {f.FunctionErrors, "function errors"}, {f.Refused, "refused"}, {f.Broken, "without an answer"}} {
		if c.n > 0 {
			text = fmt.Appendf(text, "%d %s\n", c.n, c.what)
		}
	}
	if f.Error != "" {
		text = fmt.Appendf(text, "one of them: %s\n", f.Error)
	}
	_, err := out.Write(text)
	return err
}
