package runtimeapi_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"hotaru/runtimeapi"
	rt "hotaru/runtimeapi/runtimeapitest"
)

// exchange hands over an event and waits until the runtime is ready for the next. What came of the answer is returned
// beside what came after it.
func exchange(ctx context.Context, session runtimeapi.Session, event *runtimeapi.Event) (*runtimeapi.Response, error) {
	response, err := session.Invoke(ctx, event)
	if err == nil {
		err = response.Gather()
	}
	if err != nil {
		response = nil
	}
	return response, errors.Join(err, session.Ready())
}

// answersEarly plays both events of a runtime that asks for the second only once the first one's caller has its answer.
func answersEarly(t *testing.T, session runtimeapi.Session, got chan struct{}) {
	t.Helper()
	if err := session.Init(t.Context(), runtimeapi.Start{}); err != nil {
		t.Fatal(err)
	}
	for _, waits := range []bool{true, false} {
		if _, err := session.Invoke(t.Context(), &runtimeapi.Event{RequestID: "r"}); err != nil {
			t.Fatal(err)
		}
		got <- struct{}{} // an Invoke that waited for the runtime would wait for ever
		if !waits {
			continue // the next Invoke does
		}
		for range 2 {
			if err := session.Ready(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestFramesAnswerBeforeReady(t *testing.T) {
	got := make(chan struct{})
	session := pair(t, &records{}, func(f rt.Frames) error {
		if err := ready(f); err != nil {
			return err
		}
		for number := range uint32(2) {
			if number > 0 {
				if err := f.Send(rt.ReadyFrame()); err != nil {
					return err
				}
			}
			if _, _, err := f.ReceiveEvent(); err != nil {
				return err
			}
			if err := f.Send(rt.Answer(rt.Response, number+1, "text/plain", nil)); err != nil {
				return err
			}
			<-got
		}
		return nil // gone before it is ready
	})
	answersEarly(t, session, got)
	if _, err := session.Invoke(t.Context(), &runtimeapi.Event{RequestID: "r"}); !errors.Is(err, runtimeapi.ErrRuntimeGone) {
		t.Errorf("after the runtime has gone between the answer and Ready: %v", err)
	}
}

func TestServerAnswerBeforeReady(t *testing.T) {
	got := make(chan struct{})
	answersEarly(t, serve(t, func(h *rt.HTTP) error {
		for range 2 {
			if _, _, _, err := h.Next(); err != nil {
				return err
			}
			if status, _, _, err := h.Do("POST", "invocation/r/response", []byte("1")); err != nil || status != 202 {
				return fmt.Errorf("an answer's answer is %d, %w", status, err)
			}
			<-got
		}
		return nil
	}), got)
}
