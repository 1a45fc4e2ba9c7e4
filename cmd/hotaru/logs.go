package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"hotaru/internal/wholebody"
)

// logsCommand is an ordinary client of CloudWatch Logs' API.
type logsCommand struct {
	dataDir
	Name   string        `arg:"" help:"A function's name, or a log group's, which has a slash."`
	Follow bool          `help:"Go on until interrupted." short:"f"`
	Since  time.Duration `help:"How old the first events may be." default:"10m"`
}

// followInterval is how often new events are asked for.
const followInterval = time.Second

func (c logsCommand) Run() error {
	e, err := c.endpoint()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	r := logReader{
		client: cloudwatchlogs.New(cloudwatchlogs.Options{
			BaseEndpoint: &e.URL, Region: e.Region, HTTPClient: &http.Client{Transport: wholebody.Transport{RoundTripper: &http.Transport{}}},
			Credentials: credentials.NewStaticCredentialsProvider(e.Credential.AccessKeyID, e.Credential.SecretAccessKey, ""),
		}),
		group: c.group(), start: time.Now().Add(-c.Since).UnixMilli(), out: os.Stdout, seen: map[string]int64{},
	}
	if c.Follow {
		return r.follow(ctx, time.Tick(followInterval))
	}
	err = r.read(ctx)
	if isMissing(err) {
		return fmt.Errorf("there is no log group %s: the function has not run yet, or has another name", r.group)
	}
	return err
}

// group is the log group that is meant.
func (c logsCommand) group() string {
	if strings.Contains(c.Name, "/") {
		return c.Name
	}
	return "/aws/lambda/" + c.Name
}

// logReader prints a group's events, each once.
type logReader struct {
	client *cloudwatchlogs.Client
	group  string
	// start is where to look from, in Unix milliseconds; seen are the times of the events printed since, by ID.
	start int64
	seen  map[string]int64
	out   io.Writer
}

// overlap is how much later than its time an event may come in and still be printed by a follower.
const overlap = 5 * time.Second

// follow prints what is there and then, at each tick, what has come in, until ctx is done. A function that has not run
// yet has no log group; a follower waits for it.
func (r *logReader) follow(ctx context.Context, ticks <-chan time.Time) error {
	for {
		if err := r.read(ctx); err != nil && !isMissing(err) && ctx.Err() == nil {
			return err // not because of an interrupt
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
		}
	}
}

func isMissing(err error) bool {
	var missing *types.ResourceNotFoundException
	return errors.As(err, &missing)
}

// read prints what has come in since the last time.
func (r *logReader) read(ctx context.Context) error {
	out := bufio.NewWriter(r.out)
	newest := r.start
	in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &r.group, StartTime: aws.Int64(r.start)}
	for {
		page, err := r.client.FilterLogEvents(ctx, in)
		if err != nil {
			return err
		}
		for _, e := range page.Events {
			if err := r.print(out, e); err != nil {
				return err
			}
			newest = max(newest, aws.ToInt64(e.Timestamp))
		}
		if err := out.Flush(); err != nil {
			return err
		}
		if page.NextToken == nil {
			r.moveTo(newest - overlap.Milliseconds())
			return nil
		}
		in.NextToken = page.NextToken
	}
}

// moveTo looks from a later time on, and forgets what was printed before it.
func (r *logReader) moveTo(start int64) {
	r.start = max(r.start, start)
	maps.DeleteFunc(r.seen, func(_ string, at int64) bool { return at < r.start })
}

func (r *logReader) print(out io.Writer, e types.FilteredLogEvent) error {
	id, at := aws.ToString(e.EventId), aws.ToInt64(e.Timestamp)
	if _, printed := r.seen[id]; printed {
		return nil
	}
	r.seen[id] = at
	text := strings.TrimRight(aws.ToString(e.Message), "\n")
	_, err := fmt.Fprintf(out, "%s %s\n", time.UnixMilli(at).UTC().Format("2006-01-02T15:04:05.000Z"), text)
	return err
}
