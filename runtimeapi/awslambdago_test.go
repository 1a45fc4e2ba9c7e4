package runtimeapi_test

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/runtimeapi"
)

// TestAWSLambdaGo serves a real function, built as functions for provided.al2023 are, with AWS's own client.
func TestAWSLambdaGo(t *testing.T) {
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.Command("go", "build", "-o", bootstrap, "./testdata/function")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Run("answers", func(t *testing.T) {
		f := startFunction(t, bootstrap)
		var fault *runtimeapi.FunctionError
		if _, err := f.invoke(`{"do":"fail"}`); !errors.As(err, &fault) || fault.Type != "errorString" ||
			string(fault.Payload) != `{"errorMessage":"failed as told","errorType":"errorString"}` {
			t.Errorf("%v %s", err, fault.Payload)
		}
		response, err := f.invoke(`{}`)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(response.Payload, &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"id": "request-1", "arn": "arn:x", "deadline": 4102444800000.0, "trace": "Root=1",
			"custom": map[string]any{"a": "b"}, "identity": "i"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	// The client reports a panic, and gives up when it is refused: either way the process then ends without
	// asking for another event.
	for payload, want := range map[string]string{
		`{"do":"panic"}`:                "panicked as told",
		`{"do":"large","size":7000000}`: runtimeapi.TypeResponseTooLarge,
	} {
		t.Run(payload, func(t *testing.T) {
			f := startFunction(t, bootstrap)
			var fault *runtimeapi.FunctionError
			if _, err := f.invoke(payload); !errors.As(err, &fault) || !errors.Is(err, runtimeapi.ErrRuntimeGone) ||
				!strings.Contains(string(fault.Payload), want) {
				t.Errorf("%v %s; want %q and ErrRuntimeGone", err, fault.Payload, want)
			}
			<-f.exited
			if f.cmd.ProcessState.Success() {
				t.Error("the function ended well")
			}
		})
	}
}

type goFunction struct {
	t       *testing.T
	cmd     *exec.Cmd
	session runtimeapi.Session
	exited  chan struct{}
}

// startFunction starts the function and its session, as an execution environment does.
func startFunction(t *testing.T, bootstrap string) *goFunction {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := runtimeapi.NewHost(listener, nil)
	f := &goFunction{t: t, cmd: exec.Command(bootstrap), session: host.NewSession(), exited: make(chan struct{})}
	f.cmd.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + listener.Addr().String()}
	if err := f.cmd.Start(); err != nil {
		host.Close()
		t.Fatal(err)
	}
	go func() {
		defer close(f.exited)
		_ = f.cmd.Wait() // how it ended is in ProcessState
		f.session.Close()
	}()
	t.Cleanup(func() {
		host.Close()
		_ = f.cmd.Process.Kill() // it may have ended
		<-f.exited
	})
	if err := f.session.Init(t.Context(), runtimeapi.Start{}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *goFunction) invoke(payload string) (*runtimeapi.Response, error) {
	return exchange(f.t.Context(), f.session, &runtimeapi.Event{RequestID: "request-1", FunctionARN: "arn:x",
		Deadline: time.UnixMilli(4102444800000), TraceID: "Root=1", ClientContext: `{"custom":{"a":"b"}}`,
		CognitoIdentity: `{"cognitoIdentityId":"i"}`, Payload: []byte(payload)})
}
