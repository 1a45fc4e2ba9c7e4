package runtimeapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/runtimeapi"
	rt "hotaru/runtimeapi/runtimeapitest"
)

// serve starts a session over HTTP and a fake runtime that lives beside the test.
func serve(t testing.TB, run func(*rt.HTTP) error) runtimeapi.Session {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := runtimeapi.NewHost(listener, nil)
	session := host.NewSession()
	runtime := rt.NewHTTP(listener.Addr().String())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer runtime.Close()
		if err := run(runtime); err != nil {
			t.Errorf("fake runtime: %v", err)
		}
	}()
	t.Cleanup(func() {
		host.Close()
		<-done
	})
	return session
}

// hangUp is the fate of a request that the session ends.
func hangUp(err error) error {
	if err == nil {
		return errors.New("an answer instead of a hang-up")
	}
	return nil
}

func refusal(kind, message string) string {
	return fmt.Sprintf(`{"errorMessage":%q,"errorType":%q}`+"\n", message, kind)
}

func transition(from, to string) string {
	return refusal("InvalidStateTransition", fmt.Sprintf(
		"State transition from %s to %s failed for runtime. Error: State transition is not allowed", from, to))
}

// TestServerRefusals plays one runtime through everything it may not do, and what it may in between.
func TestServerRefusals(t *testing.T) {
	type step struct {
		method, path, body string
		headers            []string
		status             int
		want               string
	}
	big := strings.Repeat("x", runtimeapi.MaxPayload+1)
	steps := func(h *rt.HTTP, all []step) error {
		for _, s := range all {
			status, answer, _, err := h.Do(s.method, s.path, []byte(s.body), s.headers...)
			if err != nil {
				return fmt.Errorf("%s: %w", s.path, err)
			}
			if status != s.status || answer != s.want {
				t.Errorf("%s %s: %d %q, want %d %q", s.method, s.path, status, answer, s.status, s.want)
			}
		}
		return nil
	}
	ok := `{"status":"OK"}` + "\n"
	session := serve(t, func(h *rt.HTTP) error {
		err := steps(h, []step{
			{"GET", "nothing", "", nil, 404, "404 page not found\n"},
			{"POST", "invocation/next", "", nil, 405, "Method Not Allowed\n"},
			{"POST", "invocation/r-1/response", "1", nil, 403, transition("Started", "InvocationResponse")},
			{"POST", "invocation/r-1/error", "1", nil, 403, transition("Started", "InvocationErrorResponse")},
		})
		if err != nil {
			return err
		}
		for _, rest := range [][]step{
			{
				{"POST", "init/error", "{}", nil, 403, transition("Running", "InitError")},
				{"POST", "invocation/other/response", "1", nil, 400, refusal("InvalidRequestID", "Invalid request ID")},
				{"POST", "invocation/other/error", "1", nil, 400, refusal("InvalidRequestID", "Invalid request ID")},
				{"POST", "invocation/r-1/response", "1", []string{"Lambda-Runtime-Function-Response-Mode", "x"}, 400,
					refusal("InvalidFunctionResponseMode", "Invalid function response mode")},
				{"POST", "invocation/r-1/response", "1", nil, 202, ok},
				{"POST", "invocation/r-1/response", "2", nil, 403, transition("RuntimeResponseSentState", "InvocationResponse")},
				{"POST", "invocation/r-1/error", "2", nil, 403, transition("RuntimeResponseSentState", "InvocationErrorResponse")},
				{"POST", "init/error", "{}", nil, 403, transition("RuntimeResponseSentState", "InitError")},
			},
			{
				{"POST", "invocation/r-1/response", big, nil, 413,
					refusal("RequestEntityTooLarge", "Exceeded maximum allowed payload size (6291556 bytes).")},
				{"POST", "invocation/r-1/error", "2", nil, 403, transition("RuntimeResponseSentState", "InvocationErrorResponse")},
			},
		} {
			if _, _, _, err := h.Next(); err != nil {
				return err
			}
			if err := steps(h, rest); err != nil {
				return err
			}
		}
		_, _, _, err = h.Next()
		return hangUp(err)
	})
	if err := session.Init(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	event := &runtimeapi.Event{RequestID: "r-1", Payload: []byte("{}")}
	if response, err := exchange(t.Context(), session, event); err != nil || string(response.Payload) != "1" {
		t.Errorf("%v, %v; want the first answer", response, err)
	}
	var fault *runtimeapi.FunctionError
	if _, err := exchange(t.Context(), session, event); !errors.As(err, &fault) || fault.Type != runtimeapi.TypeResponseTooLarge {
		t.Errorf("%v, want %s", err, runtimeapi.TypeResponseTooLarge)
	}
	if _, err := exchange(t.Context(), session, &runtimeapi.Event{Payload: []byte(big)}); err == nil {
		t.Error("an event over the limit was accepted")
	}
}

func TestServerInitError(t *testing.T) {
	for name, test := range map[string]struct {
		headers  []string
		body     string
		wantType string
		want     string
	}{
		"type in the header": {[]string{"Lambda-Runtime-Function-Error-Type", "Runtime.Bad"}, `{"errorType":"x"}`, "Runtime.Bad", `{"errorType":"x"}`},
		"type in the body":   {nil, `{"errorType":"x"}`, "x", `{"errorType":"x"}`},
		"no type":            {nil, `not JSON`, "Runtime.Unknown", `not JSON`},
		"with a cause": {[]string{"Content-Type", "application/vnd.aws.lambda.error.cause+json"},
			`{"errorMessage":"m","errorType":"t","stackTrace":["s"],"errorCause":{}}`, "t", `{"errorMessage":"m","errorType":"t","stackTrace":["s"]}`},
		"with a bad cause": {[]string{"Content-Type", "application/vnd.aws.lambda.error.cause+json"}, `{`, "Runtime.Unknown", `"Invalid error body"`},
	} {
		t.Run(name, func(t *testing.T) {
			session := serve(t, func(h *rt.HTTP) error {
				status, answer, _, err := h.Do("POST", "init/error", []byte(test.body), test.headers...)
				if err != nil {
					return err
				}
				if status != 202 {
					t.Errorf("%d %s, want 202", status, answer)
				}
				return nil
			})
			var fault *runtimeapi.FunctionError
			if err := session.Init(t.Context(), start); !errors.As(err, &fault) {
				t.Fatalf("%v, want a FunctionError", err)
			}
			if diff := cmp.Diff(&runtimeapi.FunctionError{Type: test.wantType, Payload: []byte(test.want), Init: true}, fault); diff != "" {
				t.Error(diff)
			}
			if _, err := exchange(t.Context(), session, &runtimeapi.Event{}); !errors.Is(err, runtimeapi.ErrRuntimeGone) {
				t.Errorf("Invoke after a failed Init: %v", err)
			}
		})
	}
}

func TestServerConversation(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789"), runtimeapi.MaxPayload/10)
	event := runtimeapi.Event{RequestID: "8476a536-e9f4-11e8-9739-2dfe598c3fcd", FunctionARN: "arn:x",
		Deadline: time.UnixMilli(1542409706888), TraceID: "Root=1", ClientContext: `{"a":1}`, CognitoIdentity: `{"b":2}`,
		TenantID: "tenant", Payload: []byte(`{"key":1}`)}
	session := serve(t, func(h *rt.HTTP) error {
		id, payload, header, err := h.Next()
		if err != nil {
			return err
		}
		for name, want := range map[string]string{
			"Lambda-Runtime-Aws-Request-Id": event.RequestID, "Lambda-Runtime-Deadline-Ms": "1542409706888",
			"Lambda-Runtime-Invoked-Function-Arn": "arn:x", "Lambda-Runtime-Trace-Id": "Root=1",
			"Lambda-Runtime-Client-Context": `{"a":1}`, "Lambda-Runtime-Cognito-Identity": `{"b":2}`,
			"Lambda-Runtime-Aws-Tenant-Id": "tenant", "Content-Type": "application/json",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		// A runtime that asks again before it has answered gets the same event.
		if again, _, _, err := h.Next(); again != id || err != nil {
			t.Errorf("asked again: %q, %v", again, err)
		}
		if _, _, _, err := h.Do("POST", "invocation/"+id+"/response", []byte(payload), "Content-Type", "application/json"); err != nil {
			return err
		}
		id, _, header, err = h.Next()
		if err != nil {
			return err
		}
		for _, name := range []string{"Lambda-Runtime-Client-Context", "Lambda-Runtime-Aws-Tenant-Id", "Lambda-Runtime-Trace-Id"} {
			if header.Values(name) != nil {
				t.Errorf("%s is there", name)
			}
		}
		if _, _, _, err := h.Do("POST", "invocation/"+id+"/error", []byte(`{"errorType":"E"}`)); err != nil {
			return err
		}
		id, payload, _, err = h.Next()
		if err != nil {
			return err
		}
		if _, _, _, err := h.Do("POST", "invocation/"+id+"/response", []byte(payload)); err != nil {
			return err
		}
		_, _, _, err = h.Next()
		return hangUp(err)
	})
	if err := session.Init(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	response, err := exchange(t.Context(), session, &event)
	if diff := cmp.Diff(&runtimeapi.Response{ContentType: "application/json", Payload: event.Payload}, response); diff != "" || err != nil {
		t.Error(err, diff)
	}
	var fault *runtimeapi.FunctionError
	if _, err := exchange(t.Context(), session, &runtimeapi.Event{RequestID: "2"}); !errors.As(err, &fault) || fault.Type != "E" {
		t.Errorf("%v, want the error", err)
	}
	if response, err = exchange(t.Context(), session, &runtimeapi.Event{RequestID: "3", Payload: large}); err != nil || !bytes.Equal(response.Payload, large) {
		t.Errorf("large: %v", err)
	}
}

// TestServerStreaming answers in chunks, once well and once with an error in the trailer.
func TestServerStreaming(t *testing.T) {
	session := serve(t, func(h *rt.HTTP) error {
		for _, fails := range []bool{false, true} {
			id, _, _, err := h.Next()
			if err != nil {
				return err
			}
			request, err := http.NewRequest("POST", "http://"+h.Address+"/2018-06-01/runtime/invocation/"+id+"/response",
				io.MultiReader(strings.NewReader("one "), strings.NewReader("two")))
			if err != nil {
				return err
			}
			request.Header.Set("Lambda-Runtime-Function-Response-Mode", "streaming")
			request.Header.Set("Content-Type", "application/vnd.awslambda.http-integration-response")
			if fails {
				request.Trailer = http.Header{
					"Lambda-Runtime-Function-Error-Type": {"Runtime.Streamed"},
					"Lambda-Runtime-Function-Error-Body": {base64.StdEncoding.EncodeToString([]byte(`{"errorMessage":"m"}`))},
				}
			}
			response, err := h.Client.Do(request)
			if err != nil {
				return err
			}
			response.Body.Close()
			if response.StatusCode != 202 {
				t.Errorf("status %d", response.StatusCode)
			}
		}
		_, _, _, err := h.Next()
		return hangUp(err)
	})
	if err := session.Init(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	response, err := exchange(t.Context(), session, &runtimeapi.Event{RequestID: "1"})
	if err != nil || string(response.Payload) != "one two" || response.ContentType != "application/vnd.awslambda.http-integration-response" {
		t.Errorf("%v, %v", response, err)
	}
	var fault *runtimeapi.FunctionError
	if _, err := exchange(t.Context(), session, &runtimeapi.Event{RequestID: "2"}); !errors.As(err, &fault) ||
		fault.Type != "Runtime.Streamed" || string(fault.Payload) != `{"errorMessage":"m"}` {
		t.Errorf("%v", err)
	}
}

func TestServerEnds(t *testing.T) {
	cause := errors.New("the test's own cause")
	next := func(h *rt.HTTP) error {
		if _, _, _, err := h.Next(); err != nil {
			return err
		}
		return nil
	}
	t.Run("closed during Init", func(t *testing.T) {
		session := serve(t, func(*rt.HTTP) error { return nil })
		go session.Close()
		if err := session.Init(t.Context(), start); !errors.Is(err, runtimeapi.ErrRuntimeGone) {
			t.Error(err)
		}
	})
	t.Run("cancelled during Init", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		session := serve(t, func(*rt.HTTP) error { return nil })
		if err := session.Init(ctx, start); !errors.Is(err, cause) {
			t.Error(err)
		}
		if _, err := exchange(t.Context(), session, &runtimeapi.Event{}); !errors.Is(err, runtimeapi.ErrRuntimeGone) {
			t.Error(err)
		}
	})
	t.Run("Invoke before Init", func(t *testing.T) {
		session := serve(t, func(*rt.HTTP) error { return nil })
		if _, err := exchange(t.Context(), session, &runtimeapi.Event{}); !errors.Is(err, runtimeapi.ErrRuntimeGone) {
			t.Error(err)
		}
	})
	t.Run("cancelled while the event is being sent", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		release := make(chan struct{})
		session := serve(t, func(h *rt.HTTP) error {
			conn, err := net.Dial("tcp", h.Address)
			if err != nil {
				return err
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
			var some [64]byte
			_, err = io.ReadFull(conn, some[:])
			cancel(cause)
			<-release
			return err
		})
		defer close(release)
		if err := session.Init(t.Context(), start); err != nil {
			t.Fatal(err)
		}
		payload := make([]byte, runtimeapi.MaxPayload)
		if _, err := exchange(ctx, session, &runtimeapi.Event{RequestID: "1", Payload: payload}); !errors.Is(err, cause) {
			t.Error(err)
		}
		clear(payload) // it is ours again: the race detector would tell
	})
	t.Run("asked twice and read once", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		release := make(chan struct{})
		session := serve(t, func(h *rt.HTTP) error {
			if err := next(h); err != nil {
				return err
			}
			conn, err := net.Dial("tcp", h.Address)
			if err != nil {
				return err
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
			var some [64]byte
			if _, err := io.ReadFull(conn, some[:]); err != nil {
				return err
			}
			if _, _, _, err := h.Do("POST", "invocation/1/response", []byte("x")); err != nil {
				return err
			}
			cancel(cause) // nothing else would end it: the other reply is still on its way
			_, _, _, err = h.Next()
			<-release
			return hangUp(err)
		})
		defer close(release)
		if err := session.Init(t.Context(), start); err != nil {
			t.Fatal(err)
		}
		payload := make([]byte, runtimeapi.MaxPayload)
		response, err := exchange(ctx, session, &runtimeapi.Event{RequestID: "1", Payload: payload})
		if !errors.Is(err, cause) || response == nil {
			t.Errorf("%v, %v; want the answer and the cause", response, err)
		}
		clear(payload)
	})
	t.Run("answered, then closed", func(t *testing.T) {
		answered := make(chan struct{})
		session := serve(t, func(h *rt.HTTP) error {
			if err := next(h); err != nil {
				return err
			}
			defer close(answered)
			_, _, _, err := h.Do("POST", "invocation/1/response", []byte("x"))
			return err
		})
		if err := session.Init(t.Context(), start); err != nil {
			t.Fatal(err)
		}
		go func() {
			<-answered
			session.Close()
		}()
		response, err := exchange(t.Context(), session, &runtimeapi.Event{RequestID: "1"})
		if !errors.Is(err, runtimeapi.ErrRuntimeGone) || response == nil || string(response.Payload) != "x" {
			t.Errorf("%v, %v; want the answer and ErrRuntimeGone", response, err)
		}
	})
	t.Run("truncated answer, then a whole one", func(t *testing.T) {
		session := serve(t, func(h *rt.HTTP) error {
			if err := next(h); err != nil {
				return err
			}
			conn, err := net.Dial("tcp", h.Address)
			if err != nil {
				return err
			}
			fmt.Fprintf(conn, "POST /2018-06-01/runtime/invocation/1/response HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				return err
			}
			answer, err := io.ReadAll(conn)
			conn.Close()
			if err != nil || !strings.Contains(string(answer), "TruncatedHTTPRequest") {
				t.Errorf("%q, %v", answer, err)
			}
			if _, _, _, err := h.Do("POST", "invocation/1/response", []byte("whole")); err != nil {
				return err
			}
			_, _, _, err = h.Next()
			return hangUp(err)
		})
		if err := session.Init(t.Context(), start); err != nil {
			t.Fatal(err)
		}
		if response, err := exchange(t.Context(), session, &runtimeapi.Event{RequestID: "1"}); err != nil || string(response.Payload) != "whole" {
			t.Errorf("%v, %v", response, err)
		}
	})
}

func BenchmarkServerInvoke(b *testing.B) {
	session := serve(b, func(h *rt.HTTP) error {
		for {
			id, _, _, err := h.Next()
			if err != nil {
				return nil
			}
			if _, _, _, err := h.Do("POST", "invocation/"+id+"/response", []byte(`{"ok":true}`)); err != nil {
				return nil
			}
		}
	})
	if err := session.Init(b.Context(), start); err != nil {
		b.Fatal(err)
	}
	event := &runtimeapi.Event{RequestID: "8476a536-e9f4-11e8-9739-2dfe598c3fcd", FunctionARN: "arn:aws:lambda:us-east-1:123456789012:function:f",
		Deadline: time.Now().Add(time.Hour), Payload: []byte(`{"key":"value"}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := exchange(b.Context(), session, event); err != nil {
			b.Fatal(err)
		}
	}
}
