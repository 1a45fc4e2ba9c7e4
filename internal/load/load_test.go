package load_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/goleak"

	"hotaru/internal/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers what handler says and returns a target there.
func serve(t *testing.T, handler http.HandlerFunc) *load.Target {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &load.Target{
		URL: server.URL, Function: "arn:aws:lambda:r:1:function:f", Payload: []byte(`{"a":1}`), Region: "r",
		Credentials: aws.Credentials{AccessKeyID: "AK", SecretAccessKey: "SK"},
	}
}

func TestRefusals(t *testing.T) {
	target := serve(t, func(http.ResponseWriter, *http.Request) {})
	for _, plan := range []load.Plan{{}, {Clients: 1}, {Count: 1}} {
		if _, err := load.Run(t.Context(), target, plan); !errors.Is(err, load.ErrPlan) {
			t.Errorf("%+v: %v", plan, err)
		}
	}
	for _, url := range []string{"ftp://x", "127.0.0.1:1", "https://127.0.0.1:1", "http://", "http://127.0.0.1:1", "http://[::1"} {
		if _, err := load.Run(t.Context(), &load.Target{URL: url}, load.Plan{Clients: 1, Count: 1}); err == nil {
			t.Errorf("%s: no error", url)
		}
	}
}

func TestRun(t *testing.T) {
	var n atomic.Int64
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != `{"a":1}` || r.URL.EscapedPath() != "/2015-03-31/functions/arn:aws:lambda:r:1:function:f/invocations" ||
			!strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AK/") {
			t.Errorf("%s %s %s", r.URL.EscapedPath(), body, r.Header)
		}
		switch n.Add(1) % 5 {
		case 1:
			w.WriteHeader(429)
		case 2:
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
		case 3:
			w.WriteHeader(503)
		}
		_, _ = io.WriteString(w, "answer")
	})
	result, err := load.Run(t.Context(), target, load.Plan{Clients: 4, Count: 100})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Took) != 40 || result.Throttled != 20 || result.Failed != 20 || result.Refused != 20 || result.Broken != 0 {
		t.Errorf("%+v", result)
	}
	if p50, p99 := result.Percentile(0.5), result.Percentile(0.99); p50 <= 0 || p99 < p50 || result.Rate() <= 0 {
		t.Errorf("p50 %s, p99 %s, %f/s", p50, p99, result.Rate())
	}
	if status := (*load.StatusError)(nil); !errors.As(result.Err, &status) || status.Status != 503 || string(status.Body) != "answer" {
		t.Errorf("%v", result.Err)
	}
}

func TestBroken(t *testing.T) {
	target := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	result, err := load.Run(t.Context(), target, load.Plan{Clients: 3, Count: 100})
	if err != nil || result.Broken != 3 || result.Err == nil || result.Percentile(0.5) != 0 {
		t.Errorf("%+v %v", result, err)
	}
	hang := make(chan struct{})
	target = serve(t, func(http.ResponseWriter, *http.Request) { <-hang })
	defer close(hang)
	result, err = load.Run(t.Context(), target, load.Plan{Clients: 2, Count: 2, Patience: time.Millisecond})
	if err != nil || result.Broken != 2 {
		t.Errorf("%+v %v", result, err)
	}
}

func TestEnds(t *testing.T) {
	target := serve(t, func(http.ResponseWriter, *http.Request) {})
	target.Credentials = aws.Credentials{}
	result, err := load.Run(t.Context(), target, load.Plan{Clients: 2, Time: 20 * time.Millisecond})
	if err != nil || len(result.Took) == 0 {
		t.Errorf("%+v %v", result, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := load.Run(ctx, target, load.Plan{Clients: 1, Time: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for _, c := range []struct {
		sorted []time.Duration
		part   float64
		want   time.Duration
	}{
		{nil, 0.5, 0}, {hundred[:1], 0, 1}, {hundred[:1], 0.99, 1}, {hundred[:2], 0.5, 1}, {hundred[:3], 0.5, 2},
		{hundred, 0.5, 50}, {hundred, 0.99, 99}, {hundred, 1, 100}, {hundred, 0, 1},
	} {
		if got := load.Percentile(c.sorted, c.part); got != c.want {
			t.Errorf("%v of %d: %d, want %d", c.part, len(c.sorted), got, c.want)
		}
	}
}

// TestBurst sends events that are answered only when all of them have come.
func TestBurst(t *testing.T) {
	const n = 20
	var all sync.WaitGroup
	all.Add(n)
	var served atomic.Int64
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		all.Done()
		all.Wait()
		if served.Add(1) == 1 {
			w.WriteHeader(429)
		}
		_, _ = io.WriteString(w, "answer")
	})
	answers, err := load.Burst(t.Context(), target, n, time.Minute)
	if err != nil || len(answers) != n {
		t.Fatal(len(answers), err)
	}
	refused := 0
	for _, a := range answers {
		if a.Sent.IsZero() || a.Took <= 0 || string(a.Payload) != "answer" {
			t.Errorf("%+v", a)
		}
		if status := (*load.StatusError)(nil); errors.As(a.Err, &status) && status.Status == 429 {
			refused++
		} else if a.Err != nil {
			t.Error(a.Err)
		}
	}
	if refused != 1 {
		t.Errorf("%d refused", refused)
	}
}

func TestBurstRefusals(t *testing.T) {
	target := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for _, n := range []int{0, -1} {
		if _, err := load.Burst(t.Context(), target, n, time.Second); !errors.Is(err, load.ErrPlan) {
			t.Errorf("%d: %v", n, err)
		}
	}
	if _, err := load.Burst(t.Context(), target, 1, 0); !errors.Is(err, load.ErrPlan) {
		t.Errorf("no patience: %v", err)
	}
	answers, err := load.Burst(t.Context(), target, 2, time.Minute)
	if err != nil || answers[0].Err == nil || answers[1].Err == nil || len(answers[0].Payload) != 0 {
		t.Errorf("%+v %v", answers, err)
	}
	if _, err := load.Burst(t.Context(), &load.Target{URL: "http://127.0.0.1:1"}, 2, time.Second); err == nil {
		t.Error("nobody listens, no error")
	}
}
