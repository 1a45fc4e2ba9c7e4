package environment

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/environment/environmenttest"
	"hotaru/function"
	"hotaru/sandbox"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// measured is what differs from run to run in a record.
var measured = regexp.MustCompile(`"(time|start)":"[^"]*"|"(durationMs|initDurationMs|billedDurationMs)":[0-9.e+-]+`)

// receive starts a subscriber's server, which writes each record into the journal, and returns its URI.
func receive(t *testing.T, j *journal) (uri string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var batch []json.RawMessage
		if err == nil {
			err = json.Unmarshal(body, &batch)
		}
		if err != nil {
			t.Error(err)
		}
		for _, record := range batch {
			j.add("%s", measured.ReplaceAllString(string(record), `"$1$2":0`))
		}
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // it ends with Close, and says just that
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return fmt.Sprint("http://sandbox.localdomain:", listener.Addr().(*net.TCPAddr).Port)
}

// observed is an environment with an extension that hears everything, in the Telemetry API's words or the Logs API's.
type observed struct {
	*Environment
	log    *environmenttest.Log
	told   journal // telemetry
	events journal // what the extension was given
	// initExits is in how many generations the runtime exits before its first event.
	initExits int
}

// observe starts one. The runtime starts its function once the extension has subscribed; handle is what it does with
// the first event that each generation gets.
func observe(t *testing.T, path, schema string, change func(*function.Version), handle func(ctx context.Context, p *environmenttest.Program, id string) (sandbox.ExitStatus, bool)) *observed {
	o := &observed{}
	uri := receive(t, &o.told)
	subscribed := make(chan struct{}, 10)
	driver := &environmenttest.Driver{
		Run: func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
			select {
			case <-subscribed:
			case <-ctx.Done():
				return sandbox.ExitStatus{}
			}
			p.Printf("init %d\n", p.Start)
			if p.Start <= o.initExits {
				if err := o.present().registry.AwaitReady(ctx); err != nil {
					t.Error(err)
				}
				return sandbox.ExitStatus{Code: 1}
			}
			for {
				id, event, ok := p.Next(ctx)
				if !ok {
					return sandbox.ExitStatus{}
				}
				p.Printf("handling %s\n", id)
				if status, over := handle(ctx, p, id); over {
					return status
				}
				p.Respond(ctx, id, event)
			}
		},
		Extensions: map[string]environmenttest.Main{
			"observer": func(ctx context.Context, p *environmenttest.Program) sandbox.ExitStatus {
				p.Printf("observer %d\n", p.Start)
				if err := p.Register(ctx, "", "INVOKE", "SHUTDOWN"); err != nil {
					t.Error(err)
				}
				body := fmt.Sprintf(`{"schemaVersion":%q,"types":["platform","function","extension"],
					"buffering":{"timeoutMs":25},"destination":{"protocol":"HTTP","URI":%q}}`, schema, uri)
				if err := p.Subscribe(ctx, path, body); err != nil {
					t.Error(err)
				}
				subscribed <- struct{}{}
				return hear(ctx, p, &o.events)
			},
		},
	}
	o.Environment, o.log = startDriver(t, driver, change)
	o.initLimit = time.Second
	return o
}

// checkTranscript ends the environment and compares everything that could be seen with a golden file.
func (o *observed) checkTranscript(t *testing.T, name string) {
	t.Helper()
	if err := o.Close(t.Context()); err != nil {
		t.Error(err)
	}
	got := "# the log\n" + measured.ReplaceAllString(normal(o.log.Text()), `"$1$2":0`) + "\n# the extension's events\n" + strings.Join(o.events.all(), "\n") +
		"\n\n# what it was told\n" + strings.Join(o.told.all(), "\n") + "\n"
	golden := filepath.Join("testdata", strings.ReplaceAll(name, " ", "-")+".golden")
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

// goOn answers.
func goOn(context.Context, *environmenttest.Program, string) (sandbox.ExitStatus, bool) {
	return sandbox.ExitStatus{}, false
}

// TestTranscripts has the lives of environments as an extension and the log see them.
func TestTranscripts(t *testing.T) {
	const telemetryPath, logsPath = "/2022-07-01/telemetry", "/2020-08-15/logs"
	first := func(then func(ctx context.Context, p *environmenttest.Program, id string) sandbox.ExitStatus,
	) func(context.Context, *environmenttest.Program, string) (sandbox.ExitStatus, bool) {
		return func(ctx context.Context, p *environmenttest.Program, id string) (sandbox.ExitStatus, bool) {
			if p.Start > 1 {
				return sandbox.ExitStatus{}, false
			}
			return then(ctx, p, id), true
		}
	}
	crash := first(func(context.Context, *environmenttest.Program, string) sandbox.ExitStatus {
		return sandbox.ExitStatus{Code: 7}
	})
	hang := first(func(ctx context.Context, _ *environmenttest.Program, _ string) sandbox.ExitStatus {
		<-ctx.Done()
		return sandbox.ExitStatus{}
	})
	report := func(ctx context.Context, p *environmenttest.Program, id string) (sandbox.ExitStatus, bool) {
		p.Fail(ctx, "/invocation/"+id+"/error", "ValueError", `{"errorMessage":"boom","errorType":"ValueError"}`)
		return sandbox.ExitStatus{}, false
	}
	oneSecond := func(v *function.Version) { v.TimeoutSeconds = 1 }
	for _, tc := range []struct {
		name, path, schema string
		change             func(*function.Version)
		handle             func(ctx context.Context, p *environmenttest.Program, id string) (sandbox.ExitStatus, bool)
		initExits          int
	}{
		{"cold and warm", telemetryPath, "2022-12-13", nil, goOn, 0},
		{"second Init", telemetryPath, "2022-12-13", nil, goOn, 1},
		{"no Init", telemetryPath, "2022-12-13", nil, goOn, 2},
		{"logs API", logsPath, "2021-03-18", nil, goOn, 0},
		{"reported error", telemetryPath, "2022-12-13", nil, report, 0},
		{"crash", telemetryPath, "2025-01-29", nil, crash, 0},
		{"crash in logs API", logsPath, "2020-08-15", nil, crash, 0},
		{"timeout", telemetryPath, "2022-07-01", oneSecond, hang, 0},
		{"JSON logs", telemetryPath, "2022-12-13", func(v *function.Version) {
			v.Logging = function.Logging{Format: function.JSONLogs, SystemLevel: "INFO"}
		}, crash, 0},
		{"JSON logs in detail", telemetryPath, "2022-12-13", func(v *function.Version) {
			v.Logging = function.Logging{Format: function.JSONLogs, SystemLevel: "DEBUG"}
		}, goOn, 0},
		{"JSON logs of warnings", telemetryPath, "2022-12-13", func(v *function.Version) {
			v.Logging = function.Logging{Format: function.JSONLogs, SystemLevel: "WARN"}
		}, crash, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := observe(t, tc.path, tc.schema, tc.change, tc.handle)
			o.initExits = tc.initExits
			finish(t, o.Environment, "r1")
			if again := finish(t, o.Environment, "r2"); again.FunctionError != "" && again.ErrorType != "ValueError" {
				t.Errorf("the second event: %+v", again)
			}
			o.checkTranscript(t, tc.name)
		})
	}
}
