package runtime_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"testing"
	"time"

	"hotaru/runtimeapi"
)

// streaming starts a Node.js function that streams and hands it one event, on each transport.
func streaming(t *testing.T, source string, test func(t *testing.T, p *process, response *runtimeapi.Response)) {
	for _, way := range []way{cold, zygote, overHTTP} {
		t.Run(string(way), func(t *testing.T) {
			r := resolve(t, "nodejs20.x")
			task := filepath.Join(t.TempDir(), "task")
			write(t, filepath.Join(task, "index.js"), source)
			p := setup{runtime: r, task: task, handler: "index.handler", way: way}.launch(t)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if err := p.init(ctx); err != nil {
				t.Fatal(err, p.out.String())
			}
			for range 2 { // the first event of a process is read in another way than those after it
				if err := os.RemoveAll(filepath.Join(task, "mark")); err != nil {
					t.Fatal(err)
				}
				response, err := p.session.Invoke(ctx, &runtimeapi.Event{
					RequestID: "1", Payload: []byte(strconv.Quote(filepath.Join(task, "mark"))), Deadline: time.Now().Add(30 * time.Second),
				})
				if err != nil || response.Stream == nil {
					t.Fatal(response, err)
				}
				test(t, p, response)
				if err := p.session.Ready(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestStreamFlows reads what is written before the handler goes on.
func TestStreamFlows(t *testing.T) {
	streaming(t, `
const fs = require('fs');
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.setContentType('text/plain');
  stream.write('one');
  while (!fs.existsSync(event)) await new Promise((resolve) => setTimeout(resolve, 1));
  stream.end('two');
});
`, func(t *testing.T, p *process, response *runtimeapi.Response) {
		if response.ContentType != "text/plain" {
			t.Error(response.ContentType)
		}
		first := make([]byte, 3)
		if _, err := io.ReadFull(response.Stream, first); err != nil || string(first) != "one" {
			t.Fatalf("%q, %v", first, err)
		}
		write(t, filepath.Join(p.task, "mark"), "")
		if rest, err := io.ReadAll(response.Stream); err != nil || string(rest) != "two" {
			t.Errorf("%q, %v", rest, err)
		}
	})
}

// TestStreamWaits has nobody read for a while: the function's event loop goes on, and nothing is lost.
func TestStreamWaits(t *testing.T) {
	const size = 8 << 20
	streaming(t, `
const fs = require('fs');
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.end(Buffer.alloc(`+strconv.Itoa(size)+`, 'x'));
  await new Promise((resolve) => setTimeout(resolve, 5));
  fs.writeFileSync(event, String(stream.writableFinished));
});
`, func(t *testing.T, p *process, response *runtimeapi.Response) {
		var mark []byte
		for deadline := time.Now().Add(30 * time.Second); len(mark) == 0; {
			if time.Now().After(deadline) {
				t.Fatal("the event loop stands still")
			}
			mark, _ = os.ReadFile(filepath.Join(p.task, "mark")) // it comes when it comes
			goruntime.Gosched()
		}
		if string(mark) != "false" {
			t.Errorf("finished before anybody has read: %s", mark)
		}
		n, err := io.Copy(io.Discard, response.Stream)
		if err != nil || n != size {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// TestStreamFails ends a stream with the error that its handler throws, after what was written before.
func TestStreamFails(t *testing.T) {
	streaming(t, `
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.write('one');
  throw new RangeError('too far');
});
`, func(t *testing.T, _ *process, response *runtimeapi.Response) {
		got, err := io.ReadAll(response.Stream)
		var fault *runtimeapi.FunctionError
		if string(got) != "one" || !errors.As(err, &fault) || fault.Type != "RangeError" {
			t.Errorf("%q, %v", got, err)
		}
	})
}
