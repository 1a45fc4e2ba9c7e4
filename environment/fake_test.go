package environment

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hotaru/sandbox"
)

// fakeDriver makes sandboxes whose programs are goroutines of the test.
type fakeDriver struct {
	t *testing.T
	// program runs when something is started; ctx ends when it is killed.
	program func(ctx context.Context, p *fakeProgram) sandbox.ExitStatus

	mu     sync.Mutex
	boxes  []*fakeSandbox
	resets int
}

// fakeProgram is a runtime process as the test plays it: a client of the Runtime API.
type fakeProgram struct {
	t      *testing.T
	api    string
	env    []string
	stdout io.Writer
	// start counts the starts in this sandbox from 1.
	start int
}

type fakeSandbox struct {
	driver   *fakeDriver
	spec     sandbox.Spec
	listener net.Listener

	mu        sync.Mutex
	starts    int
	processes []*fakeProcess
	limits    []sandbox.Limits
	destroyed bool
}

type fakeProcess struct {
	cancel context.CancelFunc
	done   chan struct{}
	status sandbox.ExitStatus
}

func (d *fakeDriver) Name() string                       { return "fake" }
func (d *fakeDriver) Capabilities() []sandbox.Capability { return nil }
func (d *fakeDriver) Sweep(context.Context) error        { return nil }
func (d *fakeDriver) Close() error                       { return nil }

func (d *fakeDriver) Create(_ context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	sb := &fakeSandbox{driver: d, spec: spec, listener: l}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.boxes = append(d.boxes, sb)
	return sb, nil
}

func (s *fakeSandbox) ID() string                                   { return s.spec.ID }
func (s *fakeSandbox) Listener(string) net.Listener                 { return s.listener }
func (s *fakeSandbox) Attach(context.Context, []sandbox.Bind) error { return nil }
func (s *fakeSandbox) Freeze(context.Context) error                 { return nil }
func (s *fakeSandbox) Thaw(context.Context) error                   { return nil }
func (s *fakeSandbox) Stats(context.Context) (sandbox.Stats, error) {
	return sandbox.Stats{MemoryBytes: 36<<20 - 1}, nil
}

func (s *fakeSandbox) SetLimits(_ context.Context, l sandbox.Limits) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits = append(s.limits, l)
	return nil
}

func (s *fakeSandbox) Start(_ context.Context, cmd sandbox.Command) (sandbox.Process, error) {
	fd, err := syscall.Dup(int(cmd.Stdout.Fd()))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &fakeProcess{cancel: cancel, done: make(chan struct{})}
	s.mu.Lock()
	s.starts++
	start := s.starts
	s.processes = append(s.processes, p)
	s.mu.Unlock()
	go func() {
		defer close(p.done)
		defer syscall.Close(fd)
		p.status = s.driver.program(ctx, &fakeProgram{
			t: s.driver.t, api: "http://" + s.listener.Addr().String() + "/2018-06-01/runtime",
			env: cmd.Env, stdout: fdWriter(fd), start: start,
		})
		if ctx.Err() != nil {
			p.status = sandbox.ExitStatus{Signal: syscall.SIGKILL}
		}
	}()
	return p, nil
}

func (s *fakeSandbox) Reset(context.Context) error {
	s.driver.mu.Lock()
	s.driver.resets++
	s.driver.mu.Unlock()
	s.kill()
	return nil
}

func (s *fakeSandbox) kill() {
	s.mu.Lock()
	processes := s.processes
	s.processes = nil
	s.mu.Unlock()
	for _, p := range processes {
		p.cancel()
		<-p.done
	}
}

func (s *fakeSandbox) Destroy(context.Context) error {
	s.kill()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.destroyed = true
	return s.listener.Close()
}

func (p *fakeProcess) Signal(syscall.Signal) error { return nil }
func (p *fakeProcess) Done() <-chan struct{}       { return p.done }
func (p *fakeProcess) Status() sandbox.ExitStatus  { return p.status }

type fdWriter int

func (w fdWriter) Write(b []byte) (int, error) { return syscall.Write(int(w), b) }

// next asks for an event. ok is false when the process has been killed.
func (p *fakeProgram) next(ctx context.Context) (requestID string, event string, ok bool) {
	response, err := p.do(ctx, http.MethodGet, "/invocation/next", "", nil)
	if err != nil {
		return "", "", false
	}
	return response.Header.Get("Lambda-Runtime-Aws-Request-Id"), response.body, true
}

func (p *fakeProgram) respond(ctx context.Context, requestID, body string) {
	_, _ = p.do(ctx, http.MethodPost, "/invocation/"+requestID+"/response", body, nil)
}

func (p *fakeProgram) fail(ctx context.Context, path, kind, body string) {
	_, _ = p.do(ctx, http.MethodPost, path, body, map[string]string{"Lambda-Runtime-Function-Error-Type": kind})
}

type answered struct {
	*http.Response
	body string
}

func (p *fakeProgram) do(ctx context.Context, method, path, body string, header map[string]string) (*answered, error) {
	request, err := http.NewRequestWithContext(ctx, method, p.api+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return &answered{response, string(text)}, err
}

// memoryLog is a Log that a test can read.
type memoryLog struct {
	mu      sync.Mutex
	records []string
}

func (l *memoryLog) Append(_ time.Time, record []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, string(bytes.Clone(record)))
}

func (l *memoryLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.records, "")
}

func printf(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
