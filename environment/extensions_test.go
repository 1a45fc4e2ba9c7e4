package environment

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hotaru/environment/environmenttest"
	"hotaru/function"
	"hotaru/runtime"
	"hotaru/sandbox"
)

// journal is what a test has seen, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

// startDriver makes an environment with the extensions of a driver.
func startDriver(t *testing.T, driver *environmenttest.Driver, change func(*function.Version)) (*Environment, *environmenttest.Log) {
	t.Helper()
	opt := t.TempDir()
	if err := os.MkdirAll(filepath.Join(opt, "extensions", "a-directory-is-none"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name := range driver.Extensions {
		if err := os.WriteFile(filepath.Join(opt, "extensions", name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	v := &function.Version{
		ID:      function.ID{Partition: "aws", Region: "us-east-1", Account: "123456789012", Name: "f"},
		Version: function.Latest, Handler: "app.handler", MemoryMB: 128, TimeoutSeconds: 3, EphemeralStorageMB: 512,
	}
	if change != nil {
		change(v)
	}
	p := runtime.Program{Path: "/bin/runtime", Description: "test:1", VersionID: "v"}
	blank, err := NewBlank(t.Context(), BlankConfig{
		ID: "env-1", Driver: driver, Program: p, MemoryMB: v.MemoryMB, EphemeralStorageMB: v.EphemeralStorageMB,
	})
	if err != nil {
		t.Fatal(err)
	}
	log := &environmenttest.Log{}
	env, err := blank.Assign(t.Context(), Config{
		Version: v, Program: p, Log: log, Logger: slog.New(slog.DiscardHandler), Binds: []sandbox.Bind{{Source: opt, Target: "/opt"}},
		Env: []string{"SHARED=yes", "_HANDLER=app.handler", "AWS_LAMBDA_LOG_GROUP_NAME=/g"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return env, log
}

// finish runs one event to its end, as whoever invokes does.
func finish(t *testing.T, env *Environment, requestID string) *Outcome {
	t.Helper()
	outcome, err := env.Invoke(t.Context(), &Invocation{RequestID: requestID, FunctionARN: "arn", TraceID: "Root=1", Payload: []byte("1")})
	if err != nil {
		t.Fatal(err)
	}
	env.Finish(t.Context())
	return outcome
}

// tidy is an extension that does what it should: for each event it tells the journal.
func tidy(t *testing.T, j *journal, events ...string) environmenttest.Main {
	return func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
		if err := p.Register(ctx, "", events...); err != nil {
			t.Error(err)
			return sandbox.ExitStatus{Code: 1}
		}
		return hear(ctx, p, j)
	}
}

// hear takes events up to SHUTDOWN.
func hear(ctx context.Context, p *environmenttest.Program, j *journal) sandbox.ExitStatus {
	for {
		event, ok := p.NextEvent(ctx)
		if !ok {
			return sandbox.ExitStatus{Code: 2}
		}
		j.add("%s %s%s", event.EventType, event.RequestID, event.ShutdownReason)
		if event.EventType == "SHUTDOWN" {
			return sandbox.ExitStatus{}
		}
	}
}

func TestExternalExtensions(t *testing.T) {
	sandbox := sandbox.Root{Dir: t.TempDir()}
	names, err := externalExtensions(sandbox, nil)
	if err != nil || len(names) != 0 {
		t.Errorf("none: %v, %v", names, err)
	}
	image := filepath.Join(sandbox.Dir, "opt", "extensions")
	if err := os.MkdirAll(filepath.Join(image, "directory"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"b", "a"} {
		if err := os.WriteFile(filepath.Join(image, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := externalExtensions(sandbox, nil); err != nil || !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("an image's: %v, %v", names, err)
	}
	layers := t.TempDir() // hides the image's /opt, and leads out
	if err := os.Symlink("/etc", filepath.Join(layers, "extensions")); err != nil {
		t.Fatal(err)
	}
	binds := []struct{ Source, Target string }{{layers, "/opt"}}
	if names, err := externalExtensions(sandbox, bindsOf(binds)); err == nil {
		t.Errorf("a link out of the layers is followed: %v", names)
	}
}

func bindsOf(pairs []struct{ Source, Target string }) (binds []sandbox.Bind) {
	for _, pair := range pairs {
		binds = append(binds, sandbox.Bind{Source: pair.Source, Target: pair.Target})
	}
	return binds
}

func TestExtensionLife(t *testing.T) {
	var j journal
	var env []string
	first := tidy(t, &j, "INVOKE", "SHUTDOWN")
	driver := &environmenttest.Driver{
		Run: func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
			j.add("runtime")
			return environmenttest.Echo(ctx, p)
		},
		Extensions: map[string]environmenttest.Main{
			"first": func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
				env = p.Env
				p.Printf("an extension says something\n")
				return first(ctx, p)
			},
			"second": tidy(t, &j),
		},
	}
	environment, log := startDriver(t, driver, nil)
	for _, id := range []string{"r1", "r2"} {
		if outcome := finish(t, environment, id); string(outcome.Payload) != "1" || outcome.PostRuntimeExtensionsDuration == 0 {
			t.Errorf("%+v", outcome)
		}
	}
	if err := environment.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got, want := j.all(), []string{"runtime", "INVOKE r1", "INVOKE r2", "SHUTDOWN spindown"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	const want = `INIT_START Runtime Version: test:1	Runtime Version ARN: arn:aws:lambda:us-east-1::runtime:v
an extension says something
init
EXTENSION	Name: first	State: Ready	Events: [INVOKE, SHUTDOWN]
EXTENSION	Name: second	State: Ready	Events: []
START RequestId: r1 Version: $LATEST
`
	if got := normal(log.Text()); !strings.HasPrefix(got, want) {
		t.Errorf("log:\n%s\nwant:\n%s", got, want)
	}
	if !slices.Contains(env, "SHARED=yes") || slices.ContainsFunc(env, func(pair string) bool {
		return strings.HasPrefix(pair, "_HANDLER=") || strings.HasPrefix(pair, "AWS_LAMBDA_LOG_GROUP_NAME=")
	}) {
		t.Errorf("variables %q", env)
	}
}

// The answer does not wait for an extension; the invocation does.
func TestAnswerBeforeExtension(t *testing.T) {
	proceed := make(chan struct{})
	driver := &environmenttest.Driver{Run: environmenttest.Echo, Extensions: map[string]environmenttest.Main{
		"slow": func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
			_ = p.Register(ctx, "", "INVOKE")
			for {
				if _, ok := p.NextEvent(ctx); !ok {
					return sandbox.ExitStatus{}
				}
				<-proceed
			}
		},
	}}
	env, log := startDriver(t, driver, nil)
	outcome, err := env.Invoke(t.Context(), &Invocation{RequestID: "r1", Payload: []byte("1")})
	if err != nil || string(outcome.Payload) != "1" || outcome.Finished {
		t.Fatalf("%+v, %v", outcome, err)
	}
	if log.Count("REPORT") != 0 {
		t.Error("reported while an extension is at work")
	}
	close(proceed)
	env.Finish(t.Context())
	if log.Count("REPORT") != 1 || !env.is(ready) {
		t.Errorf("log:\n%s", log.Text())
	}
}

// What an internal extension, one of the runtime itself, has registered for comes to it, and at the end it gets SIGTERM.
func TestInternalExtension(t *testing.T) {
	var j journal
	driver := &environmenttest.Driver{Run: func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
		if err := p.Register(ctx, "inside", "SHUTDOWN"); err == nil {
			t.Error("an internal extension has registered for SHUTDOWN")
		}
		if err := p.Register(ctx, "inside", "INVOKE"); err != nil {
			t.Error(err)
		}
		var both sync.WaitGroup
		defer both.Wait()
		both.Go(func() {
			for {
				event, ok := p.NextEvent(ctx)
				if !ok {
					return
				}
				j.add("%s %s", event.EventType, event.RequestID)
			}
		})
		both.Go(func() {
			id, event, _ := p.Next(ctx)
			p.Respond(ctx, id, event)
			_, _, _ = p.Next(ctx)
		})
		<-p.Terminated
		j.add("SIGTERM")
		return sandbox.ExitStatus{Code: 5}
	}}
	env, log := startDriver(t, driver, nil)
	finish(t, env, "r1")
	if err := env.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got, want := j.all(), []string{"INVOKE r1", "SIGTERM"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if log.Count("EXTENSION\tName: inside\tState: Ready\tEvents: [INVOKE]\n") != 1 {
		t.Errorf("log:\n%s", log.Text())
	}
}

// Nobody is registered: the runtime has no time to say goodbye.
func TestShutdownOfNobody(t *testing.T) {
	var j journal
	driver := &environmenttest.Driver{Run: func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
		status := environmenttest.Echo(ctx, p)
		select {
		case <-p.Terminated:
			j.add("SIGTERM")
		default:
		}
		return status
	}}
	env, _ := startDriver(t, driver, nil)
	finish(t, env, "r1")
	if err := env.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := j.all(); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// Who does not leave is made to, within two seconds.
func TestShutdownIgnored(t *testing.T) {
	t.Parallel()
	driver := &environmenttest.Driver{
		Run: environmenttest.Echo, // which does not listen to SIGTERM
		Extensions: map[string]environmenttest.Main{
			"stubborn": func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
				_ = p.Register(ctx, "", "SHUTDOWN")
				p.NextEvent(ctx)
				<-ctx.Done()
				return sandbox.ExitStatus{}
			},
		},
	}
	env, _ := startDriver(t, driver, nil)
	finish(t, env, "r1")
	began := time.Now()
	if err := env.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < externalBudget {
		t.Errorf("it had %v to leave", took)
	}
	if !driver.Sandboxes()[0].Destroyed() {
		t.Error("the sandbox is still there")
	}
}

// The Telemetry and Logs APIs are for those who have registered.
func TestSubscribersAreKnown(t *testing.T) {
	driver := &environmenttest.Driver{Run: func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
		for _, path := range []string{"/2022-07-01/telemetry", "/2020-08-15/logs"} {
			if err := p.Subscribe(ctx, path, "{}"); err == nil || !strings.Contains(err.Error(), "403 {\"errorMessage\":\"Missing Lambda-Extension-Identifier header\"") {
				t.Errorf("nobody: %v", err)
			}
		}
		if err := p.Register(ctx, "inside"); err != nil {
			t.Error(err)
		}
		for path, want := range map[string]string{
			"/2022-07-01/telemetry":  `400 {"errorMessage":"schemaVersion is not provided; destination`,
			"/2022-07-01/telemetry/": `400 {"errorMessage":"schemaVersion is not provided; destination`,
			"/2020-08-15/logs":       `400 {"errorMessage":"destination is not provided; types should not be empty","errorType":"Logs.ValidationError"}`,
			"/2020-08-15/telemetry":  "404",
		} {
			if err := p.Subscribe(ctx, path, "{}"); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", path, err)
			}
		}
		go p.NextEvent(ctx) // it ends with the host
		return environmenttest.Echo(ctx, p)
	}}
	env, _ := startDriver(t, driver, nil)
	finish(t, env, "r1")
}
