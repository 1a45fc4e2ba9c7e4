package telemetry

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// receiver is a subscriber's server.
type receiver struct {
	port    int
	records chan string // each record, in order
	close   func()
}

// receive starts a server of HTTP, or of TCP.
func receive(t *testing.T, tcp bool, handle func(*http.Request) int) *receiver {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{port: listener.Addr().(*net.TCPAddr).Port, records: make(chan string, 50_000)}
	if !tcp {
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if handle != nil {
				if status := handle(q); status != http.StatusOK {
					w.WriteHeader(status)
					return
				}
			}
			var batch []json.RawMessage
			if err := json.NewDecoder(q.Body).Decode(&batch); err != nil {
				t.Errorf("a batch: %v", err)
			}
			for _, record := range batch {
				r.records <- string(record)
			}
		})}
		served := make(chan struct{})
		go func() { defer close(served); _ = server.Serve(listener) }()
		r.close = sync.OnceFunc(func() { _ = server.Close(); <-served })
	} else {
		var serving sync.WaitGroup
		serving.Go(func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				serving.Go(func() {
					defer conn.Close()
					for lines := bufio.NewScanner(conn); lines.Scan(); {
						r.records <- lines.Text()
					}
				})
			}
		})
		r.close = sync.OnceFunc(func() { _ = listener.Close(); serving.Wait() })
	}
	t.Cleanup(r.close) // after the hub's: cleanups run last first
	return r
}

// next is the next record.
func (r *receiver) next(t *testing.T) string {
	t.Helper()
	select {
	case record := <-r.records:
		return record
	case <-time.After(patience):
		t.Fatal("no record")
		return ""
	}
}

func newHub(t *testing.T, cfg Config) *Hub {
	t.Helper()
	if cfg.Dial == nil {
		cfg.Dial = new(net.Dialer).DialContext
	}
	h := NewHub(cfg)
	t.Cleanup(h.Close)
	return h
}

// subscribe sends a Subscribe request for a receiver.
func subscribe(t *testing.T, h *Hub, name string, schema Schema, to *receiver, tcp bool, more string) *httptest.ResponseRecorder {
	t.Helper()
	destination := fmt.Sprintf(`{"protocol":"HTTP","URI":"http://sandbox.localdomain:%d/in"}`, to.port)
	if tcp {
		destination = fmt.Sprintf(`{"protocol":"TCP","port":%d}`, to.port)
	}
	body := fmt.Sprintf(`{"schemaVersion":%q,"types":["platform","function","extension"],"buffering":{"timeoutMs":25},"destination":%s%s}`,
		schema, destination, more)
	w := httptest.NewRecorder()
	h.Serve(w, httptest.NewRequest(http.MethodPut, "/", strings.NewReader(body)), name, schema.logs())
	return w
}

// everything is one of each record, as an environment's life has them.
func everything() []Record {
	at := time.Date(2022, 10, 12, 0, 0, 15, 64_000_000, time.UTC)
	tracing := TracingOf("Root=1-62e900b2-710d76f009d6e7785905449a;Parent=0efbd19962d95b05;Sampled=1")
	const id = "6d68ca91-49c9-448d-89b8-7ca3e6dc66aa"
	return []Record{
		InitStart{
			InitializationType: OnDemand, Phase: PhaseInit, RuntimeVersion: "python:3.13.v10", RuntimeVersionARN: "arn",
			FunctionName: "hello", FunctionVersion: "$LATEST", InstanceID: "env-1", InstanceMaxMemory: 128 << 20,
		},
		Subscription{Name: "first", State: "Subscribed", Types: []string{"platform", "function"}},
		Subscription{Name: "second", State: "Subscribed", Types: []string{"platform"}, Logs: true},
		InitRuntimeDone{InitializationType: OnDemand, Phase: PhaseInit, Status: Success},
		InitRuntimeDone{InitializationType: OnDemand, Phase: PhaseInvoke, Status: Error, ErrorType: "Runtime.ExitError"},
		Extension{Events: []string{"INVOKE", "SHUTDOWN"}, Name: "first", State: "Ready"},
		Extension{Events: []string{}, Name: "second", State: "LaunchError", ErrorType: "PermissionDenied"},
		InitReport{InitializationType: OnDemand, Phase: PhaseInit, Status: Success, Metrics: InitReportMetrics{In(125330 * time.Microsecond)}},
		InitReport{InitializationType: ProvisionedConcurrency, Phase: PhaseInit, Status: Timeout, Metrics: InitReportMetrics{In(10 * time.Second)}},
		Start{RequestID: id, Version: "$LATEST", Tracing: tracing},
		RuntimeDone{
			RequestID: id, Status: Success, Tracing: tracing, Metrics: &RuntimeDoneMetrics{In(140 * time.Millisecond), 16},
			Spans: []Span{{In(23020 * time.Microsecond), "responseLatency", Time(at)}, {In(20 * time.Microsecond), "responseDuration", Time(at)}},
		},
		RuntimeDone{RequestID: id, Status: Error, ErrorType: "Runtime.ExitError"},
		RuntimeDone{RequestID: id, Status: Timeout},
		End{RequestID: id},
		Report{
			RequestID: id, Status: Success, Tracing: tracing, Spans: []Span{{In(7 * time.Millisecond), "extensionOverhead", Time(at)}},
			Metrics: ReportMetrics{In(693920 * time.Microsecond), 694, 128, 84, In(397680 * time.Microsecond), 0},
		},
		Report{RequestID: id, Status: Error, ErrorType: "Extension.Crash", Metrics: ReportMetrics{In(time.Second), 1000, 128, 84, 0, 0}},
		Fault("RequestId: " + id + " Process exited before completing request"),
		RestoreStart{RuntimeVersion: "java:21.v3", RuntimeVersionARN: "arn", FunctionName: "hello", FunctionVersion: "1"},
		RestoreRuntimeDone{Status: Success},
		RestoreReport{Status: Success, Metrics: InitReportMetrics{In(15 * time.Millisecond)}},
		LogsDropped{DroppedBytes: 12345, DroppedRecords: 123, Reason: fallenBehind},
	}
}

// TestEverySchema has an HTTP and a TCP subscriber for each version, and each record there is.
func TestEverySchema(t *testing.T) {
	at := time.Date(2022, 10, 12, 0, 0, 15, 64_000_000, time.UTC)
	for schema := Logs20200815; schema <= Telemetry20250129; schema++ {
		api := "telemetry"
		if schema.logs() {
			api = "logs"
		}
		golden := filepath.Join("testdata", api+"-"+schema.String()+".ndjson")
		for _, tcp := range []bool{false, true} {
			t.Run(fmt.Sprint(schema, " tcp ", tcp), func(t *testing.T) {
				r := receive(t, tcp, func(q *http.Request) int {
					if q.Method != http.MethodPost || q.RequestURI != "/in" || q.Header.Get("Content-Type") != "application/json" ||
						q.Host != "sandbox.localdomain:"+fmt.Sprint(q.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr).Port) {
						t.Errorf("%s %s %v, host %s", q.Method, q.RequestURI, q.Header, q.Host)
					}
					return http.StatusOK
				})
				h := newHub(t, Config{})
				h.Emit(at, everything()[0]) // before there is a subscriber: kept for it
				if w := subscribe(t, h, "first", schema, r, tcp, ""); w.Code != http.StatusOK || w.Body.String() != `"OK"` {
					t.Fatalf("%d %s", w.Code, w.Body)
				}
				h.CloseSubscriptions()
				for _, record := range everything()[1:] {
					h.Emit(at, record)
				}
				h.Log(at, TypeFunction, []byte("[INFO] Hello, \"world\" <&>\n"))
				h.Log(at, TypeExtension, []byte("{\"is\":\"text\"}\n"))
				h.Log(at, TypeExtension, []byte("last, not UTF-8: \xff\n"))
				var got bytes.Buffer
				for !strings.Contains(got.String(), "last") {
					got.WriteString(r.next(t) + "\n")
				}
				if *rewrite {
					if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got.String()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestRefusedSubscriptions(t *testing.T) {
	r := receive(t, false, nil)
	h := newHub(t, Config{})
	for _, tc := range []struct {
		name   string
		logs   bool
		status int
		want   string
	}{
		{"telemetry", false, 400, `{"errorMessage":"schemaVersion is not provided; destination is not provided; types should not be empty","errorType":"ValidationError"}`},
		{"logs", true, 400, `{"errorMessage":"destination is not provided; types should not be empty","errorType":"Logs.ValidationError"}`},
	} {
		w := httptest.NewRecorder()
		h.Serve(w, httptest.NewRequest(http.MethodPut, "/", strings.NewReader("{}")), "x", tc.logs)
		if w.Code != tc.status || strings.TrimSpace(w.Body.String()) != tc.want {
			t.Errorf("%s: %d %s", tc.name, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	h.Serve(w, httptest.NewRequest(http.MethodPut, "/", strings.NewReader(strings.Repeat(" ", maxRequest+1))), "x", false)
	if w.Code != http.StatusBadRequest {
		t.Errorf("a body without end: %d %s", w.Code, w.Body)
	}
	if w := subscribe(t, h, "first", Telemetry20221213, r, false, ""); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := subscribe(t, h, "first", Logs20200815, r, false, ""); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "Logs.ValidationError") {
		t.Errorf("through the other API too: %d %s", w.Code, w.Body)
	}
	h.CloseSubscriptions()
	for schema, want := range map[Schema]string{
		Telemetry20220701: `{"errorMessage":"Telemetry API subscription is closed already","errorType":"Telemetry.SubscriptionClosed"}`,
		Logs20200815:      `{"errorMessage":"Logs API subscription is closed already","errorType":"Logs.SubscriptionClosed"}`,
	} {
		w := subscribe(t, h, "second", schema, r, false, "")
		if w.Code != http.StatusForbidden || strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("after Init: %d %s", w.Code, w.Body)
		}
	}
}

// A second request of the same extension is no second subscription: it may say where to go instead.
func TestSubscribeTwice(t *testing.T) {
	first, second := receive(t, false, nil), receive(t, true, nil)
	told := make(chan Subscription, 10)
	h := newHub(t, Config{Subscribed: func(s Subscription) { told <- s }})
	subscribe(t, h, "x", Telemetry20221213, first, false, "")
	h.Emit(time.Now(), Start{RequestID: "1"})
	if got := first.next(t); !strings.Contains(got, `"requestId":"1"`) {
		t.Error(got)
	}
	for range 2 {
		if w := subscribe(t, h, "x", Telemetry20221213, second, true, ""); w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	h.Emit(time.Now(), Start{RequestID: "2"})
	if got := second.next(t); !strings.Contains(got, `"requestId":"2"`) {
		t.Error(got)
	}
	if len(told) != 1 || len(first.records) != 0 || len(second.records) != 0 {
		t.Errorf("told %d times; %d and %d records more", len(told), len(first.records), len(second.records))
	}
}

// A delivery that fails is tried again, and nothing is lost by it.
func TestRetry(t *testing.T) {
	var asked int
	r := receive(t, false, func(*http.Request) int {
		if asked++; asked < 3 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	var dialled int
	h := newHub(t, Config{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if dialled++; dialled <= 2 { // IPv4 and IPv6, once
			return nil, errors.New("nobody listens yet")
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}})
	subscribe(t, h, "x", Telemetry20221213, r, false, "")
	h.Log(time.Now(), TypeFunction, []byte("line"))
	h.Flush(t.Context())
	if got := r.next(t); !strings.Contains(got, `"record":"line"`) {
		t.Error(got)
	}
}

// What a subscriber does not take is dropped, and it is told how much. Nobody waits for it meanwhile.
func TestDropped(t *testing.T) {
	taken, release := make(chan struct{}, 100), make(chan struct{})
	r := receive(t, false, func(*http.Request) int {
		taken <- struct{}{}
		<-release
		return http.StatusOK
	})
	h := newHub(t, Config{})
	subscribe(t, h, "slow", Telemetry20221213, r, false, "")
	h.CloseSubscriptions()
	line := bytes.Repeat([]byte("x"), 1024)
	h.Log(time.Now(), TypeFunction, []byte("first"))
	<-taken // from here on nothing is taken
	const lines = 2_000
	for range lines {
		h.Log(time.Now(), TypeFunction, line)
	}
	if held := h.held.Load(); held > 3*defaultBytes {
		t.Errorf("%d bytes are held", held)
	}
	close(release)
	h.Flush(t.Context())
	if held := h.held.Load(); held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
	got, dropped := 0, int64(0)
	for len(r.records) > 0 {
		record := <-r.records
		var lost struct {
			Type   string
			Record LogsDropped
		}
		if json.Unmarshal([]byte(record), &lost) == nil && lost.Type == "platform.logsDropped" {
			dropped += lost.Record.DroppedRecords
			if lost.Record.Reason != fallenBehind || lost.Record.DroppedBytes < lost.Record.DroppedRecords*1024 {
				t.Error(record)
			}
			continue
		}
		got++
	}
	if dropped == 0 || int64(got)+dropped != lines+1 {
		t.Errorf("%d arrived and %d were dropped, of %d", got, dropped, lines+1)
	}
}

// While the environment is frozen nothing is sent; then everything is.
func TestPause(t *testing.T) {
	r := receive(t, false, nil)
	h := newHub(t, Config{})
	subscribe(t, h, "x", Telemetry20221213, r, false, "")
	h.Pause()
	h.Pause() // again is nothing
	h.Log(time.Now(), TypeFunction, []byte("line"))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	h.Flush(ctx)
	cancel()
	if len(r.records) != 0 {
		t.Error("sent while paused")
	}
	h.Resume()
	h.Resume()
	r.next(t)
}

// Nobody subscribes: nothing is kept, nothing costs.
func TestInactive(t *testing.T) {
	h := newHub(t, Config{})
	h.Log(time.Now(), TypeFunction, bytes.Repeat([]byte("x"), historyBytes+1)) // too long to keep
	for range 2 * historyItems {
		h.Log(time.Now(), TypeFunction, []byte("x"))
	}
	if len(h.history) != historyItems {
		t.Errorf("%d records kept", len(h.history))
	}
	h.CloseSubscriptions()
	if h.Active() || h.history != nil {
		t.Error("somebody may want to know")
	}
	line := []byte("x")
	if n := testing.AllocsPerRun(100, func() { h.Log(time.Time{}, TypeFunction, line) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	h.Close()
	h.Close()
	r := receive(t, false, nil)
	if w := subscribe(t, h, "x", Telemetry20221213, r, false, ""); w.Code != http.StatusForbidden {
		t.Errorf("after Close: %d %s", w.Code, w.Body)
	}
}

// A subscriber that accepts and never answers does not keep Close waiting.
func TestCloseUnderDelivery(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		accepted := make(chan net.Conn, 1)
		go func() {
			if conn, err := listener.Accept(); err == nil {
				accepted <- conn
			}
		}()
		h := newHub(t, Config{})
		subscribe(t, h, "mute", Telemetry20221213, &receiver{port: listener.Addr().(*net.TCPAddr).Port}, tcp, "")
		for range 200 { // more than the sockets hold
			h.Log(time.Now(), TypeFunction, bytes.Repeat([]byte("x"), 100<<10))
		}
		conn := <-accepted
		h.Close()
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
}

// In functions that log JSON, what is JSON stays JSON.
func TestStructuredLines(t *testing.T) {
	at := time.Time{}
	for line, want := range map[string]string{
		"{\"level\":\"INFO\"} \n": `{"level":"INFO"}`,
		"{broken\n":               `"{broken\n"`,
		"plain":                   `"plain"`,
		"[1]":                     `"[1]"`,
		"{\"a\":\"\xff\"}":        `"{\"a\":\"\ufffd\"}"`,
	} {
		if got := string(encodeLine(at, TypeFunction, []byte(line), true)); !strings.HasSuffix(got, `"record":`+want+"}") {
			t.Errorf("%q: %s", line, got)
		}
	}
}

func TestLevels(t *testing.T) {
	for _, record := range everything() {
		want := map[string]Level{
			"InitStart": Info, "Subscription": Info, "InitRuntimeDone": Debug, "Extension": Info, "InitReport": Debug, "Start": Info,
			"RuntimeDone": Debug, "End": Info, "Report": Info, "Fault": Warn, "RestoreStart": Info, "RestoreRuntimeDone": Debug,
			"RestoreReport": Info, "LogsDropped": Warn,
		}[strings.TrimPrefix(fmt.Sprintf("%T", record), "telemetry.")]
		text := string(Encode(time.Time{}, record, Telemetry20250129))
		for _, bad := range []string{`"status":"error"`, `"status":"timeout"`, `"LaunchError"`} {
			if strings.Contains(text, bad) {
				want = Warn
			}
		}
		if got := LevelOf(record); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	if LevelOf(InitStart{}) != Debug || LevelOf(InitReport{InitializationType: ProvisionedConcurrency, Status: Success}) != Info {
		t.Error("the conditions of initStart and initReport")
	}
	for name, want := range map[string]Level{"": Info, "INFO": Info, "DEBUG": Debug, "WARN": Warn} {
		if ParseLevel(name) != want {
			t.Errorf("%s: %v", name, ParseLevel(name))
		}
	}
}
