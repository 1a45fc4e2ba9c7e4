// Package environmenttest plays the sandbox and the runtime process of an execution environment, so that
// environments and those who use them can be tested without either. It must not be imported outside of tests.
package environmenttest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"hotaru/sandbox"
)

// Driver makes sandboxes whose programs are goroutines of the test.
type Driver struct {
	// Run is the program that Start starts; ctx ends when it is killed.
	Run Main
	// Extensions are the programs of /opt/extensions, by name.
	Extensions map[string]Main
	// Frozen is told of each Freeze (true) and Thaw (false); nil if nobody wants to know. It needs room.
	Frozen chan bool

	mu     sync.Mutex
	boxes  []*Sandbox
	resets int
}

// Main is a program: what it returns is how it exited.
type Main func(ctx context.Context, p *Program) sandbox.ExitStatus

// Program is a runtime process as the test plays it: a client of the Runtime API.
type Program struct {
	// Env is its environment, and Stdout where it prints.
	Env    []string
	Stdout io.Writer
	// Start counts the starts of this program in this sandbox from 1.
	Start int
	// Terminated is closed at the first SIGTERM, which ends nothing by itself.
	Terminated <-chan struct{}

	name string
	api  string
	id   string // of an extension that has registered
}

// Sandbox is a sandbox without walls.
type Sandbox struct {
	driver   *Driver
	spec     sandbox.Spec
	listener net.Listener

	mu        sync.Mutex
	starts    map[string]int // by path
	processes []*process
	limits    []sandbox.Limits
	crowds    []int
	destroyed bool
}

type process struct {
	cancel    context.CancelFunc
	terminate func()
	done      chan struct{}
	status    sandbox.ExitStatus
}

// Sandboxes are those made so far.
func (d *Driver) Sandboxes() []*Sandbox {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.boxes
}

// Resets is how often a sandbox was reset.
func (d *Driver) Resets() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.resets
}

// Spec is what the sandbox was asked to be.
func (s *Sandbox) Spec() sandbox.Spec { return s.spec }

// Weigh implements sandbox.Weigher.
func (s *Sandbox) Weigh(crowd int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.destroyed {
		return sandbox.ErrDestroyed
	}
	s.crowds = append(s.crowds, crowd)
	return nil
}

// Crowds are those it was weighed for, in order.
func (s *Sandbox) Crowds() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.crowds)
}

// Limits are those the sandbox was made with and those set since, in order.
func (s *Sandbox) Limits() []sandbox.Limits {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limits
}

func (s *Sandbox) tell(frozen bool) {
	if s.driver.Frozen != nil {
		s.driver.Frozen <- frozen
	}
}

func (s *Sandbox) Freeze(context.Context) error {
	s.tell(true)
	return nil
}

func (s *Sandbox) Thaw(context.Context) error {
	s.tell(false)
	return nil
}

// Destroyed says whether the sandbox is gone.
func (s *Sandbox) Destroyed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.destroyed
}

// The methods below implement sandbox.Driver, sandbox.Sandbox and sandbox.Process.

func (d *Driver) Name() string                       { return "fake" }
func (d *Driver) Capabilities() []sandbox.Capability { return nil }
func (d *Driver) Sweep(context.Context) error        { return nil }
func (d *Driver) Close() error                       { return nil }

func (d *Driver) Create(_ context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	sb := &Sandbox{driver: d, spec: spec, listener: l, limits: []sandbox.Limits{spec.Limits}, starts: map[string]int{}}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.boxes = append(d.boxes, sb)
	return sb, nil
}

func (s *Sandbox) ID() string                       { return s.spec.ID }
func (s *Sandbox) Listener(string) net.Listener     { return s.listener }
func (s *Sandbox) PacketConn(string) net.PacketConn { return nil }
func (s *Sandbox) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}
func (s *Sandbox) Attach(context.Context, []sandbox.Bind) error { return nil }
func (s *Sandbox) Stats(context.Context) (sandbox.Stats, error) {
	return sandbox.Stats{MemoryBytes: 36<<20 - 1}, nil
}

func (s *Sandbox) SetLimits(_ context.Context, l sandbox.Limits) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits = append(s.limits, l)
	return nil
}

func (s *Sandbox) Start(_ context.Context, cmd sandbox.Command) (sandbox.Process, error) {
	run, name := s.driver.Run, path.Base(cmd.Path)
	if path.Dir(cmd.Path) == "/opt/extensions" {
		if run = s.driver.Extensions[name]; run == nil {
			return nil, fmt.Errorf("%w: %s: %w", sandbox.ErrNotFound, cmd.Path, syscall.EACCES)
		}
	}
	fd, err := syscall.Dup(int(cmd.Stdout.Fd()))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	terminated := make(chan struct{})
	p := &process{cancel: cancel, terminate: sync.OnceFunc(func() { close(terminated) }), done: make(chan struct{})}
	s.mu.Lock()
	s.starts[cmd.Path]++
	start := s.starts[cmd.Path]
	s.processes = append(s.processes, p)
	s.mu.Unlock()
	go func() {
		defer close(p.done)
		defer syscall.Close(fd)
		p.status = run(ctx, &Program{
			api: "http://" + s.listener.Addr().String(), name: name,
			Env: cmd.Env, Stdout: fdWriter(fd), Start: start, Terminated: terminated,
		})
		if ctx.Err() != nil {
			p.status = sandbox.ExitStatus{Signal: syscall.SIGKILL}
		}
	}()
	return p, nil
}

func (s *Sandbox) Reset(context.Context) error {
	s.driver.mu.Lock()
	s.driver.resets++
	s.driver.mu.Unlock()
	s.kill()
	return nil
}

func (s *Sandbox) kill() {
	s.mu.Lock()
	processes := s.processes
	s.processes = nil
	s.mu.Unlock()
	for _, p := range processes {
		p.cancel()
		<-p.done
	}
}

func (s *Sandbox) Destroy(context.Context) error {
	s.kill()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.destroyed {
		return nil
	}
	s.destroyed = true
	return s.listener.Close()
}

func (p *process) Done() <-chan struct{}      { return p.done }
func (p *process) Status() sandbox.ExitStatus { return p.status }

func (p *process) Signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return os.ErrProcessDone
	default:
	}
	switch sig {
	case syscall.SIGTERM:
		p.terminate()
	case syscall.SIGKILL:
		p.cancel()
	}
	return nil
}

type fdWriter int

func (w fdWriter) Write(b []byte) (int, error) { return syscall.Write(int(w), b) }

const runtimeAPI = "/2018-06-01/runtime"

// Next asks for an event. ok is false when the process has been killed.
func (p *Program) Next(ctx context.Context) (requestID string, event string, ok bool) {
	response, err := p.do(ctx, http.MethodGet, runtimeAPI+"/invocation/next", "", nil)
	if err != nil {
		return "", "", false
	}
	return response.Header.Get("Lambda-Runtime-Aws-Request-Id"), response.body, true
}

// Respond answers an event.
func (p *Program) Respond(ctx context.Context, requestID, body string) {
	_, _ = p.do(ctx, http.MethodPost, runtimeAPI+"/invocation/"+requestID+"/response", body, nil)
}

// Stream answers an event in a stream.
func (p *Program) Stream(ctx context.Context, requestID, body string) {
	_, _ = p.do(ctx, http.MethodPost, runtimeAPI+"/invocation/"+requestID+"/response", body,
		map[string]string{"Lambda-Runtime-Function-Response-Mode": "streaming"})
}

// Fail reports an error of the given type at "/init/error" or "/invocation/ID/error".
func (p *Program) Fail(ctx context.Context, path, kind, body string) {
	_, _ = p.do(ctx, http.MethodPost, runtimeAPI+path, body, map[string]string{"Lambda-Runtime-Function-Error-Type": kind})
}

type answered struct {
	*http.Response
	body string
}

func (p *Program) do(ctx context.Context, method, path, body string, header map[string]string) (*answered, error) {
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

// Log is an environment.Log that a test can read.
type Log struct {
	mu      sync.Mutex
	records []string
}

// Append implements environment.Log.
func (l *Log) Append(_ time.Time, record []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, string(bytes.Clone(record)))
}

// Text is everything logged so far.
func (l *Log) Text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.records, "")
}

// Count is how often a text occurs in what was logged so far.
func (l *Log) Count(text string) int { return strings.Count(l.Text(), text) }

// Printf prints as the program.
func (p *Program) Printf(format string, args ...any) { _, _ = fmt.Fprintf(p.Stdout, format, args...) }

// Echo is a program that answers every event with itself and prints a line and the start of another.
func Echo(ctx context.Context, p *Program) sandbox.ExitStatus {
	p.Printf("init\n")
	for {
		id, event, ok := p.Next(ctx)
		if !ok {
			return sandbox.ExitStatus{}
		}
		p.Printf("handling %s\nno end", event)
		p.Respond(ctx, id, event)
	}
}
