package load_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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
	for _, url := range []string{"https://x", "127.0.0.1:1", "http://", "http://127.0.0.1:1", "http://[::1"} {
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
