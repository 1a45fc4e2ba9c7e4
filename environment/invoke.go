package environment

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"hotaru/awsapi/xray"
	"hotaru/function"
	"hotaru/runtimeapi"
)

// Invocation is one event to run.
type Invocation struct {
	RequestID string
	// FunctionARN is the ARN that was invoked, with the qualifier that the caller gave.
	FunctionARN string
	// TraceID is the X-Ray header. Traced says that the invocation is a segment of a trace that is recorded.
	TraceID         string
	Traced          bool
	ClientContext   string
	CognitoIdentity string
	TenantID        string
	Payload         []byte
	// Tail asks for the end of the invocation's log.
	Tail bool
}

// Outcome is what an invocation came to.
type Outcome struct {
	Payload []byte
	// FunctionError is "Unhandled" when the code failed, empty when it succeeded.
	FunctionError string
	// ErrorType is the function error's type: "ValueError", "Sandbox.Timedout".
	ErrorType string
	// LogTail is the last 4 KB of the log, when asked for.
	LogTail []byte
	// Cold says that the invocation waited for Init; InitDuration how long that took.
	Cold         bool
	InitDuration time.Duration
	Duration     time.Duration
	// MaxMemoryMB is the most memory the environment has been seen using.
	MaxMemoryMB int64
}

// Invoke runs one event, after Init if need be. An error means that the platform failed: nothing can be said
// about the event then, and the environment is not Alive if it cannot be used again.
func (e *Environment) Invoke(ctx context.Context, in *Invocation) (*Outcome, error) {
	if err := e.wake(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("environment: thaw: %w", err), e.Close(context.WithoutCancel(ctx)))
	}
	outcome := &Outcome{}
	var fail *failure
	if e.is(cold) {
		outcome.Cold = true
		e.out.log(initStart(&e.cfg))
		e.out.begin(in.Tail)
		fail = e.initialize(ctx, "init", function.InitTimeout)
		if fail != nil && fail.platform == nil {
			// Lambda repeats a failed Init inside the invocation, under the function's own timeout.
			fail = e.initialize(ctx, "invoke", e.cfg.Version.Timeout())
			if fail != nil && fail.timeout {
				fail.message = timeoutMessage(e.cfg.Version)
			}
		}
	}
	if fail != nil && fail.platform != nil {
		return nil, fail.platform
	}
	if fail == nil {
		e.out.begin(in.Tail) // a tail starts at START, unless it must show why Init failed
	}
	e.out.log(startLine(in.RequestID, e.cfg.Version.Version))
	began := time.Now()
	if fail == nil {
		outcome.Payload, fail = e.run(ctx, in, began)
		if fail != nil && fail.platform != nil {
			return nil, fail.platform
		}
	}
	outcome.Duration = time.Since(began)
	outcome.InitDuration, e.initDuration = e.initDuration, 0
	e.conclude(ctx, in, outcome, fail)
	return outcome, nil
}

// run hands the event to the runtime and waits for its answer.
func (e *Environment) run(ctx context.Context, in *Invocation, began time.Time) ([]byte, *failure) {
	if err := e.setPhase(busy); err != nil {
		return nil, platformFailure(err)
	}
	deadline := began.Add(e.cfg.Version.Timeout())
	runCtx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	var response *runtimeapi.Response
	fail, broken := e.converse(runCtx, e.cfg.Version, func(session runtimeapi.Session) (err error) {
		response, err = session.Invoke(runCtx, &runtimeapi.Event{
			RequestID: in.RequestID, FunctionARN: in.FunctionARN, Deadline: deadline, TraceID: in.TraceID,
			ClientContext: in.ClientContext, CognitoIdentity: in.CognitoIdentity, TenantID: in.TenantID,
			Payload: in.Payload,
		})
		return err
	})
	if broken {
		// After a crash or a timeout nobody knows what state the runtime is in.
		e.reset(ctx)
	} else if err := e.setPhase(ready); err != nil {
		return nil, platformFailure(err)
	}
	if response != nil {
		// A runtime that answered and then went away has answered.
		return response.Payload, nil
	}
	return nil, fail
}

// conclude writes the end of the invocation's log and completes the outcome.
func (e *Environment) conclude(ctx context.Context, in *Invocation, outcome *Outcome, fail *failure) {
	e.out.flush()
	status := ""
	if fail != nil {
		outcome.Payload = fail.payload(in.RequestID)
		outcome.FunctionError, outcome.ErrorType = "Unhandled", fail.kind
		e.out.log(fail.record(in.RequestID, time.Now()))
		if fail.body == nil {
			status = fail.status()
		}
	}
	outcome.MaxMemoryMB = e.memory.sample(ctx, e.sandbox)
	e.out.log(endLine(in.RequestID))
	e.out.log(reportLine(in, e.cfg.Version, outcome, status))
	outcome.LogTail = e.out.end()
}

func initStart(cfg *Config) []byte {
	return fmt.Appendf(nil, "INIT_START Runtime Version: %s\tRuntime Version ARN: %s\n", cfg.Program.Description,
		function.RuntimeVersionARN(cfg.Version.ID.Partition, cfg.Version.ID.Region, cfg.Program.VersionID))
}

func startLine(requestID, version string) []byte {
	return []byte("START RequestId: " + requestID + " Version: " + version + "\n")
}

func endLine(requestID string) []byte { return []byte("END RequestId: " + requestID + "\n") }

// reportLine is Lambda's REPORT
// (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-view.html). Billed Duration is
// rounded up to whole milliseconds and includes Init.
func reportLine(in *Invocation, v *function.Version, o *Outcome, status string) []byte {
	billed := o.Duration + o.InitDuration
	b := make([]byte, 0, 256)
	b = append(b, "REPORT RequestId: "...)
	b = append(b, in.RequestID...)
	b = append(b, "\tDuration: "...)
	b = append(b, milliseconds(o.Duration)...)
	b = append(b, " ms\tBilled Duration: "...)
	b = strconv.AppendInt(b, int64((billed+time.Millisecond-1)/time.Millisecond), 10)
	b = append(b, " ms\tMemory Size: "...)
	b = strconv.AppendInt(b, int64(v.MemoryMB), 10)
	b = append(b, " MB\tMax Memory Used: "...)
	b = strconv.AppendInt(b, o.MaxMemoryMB, 10)
	b = append(b, " MB\t"...)
	if o.InitDuration > 0 {
		b = append(b, "Init Duration: "...)
		b = append(b, milliseconds(o.InitDuration)...)
		b = append(b, " ms\t"...)
	}
	b = append(b, status...)
	b = append(b, '\n')
	if in.Traced {
		h := xray.Parse(in.TraceID)
		b = fmt.Appendf(b, "XRAY TraceId: %s\tSegmentId: %s\tSampled: true\t\n", h.Root, h.Parent)
	}
	return b
}

// milliseconds shows a duration as Lambda's reports do: "110.10".
func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 2, 64)
}
