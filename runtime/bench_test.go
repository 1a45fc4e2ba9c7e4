package runtime_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"hotaru/runtime"
	"hotaru/runtimeapi"
)

// function writes the smallest function of a language and returns its directory and handler.
func function(t testing.TB, language runtime.Language) (task, handler string) {
	t.Helper()
	task = filepath.Join(t.TempDir(), "task")
	if language == runtime.Python {
		write(t, filepath.Join(task, "app.py"), "def handler(event, context):\n    return event\n")
	} else {
		write(t, filepath.Join(task, "app.js"), "exports.handler = async (event) => event;\n")
	}
	return task, "app.handler"
}

// BenchmarkColdStart is from the start of the process to Ready, beside the bare interpreter's start to exit.
func BenchmarkColdStart(b *testing.B) {
	for id, bare := range map[string][][]string{
		"python3.11": {{"-I", "-S", "-c", "pass"}, {"-I", "-c", "import json,socket,traceback"}},
		"nodejs20.x": {{"-e", "0"}},
	} {
		r := resolve(b, id)
		for _, args := range bare {
			b.Run(id+"/bare "+args[len(args)-1], func(b *testing.B) {
				for b.Loop() {
					cmd := exec.Command(r.Interpreter.Path, args...)
					cmd.Env = []string{}
					if err := cmd.Run(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		task, handler := function(b, r.Language)
		b.Run(id+"/to Ready", func(b *testing.B) {
			for b.Loop() {
				p := launch(b, r, task, handler, nil, nil)
				if err := p.init(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				p.stop()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkInvoke is a warm round trip.
func BenchmarkInvoke(b *testing.B) {
	for _, id := range []string{"python3.11", "nodejs20.x"} {
		for name, size := range map[string]int{"small": 0, "100 KB": 100_000, "5 MB": 5_000_000} {
			b.Run(id+"/"+name, func(b *testing.B) {
				r := resolve(b, id)
				task, handler := function(b, r.Language)
				p := launch(b, r, task, handler, nil, nil)
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				if err := p.init(ctx); err != nil {
					b.Fatal(err)
				}
				payload := make([]byte, size)
				for i := range payload {
					payload[i] = 'x'
				}
				event := &runtimeapi.Event{RequestID: "8476a536-e9f4-11e8-9739-2dfe598c3fcd", FunctionARN: "arn:aws:lambda:us-east-1:123456789012:function:f",
					Deadline: time.Now().Add(time.Hour), TraceID: "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
					Payload: append(append([]byte(`{"key":"`), payload...), `"}`...)}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := p.session.Invoke(ctx, event); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
