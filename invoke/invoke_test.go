package invoke_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"hotaru/environment"
	"hotaru/environment/environmenttest"
	"hotaru/function"
	"hotaru/invoke"
	"hotaru/pool"
	"hotaru/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var served = &function.Version{
	ID: function.ID{Account: "1", Region: "r", Name: "f"}, UID: "u", Version: function.Latest, MemoryMB: 128, TimeoutSeconds: 30,
}

type functions struct{}

func (functions) Serving(_ context.Context, id function.ID, _ string) (*function.Version, error) {
	if id != served.ID {
		return nil, function.Errorf(function.ErrResourceNotFound, "no such function")
	}
	return served, nil
}

func (functions) Reserved(function.ID) (own int, ok bool, all int) { return 0, false, 0 }

// newInvoker runs a program in a pool of environments without walls.
func newInvoker(t *testing.T, program environmenttest.Main, concurrency int) (*invoke.Invoker, *environmenttest.Log) {
	driver, log := &environmenttest.Driver{Run: program}, &environmenttest.Log{}
	p := pool.New(func(ctx context.Context, v *function.Version) (*environment.Environment, error) {
		blank, err := environment.NewBlank(ctx, environment.BlankConfig{ID: "env", Driver: driver, MemoryMB: v.MemoryMB})
		if err != nil {
			return nil, err
		}
		return blank.Assign(ctx, environment.Config{Version: v, Log: log, Logger: slog.New(slog.DiscardHandler)})
	}, func(*environment.Environment) bool { return false }, pool.Options{Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(p.Close)
	return &invoke.Invoker{Functions: functions{}, Environments: p, Concurrency: concurrency}, log
}

func event(id string) *invoke.Request {
	return &invoke.Request{ID: served.ID, Invocation: invoke.Invocation{RequestID: id, Payload: []byte("1")}}
}

func TestRefusals(t *testing.T) {
	answer := make(chan struct{})
	begun := make(chan struct{})
	i, _ := newInvoker(t, func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
		id, body, _ := p.Next(ctx)
		close(begun)
		<-answer
		p.Respond(ctx, id, body)
		p.Next(ctx)
		return sandbox.ExitStatus{}
	}, 1)
	var refusal *function.Error
	if _, err := i.Invoke(t.Context(), &invoke.Request{ID: function.ID{Name: "other"}}); !errors.As(err, &refusal) ||
		refusal.Code != function.ErrResourceNotFound {
		t.Errorf("an unknown function: %v", err)
	}
	first := make(chan error)
	go func() {
		_, err := i.Invoke(t.Context(), event("r1"))
		first <- err
	}()
	<-begun
	if _, err := i.Invoke(t.Context(), event("r2")); !errors.As(err, &refusal) || refusal.Code != function.ErrTooManyRequests {
		t.Errorf("a second event under a limit of one: %v", err)
	}
	close(answer)
	if err := <-first; err != nil {
		t.Error(err)
	}
	i.Wait(t.Context())
}

// One event after the other meets neither a limit of one nor a second environment, though the runtime asks for the next
// one after its answer has reached the caller.
func TestOneAfterTheOther(t *testing.T) {
	starts := 0
	i, log := newInvoker(t, func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
		starts++
		return environmenttest.Echo(ctx, p)
	}, 1)
	for range 50 {
		result, err := i.Invoke(t.Context(), event("r"))
		if err != nil || string(result.Payload) != "1" {
			t.Fatalf("%v %v", result, err)
		}
	}
	i.Wait(t.Context())
	if starts != 1 {
		t.Errorf("%d environments", starts)
	}
	const want = 50
	if got := log.Count("REPORT "); got != want {
		t.Errorf("%d reports, want %d", got, want)
	}
}

// Wait waits for a runtime that goes on after its answer, and no longer than told.
func TestWait(t *testing.T) {
	goOn := make(chan struct{})
	i, log := newInvoker(t, func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
		id, body, _ := p.Next(ctx)
		p.Respond(ctx, id, body)
		<-goOn
		return sandbox.ExitStatus{Code: 7}
	}, 0)
	if _, err := i.Invoke(t.Context(), event("r1")); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	i.Wait(ended)
	if log.Count("REPORT ") != 0 {
		t.Error("an invocation has ended whose runtime is still busy")
	}
	close(goOn)
	i.Wait(t.Context())
	if log.Count("REPORT ") != 1 || log.Count("Runtime exited with error: exit status 7") != 1 {
		t.Errorf("the log of a runtime that exits after its answer:\n%s", log.Text())
	}
}
