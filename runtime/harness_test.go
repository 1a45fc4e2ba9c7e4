package runtime_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"hotaru/runtime"
	"hotaru/runtimeapi"
)

// catalog finds what is installed on the machine that runs the tests.
var catalog = sync.OnceValue(func() *runtime.Catalog {
	state, err := os.MkdirTemp("", "hotaru-runtime-test-")
	if err != nil {
		panic(err)
	}
	return &runtime.Catalog{Search: machine(), StateDir: state}
})

func machine() runtime.Search {
	search := runtime.Search{Path: filepath.SplitList(os.Getenv("PATH"))}
	if home, err := os.UserHomeDir(); err == nil {
		search.Homes = append(search.Homes, home)
	}
	return search
}

func TestMain(m *testing.M) {
	// What whoever started the tests has left open is nothing for the runtimes.
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(catalog().StateDir)
		os.Exit(code)
	}))
}

// resolve returns an installed runtime or skips the test.
func resolve(t testing.TB, id string) *runtime.Runtime {
	t.Helper()
	r, err := catalog().Resolve(t.Context(), id)
	if missing := (*runtime.MissingError)(nil); errors.As(err, &missing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// process is a runtime process on the host's own files, with a session.
type process struct {
	t       testing.TB
	cmd     *exec.Cmd
	session runtimeapi.Session
	host    *runtimeapi.Host // of a conversation over HTTP
	task    string
	start   runtimeapi.Start
	exited  chan struct{}
	over    bool          // the process ends by itself
	records chan struct{} // closed when all log records of a reference client are read
	// client and prefix are where the bootstrap and the interpreter are.
	client, prefix string

	mu     sync.Mutex // guards out
	out    bytes.Buffer
	stdout bytes.Buffer
}

// Log makes a log record a line of the transcript.
func (p *process) Log(record []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(&p.out, "log %q\n", p.normal(string(record)))
}

func (p *process) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out.WriteString(p.normal(fmt.Sprintf(format, args...)) + "\n")
}

// launch starts a runtime's bootstrap for the function in task. edit may change the program first.
func launch(t testing.TB, r *runtime.Runtime, task, handler string, env []string, edit func(*runtime.Program)) *process {
	t.Helper()
	return launchWith(t, r, task, handler, env, edit, nil)
}

// launchWith has the log records go to logs instead of the transcript.
func launchWith(t testing.TB, r *runtime.Runtime, task, handler string, env []string, edit func(*runtime.Program), logs runtimeapi.LogSink) *process {
	t.Helper()
	return setup{runtime: r, task: task, handler: handler, env: env, edit: edit, logs: logs, way: cold}.launch(t)
}

// way is how a runtime process is started and talked to. A function must see no difference.
type way string

const (
	// cold starts the process with its function's variables, and talks in frames.
	cold way = "cold"
	// zygote starts it before its function is known.
	zygote way = "zygote"
	// copied makes it a copy of a template, which Python's can be.
	copied way = "copied"
	// overHTTP starts it without descriptor 3, and talks over the Runtime API.
	overHTTP way = "HTTP"
	// reference is AWS's own runtime interface client.
	reference way = "reference"
)

// early says whether the process is there before its function.
func (w way) early() bool { return w == zygote || w == copied }

// setup is what launch starts.
type setup struct {
	runtime       *runtime.Runtime
	task, handler string
	env           []string
	edit          func(*runtime.Program)
	logs          runtimeapi.LogSink
	way           way
	client        client // of reference
}

func (s setup) launch(t testing.TB) *process {
	t.Helper()
	layers := filepath.Join(filepath.Dir(s.task), "opt")
	program := s.runtime.Program(runtime.Options{TaskRoot: s.task, LayerRoot: layers, MemoryMB: 256})
	if s.edit != nil {
		s.edit(&program)
	}
	p := &process{t: t, task: s.task, exited: make(chan struct{}), client: filepath.Dir(program.Args[len(program.Args)-1]),
		prefix: filepath.Dir(filepath.Dir(program.Path))}
	if s.way == reference {
		program.Path, program.Args, p.client = s.client.path, slices.Concat(s.client.args, []string{s.handler}), s.client.files
		program.Env = append(program.Env, "_LAMBDA_TELEMETRY_LOG_FD=3")
	}
	if s.logs == nil {
		s.logs = p
	}
	places := []string{"AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001"}
	p.cmd = &exec.Cmd{Path: program.Path, Args: program.Args, Dir: program.Dir, Stdout: &p.stdout, Stderr: &p.stdout}
	switch s.way {
	case overHTTP, reference:
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		places[0] = "AWS_LAMBDA_RUNTIME_API=" + listener.Addr().String()
		p.host = runtimeapi.NewHost(listener, nil)
		p.session = p.host.NewSession()
		if s.way == reference {
			p.readRecords()
		}
	default:
		daemon, theirs, err := runtimeapi.Pair()
		if err != nil {
			t.Fatal(err)
		}
		p.cmd.ExtraFiles = []*os.File{theirs}
		p.session = runtimeapi.NewFrames(daemon, s.logs)
	}
	p.start = runtimeapi.Start{Handler: s.handler, Env: program.Environ(slices.Concat(places, []string{
		"_HANDLER=" + s.handler, "AWS_LAMBDA_FUNCTION_NAME=the-function", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256", "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/the-function",
		"AWS_LAMBDA_LOG_STREAM_NAME=the-stream",
	}, s.env))}
	p.cmd.Env = p.start.Env
	if s.way.early() {
		p.cmd.Env = program.Environ(places)
	}
	if s.way == copied {
		p.copy()
		t.Cleanup(p.stop)
		return p
	}
	err := p.cmd.Start()
	for _, file := range p.cmd.ExtraFiles {
		file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // how it ended is in ProcessState
		if s.way == overHTTP || s.way == reference {
			_ = p.session.Close() // it cannot see the end itself
		}
	}()
	t.Cleanup(p.stop)
	return p
}

// readRecords gives the process a pipe for the log records of AWS's runtime interface clients: a type and a length of
// four bytes, a time of eight, and the text.
func (p *process) readRecords() {
	ours, theirs, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd.ExtraFiles = []*os.File{theirs}
	p.records = make(chan struct{})
	go func() {
		defer close(p.records)
		defer ours.Close()
		for head := make([]byte, 16); ; {
			if _, err := io.ReadFull(ours, head); err != nil {
				return
			}
			record := make([]byte, binary.BigEndian.Uint32(head[4:]))
			if _, err := io.ReadFull(ours, record); err != nil {
				return
			}
			p.Log(record)
		}
	}()
}

// untilWaiting returns when the process waits in a system call that reads from descriptor 3, or in its event loop.
func (p *process) untilWaiting(ctx context.Context) {
	name := fmt.Sprintf("/proc/%d/syscall", p.cmd.Process.Pid)
	for ctx.Err() == nil {
		content, err := os.ReadFile(name)
		if err != nil {
			p.t.Skip("cannot see what the process waits for: ", err)
		}
		// The call's number and its first argument; readv and read both take the descriptor first.
		call, rest, _ := strings.Cut(string(content), " ")
		number, err := strconv.Atoi(call)
		reads := strings.HasPrefix(rest, "0x3 ") && (number == syscall.SYS_READ || number == syscall.SYS_READV)
		if err == nil && (reads || number == syscall.SYS_EPOLL_PWAIT) {
			return
		}
		goruntime.Gosched()
	}
	p.t.Fatal("the bootstrap does not wait for its start")
}

// stop ends the conversation, and the process if that does not end it.
func (p *process) stop() {
	if p.records != nil {
		if !p.over {
			_ = p.cmd.Process.Kill() // it would say at length that its server is gone
		}
		<-p.records
	}
	p.session.Close()
	if p.host != nil {
		p.host.Close()
	}
	select {
	case <-p.exited:
	case <-time.After(30 * time.Second):
		p.t.Error("the runtime did not exit after its session was closed")
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// init runs Init and notes its outcome.
func (p *process) init(ctx context.Context) error {
	err := p.session.Init(ctx, p.start)
	var fault *runtimeapi.FunctionError
	switch {
	case errors.As(err, &fault):
		p.over = true
		p.note("init error %s %s", fault.Type, fault.Payload)
	case err != nil:
		p.note("init: %v", err)
	default:
		p.note("ready")
	}
	return err
}

// invoke runs one event and notes its outcome.
func (p *process) invoke(ctx context.Context, event *runtimeapi.Event) error {
	response, err := p.session.Invoke(ctx, event)
	if response != nil {
		err = response.Gather()
	}
	var fault *runtimeapi.FunctionError
	if errors.As(err, &fault) {
		p.note("error %s %s", fault.Type, fault.Payload)
	} else if err == nil {
		payload := string(response.Payload)
		if strings.ContainsFunc(payload, func(r rune) bool { return r == utf8.RuneError || r < ' ' }) {
			payload = strconv.Quote(payload)
		}
		p.note("response %s %s", response.ContentType, payload)
	}
	if err == nil || fault != nil {
		err = errors.Join(err, p.session.Ready())
	}
	if errors.Is(err, runtimeapi.ErrRuntimeGone) {
		p.over = true
		p.note("gone")
	} else if err != nil && fault == nil {
		p.note("failed: %v", err)
	}
	return err
}

// transcript is what happened, without what differs from one run to the next.
func (p *process) transcript() string {
	p.stop()
	if out := p.stdout.String(); out != "" {
		for _, line := range strings.SplitAfter(p.normal(out), "\n") {
			if line != "" {
				fmt.Fprintf(&p.out, "stdout %q\n", line)
			}
		}
	}
	fmt.Fprintf(&p.out, "exit %d\n", p.cmd.ProcessState.ExitCode())
	return p.out.String()
}

var (
	timestamps = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z`)
	// positions in files that are not the function's say nothing about it.
	positions = regexp.MustCompile(`((?:/var/runtime/|/var/lang/|node:|<frozen )[^:,"\\]*)(?::\d+)+|((?:/var/runtime/|/var/lang/|<frozen )[^"\\]*\\?"), line \d+`)
	internals = regexp.MustCompile(`(,"    at [^"]*(node:|<anonymous>\)?|/var/runtime/)[^"]*")+`)
	inMessage = regexp.MustCompile(`(\\n    at [^\\"]*(node:|/var/runtime/)[^\\"]*)+`)
)

func (p *process) normal(text string) string {
	text = strings.ReplaceAll(text, p.client, "/var/runtime")
	text = strings.ReplaceAll(text, p.prefix, "/var/lang")
	text = strings.ReplaceAll(text, p.task, "/var/task")
	text = timestamps.ReplaceAllString(text, "<time>")
	text = positions.ReplaceAllString(text, "$1$2")
	text = inMessage.ReplaceAllString(text, `\n    at <runtime>`)
	return internals.ReplaceAllString(text, `,"    at <runtime>"`)
}
