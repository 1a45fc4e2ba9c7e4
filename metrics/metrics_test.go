package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hotaru/environment"
	"hotaru/environment/environmenttest"
	"hotaru/function"
	"hotaru/sandbox"
	"hotaru/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func version(name string) *function.Version {
	return &function.Version{
		ID:      function.ID{Partition: "aws", Region: "us-east-1", Account: "000000000000", Name: name},
		Version: function.Latest,
	}
}

// scrape reads the series by name and labels, as they are written.
func scrape(t *testing.T, m *Metrics) map[string]string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	series := map[string]string{}
	for line := range strings.Lines(answer.Body.String()) {
		if at := strings.LastIndexByte(line, ' '); at > 0 && !strings.HasPrefix(line, "#") {
			series[line[:at]] = strings.TrimSpace(line[at:])
		}
	}
	return series
}

// labels are those of a function's version.
func labels(name string) string {
	return fmt.Sprintf(`{account_id="000000000000",executed_version="$LATEST",function_name=%q,region="us-east-1"}`, name)
}

func expect(t *testing.T, got map[string]string, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
}

func TestRefusals(t *testing.T) {
	m := New(Options{})
	for request, want := range map[string]int{
		"GET /": http.StatusNotFound, "GET /metrics/": http.StatusNotFound, "POST /metrics": http.StatusMethodNotAllowed,
		"HEAD /metrics": http.StatusOK,
	} {
		method, path, _ := strings.Cut(request, " ")
		answer := httptest.NewRecorder()
		m.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		if answer.Code != want {
			t.Errorf("%s: status %d, want %d", request, answer.Code, want)
		}
	}
}

func TestInvocations(t *testing.T) {
	gone := map[string]bool{}
	m := New(Options{Known: func(id function.ID, _ string) bool { return !gone[id.Name] }})
	f, g := m.Of(version("f")), m.Of(version("g"))
	g.Throttled()
	for range 3 {
		f.Began()
	}
	f.Ended(nil)
	f.Ended(&environment.Outcome{Cold: true, InitDuration: 30 * time.Millisecond, Duration: 2 * time.Millisecond,
		PostRuntimeExtensionsDuration: 40 * time.Millisecond})
	m.Of(version("f")).Began()
	m.Of(version("f")).Ended(&environment.Outcome{FunctionError: "Unhandled", Duration: time.Second})

	bucket := strings.TrimSuffix(labels("f"), "}") + `,le="0.0025"}`
	expect(t, scrape(t, m), map[string]string{
		"aws_lambda_invocations_total" + labels("f"): "2", "aws_lambda_invocations_total" + labels("g"): "0",
		"aws_lambda_errors_total" + labels("f"): "1", "aws_lambda_throttles_total" + labels("g"): "1",
		"aws_lambda_concurrent_executions" + labels("f"): "1", "hotaru_platform_failures_total" + labels("f"): "1",
		"hotaru_cold_starts_total" + labels("f"): "1", "aws_lambda_init_duration_seconds_sum" + labels("f"): "0.03",
		"aws_lambda_post_runtime_extensions_duration_seconds_count" + labels("f"): "1",
		"aws_lambda_post_runtime_extensions_duration_seconds_sum" + labels("f"):   "0.04",
		"aws_lambda_post_runtime_extensions_duration_seconds_count" + labels("g"): "0",
		"aws_lambda_init_duration_seconds_count" + labels("f"):                    "1", "aws_lambda_duration_seconds_count" + labels("f"): "2",
		"aws_lambda_duration_seconds_sum" + labels("f"): "1.002", "aws_lambda_duration_seconds_bucket" + bucket: "1",
	})

	gone["f"] = true
	for name := range scrape(t, m) {
		if strings.Contains(name, `"f"`) {
			t.Errorf("%s is there after the function is gone", name)
		}
	}
	f.Ended(nil) // an invocation may outlive its function
	m.Of(version("f")).Began()
	gone["f"] = false
	expect(t, scrape(t, m), map[string]string{"aws_lambda_concurrent_executions" + labels("f"): "1"})
}

// TestManyFunctions: however many functions there are, the series have an end.
func TestManyFunctions(t *testing.T) {
	m := New(Options{})
	for i := range maxVersions + 10 {
		c := m.Of(version(fmt.Sprint("f", i)))
		c.Began()
		c.Ended(&environment.Outcome{})
	}
	got := scrape(t, m)
	expect(t, got, map[string]string{
		`aws_lambda_invocations_total{account_id="",executed_version="",function_name="(other)",region=""}`: "10",
	})
	n := 0
	for name := range got {
		if strings.HasPrefix(name, "aws_lambda_invocations_total") {
			n++
		}
	}
	if n != maxVersions+1 {
		t.Errorf("%d series, want %d", n, maxVersions+1)
	}
}

func TestOperations(t *testing.T) {
	m := New(Options{})
	driver := m.Driver(&environmenttest.Driver{Run: func(context.Context, *environmenttest.Program) sandbox.ExitStatus {
		return sandbox.ExitStatus{}
	}})
	sb, err := driver.Create(t.Context(), sandbox.Spec{ID: "env-1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]func() error{
		"attach": func() error { return sb.Attach(t.Context(), nil) },
		"freeze": func() error { return sb.Freeze(t.Context()) },
		"thaw":   func() error { return sb.Thaw(t.Context()) },
		"reset":  func() error { return sb.Reset(t.Context()) },
	} {
		if err := run(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := sb.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := sb.Start(t.Context(), sandbox.Command{}); err == nil {
		t.Error("a start without anywhere to print to: no error")
	}
	got := scrape(t, m)
	for operation, n := range map[string]string{"create": "1", "start": "1", "attach": "1", "freeze": "1", "thaw": "1", "reset": "1", "destroy": "1"} {
		expect(t, got, map[string]string{fmt.Sprintf("hotaru_sandbox_operation_seconds_count{operation=%q}", operation): n})
	}
	expect(t, got, map[string]string{`hotaru_sandbox_operation_errors_total{operation="start"}`: "1"})
}

// refusing is a State whose commits fail.
type refusing struct {
	store.State
	err error
}

func (r refusing) Commit(context.Context, ...store.Change) (store.Revision, error) { return 7, r.err }

func TestCommits(t *testing.T) {
	m := New(Options{})
	for _, err := range []error{nil, &store.ConflictError{}, store.ErrFull} {
		revision, got := m.State(refusing{err: err}).Commit(t.Context())
		if revision != 7 || !errors.Is(got, err) {
			t.Errorf("commit: %d, %v", revision, got)
		}
	}
	expect(t, scrape(t, m), map[string]string{"hotaru_store_commit_seconds_count": "3", "hotaru_store_commit_errors_total": "1"})
}

func TestSources(t *testing.T) {
	m := New(Options{})
	running := 3
	m.Watch(Sources{
		Unreserved: func(tell func(string, string, int)) {
			if running > 0 {
				tell("000000000000", "us-east-1", running)
			}
		},
		Environments: func() (int, int) { return 2, 3 }, Blanks: func() (int, int) { return 4, 5 },
		LogEventsDropped: func() uint64 { return 6 }, LogBytesPending: func() int64 { return 7 },
		LogDeliveries: func() (uint64, uint64) { return 8, 9 }, Hulls: func() (int, int) { return 10, 11 },
	})
	got := scrape(t, m)
	expect(t, got, map[string]string{
		`hotaru_environments{state="idle"}`: "2", `hotaru_environments{state="busy"}`: "3",
		`hotaru_blanks{state="ready"}`: "4", `hotaru_blanks{state="coming"}`: "5",
		`hotaru_hulls{state="ready"}`: "10", `hotaru_hulls{state="coming"}`: "11",
		`hotaru_log_deliveries_total{state="delivered"}`: "8", `hotaru_log_deliveries_total{state="lost"}`: "9",
		"hotaru_log_events_dropped_total": "6", "hotaru_log_pending_bytes": "7",
	})
	const unreserved = `aws_lambda_unreserved_concurrent_executions{account_id="000000000000",region="us-east-1"}`
	expect(t, got, map[string]string{unreserved: "3"})
	running = 0
	expect(t, scrape(t, m), map[string]string{unreserved: "0"})
	if got["go_goroutines"] == "" || got["process_cpu_seconds_total"] == "" {
		t.Error("no metrics of Go or the process")
	}
}

// TestInvocationsAllocateNothing: counting is on the way of every invocation.
func TestInvocationsAllocateNothing(t *testing.T) {
	m, v, o := New(Options{}), version("f"), &environment.Outcome{Duration: time.Millisecond}
	if n := testing.AllocsPerRun(100, func() {
		c := m.Of(v)
		c.Began()
		c.Ended(o)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkInvocation(b *testing.B) {
	m, v, o := New(Options{}), version("f"), &environment.Outcome{Duration: time.Millisecond}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c := m.Of(v)
			c.Began()
			c.Ended(o)
		}
	})
}

func BenchmarkScrape(b *testing.B) {
	m := New(Options{})
	for i := range 1000 {
		m.Of(version(fmt.Sprint("f", i))).Began()
	}
	b.ReportAllocs()
	for b.Loop() {
		answer := httptest.NewRecorder()
		m.ServeHTTP(answer, httptest.NewRequestWithContext(b.Context(), "GET", "/metrics", nil))
		_, _ = io.Copy(io.Discard, answer.Body)
	}
}
