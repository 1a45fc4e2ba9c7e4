package runtimeapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"hotaru/runtimeapi"
	rt "hotaru/runtimeapi/runtimeapitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type records struct {
	mu  sync.Mutex
	all []string
}

func (r *records) Log(record []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, string(record))
}

// pair starts a session and the fake runtime at its other end; run is the fake's life.
func pair(t testing.TB, logs runtimeapi.LogSink, run func(rt.Frames) error) runtimeapi.Session {
	t.Helper()
	daemon, file, err := runtimeapi.Pair()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	session := runtimeapi.NewFrames(daemon, logs)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer conn.Close()
		if err := run(rt.Frames{Conn: conn}); err != nil {
			t.Errorf("fake runtime: %v", err)
		}
	}()
	t.Cleanup(func() {
		session.Close()
		<-done
	})
	return session
}

var start = runtimeapi.Start{Handler: "app.handler", Env: []string{"A=1", "B=<&>"}}

// ready is a fake's Init.
func ready(f rt.Frames) error {
	if _, _, err := f.ReceiveStart(); err != nil {
		return err
	}
	return f.Send(rt.ReadyFrame())
}

// waitGone reads until the daemon lets go.
func waitGone(f rt.Frames) error {
	_, err := io.Copy(io.Discard, f.Conn)
	if errors.Is(err, os.ErrClosed) || err == nil || strings.Contains(err.Error(), "reset") {
		return nil
	}
	return err
}

func TestFramesOutOfTurn(t *testing.T) {
	big := make([]byte, runtimeapi.MaxLogRecord+1)
	answer := rt.Answer(rt.Response, 1, "application/json", []byte("1"))
	for _, test := range []struct {
		name     string
		duringIt bool // during Invoke, else Init
		send     []byte
		want     string
		answered bool // a response comes beside the error
	}{
		{name: "unknown type", send: rt.Frame(99, nil), want: "unknown type 99"},
		{name: "type of the other side", send: rt.Frame(rt.Start, []byte("{}")), want: "unknown type 1"},
		{name: "Ready with a body", send: rt.Frame(rt.Ready, []byte("x")), want: "has a body"},
		{name: "Response in Init", send: answer, want: "answer during Init"},
		{name: "long log record", send: rt.Frame(rt.Log, big), want: "log record of 262145 bytes"},
		{name: "answer without number", send: rt.Frame(rt.InitError, []byte{1, 2}), want: "without an event number"},
		{name: "answer shorter than its type", send: rt.Frame(rt.InitError, []byte{0, 0, 0, 0, 9, 'x'}), want: "shorter than its type"},
		{name: "type not text", send: rt.Frame(rt.InitError, []byte{0, 0, 0, 0, 1, 0xff}), want: "not text"},
		{name: "truncated header", send: []byte{0, 0}, want: "runtime is gone"},
		{name: "truncated log", send: rt.Frame(rt.Log, []byte("abc"))[:6], want: "runtime is gone"},
		{name: "truncated answer", duringIt: true, send: answer[:len(answer)-1], want: "runtime is gone"},
		{name: "nothing", send: nil, want: "runtime is gone"},
		{name: "nothing in Invoke", duringIt: true, send: nil, want: "runtime is gone"},
		{name: "Ready before the answer", duringIt: true, send: rt.ReadyFrame(), want: "Ready before an answer"},
		{name: "InitError in Invoke", duringIt: true, send: rt.Answer(rt.InitError, 1, "E", nil), want: "out of turn"},
		{name: "answer to another event", duringIt: true, send: rt.Answer(rt.Response, 7, "", nil), want: "another event"},
		{name: "two answers", duringIt: true, send: append(bytes.Clone(answer), answer...), want: "out of turn", answered: true},
		{name: "answer, then gone", duringIt: true, send: answer, want: "runtime is gone", answered: true},
		{name: "huge announcement", duringIt: true, send: []byte{0xff, 0xff, 0xff, 0xff, rt.Response, 0, 0, 0, 1, 0, 'x'}, want: "runtime is gone"},
	} {
		t.Run(test.name, func(t *testing.T) {
			session := pair(t, &records{}, func(f rt.Frames) error {
				if test.duringIt {
					if err := ready(f); err != nil {
						return err
					}
				}
				if _, _, err := f.Receive(); err != nil {
					return err
				}
				_ = f.Send(test.send) // the daemon may hang up in the middle
				return nil
			})
			err := session.Init(t.Context(), start)
			var response *runtimeapi.Response
			if test.duringIt {
				if err != nil {
					t.Fatal(err)
				}
				response, err = exchange(t.Context(), session, &runtimeapi.Event{Payload: []byte("{}")})
			}
			if !errors.Is(err, runtimeapi.ErrRuntimeGone) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
			if (response != nil) != test.answered {
				t.Errorf("response %v, want one: %v", response, test.answered)
			}
			if _, err := exchange(t.Context(), session, &runtimeapi.Event{}); !errors.Is(err, runtimeapi.ErrRuntimeGone) {
				t.Errorf("Invoke afterwards: %v, want ErrRuntimeGone", err)
			}
		})
	}
}

func TestFramesErrorThenGone(t *testing.T) {
	session := pair(t, &records{}, func(f rt.Frames) error {
		if err := ready(f); err != nil {
			return err
		}
		if _, _, err := f.ReceiveEvent(); err != nil {
			return err
		}
		return f.Send(rt.Answer(rt.Error, 1, "Runtime.Unhandled", []byte(`{}`)))
	})
	if err := session.Init(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	_, err := exchange(t.Context(), session, &runtimeapi.Event{})
	var fault *runtimeapi.FunctionError
	if !errors.As(err, &fault) || fault.Type != "Runtime.Unhandled" || !errors.Is(err, runtimeapi.ErrRuntimeGone) {
		t.Errorf("%v, want the function error and ErrRuntimeGone", err)
	}
}

func TestFramesInitError(t *testing.T) {
	session := pair(t, &records{}, func(f rt.Frames) error {
		if _, _, err := f.ReceiveStart(); err != nil {
			return err
		}
		return f.Send(rt.Answer(rt.InitError, 0, "Runtime.ImportModuleError", []byte(`{"errorType":"x"}`)))
	})
	err := session.Init(t.Context(), start)
	var fault *runtimeapi.FunctionError
	if !errors.As(err, &fault) {
		t.Fatalf("%v, want a FunctionError", err)
	}
	want := &runtimeapi.FunctionError{Type: "Runtime.ImportModuleError", Payload: []byte(`{"errorType":"x"}`), Init: true}
	if diff := cmp.Diff(want, fault); diff != "" {
		t.Error(diff)
	}
	if _, err := exchange(t.Context(), session, &runtimeapi.Event{}); !errors.Is(err, runtimeapi.ErrRuntimeGone) {
		t.Errorf("Invoke after a failed Init: %v", err)
	}
}

func TestFramesCancel(t *testing.T) {
	cause := errors.New("the test's own cause")
	t.Run("Init", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		session := pair(t, &records{}, func(f rt.Frames) error {
			if _, _, err := f.ReceiveStart(); err != nil {
				return err
			}
			cancel(cause)
			return waitGone(f)
		})
		if err := session.Init(ctx, start); !errors.Is(err, cause) || errors.Is(err, runtimeapi.ErrRuntimeGone) {
			t.Errorf("Init: %v, want the cause alone", err)
		}
	})
	for name, payload := range map[string]int{"small": 10, "large": runtimeapi.MaxPayload} {
		t.Run("Invoke, runtime not reading, "+name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			release := make(chan struct{})
			session := pair(t, &records{}, func(f rt.Frames) error {
				if err := ready(f); err != nil {
					return err
				}
				var one [1]byte
				_, err := io.ReadFull(f.Conn, one[:])
				cancel(cause)
				<-release
				return err
			})
			defer close(release)
			if err := session.Init(t.Context(), start); err != nil {
				t.Fatal(err)
			}
			event := &runtimeapi.Event{Payload: make([]byte, payload)}
			if _, err := exchange(ctx, session, event); !errors.Is(err, cause) {
				t.Errorf("Invoke: %v, want the cause", err)
			}
			if _, err := exchange(t.Context(), session, event); !errors.Is(err, runtimeapi.ErrRuntimeGone) || !errors.Is(err, cause) {
				t.Errorf("Invoke afterwards: %v, want ErrRuntimeGone with the cause", err)
			}
		})
	}
	t.Run("answered, then busy", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		session := pair(t, onRecord(func([]byte) { cancel(cause) }), func(f rt.Frames) error {
			if err := ready(f); err != nil {
				return err
			}
			if _, _, err := f.ReceiveEvent(); err != nil {
				return err
			}
			if err := f.Send(rt.Answer(rt.Response, 1, "text/plain", []byte("x")), rt.Frame(rt.Log, []byte("busy"))); err != nil {
				return err
			}
			return waitGone(f)
		})
		if err := session.Init(t.Context(), start); err != nil {
			t.Fatal(err)
		}
		response, err := exchange(ctx, session, &runtimeapi.Event{})
		if !errors.Is(err, cause) || response == nil || response.ContentType != "text/plain" {
			t.Errorf("%v, %v; want the answer and the cause", response, err)
		}
	})
}

// onRecord is a LogSink that calls back.
type onRecord func([]byte)

func (f onRecord) Log(record []byte) { f(record) }

func TestFramesCloseDuringInvoke(t *testing.T) {
	reading := make(chan struct{})
	session := pair(t, &records{}, func(f rt.Frames) error {
		if err := ready(f); err != nil {
			return err
		}
		if _, _, err := f.ReceiveEvent(); err != nil {
			return err
		}
		close(reading)
		return waitGone(f)
	})
	if err := session.Init(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	go func() {
		<-reading
		session.Close()
	}()
	if _, err := exchange(t.Context(), session, &runtimeapi.Event{}); !errors.Is(err, runtimeapi.ErrRuntimeGone) {
		t.Errorf("%v, want ErrRuntimeGone", err)
	}
	if err := session.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestFramesConversation(t *testing.T) {
	deadline := time.UnixMilli(1_700_000_000_123)
	large := bytes.Repeat([]byte("0123456789"), runtimeapi.MaxPayload/10)
	logs := &records{}
	session := pair(t, logs, func(f rt.Frames) error {
		handler, env, err := f.ReceiveStart()
		if err != nil || handler != start.Handler || !cmp.Equal(env, start.Env) {
			t.Errorf("start %q %q, %v", handler, env, err)
		}
		if err := f.Send(rt.Frame(rt.Log, []byte("in init\nsecond line")), rt.ReadyFrame()); err != nil {
			return err
		}
		for {
			head, payload, err := f.ReceiveEvent()
			if err != nil {
				return nil
			}
			want := rt.Head{Number: head.Number, Deadline: deadline.UnixMilli(), ID: "r-1", ARN: "arn:x",
				Trace: `Root="1"`, Client: `{"custom":{"ü":1}}`, Identity: "{}", Tenant: "t"}
			if diff := cmp.Diff(want, head); diff != "" {
				t.Error(diff)
			}
			// Records around the answer, one the longest there may be.
			err = f.Send(rt.Frame(rt.Log, make([]byte, runtimeapi.MaxLogRecord)),
				rt.Answer(rt.Response, head.Number, "application/json", payload),
				rt.Frame(rt.Log, nil), rt.ReadyFrame())
			if err != nil {
				return err
			}
		}
	})
	if err := session.Init(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	for _, payload := range [][]byte{[]byte("{}"), nil, large, []byte("1"), large[:100_000]} {
		response, err := exchange(t.Context(), session, &runtimeapi.Event{RequestID: "r-1", FunctionARN: "arn:x",
			Deadline: deadline, TraceID: `Root="1"`, ClientContext: `{"custom":{"ü":1}}`, CognitoIdentity: "{}",
			TenantID: "t", Payload: payload})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(response.Payload, payload) || response.ContentType != "application/json" {
			t.Errorf("answer %s of %d bytes, want %d", response.ContentType, len(response.Payload), len(payload))
		}
	}
	if logs.all[0] != "in init\nsecond line" || len(logs.all) != 11 {
		t.Errorf("%d log records, the first %.40q", len(logs.all), logs.all[0])
	}
}

func TestFramesTooLarge(t *testing.T) {
	session := pair(t, &records{}, func(f rt.Frames) error {
		if err := ready(f); err != nil {
			return err
		}
		for _, size := range []int{runtimeapi.MaxPayload + 1, 3 * runtimeapi.MaxPayload, runtimeapi.MaxPayload} {
			head, _, err := f.ReceiveEvent()
			if err != nil {
				return err
			}
			if err := f.Send(rt.Answer(rt.Response, head.Number, "x", make([]byte, size)), rt.ReadyFrame()); err != nil {
				return err
			}
		}
		return waitGone(f)
	})
	if err := session.Init(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	want := `{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}`
	for range 2 {
		_, err := exchange(t.Context(), session, &runtimeapi.Event{})
		var fault *runtimeapi.FunctionError
		if !errors.As(err, &fault) || string(fault.Payload) != want || fault.Type != runtimeapi.TypeResponseTooLarge {
			t.Errorf("%v %s, want %s", err, fault.Payload, want)
		}
	}
	if response, err := exchange(t.Context(), session, &runtimeapi.Event{}); err != nil || len(response.Payload) != runtimeapi.MaxPayload {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := exchange(t.Context(), session, &runtimeapi.Event{Payload: make([]byte, runtimeapi.MaxPayload+1)}); err == nil {
		t.Error("an event over the limit was accepted")
	}
}

// TestFramesBusyLogs has a runtime that writes more log records than a socket holds before it reads an event
// larger than a socket holds: both directions are full at once.
func TestFramesBusyLogs(t *testing.T) {
	logs := &records{}
	session := pair(t, logs, func(f rt.Frames) error {
		if err := ready(f); err != nil {
			return err
		}
		record := rt.Frame(rt.Log, make([]byte, 64*1024))
		for range 64 {
			if err := f.Send(record); err != nil {
				return err
			}
		}
		head, payload, err := f.ReceiveEvent()
		if err != nil {
			return err
		}
		if err := f.Send(rt.Answer(rt.Response, head.Number, "x", payload), rt.ReadyFrame()); err != nil {
			return err
		}
		return waitGone(f)
	})
	if err := session.Init(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	response, err := exchange(t.Context(), session, &runtimeapi.Event{Payload: make([]byte, runtimeapi.MaxPayload)})
	if err != nil || len(response.Payload) != runtimeapi.MaxPayload || len(logs.all) != 64 {
		t.Errorf("%v, %d records", err, len(logs.all))
	}
}

func BenchmarkFramesInvoke(b *testing.B) {
	session := pair(b, &records{}, func(f rt.Frames) error {
		if err := ready(f); err != nil {
			return err
		}
		// One read and one write a turn, as a bootstrap does.
		buf := make([]byte, 64*1024)
		answer := rt.Answer(rt.Response, 0, "application/json", []byte(`{"ok":true}`))
		answer = append(answer, rt.ReadyFrame()...)
		for number := uint32(1); ; number++ {
			if _, err := f.Conn.Read(buf); err != nil {
				return nil
			}
			answer[5], answer[6], answer[7], answer[8] = byte(number>>24), byte(number>>16), byte(number>>8), byte(number)
			if _, err := f.Conn.Write(answer); err != nil {
				return nil
			}
		}
	})
	if err := session.Init(b.Context(), start); err != nil {
		b.Fatal(err)
	}
	event := &runtimeapi.Event{RequestID: "8476a536-e9f4-11e8-9739-2dfe598c3fcd", FunctionARN: "arn:aws:lambda:us-east-1:123456789012:function:f",
		Deadline: time.Now().Add(time.Hour), TraceID: "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700", Payload: []byte(`{"key":"value"}`)}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := exchange(ctx, session, event); err != nil {
			b.Fatal(err)
		}
	}
}

// TestFramesReady has a runtime ask for its next event with its answer, and later.
func TestFramesReady(t *testing.T) {
	for _, together := range []bool{true, false} {
		answered := make(chan struct{})
		session := pair(t, &records{}, func(f rt.Frames) error {
			if err := ready(f); err != nil {
				return err
			}
			if _, _, err := f.Receive(); err != nil {
				return err
			}
			answer := rt.Answer(rt.Response, 1, "application/json", []byte("1"))
			if together {
				return errors.Join(f.Send(append(answer, rt.ReadyFrame()...)), waitGone(f))
			}
			err := f.Send(answer)
			<-answered
			return errors.Join(err, f.Send(rt.ReadyFrame()), waitGone(f))
		})
		if err := session.Init(t.Context(), start); err != nil {
			t.Fatal(err)
		}
		response, err := session.Invoke(t.Context(), &runtimeapi.Event{Deadline: time.Now()})
		close(answered)
		if err != nil || response.Ready != together {
			t.Errorf("together: %t: %+v, %v", together, response, err)
		}
		if err := session.Ready(); err != nil {
			t.Error(err)
		}
	}
}
