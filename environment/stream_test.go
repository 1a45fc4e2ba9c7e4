package environment

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"hotaru/environment/environmenttest"
	"hotaru/runtimeapi"
	"hotaru/sandbox"
)

// TestStreamLimit: what is streamed has a limit, and an environment whose function went beyond goes on.
func TestStreamLimit(t *testing.T) {
	env, driver, log := start(t, 3, func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
		for {
			id, event, ok := p.Next(ctx)
			if !ok {
				return sandbox.ExitStatus{}
			}
			p.Stream(ctx, id, event)
		}
	})
	for _, tc := range []struct {
		limit int64
		read  string
		err   error
		kind  string
	}{
		{4, "1234", ErrStreamFailed, runtimeapi.TypeResponseTooLarge},
		{5, "12345", nil, ""},
	} {
		outcome, err := env.Invoke(t.Context(), &Invocation{RequestID: "r", Payload: []byte("12345"), Streams: true})
		if err != nil {
			t.Fatal(err)
		}
		outcome.Stream.(*answerStream).left = tc.limit
		read, err := io.ReadAll(outcome.Stream)
		if string(read) != tc.read || !errors.Is(err, tc.err) || outcome.ErrorType != tc.kind {
			t.Errorf("limit %d: %q, %v, %s", tc.limit, read, err, outcome.ErrorType)
		}
		env.Finish(t.Context())
	}
	if driver.Resets() != 0 || strings.Count(log.Text(), "REPORT ") != 2 {
		t.Errorf("%d resets; log:\n%s", driver.Resets(), log.Text())
	}
}
