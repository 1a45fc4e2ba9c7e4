package runtimeapi_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"hotaru/runtimeapi"
	rt "hotaru/runtimeapi/runtimeapitest"
)

// eitherOf makes a session of both transports; the fakes live beside the test.
func eitherOf(t *testing.T, frames func(rt.Frames) error, http func(*rt.HTTP) error) runtimeapi.Session {
	t.Helper()
	session := runtimeapi.NewEither(pair(t, &records{}, frames), serve(t, http))
	t.Cleanup(func() { session.Close() })
	return session
}

// noFrames and noHTTP are the transport that a runtime does not use.
func noFrames(f rt.Frames) error { return waitGone(f) }
func noHTTP(*rt.HTTP) error      { return nil }

func TestEither(t *testing.T) {
	answerFrames := func(f rt.Frames) error {
		if err := ready(f); err != nil {
			return err
		}
		head, _, err := f.ReceiveEvent()
		if err != nil {
			return err
		}
		if err := f.Send(rt.Answer(rt.Response, head.Number, "x", []byte("frames")), rt.ReadyFrame()); err != nil {
			return err
		}
		return waitGone(f)
	}
	answerHTTP := func(h *rt.HTTP) error {
		id, _, _, err := h.Next()
		if err != nil {
			return err
		}
		if _, _, _, err := h.Do("POST", "invocation/"+id+"/response", []byte("http")); err != nil {
			return err
		}
		_, _, _, err = h.Next()
		return hangUp(err)
	}
	hungUp := func(rt.Frames) error { return nil } // a wrapper that does not pass descriptor 3 on
	for _, test := range []struct {
		name   string
		frames func(rt.Frames) error
		http   func(*rt.HTTP) error
		want   string
	}{
		{"frames", answerFrames, noHTTP, "frames"},
		{"HTTP", noFrames, answerHTTP, "http"},
		{"HTTP without descriptor 3", hungUp, answerHTTP, "http"},
	} {
		t.Run(test.name, func(t *testing.T) {
			session := eitherOf(t, test.frames, test.http)
			if _, err := session.Invoke(t.Context(), &runtimeapi.Event{}); !errors.Is(err, runtimeapi.ErrRuntimeGone) {
				t.Errorf("Invoke before Init: %v", err)
			}
			if err := session.Init(t.Context(), start); err != nil {
				t.Fatal(err)
			}
			response, err := exchange(t.Context(), session, &runtimeapi.Event{RequestID: "1"})
			if err != nil || string(response.Payload) != test.want {
				t.Errorf("%v, %v; want %s", response, err, test.want)
			}
		})
	}
}

func TestEitherFails(t *testing.T) {
	t.Run("init error", func(t *testing.T) {
		session := eitherOf(t, noFrames, func(h *rt.HTTP) error {
			_, _, _, err := h.Do("POST", "init/error", []byte(`{"errorType":"E"}`))
			return err
		})
		var fault *runtimeapi.FunctionError
		if err := session.Init(t.Context(), start); !errors.As(err, &fault) || !fault.Init {
			t.Errorf("%v, want the initialization error", err)
		}
		if _, err := session.Invoke(t.Context(), &runtimeapi.Event{}); !errors.Is(err, runtimeapi.ErrRuntimeGone) {
			t.Errorf("Invoke afterwards: %v", err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		started := make(chan struct{})
		session := eitherOf(t, func(f rt.Frames) error {
			defer close(started)
			_, _, err := f.ReceiveStart()
			return err
		}, noHTTP)
		go func() {
			<-started
			session.Close()
		}()
		if err := session.Init(t.Context(), start); !errors.Is(err, runtimeapi.ErrRuntimeGone) {
			t.Errorf("%v, want ErrRuntimeGone", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		cause := errors.New("the test's own cause")
		ctx, cancel := context.WithCancelCause(t.Context())
		session := eitherOf(t, func(f rt.Frames) error {
			if _, _, err := f.ReceiveStart(); err != nil {
				return err
			}
			cancel(cause)
			return waitGone(f)
		}, noHTTP)
		if err := session.Init(ctx, start); !errors.Is(err, cause) {
			t.Errorf("%v, want the cause", err)
		}
	})
	t.Run("frames gone, then cancelled", func(t *testing.T) {
		cause := errors.New("the test's own cause")
		ctx, cancel := context.WithCancelCause(t.Context())
		session := eitherOf(t, func(f rt.Frames) error {
			defer cancel(cause)
			_, _, err := f.ReceiveStart()
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}, noHTTP)
		if err := session.Init(ctx, start); !errors.Is(err, cause) {
			t.Errorf("%v, want the cause", err)
		}
	})
}
