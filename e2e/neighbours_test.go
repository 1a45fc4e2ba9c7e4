package e2e

import (
	"context"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"hotaru/internal/sample"
)

// remembers is a function that counts its events, in memory and in /tmp, and knows its user outside.
const remembers = `
import subprocess
n = 0
def handler(event, context):
    global n
    if event.get("mark"):
        subprocess.run(["/bin/sh", "-c", "sleep 1000; : " + event["mark"]])
    n += 1
    with open("/tmp/events", "a") as f: f.write("x")
    users = [line.split() for line in open("/proc/self/uid_map")]
    return {"Memory": n, "Tmp": len(open("/tmp/events").read()), "User": int(users[-1][1])}
`

// remembered is what it answers.
type remembered struct{ Memory, Tmp, User int }

// TestTwoHotarus: two on one machine have functions of the same name in environments of their own. When one is killed, comes
// again and ends, the other's environments, busy and frozen ones, do not notice.
func TestTwoHotarus(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("isolation takes root")
	}
	stays, goes := start(t), start(t)
	pack, err := sample.Zip(map[string]string{"app.py": remembers})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []*world{stays, goes} {
		role, err := w.Role(t.Context(), "fn")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"frozen", "busy"} {
			f := sample.Function{Name: name, Runtime: w.python(), Handler: "app.handler", Zip: pack}
			if err := w.CreateFunction(t.Context(), role, f, 256, func(in *lambda.CreateFunctionInput) { in.Timeout = aws.Int32(60) }); err != nil {
				t.Fatal(err)
			}
		}
	}
	first, other := stays.remembers(t, "frozen", ""), goes.remembers(t, "frozen", "")
	if first.Memory != 1 || first.Tmp != 1 || other.Memory != 1 || other.Tmp != 1 || first.User == other.User {
		t.Fatalf("%+v and %+v: not environments of their own", first, other)
	}
	const mark = "hotaru-neighbours-test"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answered := make(chan remembered, 1)
	go func() { answered <- stays.remembers(t, "busy", mark) }()
	go func() { _, _ = goes.Lambda.Invoke(ctx, invocation("busy", mark)) }()
	waitFor(t, "both to be busy", func() bool { return len(processes(t, mark)) >= 2 })

	if err := goes.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := goes.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := stays.remembers(t, "frozen", ""); got != (remembered{2, 2, first.User}) {
		t.Errorf("after the other was killed and came again: %+v", got)
	}
	if got := goes.remembers(t, "frozen", ""); got.Memory != 1 || got.Tmp != 1 {
		t.Errorf("the one that came again: %+v", got)
	}
	if err := goes.Terminate(); err != nil {
		t.Error(err)
	}
	for _, path := range processes(t, mark) { // those of the one that stays are left
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	if got := <-answered; got.Memory != 1 || got.Tmp != 1 {
		t.Errorf("what was running all the time: %+v", got)
	}
	if got := stays.remembers(t, "frozen", ""); got != (remembered{3, 3, first.User}) {
		t.Errorf("after the other has ended: %+v", got)
	}
	if err := goes.Restart(t.Context()); err != nil { // whoever started it stops it
		t.Error(err)
	}
}

func invocation(name, mark string) *lambda.InvokeInput {
	event, _ := json.Marshal(map[string]string{"mark": mark}) // strings always marshal
	return &lambda.InvokeInput{FunctionName: &name, Payload: event}
}

// remembers invokes such a function.
func (w *world) remembers(t *testing.T, name, mark string) (answer remembered) {
	t.Helper()
	out, err := w.Lambda.Invoke(t.Context(), invocation(name, mark))
	if err != nil {
		t.Error(err)
		return answer
	}
	if err := json.Unmarshal(out.Payload, &answer); err != nil || out.FunctionError != nil {
		t.Errorf("%s: %v: %s", name, err, out.Payload)
	}
	return answer
}
