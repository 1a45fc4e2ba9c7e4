package logs

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"hotaru/services/logs/logstore"
)

const (
	// gatherTime is how long events are gathered for one delivery after the first.
	gatherTime = 200 * time.Millisecond
	// gatherBytes of events are delivered without waiting longer.
	gatherBytes = 1 << 20
	// saveRecords is how many records may pass without a delivery before the position is stored.
	saveRecords = 10_000

	// A delivery that fails is repeated: in firstPause when the function is throttled or the like, twice as long each time
	// up to longestPause; in unablePause when there is no function, or its policy is not for it; and like an asynchronous invocation, twice, when the
	// code fails. After deliveryAge it is given up
	// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/Subscriptions.html).
	firstPause      = time.Second
	longestPause    = time.Minute
	unablePause     = 10 * time.Minute
	failurePause    = time.Minute
	failureAttempts = 3
	deliveryAge     = 24 * time.Hour
)

// errOwnLog says that a function would get what it logs itself, and errNotAllowed that its policy is not for that any more.
var (
	errOwnLog     = errors.New("logs: the function logs to the group that it is subscribed to")
	errNotAllowed = errors.New("logs: the function's policy does not let CloudWatch Logs invoke it")
)

// turn waits for events and delivers them.
func (d *deliverer) turn(ctx context.Context) error {
	batch, err := d.gather(ctx)
	if err != nil {
		return err
	}
	delivered := len(batch) > 0
	for len(batch) > 0 {
		var one []logstore.StoredEvent
		one, batch = sameStream(batch)
		event, err := d.encode(one)
		if err != nil {
			return err
		}
		if err := d.deliver(ctx, event, len(one)); err != nil {
			return err
		}
	}
	d.handled = d.tail.Position()
	if delivered || d.handled-d.saved.Seq >= saveRecords {
		return d.save(ctx)
	}
	return nil
}

// gather waits for events that match, and for a moment more.
func (d *deliverer) gather(ctx context.Context) ([]logstore.StoredEvent, error) {
	events, err := d.tail.Next(ctx)
	if err != nil {
		return nil, err
	}
	soon, cancel := context.WithTimeout(ctx, gatherTime)
	defer cancel()
	var batch []logstore.StoredEvent
	for size := 0; err == nil; events, err = d.tail.Next(soon) {
		for _, e := range events {
			if d.pattern.Match([]byte(e.Message)) {
				batch = append(batch, e)
				size += logstore.EventBytes(e.Message)
			}
		}
		if size >= gatherBytes || soon.Err() != nil {
			break
		}
	}
	return batch, nil // an error that stays is the next turn's
}

// sameStream takes the events of the first one's stream out of a batch, each in its order.
func sameStream(batch []logstore.StoredEvent) (one, rest []logstore.StoredEvent) {
	for _, e := range batch {
		if e.Stream == batch[0].Stream {
			one = append(one, e)
		} else {
			rest = append(rest, e)
		}
	}
	return one, rest
}

// deliver hands an event over, again and again if need be. It answers nil when the event was delivered or given up.
func (d *deliverer) deliver(ctx context.Context, event []byte, events int) error {
	began, pause, failures := d.s.now(), firstPause, 0
	for first := true; ; first = false {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := d.try(ctx, event)
		if err == nil {
			d.s.deliveries.delivered.Add(uint64(events))
			return nil
		}
		wait := pause
		switch {
		case errors.Is(err, ErrFunctionFailed):
			failures++
			wait = time.Duration(failures) * failurePause
		case errors.Is(err, ErrNoFunction), errors.Is(err, errOwnLog), errors.Is(err, errNotAllowed):
			wait = unablePause
		default:
			pause = min(2*pause, longestPause)
		}
		about := []any{"group", d.group, "filter", d.sub.Name, "function", d.sub.Destination, "events", events, "error", err}
		if failures >= failureAttempts || d.s.now().Sub(began)+wait > deliveryAge {
			d.s.deliveries.lost.Add(uint64(events))
			d.s.logger.Error("log events could not be delivered, and are given up", about...)
			return nil
		}
		if first {
			d.s.logger.Warn("log events cannot be delivered now; they wait", about...)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// try runs the function once, unless it has come to log where it is subscribed, or its policy has changed.
func (d *deliverer) try(ctx context.Context, event []byte) error {
	functions := d.s.deliveries.functions
	own, err := functions.LogGroup(ctx, d.sub.Destination)
	if err != nil {
		return err
	}
	if own == d.group {
		return errOwnLog
	}
	if !functions.Allows(d.sub.Destination, groupARN(d.scope)+d.group) {
		return errNotAllowed
	}
	return functions.Deliver(ctx, d.sub.Destination, event)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// delivery is what a function gets, compressed, of one stream
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html#LambdaFunctionExample).
type delivery struct {
	MessageType         string           `json:"messageType"`
	Owner               string           `json:"owner"`
	LogGroup            string           `json:"logGroup"`
	LogStream           string           `json:"logStream"`
	SubscriptionFilters []string         `json:"subscriptionFilters"`
	LogEvents           []deliveredEvent `json:"logEvents"`
}

type deliveredEvent struct {
	ID              string            `json:"id"`
	Timestamp       int64             `json:"timestamp"`
	Message         string            `json:"message"`
	ExtractedFields map[string]string `json:"extractedFields,omitempty"`
}

// encode writes the event of a function: {"awslogs": {"data": ...}}.
func (d *deliverer) encode(events []logstore.StoredEvent) ([]byte, error) {
	message := delivery{
		MessageType: "DATA_MESSAGE", Owner: d.scope.Account, LogGroup: d.group, LogStream: events[0].Stream,
		SubscriptionFilters: []string{d.sub.Name},
	}
	for _, e := range events {
		message.LogEvents = append(message.LogEvents, deliveredEvent{
			ID: digits(e.Position), Timestamp: e.Time.UnixMilli(), Message: e.Message, ExtractedFields: d.fields(e.Message),
		})
	}
	var event bytes.Buffer
	event.WriteString(`{"awslogs":{"data":"`)
	encoder := base64.NewEncoder(base64.StdEncoding, &event)
	compressor := gzip.NewWriter(encoder)
	text := json.NewEncoder(compressor)
	text.SetEscapeHTML(false)
	if err := errors.Join(text.Encode(message), compressor.Close(), encoder.Close()); err != nil {
		return nil, fmt.Errorf("logs: encoding a delivery: %w", err)
	}
	event.WriteString(`"}}`)
	return event.Bytes(), nil
}

// fields are what a pattern of fields between spaces finds in a message. Other patterns find none.
func (d *deliverer) fields(message string) map[string]string {
	if !strings.HasPrefix(strings.TrimSpace(d.sub.Pattern), "[") {
		return nil
	}
	fields := map[string]string{}
	for name, text := range d.pattern.Extract([]byte(message)) {
		fields[strings.TrimPrefix(name, "$")] = text
	}
	return fields
}
