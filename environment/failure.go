package environment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"hotaru/function"
	"hotaru/runtime"
	"hotaru/runtimeapi"
	"hotaru/sandbox"
)

// failure is why an Init or an invocation did not succeed: the function's fault (kind and body, as the caller
// sees them), or the platform's.
type failure struct {
	// kind is the error type in logs and in X-Ray: "Runtime.ExitError".
	kind string
	// timeout says that time ran out.
	timeout bool
	// message is the body's errorMessage less its "RequestId: ... Error: " start. Empty when body is set.
	message string
	// body is what the runtime itself reported.
	body json.RawMessage
	// init says that the runtime reported it before its first event.
	init bool
	// platform is set when it was not the function's fault.
	platform error
}

func platformFailure(err error) *failure { return &failure{platform: err} }

// The error types that the platform gives.
const (
	kindExit    = "Runtime.ExitError"
	kindTimeout = "Sandbox.Timedout"
)

func invalidEntrypoint(err error) *failure {
	return &failure{kind: runtime.EntrypointType, message: err.Error()}
}

// lateFailure is time that ran out. In an invocation its message follows.
func lateFailure() *failure { return &failure{kind: kindTimeout, timeout: true} }

// reason is that of the Shutdown that a failure leads to.
func (f *failure) reason() string {
	if f.timeout {
		return reasonTimeout
	}
	return reasonFailure
}

// errGone says that the environment was closed under an Init or an invocation.
var errGone = errors.New("environment: closed")

// converse has one exchange with the runtime and turns its error into a failure. ctx is what bounds the
// exchange, and v, which is nil during Init, what a timeout's message is about. broken says that the
// conversation is over, whatever the runtime answered before.
func (e *Environment) converse(ctx context.Context, v *function.Version,
	exchange func(runtimeapi.Session) error) (fail *failure, broken bool) {
	session, process := e.conversation()
	if session == nil {
		return platformFailure(errGone), true
	}
	err := exchange(session)
	if err == nil {
		return nil, false
	}
	gone, late := errors.Is(err, runtimeapi.ErrRuntimeGone), ctx.Err() != nil
	var reported *runtimeapi.FunctionError
	switch {
	case errors.As(err, &reported):
		return &failure{kind: reported.Type, body: reported.Payload, init: reported.Init}, gone || late
	case e.is(closed):
		return platformFailure(errors.Join(errGone, err)), true
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		f := lateFailure()
		if v != nil {
			f.message = timeoutMessage(v)
		}
		return f, true
	case gone:
		if f := e.brokenByExtension(process); f != nil {
			return f, true
		}
		return exitFailure(process), true
	default:
		return platformFailure(err), true
	}
}

// brokenByExtension says which extension ended a conversation; nil if it was the runtime's own end.
func (e *Environment) brokenByExtension(process sandbox.Process) *failure {
	g := e.present()
	if g == nil || g.registry.Failure() == nil {
		return nil
	}
	select {
	case <-process.Done():
		return nil
	default:
		return extensionFailure(g.registry.Failure())
	}
}

func timeoutMessage(v *function.Version) string {
	return fmt.Sprintf("Task timed out after %.2f seconds", v.Timeout().Seconds())
}

// exitFailure says how the runtime process ended. One that closed its conversation without exiting has
// broken the protocol; the reset that follows kills it.
func exitFailure(process sandbox.Process) *failure {
	timer := time.NewTimer(exitGrace)
	defer timer.Stop()
	select {
	case <-process.Done():
		return &failure{kind: kindExit, message: exitMessage(process.Status())}
	case <-timer.C:
		return &failure{kind: kindExit, message: exitMessage(sandbox.ExitStatus{})}
	}
}

// exitMessage is in AWS's words.
func exitMessage(s sandbox.ExitStatus) string {
	switch {
	case s.Signal != 0:
		return "Runtime exited with error: signal: " + s.Signal.String()
	case s.Code != 0:
		return fmt.Sprintf("Runtime exited with error: exit status %d", s.Code)
	default:
		return "Runtime exited without providing a reason"
	}
}

// payload is the body that the caller of the invocation gets.
func (f *failure) payload(requestID string) []byte {
	if f.body != nil {
		return f.body
	}
	body, err := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{f.kind, "RequestId: " + requestID + " Error: " + f.message})
	if err != nil {
		panic(err) // two strings always marshal
	}
	return body
}

// record is the log line about the failure, nil when the runtime wrote its own.
func (f *failure) record(requestID string, at time.Time) []byte {
	switch {
	case f.init && requestID != "":
		return fmt.Appendf(nil, "Unknown application error occurred\n%s\n", f.kind)
	case f.body != nil || f.platform != nil:
		return nil
	case f.timeout && f.message == "":
		return nil // INIT_REPORT says it all
	case f.timeout:
		return fmt.Appendf(nil, "%s %s %s\n\n", at.UTC().Format("2006-01-02T15:04:05.000Z"), requestID, f.message)
	case requestID == "":
		return fmt.Appendf(nil, "%s\n%s\n", f.message, f.kind)
	default:
		return fmt.Appendf(nil, "RequestId: %s Error: %s\n%s\n", requestID, f.message, f.kind)
	}
}

// status is the end of an INIT_REPORT or REPORT line.
func (f *failure) status() string {
	if f.timeout {
		return "Status: timeout"
	}
	return "Status: error\tError Type: " + f.kind
}
