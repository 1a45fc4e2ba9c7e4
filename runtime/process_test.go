package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hotaru/runtime"
	"hotaru/runtimeapi"
)

// both runs a test for one runtime of each language. The functions do the same in both.
func both(t *testing.T, python, node string, test func(t *testing.T, r *runtime.Runtime, task string)) {
	for id, source := range map[string]string{"python3.11": python, "nodejs20.x": node} {
		t.Run(id, func(t *testing.T) {
			r := resolve(t, id)
			task := filepath.Join(t.TempDir(), "task")
			name := "app.py"
			if r.Language == runtime.NodeJS {
				name = "app.js"
			}
			write(t, filepath.Join(task, name), source)
			test(t, r, task)
		})
	}
}

func TestPayloadSizes(t *testing.T) {
	both(t, `
def handler(event, context):
    return "x" * event if isinstance(event, int) else len(event)
`, `
exports.handler = async (event) => (typeof event === 'number' ? 'x'.repeat(event) : event.length);
`, func(t *testing.T, r *runtime.Runtime, task string) {
		p := launch(t, r, task, "app.handler", nil, nil)
		if err := p.init(t.Context()); err != nil {
			t.Fatal(err)
		}
		invoke := func(payload string) (string, error) {
			response, err := p.session.Invoke(t.Context(), &runtimeapi.Event{RequestID: "1", Payload: []byte(payload)})
			if err != nil {
				return "", err
			}
			return string(response.Payload), nil
		}
		// Around the sizes of the buffers on the way, and at the limit.
		for _, n := range []int{0, 100, 8 * 1024, 64*1024 - 100, 64 * 1024, 300_000, runtimeapi.MaxPayload - 2} {
			got, err := invoke(`"` + strings.Repeat("y", n) + `"`)
			if err != nil || got != fmt.Sprint(n) {
				t.Errorf("event of %d: %.20s, %v", n, got, err)
			}
			got, err = invoke(fmt.Sprint(n))
			if err != nil || len(got) != n+2 {
				t.Errorf("response of %d: %d, %v", n, len(got), err)
			}
		}
		var fault *runtimeapi.FunctionError
		for _, n := range []int{runtimeapi.MaxPayload - 1, 20_000_000} {
			if _, err := invoke(fmt.Sprint(n)); !errors.As(err, &fault) || fault.Type != runtimeapi.TypeResponseTooLarge {
				t.Errorf("response of %d: %v", n, err)
			}
		}
		if got, err := invoke("1"); got != `"x"` || err != nil {
			t.Errorf("afterwards: %s, %v", got, err)
		}
	})
}

// counter counts log records and their bytes, without keeping them.
type counter struct{ records, bytes, longest int }

func (c *counter) Log(record []byte) {
	c.records++
	c.bytes += len(record)
	c.longest = max(c.longest, len(record))
}

func TestLogFlood(t *testing.T) {
	both(t, `
import logging, threading

def flood(n):
    for i in range(n):
        logging.warning("x" * 1000)

def handler(event, context):
    if event == "long":
        logging.warning("y" * 1000000)
        return
    threads = [threading.Thread(target=flood, args=(500,)) for i in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
`, `
exports.handler = async (event) => {
  if (event === 'long') console.warn('y'.repeat(1000000));
  else for (let i = 0; i < 2000; i++) console.warn('x'.repeat(1000));
};
`, func(t *testing.T, r *runtime.Runtime, task string) {
		c := &counter{}
		p := launchWith(t, r, task, "app.handler", nil, nil, c)
		if err := p.init(t.Context()); err != nil {
			t.Fatal(err)
		}
		invoke := func(payload string) {
			t.Helper()
			*c = counter{}
			if _, err := p.session.Invoke(t.Context(), &runtimeapi.Event{RequestID: "1", Payload: []byte(payload)}); err != nil {
				t.Fatal(err)
			}
		}
		if invoke("null"); c.records != 2000 || c.bytes < 2000*1000 {
			t.Errorf("%+v, want 2000 records", *c)
		}
		if invoke(`"long"`); c.longest != runtimeapi.MaxLogRecord || c.bytes < 1_000_000 {
			t.Errorf("%+v, want pieces of %d", *c, runtimeapi.MaxLogRecord)
		}
	})
}

// TestCancel breaks off handlers that go on for ever: the session ends, and with it the process.
func TestCancel(t *testing.T) {
	both(t, `
import time

def handler(event, context):
    print("running", flush=True)
    time.sleep(1000)
`, `
exports.handler = () => new Promise((resolve) => { console.log('running'); setTimeout(resolve, 1000000); });
`, func(t *testing.T, r *runtime.Runtime, task string) {
		ctx, cancel := context.WithCancel(t.Context())
		p := launchWith(t, r, task, "app.handler", nil, nil, onRecord(cancel))
		if err := p.init(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r.Language == runtime.Python { // its print goes to standard output
			cancel()
		}
		_, err := p.session.Invoke(ctx, &runtimeapi.Event{RequestID: "1", Payload: []byte("1")})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the context's error", err)
		}
		_ = p.cmd.Process.Kill() // the environment's reset
	})
}

type onRecord func()

func (f onRecord) Log([]byte) { f() }

// TestWrapper starts the runtime by a script, as AWS_LAMBDA_EXEC_WRAPPER does.
func TestWrapper(t *testing.T) {
	both(t, `
import os

def handler(event, context):
    return os.environ["FROM_WRAPPER"]
`, `
exports.handler = async () => process.env.FROM_WRAPPER;
`, func(t *testing.T, r *runtime.Runtime, task string) {
		wrapper := filepath.Join(task, "wrapper")
		write(t, wrapper, "#!/bin/sh\nexport FROM_WRAPPER=\"$(basename \"$1\")\"\nexec \"$@\"\n")
		if err := os.Chmod(wrapper, 0o755); err != nil {
			t.Fatal(err)
		}
		p := launch(t, r, task, "app.handler", nil, func(p *runtime.Program) { *p = p.Wrap(wrapper) })
		if err := p.init(t.Context()); err != nil {
			t.Fatal(err)
		}
		response, err := p.session.Invoke(t.Context(), &runtimeapi.Event{RequestID: "1", Payload: []byte("1")})
		if want := fmt.Sprintf("%q", filepath.Base(r.Interpreter.Path)); err != nil || string(response.Payload) != want {
			t.Errorf("%v, %v; want %s", response, err, want)
		}
		missing := launch(t, r, task, "app.handler", nil, func(p *runtime.Program) { *p = p.Wrap("/opt/no-such-wrapper") })
		if err := missing.init(t.Context()); !errors.Is(err, runtimeapi.ErrRuntimeGone) {
			t.Errorf("without its wrapper: %v", err)
		}
		if <-missing.exited; missing.cmd.ProcessState.ExitCode() != 127 {
			t.Errorf("exit status %d, want 127 as on Lambda", missing.cmd.ProcessState.ExitCode())
		}
	})
}

// TestLayers finds modules in layers, after the function's own.
func TestLayers(t *testing.T) {
	both(t, `
import both_have, layer_has

def handler(event, context):
    return [both_have.FROM, layer_has.FROM]
`, `
exports.handler = async () => [require('./both_have').FROM, require('layer_has').FROM];
`, func(t *testing.T, r *runtime.Runtime, task string) {
		opt := filepath.Join(filepath.Dir(task), "opt")
		for _, file := range []struct{ name, from string }{
			{filepath.Join(task, "both_have"), "task"}, {filepath.Join(opt, "python", "both_have"), "layer"},
			{filepath.Join(opt, "python", "layer_has"), "layer"}, {filepath.Join(opt, "nodejs", "node_modules", "layer_has"), "layer"},
		} {
			write(t, file.name+".py", fmt.Sprintf("FROM = %q\n", file.from))
			write(t, file.name+".js", fmt.Sprintf("exports.FROM = %q;\n", file.from))
		}
		p := launch(t, r, task, "app.handler", nil, nil)
		if err := p.init(t.Context()); err != nil {
			t.Fatal(err, p.out.String())
		}
		response, err := p.session.Invoke(t.Context(), &runtimeapi.Event{RequestID: "1", Payload: []byte("1")})
		if err != nil || !bytes.Equal(bytes.ReplaceAll(response.Payload, []byte(" "), nil), []byte(`["task","layer"]`)) {
			t.Errorf("%s, %v", response.Payload, err)
		}
	})
}

// TestHugeErrors has errors that are longer than an answer may be, or whose traces are long: each is one answer on every
// way, and the next event is served.
func TestHugeErrors(t *testing.T) {
	both(t, `
def ping(n):
    return pong(n)

def pong(n):
    return ping(n + 1)

def handler(event, context):
    if event == 1:
        raise ValueError("x" * 7000000)
    if event == 2:
        return ping(0)
    return "alive"
`, `
Error.stackTraceLimit = 5000;
const ping = (n) => pong(n);
const pong = (n) => ping(n + 1);
exports.handler = async (event) => {
  if (event === 1) throw new RangeError('x'.repeat(7000000));
  return event === 2 ? ping(0) : 'alive';
};
`, func(t *testing.T, r *runtime.Runtime, task string) {
		for _, way := range []way{cold, zygote, overHTTP} {
			p := setup{runtime: r, task: task, handler: "app.handler", way: way, logs: &counter{}}.launch(t)
			if err := p.init(t.Context()); err != nil {
				t.Fatal(err)
			}
			var fault *runtimeapi.FunctionError
			invoke := func(payload string) (*runtimeapi.Response, error) {
				return p.session.Invoke(t.Context(), &runtimeapi.Event{RequestID: "1", Payload: []byte(payload)})
			}
			if _, err := invoke("1"); !errors.As(err, &fault) || fault.Type != runtimeapi.TypeResponseTooLarge {
				t.Errorf("%s: a message of 7 MB: %.200v", way, err)
			}
			if _, err := invoke("2"); !errors.As(err, &fault) || fault.Type != "RecursionError" && fault.Type != "RangeError" ||
				bytes.Count(fault.Payload, []byte("pong")) < 100 {
				t.Errorf("%s: a long trace: %.200v", way, err)
			}
			if response, err := invoke("3"); err != nil || string(response.Payload) != `"alive"` {
				t.Errorf("%s: afterwards: %v, %v", way, response, err)
			}
		}
	})
}
