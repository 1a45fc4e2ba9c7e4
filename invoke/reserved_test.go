package invoke_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"hotaru/environment/environmenttest"
	"hotaru/function"
	"hotaru/sandbox"
)

// reserving has a function of every name, and executions reserved for some.
type reserving map[string]int

func (r reserving) Serving(_ context.Context, id function.ID, _ string) (*function.Version, error) {
	v := *served
	v.ID = id
	return &v, nil
}

func (r reserving) Reserved(id function.ID) (own int, ok bool, all int) {
	for _, n := range r {
		all += n
	}
	own, ok = r[id.Name]
	return own, ok, all
}

// TestReserved fills the limits of functions and of what is left beside them, and looks who is throttled and why.
func TestReserved(t *testing.T) {
	const account, own = "ConcurrentInvocationLimitExceeded", "ReservedFunctionConcurrentInvocationLimitExceeded"
	for name, tc := range map[string]struct {
		reserved map[string]int
		busy     []string
		asked    map[string]string // to the reason of its refusal
	}{
		"nothing reserved":               {nil, []string{"f", "g", "h"}, map[string]string{"f": account, "x": account}},
		"none for one":                   {map[string]int{"f": 0}, nil, map[string]string{"f": own}},
		"none for one, others as before": {map[string]int{"f": 0}, []string{"g", "g", "g"}, map[string]string{"f": own, "g": account}},
		"one is full":                    {map[string]int{"f": 1}, []string{"f"}, map[string]string{"f": own, "g": ""}},
		"the others are full":            {map[string]int{"f": 1}, []string{"g", "h"}, map[string]string{"f": "", "g": account, "x": account}},
		"two of their own":               {map[string]int{"f": 1, "g": 2}, []string{"f", "g"}, map[string]string{"f": own, "g": "", "x": account}},
	} {
		t.Run(name, func(t *testing.T) {
			answer, begun := make(chan struct{}), make(chan struct{}, 8)
			i, _ := newInvoker(t, func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
				id, body, _ := p.Next(ctx)
				begun <- struct{}{}
				<-answer
				p.Respond(ctx, id, body)
				p.Next(ctx)
				return sandbox.ExitStatus{}
			}, 3)
			i.Functions = reserving(tc.reserved)
			var callers sync.WaitGroup
			ask := func(name string) error {
				r := event("r")
				r.ID = function.ID{Account: "1", Region: "r", Name: name}
				_, err := i.Invoke(t.Context(), r)
				return err
			}
			begin := func(name string) {
				callers.Go(func() {
					if err := ask(name); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				})
				<-begun
			}
			for _, name := range tc.busy {
				begin(name)
			}
			for name, reason := range tc.asked {
				if reason == "" {
					begin(name)
					continue
				}
				var refusal *function.Error
				if err := ask(name); !errors.As(err, &refusal) || refusal.Code != function.ErrTooManyRequests || refusal.Reason != reason {
					t.Errorf("%s: %v, want %s", name, err, reason)
				}
			}
			close(answer)
			callers.Wait()
			i.Wait(t.Context())
		})
	}
}
