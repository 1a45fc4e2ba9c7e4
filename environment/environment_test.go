package environment

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hotaru/environment/environmenttest"
	"hotaru/function"
	"hotaru/runtime"
	"hotaru/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start makes an environment whose runtime is program.
func start(t *testing.T, timeoutSeconds int,
	program func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus) (*Environment, *environmenttest.Driver, *environmenttest.Log) {
	t.Helper()
	driver, log := &environmenttest.Driver{Run: program}, &environmenttest.Log{}
	v := &function.Version{
		ID:      function.ID{Partition: "aws", Region: "us-east-1", Account: "000000000000", Name: "f"},
		Version: function.Latest, Handler: "app.handler", MemoryMB: 128, TimeoutSeconds: timeoutSeconds,
		EphemeralStorageMB: 512,
	}
	p := runtime.Program{Path: "/bin/runtime", Description: "test:1", VersionID: "v"}
	blank, err := NewBlank(t.Context(), BlankConfig{
		ID: "env-1", Driver: driver, Program: p, MemoryMB: v.MemoryMB, EphemeralStorageMB: v.EphemeralStorageMB,
	})
	if err != nil {
		t.Fatal(err)
	}
	env, err := blank.Assign(t.Context(), Config{Version: v, Program: p, Log: log, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return env, driver, log
}

func invoke(t *testing.T, env *Environment, requestID string) *Outcome {
	t.Helper()
	outcome, err := env.Invoke(t.Context(), &Invocation{RequestID: requestID, Payload: []byte("1"), Tail: true})
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

// numbers replaces what differs from run to run.
var numbers = regexp.MustCompile(`\d+\.\d+ ms|Billed Duration: \d+ ms|\d{4}-\d\d-\d\dT[0-9:.]+Z`)

func normal(log string) string { return numbers.ReplaceAllString(log, "N") }

// afterLast is what follows the last occurrence of a mark.
func afterLast(text, mark string) string {
	parts := strings.Split(text, mark)
	return parts[len(parts)-1]
}

func TestColdThenWarm(t *testing.T) {
	env, driver, log := start(t, 3, environmenttest.Echo)
	first, second := invoke(t, env, "r1"), invoke(t, env, "r2")
	if !first.Cold || first.InitDuration == 0 || second.Cold || second.InitDuration != 0 {
		t.Errorf("cold, init duration: first %v %v, second %v %v", first.Cold, first.InitDuration, second.Cold, second.InitDuration)
	}
	if string(first.Payload) != "1" || first.FunctionError != "" {
		t.Errorf("first: %s %s", first.Payload, first.FunctionError)
	}
	const want = `INIT_START Runtime Version: test:1	Runtime Version ARN: arn:aws:lambda:us-east-1::runtime:v
init
START RequestId: r1 Version: $LATEST
handling 1
no end
END RequestId: r1
REPORT RequestId: r1	Duration: N	N	Memory Size: 128 MB	Max Memory Used: 36 MB	Init Duration: N	
START RequestId: r2 Version: $LATEST
handling 1
no end
END RequestId: r2
REPORT RequestId: r2	Duration: N	N	Memory Size: 128 MB	Max Memory Used: 36 MB	
`
	if got := normal(log.Text()); got != want {
		t.Errorf("log:\n%s\nwant:\n%s", got, want)
	}
	if got := normal(string(second.LogTail)); got != "START RequestId: r2"+afterLast(want, "START RequestId: r2") {
		t.Errorf("tail:\n%s", got)
	}
	limits := driver.Sandboxes()[0].Limits()
	if last := limits[len(limits)-1]; limits[0].MilliCPU != 0 || last.MilliCPU != function.MilliCPU(128) {
		t.Errorf("CPU limits: %+v", limits)
	}
}

func TestExitsAndErrors(t *testing.T) {
	for _, tc := range []struct {
		name    string
		program func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus
		payload string
		kind    string
		log     string
		resets  int
	}{
		{
			name: "reported error",
			program: func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
				for {
					id, _, ok := p.Next(ctx)
					if !ok {
						return sandbox.ExitStatus{}
					}
					p.Fail(ctx, "/invocation/"+id+"/error", "ValueError", `{"errorMessage":"boom"}`)
				}
			},
			payload: `{"errorMessage":"boom"}`, kind: "ValueError",
			log: "START RequestId: r1 Version: $LATEST\nEND RequestId: r1\nREPORT ",
		},
		{
			name: "exit in the handler",
			program: func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
				p.Next(ctx)
				return sandbox.ExitStatus{Code: 3}
			},
			payload: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: r1 Error: Runtime exited with error: exit status 3"}`,
			kind:    kindExit,
			log:     "RequestId: r1 Error: Runtime exited with error: exit status 3\nRuntime.ExitError\nEND RequestId: r1\n",
			resets:  1,
		},
		{
			name: "exit without a reason during Init, twice",
			program: func(context.Context, *environmenttest.Program) sandbox.ExitStatus {
				return sandbox.ExitStatus{}
			},
			payload: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: r1 Error: Runtime exited without providing a reason"}`,
			kind:    kindExit,
			log:     "INIT_REPORT Init Duration: N\tPhase: invoke\tStatus: error\tError Type: Runtime.ExitError\nSTART RequestId: r1",
			resets:  2,
		},
		{
			name: "init error, reported",
			program: func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
				p.Fail(ctx, "/init/error", "Runtime.ImportModuleError", `{"errorMessage":"no module"}`)
				return sandbox.ExitStatus{Code: 1}
			},
			payload: `{"errorMessage":"no module"}`, kind: "Runtime.ImportModuleError",
			log:    "INIT_REPORT Init Duration: N\tPhase: init\tStatus: error\tError Type: Runtime.ImportModuleError\n",
			resets: 2,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			env, driver, log := start(t, 3, tc.program)
			outcome := invoke(t, env, "r1")
			if outcome.FunctionError != "Unhandled" || outcome.ErrorType != tc.kind || string(outcome.Payload) != tc.payload {
				t.Errorf("outcome: %s %s %s", outcome.FunctionError, outcome.ErrorType, outcome.Payload)
			}
			if got := normal(log.Text()); !strings.Contains(got, tc.log) {
				t.Errorf("log:\n%s\nwant in it:\n%s", got, tc.log)
			}
			if driver.Resets() != tc.resets {
				t.Errorf("resets: %d, want %d", driver.Resets(), tc.resets)
			}
			if !env.Alive() {
				t.Error("the environment is closed")
			}
		})
	}
}

// A failed Init is repeated inside the invocation, and may succeed there.
func TestInitSucceedsTheSecondTime(t *testing.T) {
	env, _, log := start(t, 3, func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
		if p.Start == 1 {
			return sandbox.ExitStatus{Code: 1}
		}
		return environmenttest.Echo(ctx, p)
	})
	if outcome := invoke(t, env, "r1"); outcome.FunctionError != "" || string(outcome.Payload) != "1" {
		t.Errorf("outcome: %+v", outcome)
	}
	if got := normal(log.Text()); !strings.Contains(got, "Phase: init\tStatus: error\tError Type: Runtime.ExitError\ninit\nSTART") {
		t.Errorf("log:\n%s", got)
	}
}

func TestTimeoutKeepsTheSandbox(t *testing.T) {
	env, driver, log := start(t, 1, func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
		if p.Start > 1 {
			return environmenttest.Echo(ctx, p)
		}
		p.Next(ctx)
		p.Printf("waiting\n")
		<-ctx.Done()
		return sandbox.ExitStatus{}
	})
	outcome := invoke(t, env, "r1")
	const body = `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: r1 Error: Task timed out after 1.00 seconds"}`
	if string(outcome.Payload) != body || outcome.Duration < time.Second {
		t.Errorf("outcome: %s after %v", outcome.Payload, outcome.Duration)
	}
	const want = "waiting\nN r1 Task timed out after 1.00 seconds\n\nEND RequestId: r1\nREPORT RequestId: r1\t" +
		"Duration: N\tN\tMemory Size: 128 MB\tMax Memory Used: 36 MB\tInit Duration: N\tStatus: timeout\n"
	if got := normal(log.Text()); !strings.HasSuffix(got, want) {
		t.Errorf("log:\n%s\nwant at its end:\n%s", got, want)
	}
	if again := invoke(t, env, "r2"); !again.Cold || again.FunctionError != "" {
		t.Errorf("after a timeout: %+v", again)
	}
	if len(driver.Sandboxes()) != 1 {
		t.Errorf("%d sandboxes: a reset must keep the sandbox and so its /tmp", len(driver.Sandboxes()))
	}
}

// Close during an invocation cuts it off; nothing hangs and the environment stays closed.
func TestCloseCutsAnInvocation(t *testing.T) {
	handling := make(chan struct{})
	env, _, _ := start(t, 30, func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
		if _, _, ok := p.Next(ctx); ok {
			close(handling)
		}
		<-ctx.Done()
		return sandbox.ExitStatus{}
	})
	failed := make(chan error)
	go func() {
		_, err := env.Invoke(context.Background(), &Invocation{RequestID: "r1"})
		failed <- err
	}()
	<-handling
	if err := env.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Error("an invocation that was cut off succeeded")
	}
	if env.Alive() {
		t.Error("alive after Close")
	}
}

func TestIllegalMoves(t *testing.T) {
	e := &Environment{}
	for _, move := range []struct{ from, to phase }{{cold, ready}, {cold, busy}, {ready, initializing}, {closed, cold}, {closed, busy}} {
		e.phase = move.from
		if err := e.setPhase(move.to); err == nil {
			t.Errorf("%v to %v is legal", move.from, move.to)
		}
	}
}
