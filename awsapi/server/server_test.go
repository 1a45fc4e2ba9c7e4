package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"hotaru/awsapi"
	"hotaru/awsapi/iam"
	"hotaru/awsapi/lambda"
	"hotaru/awsapi/sigv4"
	"hotaru/awsapi/sts"
)

const (
	testKey    = "AKIDEXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

func testCredentials(_ context.Context, accessKeyID, token string) ([]byte, awsapi.Identity, error) {
	if accessKeyID != testKey {
		return nil, awsapi.Identity{}, sigv4.ErrUnknownKey
	}
	if token == "old" {
		return nil, awsapi.Identity{}, sigv4.ErrExpired
	}
	return []byte(testSecret), awsapi.Identity{Account: "123456789012", ARN: "arn:aws:iam::123456789012:root"}, nil
}

func newServer(t testing.TB, options Options, functions lambda.Handlers, users iam.Handlers, tokens sts.Handlers) *Server {
	t.Helper()
	s, err := New(options, functions.Binding(), users.Binding(), tokens.Binding())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// signed signs a request as the SDK does.
func signed(t testing.TB, r *http.Request, service, body string) *http.Request {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	r.Header.Set("X-Amz-Content-Sha256", hash)
	err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret},
		r, hash, service, "us-east-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func BenchmarkInvokeSmall(b *testing.B) {
	payload := []byte(`{"answer":42}`)
	functions := lambda.Handlers{Invoke: func(_ context.Context, in *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
		return &lambda.InvocationResponse{StatusCode: new(int32(200)), ExecutedVersion: new("$LATEST"), Payload: payload}, nil
	}}
	s := newServer(b, Options{Authenticator: sigv4.NewVerifier(sigv4.Options{Credentials: testCredentials})}, functions, iam.Handlers{}, sts.Handlers{})
	const body = `{"question":"life"}`
	r := httptest.NewRequest("POST", "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Ademo/invocations?Qualifier=live", strings.NewReader(body))
	r.Header.Set("X-Amz-Invocation-Type", "RequestResponse")
	r.Header.Set("Content-Type", "application/octet-stream")
	signed(b, r, "lambda", body)
	reader := strings.NewReader(body)
	w := &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		r.Body = readCloser{reader}
		clear(w.header)
		s.ServeHTTP(w, r)
		if w.status != 200 {
			b.Fatal(w.status, w.last)
		}
	}
}

func BenchmarkInvokeLarge(b *testing.B) {
	functions := lambda.Handlers{Invoke: func(_ context.Context, in *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
		return &lambda.InvocationResponse{Payload: in.Payload}, nil
	}}
	s := newServer(b, Options{Authenticator: sigv4.NewVerifier(sigv4.Options{Credentials: testCredentials})}, functions, iam.Handlers{}, sts.Handlers{})
	body := strings.Repeat("x", 6<<20)
	r := signed(b, httptest.NewRequest("POST", "/2015-03-31/functions/demo/invocations", strings.NewReader(body)), "lambda", body)
	reader := strings.NewReader(body)
	w := &sink{header: http.Header{}}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		r.Body = readCloser{reader}
		clear(w.header)
		s.ServeHTTP(w, r)
		if w.status != 200 {
			b.Fatal(w.status, w.last)
		}
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// sink is a ResponseWriter that keeps the last write.
type sink struct {
	header http.Header
	status int
	last   string
}

func (s *sink) Header() http.Header    { return s.header }
func (s *sink) WriteHeader(status int) { s.status = status }
func (s *sink) Write(p []byte) (int, error) {
	if s.status != 200 {
		s.last = string(p)
	}
	return len(p), nil
}

// TestCostOfAnInvoke holds what `make bench` reports: allocations of a small signed Invoke.
func TestCostOfAnInvoke(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates too")
	}
	if n := testing.Benchmark(BenchmarkInvokeSmall).AllocsPerOp(); n == 0 || n > 60 {
		t.Errorf("%d allocations, want at most 60", n)
	}
	if n := testing.Benchmark(BenchmarkInvokeLarge).AllocedBytesPerOp(); n == 0 || n > 6<<20+64<<10 {
		t.Errorf("%d bytes are allocated for a payload of 6 MiB", n)
	}
}
