package runtimeapi

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// FuzzRoutes lets a runtime that has an event send any three requests: whatever they are, the handlers answer
// with a status they know, and the invocation ends with an answer or by being cut off.
func FuzzRoutes(f *testing.F) {
	for _, path := range []string{"invocation/r/response", "invocation/r/error", "invocation/next", "init/error", "restore/next", "restore/error", "invocation/%2e/response"} {
		f.Add("POST", path, "application/json", "", `{"errorType":"x"}`)
		f.Add("POST", path, "application/vnd.aws.lambda.error.cause+json", "streaming", "{")
	}
	f.Fuzz(func(t *testing.T, method, path, contentType, mode, body string) {
		if method == http.MethodConnect || strings.ContainsAny(method+path, " \r\n\t") {
			return
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Skip(err)
		}
		host := NewHost(listener, nil)
		defer host.Close()
		s := host.NewSession().(*server)
		s.mu.Lock()
		s.state, s.event, s.turn = stateRunning, &Event{RequestID: "r", Payload: []byte("1")}, t.Context()
		s.mu.Unlock()
		var reading sync.WaitGroup
		defer reading.Wait()
		defer s.Close()
		reading.Go(func() { readStreams(s) })
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // a next that waits hangs up
		for range 3 {
			request, err := http.NewRequestWithContext(ctx, method, "http://x"+runtimePath+path, strings.NewReader(body))
			if err != nil {
				return
			}
			request.Header.Set("Content-Type", contentType)
			request.Header.Set(headerResponseMode, mode)
			recorder := httptest.NewRecorder()
			func() {
				defer func() {
					if r := recover(); r != nil && r != http.ErrAbortHandler {
						panic(r)
					}
				}()
				host.ServeHTTP(recorder, request)
			}()
			switch recorder.Code {
			case 200, 202, 301, 307, 308, 400, 403, 404, 405:
			default:
				t.Fatalf("status %d for %s %s", recorder.Code, method, path)
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.response != nil && s.fault != nil {
			t.Fatal("a response and an error")
		}
		if s.state == stateSent && s.response == nil && s.fault == nil {
			t.Fatal("answered with nothing")
		}
		if s.broken != nil && !errors.Is(s.broken, ErrRuntimeGone) {
			t.Fatal(s.broken)
		}
	})
}

// readStreams takes what is streamed until the session ends.
func readStreams(s *server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.waitLocked(context.Background(), func() bool { return s.stream != nil }) == nil {
		stream := s.stream
		s.mu.Unlock()
		_, _ = io.Copy(io.Discard, stream) // how it ends is not this reader's affair
		s.mu.Lock()
	}
}
