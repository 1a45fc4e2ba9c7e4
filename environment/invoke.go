package environment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"hotaru/awsapi/xray"
	"hotaru/function"
	"hotaru/runtimeapi"
	"hotaru/runtimeapi/extensions"
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
	// Streams says that the caller takes an answer as it comes.
	Streams bool
}

// Outcome is what an invocation came to.
type Outcome struct {
	Payload []byte
	// Stream is an answer that is still coming, for a caller who takes that. It ends with io.EOF; any other error says
	// that the invocation failed on the way, and then the fields above and below say how. Whoever has not read it to its
	// end must not call Finish.
	Stream io.Reader
	// ContentType is a streamed answer's.
	ContentType string
	// FunctionError is "Unhandled" when the code failed, empty when it succeeded.
	FunctionError string
	// ErrorType is the function error's type: "ValueError", "Sandbox.Timedout".
	ErrorType string
	// Cold says that the invocation waited for Init.
	Cold bool
	// Finished says that there is nothing left for Finish to do.
	Finished bool

	// What follows is there once the invocation is finished.

	// LogTail is the last 4 KB of the log, when asked for.
	LogTail []byte
	// InitDuration is how long Init took, if this is the first invocation after it.
	InitDuration time.Duration
	// Duration is from the event to when the runtime and the extensions were ready for the next.
	Duration time.Duration
	// PostRuntimeExtensionsDuration is the part of it that extensions took after the runtime was ready.
	PostRuntimeExtensionsDuration time.Duration
	// MaxMemoryMB is the most memory the environment has been seen using.
	MaxMemoryMB int64
}

// turn is the invocation that an environment is at, from Invoke to Finish.
type turn struct {
	// in is without its payload, which is the caller's again.
	in      Invocation
	began   time.Time
	outcome *Outcome
	// fail is why the invocation failed, as the caller was told.
	fail *failure
	// ctx bounds it and cancel frees that; cancel is nil if the event was not handed over.
	ctx    context.Context //nolint:containedctx // it is of one invocation, between two calls
	cancel context.CancelFunc
	// broken says that nobody knows what state the runtime or an extension is in: a reset follows.
	broken bool
	// answered is when the runtime began to answer, sent when it had, with so many bytes, and ready when it asked for its
	// next event.
	answered, sent, ready time.Time
	produced              int64
	// settled says that the runtime had asked for its next event by the time that it had answered.
	settled bool
	// wanted says that somebody gets records of it, and done that the end of the runtime's part has been told.
	wanted, done bool
}

// Invoke runs one event, after Init if need be, up to its answer. Unless the outcome is finished, which it is when there
// is nobody left to wait for, a log tail was asked for or a reset is short, the caller must call Finish before it lends the environment to anyone
// else, and read a stream to its end before that. An error means that the platform failed: nothing can be said about the
// event then, and the environment is not Alive if it cannot be used again.
func (e *Environment) Invoke(ctx context.Context, in *Invocation) (*Outcome, error) {
	if err := e.wake(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("environment: thaw: %w", err), e.Close(context.WithoutCancel(ctx)))
	}
	outcome, began := &Outcome{}, time.Now()
	var fail *failure
	if e.is(cold) {
		outcome.Cold = true
		fail = e.initializeFor(ctx, in, &began)
	}
	if fail != nil && fail.platform != nil {
		return nil, fail.platform
	}
	e.turn = turn{in: *in, began: began, outcome: outcome, broken: fail != nil, wanted: e.out.wants()}
	e.turn.in.Payload = nil
	if fail == nil {
		e.out.begin(in.Tail) // a tail starts at START, unless it must show why Init failed
	}
	e.sayStart()
	if fail == nil {
		fail = e.run(ctx, in)
		if fail != nil && fail.platform != nil {
			e.endTurn(ctx, reasonFailure)
			return nil, fail.platform
		}
	}
	if fail != nil {
		e.turn.failed(fail)
	}
	// Where nobody has to be waited for, the end takes less than it would to hand it to another goroutine.
	if in.Tail && outcome.Stream == nil || (e.turn.broken || e.turn.settled) && !e.hasExtensions() {
		e.Finish(ctx)
	}
	return outcome, nil
}

// failed says in the outcome why the invocation did not succeed.
func (t *turn) failed(fail *failure) {
	t.fail = fail
	t.outcome.Payload = fail.payload(t.in.RequestID)
	t.outcome.FunctionError, t.outcome.ErrorType = "Unhandled", fail.kind
}

// run hands the event to the extensions and the runtime, and waits for the runtime's answer, or for the beginning of a
// streamed one.
func (e *Environment) run(ctx context.Context, in *Invocation) *failure {
	if err := e.setPhase(busy); err != nil {
		return platformFailure(err)
	}
	deadline := e.turn.began.Add(e.cfg.Version.Timeout())
	e.turn.ctx, e.turn.cancel = context.WithDeadline(ctx, deadline)
	g := e.present()
	if g == nil {
		return platformFailure(errGone)
	}
	g.registry.BeginInvoke(extensions.Invocation{
		RequestID: in.RequestID, FunctionARN: in.FunctionARN, TraceID: in.TraceID, Deadline: deadline,
	})
	var response *runtimeapi.Response
	fail, broken := e.converse(e.turn.ctx, e.cfg.Version, func(session runtimeapi.Session) (err error) {
		response, err = session.Invoke(e.turn.ctx, &runtimeapi.Event{
			RequestID: in.RequestID, FunctionARN: in.FunctionARN, Deadline: deadline, TraceID: in.TraceID,
			ClientContext: in.ClientContext, CognitoIdentity: in.CognitoIdentity, TenantID: in.TenantID,
			Payload: in.Payload,
		})
		e.turn.answered = time.Now()
		if err == nil && !in.Streams {
			err = response.Gather()
		}
		return err
	})
	e.turn.sent, e.turn.broken = time.Now(), broken
	if !broken {
		_ = e.setPhase(answered) // a refusal means that Close came in between: there is an answer all the same
	}
	if fail != nil {
		e.turn.produced = int64(len(fail.body))
		return fail
	}
	outcome := e.turn.outcome
	outcome.Payload, outcome.ContentType = response.Payload, response.ContentType
	e.turn.settled = response.Ready
	e.turn.produced = int64(len(response.Payload))
	if response.Stream != nil {
		outcome.Stream = &answerStream{env: e, src: response.Stream, left: runtimeapi.MaxStreamed}
	}
	return nil
}

// endTurn ends the wait for the runtime and the extensions.
func (e *Environment) endTurn(ctx context.Context, reason string) {
	if e.turn.cancel != nil {
		e.turn.cancel()
		e.turn.cancel = nil
	}
	if !e.turn.broken {
		_ = e.setPhase(ready) // a refusal means that Close came in between
		return
	}
	// What an invocation has broken begins again inside the next one.
	e.suppressed = !e.is(initializing)
	e.reset(ctx, reason)
}

// Finish waits until the runtime and the extensions are ready for their next event, or have failed to be within the
// function's timeout, writes the end of the invocation's log, and resets what is broken. The caller has had its answer
// by then, so that all that a late failure changes is the log.
func (e *Environment) Finish(ctx context.Context) {
	outcome := e.turn.outcome
	if outcome.Finished {
		return
	}
	fail := e.turn.fail
	if late := e.settle(outcome); late != nil {
		e.turn.broken = true
		if late.platform == nil {
			fail = late
		}
	}
	outcome.Duration = time.Since(e.turn.began)
	outcome.InitDuration, e.initDuration = e.initDuration, 0
	e.out.flush()
	if e.ranOutOfMemory() {
		e.memory.ranOut(e.cfg.Version.MemoryMB)
	}
	outcome.MaxMemoryMB = e.memory.sample(ctx, e.sandbox)
	e.sayEnd(outcome, fail)
	outcome.LogTail = e.out.end()
	reason := reasonFailure
	if fail != nil {
		reason = fail.reason()
	}
	e.endTurn(ctx, reason)
	outcome.Finished = true
}

// ranOutOfMemory says whether the runtime process has been killed for that.
func (e *Environment) ranOutOfMemory() bool {
	_, process := e.conversation()
	if process == nil {
		return false
	}
	select {
	case <-process.Done():
		return process.Status().OOMKilled
	default:
		return false
	}
}

// settle waits for the runtime, and then for the extensions, to ask for their next event.
func (e *Environment) settle(outcome *Outcome) *failure {
	if e.turn.broken {
		return nil
	}
	if late, _ := e.converse(e.turn.ctx, e.cfg.Version, runtimeapi.Session.Ready); late != nil {
		return late
	}
	e.turn.ready = time.Now()
	e.sayRuntimeDone(e.turn.fail)
	g := e.present()
	if g == nil || g.registry.Empty() {
		return nil
	}
	late := e.awaitExtensions(e.turn.ctx, g.registry.AwaitReady)
	outcome.PostRuntimeExtensionsDuration = time.Since(e.turn.ready)
	if late != nil && late.timeout {
		late.message = timeoutMessage(e.cfg.Version)
	}
	return late
}

func startLine(requestID, version string) []byte {
	return []byte("START RequestId: " + requestID + " Version: " + version + "\n")
}

func endLine(requestID string) []byte { return []byte("END RequestId: " + requestID + "\n") }

// reportLine is Lambda's REPORT
// (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-view.html). Billed Duration is
// rounded up to whole milliseconds and includes Init.
func reportLine(in *Invocation, v *function.Version, o *Outcome, status string) []byte {
	b := make([]byte, 0, 256)
	b = append(b, "REPORT RequestId: "...)
	b = append(b, in.RequestID...)
	b = append(b, "\tDuration: "...)
	b = append(b, milliseconds(o.Duration)...)
	b = append(b, " ms\tBilled Duration: "...)
	b = strconv.AppendInt(b, billed(o, v.Timeout()), 10)
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
