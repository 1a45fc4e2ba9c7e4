package server

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"hotaru/awsapi/iam"
	"hotaru/awsapi/lambda"
	"hotaru/awsapi/sts"
)

const streamPath = "/2021-11-15/functions/f/response-streaming-invocations"

func TestStreamThatBreaksOff(t *testing.T) {
	for name, c := range map[string]struct {
		end  func() error
		want string
		cut  bool
	}{
		"error": {func() error { return errors.New("secret cause") }, "InternalFailure", false},
		"panic": {func() error { panic("on purpose") }, "one", true},
	} {
		var entry Entry
		s := newServer(t, Options{Done: func(e Entry) { entry = e }}, lambda.Handlers{
			InvokeWithResponseStream: func(context.Context, *lambda.InvokeWithResponseStreamRequest) (*lambda.InvokeWithResponseStreamResponse, error) {
				return &lambda.InvokeWithResponseStreamResponse{EventStream: func(yield func(*lambda.InvokeWithResponseStreamResponseEvent, error) bool) {
					if yield(&lambda.InvokeWithResponseStreamResponseEvent{PayloadChunk: &lambda.InvokeResponseStreamUpdate{Payload: []byte("one")}}, nil) {
						yield(nil, c.end())
					}
				}}, nil
			},
		}, iam.Handlers{}, sts.Handlers{})
		w := httptest.NewRecorder()
		cut := func() (cut bool) {
			defer func() { cut = recover() == http.ErrAbortHandler }()
			s.ServeHTTP(w, httptest.NewRequest("POST", streamPath, strings.NewReader("{}")))
			return false
		}()
		body := w.Body.String()
		if cut != c.cut || !strings.Contains(body, c.want) || strings.Contains(body, "secret") || strings.Contains(body, "purpose") {
			t.Errorf("%s: cut is %v, body %q", name, cut, body)
		}
		if entry.Err == nil {
			t.Errorf("%s: the cause is not in the access log: %+v", name, entry)
		}
	}
}

// TestConcurrentFirstUse makes the plans of many operations at once; the race detector watches.
func TestConcurrentFirstUse(t *testing.T) {
	s := newServer(t, Options{}, lambda.Handlers{
		CreateFunction: func(context.Context, *lambda.CreateFunctionRequest) (*lambda.FunctionConfiguration, error) {
			return nil, nil
		},
		UpdateFunctionConfiguration: func(context.Context, *lambda.UpdateFunctionConfigurationRequest) (*lambda.FunctionConfiguration, error) {
			return nil, nil
		},
		ListFunctions: func(context.Context, *lambda.ListFunctionsRequest) (*lambda.ListFunctionsResponse, error) {
			return nil, nil
		},
		GetFunction: func(context.Context, *lambda.GetFunctionRequest) (*lambda.GetFunctionResponse, error) {
			return nil, nil
		},
	}, iam.Handlers{}, sts.Handlers{})
	var group sync.WaitGroup
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/2015-03-31/functions", `{"FunctionName":"f","Role":"arn:aws:iam::123456789012:role/r","Code":{},"Tags":{"a":"b"},"Environment":{"Variables":{"AB":"c"}}}`},
		{"PUT", "/2015-03-31/functions/f/configuration", `{"VpcConfig":{"SubnetIds":[]}}`},
		{"GET", "/2015-03-31/functions", ""}, {"GET", "/2015-03-31/functions/f", ""},
	} {
		for range 4 {
			group.Go(func() {
				if w := do(s, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))); w.Code >= 300 {
					t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
				}
			})
		}
	}
	group.Wait()
}
