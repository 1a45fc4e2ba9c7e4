package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"go.uber.org/goleak"

	"hotaru/awsapi/lambda"
	"hotaru/awsapi/sts"
	"hotaru/credential"
	"hotaru/pki"
	"hotaru/store"
	"hotaru/store/seal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const account = "123456789012"

// rig is a Gateway that listens, with a Lambda whose Invoke answers the payload.
type rig struct {
	t       *testing.T
	gateway *Gateway
	server  *http.Server
	ca      *pki.CA
	root    credential.Credential
	address string
	log     *logBuffer
	// entered gets the payload of each Invoke of the function "wait", which then waits for proceed.
	entered chan string
	proceed chan struct{}
	stop    func()
}

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// packages has one deployment package.
type packages struct{}

func (packages) Open(_ context.Context, digest string) (io.ReadCloser, error) {
	if digest != "good" {
		return nil, store.ErrNotFound
	}
	return io.NopCloser(strings.NewReader("package")), nil
}

func start(t *testing.T, change ...func(*Options)) *rig { return startOn(t, "127.0.0.1:0", change...) }

func startOn(t *testing.T, listen string, change ...func(*Options)) *rig {
	t.Helper()
	dir := t.TempDir()
	sealer, err := seal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	root, err := credential.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, root: root, log: &logBuffer{}, entered: make(chan string, 64), proceed: make(chan struct{})}
	options := Options{
		Partition: "aws", Account: account, Region: "us-east-1", Packages: packages{}, Listen: listen,
		Authority: &credential.Authority{Root: root, Partition: "aws", Account: account, Sealer: sealer, Key: sealer.Derive("test")},
		Logger:    slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&options)
	}
	if r.gateway, err = New(options, lambda.Handlers{Invoke: r.invoke}.Binding(), sts.Handlers{}.Binding()); err != nil {
		t.Fatal(err)
	}
	if r.ca, err = pki.Open(dir, pki.Options{}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		t.Skip("cannot listen: ", err)
	}
	r.address = l.Addr().String()
	shared := NewPort(r.ca.TLSConfig(r.gateway.AllowsName), options.Limits, options.Logger).Listen(l)
	r.server = options.Limits.NewServer(r.gateway, options.Logger)
	var serving, connections sync.WaitGroup
	// net/http lingers on connections that it has refused to read from: wait for that, too.
	r.server.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			connections.Add(1)
		case http.StateClosed:
			connections.Done()
		}
	}
	serving.Go(func() {
		if err := r.server.Serve(shared); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	r.stop = sync.OnceFunc(func() {
		if err := r.server.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
		connections.Wait()
	})
	t.Cleanup(r.stop)
	return r
}

func (r *rig) invoke(ctx context.Context, in *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
	if *in.FunctionName == "wait" {
		r.entered <- string(in.Payload)
		select {
		case <-r.proceed:
		case <-time.After(20 * time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if *in.FunctionName == "long" {
		return &lambda.InvocationResponse{Payload: bytes.Repeat([]byte("x"), 32<<20)}, nil
	}
	return &lambda.InvocationResponse{Payload: in.Payload}, nil
}

// enter waits until the function "wait" has been invoked.
func (r *rig) enter() {
	r.t.Helper()
	select {
	case <-r.entered:
	case <-time.After(20 * time.Second):
		r.t.Fatal("the function is not invoked")
	}
}

// limits changes the limits of a rig.
func limits(l Limits) func(*Options) { return func(o *Options) { o.Limits = l } }

const invokePath = "/2015-03-31/functions/echo/invocations"

// request makes a signed request.
func (r *rig) request(method, url string, body []byte) *http.Request {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	r.sign(request, body)
	return request
}

// sign signs a request; its length is signed only where it is known.
func (r *rig) sign(request *http.Request, body []byte) {
	r.t.Helper()
	sum := sha256.Sum256(body)
	err := v4.NewSigner().SignHTTP(r.t.Context(), aws.Credentials{AccessKeyID: r.root.AccessKeyID, SecretAccessKey: r.root.SecretAccessKey},
		request, hex.EncodeToString(sum[:]), "lambda", "us-east-1", time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
}

// headers are a signed request's own, as text: for raw clients.
func (r *rig) headers(path string, body []byte) string {
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://"+r.address+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.sign(request, body)
	var b strings.Builder
	b.WriteString("Host: " + r.address + "\r\n")
	for _, name := range []string{"Authorization", "X-Amz-Date"} {
		b.WriteString(name + ": " + request.Header.Get(name) + "\r\n")
	}
	return b.String()
}

// client talks to the rig with a transport of its own.
func (r *rig) client(change ...func(*http.Transport)) *http.Client {
	transport := &http.Transport{}
	for _, f := range change {
		f(transport)
	}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// do sends a request and answers the status and the body.
func (r *rig) do(client *http.Client, request *http.Request) (*http.Response, string) {
	r.t.Helper()
	response, err := client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response, string(text)
}

// raw is a client that sends what it likes.
type raw struct {
	net.Conn
	t       *testing.T
	answers *bufio.Reader
}

func (r *rig) dial() *raw {
	r.t.Helper()
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	// A test that would wait for ever fails instead.
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	return &raw{c, r.t, bufio.NewReader(c)}
}

func (c *raw) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads one answer.
func (c *raw) answer() (*http.Response, string) {
	c.t.Helper()
	response, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return response, string(text)
}

// ended waits until the server has closed the connection, and fails if it says anything more.
func (c *raw) ended() {
	c.t.Helper()
	rest, err := io.ReadAll(c.answers)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		c.t.Error("the connection stays open")
	}
	if len(rest) > 0 {
		c.t.Errorf("more than one answer: %q", rest)
	}
}
