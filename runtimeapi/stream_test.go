package runtimeapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"hotaru/runtimeapi"
	rt "hotaru/runtimeapi/runtimeapitest"
)

// streams plays one event whose answer is streamed: what the runtime sends after the stream's beginning.
func streams(t *testing.T, logs runtimeapi.LogSink, goOn func(f rt.Frames) error) runtimeapi.Session {
	session := pair(t, logs, func(f rt.Frames) error {
		if err := ready(f); err != nil {
			return err
		}
		if _, _, err := f.ReceiveEvent(); err != nil {
			return err
		}
		if err := f.Send(rt.Answer(rt.Stream, 1, "text/plain", []byte("one "))); err != nil {
			return err
		}
		return goOn(f)
	})
	if err := session.Init(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	return session
}

// beginning invokes and reads the first bytes of the answer, which are there though the runtime goes on.
func beginning(ctx context.Context, t *testing.T, session runtimeapi.Session) io.Reader {
	t.Helper()
	response, err := session.Invoke(ctx, &runtimeapi.Event{RequestID: "r"})
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 4)
	if _, err := io.ReadFull(response.Stream, first); err != nil || string(first) != "one " || response.ContentType != "text/plain" {
		t.Fatalf("%q of type %s, %v", first, response.ContentType, err)
	}
	return response.Stream
}

func TestFramesStreamFails(t *testing.T) {
	cause := errors.New("the test's own cause")
	for _, tc := range []struct {
		name string
		goOn func(f rt.Frames) error
		want error
	}{
		{"another stream", func(f rt.Frames) error { return f.Send(rt.Answer(rt.Stream, 1, "x", nil)) }, runtimeapi.ErrRuntimeGone},
		{"an answer", func(f rt.Frames) error { return f.Send(rt.Answer(rt.Response, 1, "x", nil)) }, runtimeapi.ErrRuntimeGone},
		{"another event's error", func(f rt.Frames) error { return f.Send(rt.Answer(rt.Error, 2, "x", nil)) }, runtimeapi.ErrRuntimeGone},
		{"ready before the end", func(f rt.Frames) error { return f.Send(rt.ReadyFrame()) }, runtimeapi.ErrRuntimeGone},
		{"an end with a body", func(f rt.Frames) error { return f.Send(rt.Frame(rt.End, []byte("x"))) }, runtimeapi.ErrRuntimeGone},
		{"gone", func(rt.Frames) error { return nil }, runtimeapi.ErrRuntimeGone},
		{"gone within a chunk", func(f rt.Frames) error { return f.Send(rt.Frame(rt.Chunk, []byte("ab"))[:6]) }, runtimeapi.ErrRuntimeGone},
		{"busy", func(f rt.Frames) error {
			if err := f.Send(rt.Frame(rt.Log, []byte("busy"))); err != nil {
				return err
			}
			return waitGone(f)
		}, cause},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			session := streams(t, onRecord(func([]byte) { cancel(cause) }), tc.goOn)
			stream := beginning(ctx, t, session)
			if _, err := io.Copy(io.Discard, stream); !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if _, err := stream.Read(make([]byte, 1)); !errors.Is(err, runtimeapi.ErrRuntimeGone) {
				t.Errorf("read after the end: %v", err)
			}
			if _, err := session.Invoke(t.Context(), &runtimeapi.Event{}); !errors.Is(err, runtimeapi.ErrRuntimeGone) {
				t.Errorf("another event: %v", err)
			}
		})
	}
	t.Run("a chunk without a stream", func(t *testing.T) {
		session := pair(t, &records{}, func(f rt.Frames) error {
			if err := ready(f); err != nil {
				return err
			}
			return f.Send(rt.Frame(rt.Chunk, []byte("x")))
		})
		if err := session.Init(t.Context(), start); err != nil {
			t.Fatal(err)
		}
		if _, err := session.Invoke(t.Context(), &runtimeapi.Event{}); !errors.Is(err, runtimeapi.ErrRuntimeGone) {
			t.Error(err)
		}
	})
}

func TestFramesStream(t *testing.T) {
	read := make(chan struct{})
	session := streams(t, &records{}, func(f rt.Frames) error {
		<-read
		if err := f.Send(rt.Frame(rt.Chunk, []byte("two ")), rt.Frame(rt.Log, []byte("x")), rt.Frame(rt.Chunk, nil),
			rt.Frame(rt.Chunk, make([]byte, 300_000)), rt.Frame(rt.End, nil), rt.ReadyFrame()); err != nil {
			return err
		}
		// Nobody reads the second, and the third fails on the way.
		for number := uint32(2); number < 4; number++ {
			if _, _, err := f.ReceiveEvent(); err != nil {
				return err
			}
			last := rt.Frame(rt.End, nil)
			if number == 3 {
				last = rt.Answer(rt.Error, number, "Late", []byte(`{}`))
			}
			if err := f.Send(rt.Answer(rt.Stream, number, "text/plain", []byte("one ")), rt.Frame(rt.Chunk, make([]byte, 100_000)),
				last, rt.ReadyFrame()); err != nil {
				return err
			}
		}
		return nil
	})
	stream := beginning(t.Context(), t, session)
	close(read)
	if rest, err := io.ReadAll(stream); err != nil || len(rest) != 300_004 || string(rest[:4]) != "two " {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
	for range 2 {
		if err := session.Ready(); err != nil {
			t.Error(err)
		}
	}
	beginning(t.Context(), t, session)
	stream = beginning(t.Context(), t, session) // after what nobody has read
	fault := (*runtimeapi.FunctionError)(nil)
	if _, err := io.ReadAll(stream); !errors.As(err, &fault) || fault.Type != "Late" {
		t.Error(err)
	}
	if err := session.Ready(); err != nil {
		t.Error(err)
	}
}

// httpStream begins a streamed answer over HTTP by hand.
func httpStream(h *rt.HTTP) (net.Conn, error) {
	if _, _, _, err := h.Next(); err != nil {
		return nil, err
	}
	conn, err := net.Dial("tcp", h.Address)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprint(conn, "POST /2018-06-01/runtime/invocation/r/response HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"+
		"Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none \r\n")
	return conn, err
}

func TestServerStream(t *testing.T) {
	read, truncate := make(chan struct{}), make(chan struct{})
	session := serve(t, func(h *rt.HTTP) error {
		conn, err := httpStream(h)
		if err != nil {
			return err
		}
		defer conn.Close()
		<-read
		fmt.Fprint(conn, "3\r\ntwo\r\n0\r\n\r\n")
		if status, err := bufio.NewReader(conn).ReadString('\n'); err != nil || status != "HTTP/1.1 202 Accepted\r\n" {
			return fmt.Errorf("the answer to a stream is %q, %w", status, err)
		}
		cut, err := httpStream(h)
		if err != nil {
			return err
		}
		<-truncate
		if err := cut.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, cut)
		cut.Close()
		busy, err := httpStream(h)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, busy)
		return busy.Close()
	})
	if err := session.Init(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	stream := beginning(t.Context(), t, session)
	close(read)
	if rest, err := io.ReadAll(stream); err != nil || string(rest) != "two" {
		t.Errorf("%q, %v", rest, err)
	}
	stream = beginning(t.Context(), t, session)
	close(truncate)
	fault := (*runtimeapi.FunctionError)(nil)
	if _, err := io.ReadAll(stream); !errors.As(err, &fault) || fault.Type != runtimeapi.TypeTruncated {
		t.Error(err)
	}
	cause := errors.New("the test's own cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	stream = beginning(ctx, t, session)
	cancel(cause)
	if _, err := io.ReadAll(stream); !errors.Is(err, cause) {
		t.Errorf("a stream that its caller gave up: %v", err)
	}
	if _, err := session.Invoke(t.Context(), &runtimeapi.Event{}); !errors.Is(err, runtimeapi.ErrRuntimeGone) {
		t.Error(err)
	}
}
