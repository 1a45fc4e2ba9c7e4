package runtimeapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"hotaru/runtimeapi/refusal"
)

const (
	versionPath    = "/2018-06-01/"
	runtimePath    = versionPath + "runtime/"
	invocationPath = runtimePath + "invocation/"

	headerErrorType    = "Lambda-Runtime-Function-Error-Type"
	headerErrorBody    = "Lambda-Runtime-Function-Error-Body"
	headerResponseMode = "Lambda-Runtime-Function-Response-Mode"
)

// mux has every path of the Runtime API. The Extensions, Telemetry and Logs APIs have prefixes of their own: see Host.
func (s *server) mux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+invocationPath+"next", s.next)
	mux.HandleFunc("POST "+invocationPath+"{id}/response", s.answer)
	mux.HandleFunc("POST "+invocationPath+"{id}/error", s.answer)
	mux.HandleFunc("POST "+runtimePath+"init/error", s.initError)
	mux.HandleFunc("GET "+runtimePath+"restore/next", s.restoreNext)
	mux.HandleFunc("POST "+runtimePath+"restore/error", s.initError)
	return mux
}

// next is a runtime asking for an event: Init is over, or the last invocation is.
func (s *server) next(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	again := false
	switch s.state {
	case stateStarted, stateRestoring:
		s.state = stateReady
		s.changeLocked()
	case stateSent:
		s.state = stateReady
		s.event = nil
		s.changeLocked()
	case stateReady:
	case stateRunning:
		again = true // it has lost its connection: it gets the same event again
	default:
		defer s.mu.Unlock()
		refuseTransition(w, s.state, stateReady)
		return
	}
	served := func() bool { return s.event != nil && (s.state == stateReady || again && s.state == stateRunning) }
	if err := s.waitLocked(r.Context(), served); err != nil {
		s.mu.Unlock()
		// The runtime has hung up or is about to be ended: an answer would look like an event's failure.
		panic(http.ErrAbortHandler)
	}
	s.state = stateRunning
	event := s.event
	s.writing++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.writing--
		s.changeLocked()
	}()

	h := w.Header()
	setHeader(h, "Lambda-Runtime-Aws-Request-Id", event.RequestID)
	setHeader(h, "Lambda-Runtime-Deadline-Ms", strconv.FormatInt(event.Deadline.UnixMilli(), 10))
	setHeader(h, "Lambda-Runtime-Invoked-Function-Arn", event.FunctionARN)
	setHeader(h, "Lambda-Runtime-Trace-Id", event.TraceID)
	setHeader(h, "Lambda-Runtime-Client-Context", event.ClientContext)
	setHeader(h, "Lambda-Runtime-Cognito-Identity", event.CognitoIdentity)
	setHeader(h, "Lambda-Runtime-Aws-Tenant-Id", event.TenantID)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(event.Payload)))
	_, _ = w.Write(event.Payload) // a runtime that hangs up asks again, or ends
}

func setHeader(h http.Header, name, value string) {
	if value != "" {
		h[name] = []string{value} // names are canonical
	}
}

// answer is a runtime answering the event it was given, with a response or an error.
func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	target, isError := stateResponse, strings.HasSuffix(r.URL.Path, "/error")
	if isError {
		target = stateError
	}
	mode := r.Header.Get(headerResponseMode)
	if mode != "" && mode != "streaming" && mode != "buffered" {
		refusal.Write(w, http.StatusBadRequest, "InvalidFunctionResponseMode", "Invalid function response mode")
		return
	}
	s.mu.Lock()
	if s.state != stateRunning {
		defer s.mu.Unlock()
		refuseTransition(w, s.state, target)
		return
	}
	event := s.event
	if event == nil || r.PathValue("id") != event.RequestID {
		s.mu.Unlock()
		refusal.Write(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return
	}
	s.state = target
	if mode == "streaming" && !isError {
		defer s.mu.Unlock()
		s.streamLocked(w, r)
		return
	}
	s.mu.Unlock()

	body, err := readBody(r)
	tooLarge := errors.Is(err, errTooLarge)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != target || s.event != event {
		refusal.Write(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID") // nobody waits any more
		return
	}
	switch {
	case tooLarge:
		s.fault = ResponseTooLarge(MaxPayload)
	case err != nil:
		s.state = stateRunning // it may try again
		refusal.Write(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
		return
	case isError:
		s.fault = faultOf(r.Header, body)
	case r.Trailer.Get(headerErrorType) != "":
		s.fault = faultOf(r.Trailer, decodeTrailer(r.Trailer.Get(headerErrorBody)))
	default:
		s.response = &Response{ContentType: contentType(r.Header), Payload: body}
	}
	s.state = stateSent
	s.changeLocked()
	if tooLarge {
		refusal.Write(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", MaxPayload))
		return
	}
	refusal.Accepted(w)
}

// restoreNext is a runtime that waits for its snapshot to be restored. No snapshot was taken, so that it may go on at
// once with its hooks: what they do is part of Init.
func (s *server) restoreNext(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateStarted {
		refuseTransition(w, s.state, stateRestoring)
		return
	}
	s.state = stateRestoring
	s.changeLocked()
	refusal.Reply(w, http.StatusOK, nil)
}

// initError is a runtime that cannot start, or whose hooks after a restore fail.
func (s *server) initError(w http.ResponseWriter, r *http.Request) {
	from, to := stateStarted, stateInitError
	if strings.HasSuffix(r.URL.Path, "/restore/error") {
		from, to = stateRestoring, stateRestoreError
	}
	body, err := readBody(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state != from:
		refuseTransition(w, s.state, to)
	case errors.Is(err, errTooLarge):
		refusal.Write(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", MaxPayload))
	case err != nil:
		refusal.Write(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
	default:
		s.fault = faultOf(r.Header, body)
		s.fault.Init = true
		s.state = to
		refusal.Accepted(w)
		// Init ends the session, and with it the connection: the runtime has its reply before.
		_ = http.NewResponseController(w).Flush() // fails only for a runtime that has hung up
		s.changeLocked()
	}
}

const errTooLarge Error = "runtimeapi: a body over the limit"

// readBody reads a whole body of at most MaxPayload, and skips one that is longer.
func readBody(r *http.Request) ([]byte, error) {
	if r.ContentLength >= 0 && r.ContentLength <= MaxPayload {
		body := make([]byte, r.ContentLength)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	if r.ContentLength < 0 {
		var body bytes.Buffer
		n, err := body.ReadFrom(io.LimitReader(r.Body, MaxPayload+1))
		if err != nil || n <= MaxPayload {
			return body.Bytes(), err
		}
	}
	_, err := io.CopyN(io.Discard, r.Body, maxDiscard)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return nil, errTooLarge
}

// faultOf is an error as a runtime reports it: its type is in the header, else in the body.
func faultOf(h http.Header, body []byte) *FunctionError {
	fault := &FunctionError{Type: h.Get(headerErrorType), Payload: body}
	if media, _, _ := mime.ParseMediaType(h.Get("Content-Type")); media == "application/vnd.aws.lambda.error.cause+json" {
		fault.Payload = withoutCause(body)
	}
	if fault.Type == "" {
		var named struct {
			ErrorType string `json:"errorType"`
		}
		if json.Unmarshal(body, &named) == nil {
			fault.Type = named.ErrorType
		}
	}
	if fault.Type == "" {
		fault.Type = "Runtime.Unknown"
	}
	return fault
}

// withoutCause is the part for the caller of an error that carries its cause for X-Ray beside it.
func withoutCause(body []byte) []byte {
	var fault struct {
		ErrorMessage string   `json:"errorMessage"`
		ErrorType    string   `json:"errorType"`
		StackTrace   []string `json:"stackTrace"`
	}
	if json.Unmarshal(body, &fault) != nil {
		return []byte(`"Invalid error body"`)
	}
	out, err := json.Marshal(fault)
	if err != nil {
		return []byte(`"Invalid error body"`)
	}
	return out
}

// decodeTrailer is the body of an error that came after a streamed response had begun.
func decodeTrailer(text string) []byte {
	body, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return []byte(text)
	}
	return body
}

func contentType(h http.Header) string {
	if t := h.Get("Content-Type"); t != "" {
		return t
	}
	return "application/octet-stream"
}

func refuseTransition(w http.ResponseWriter, from, to state) {
	refusal.Write(w, http.StatusForbidden, "InvalidStateTransition",
		fmt.Sprintf("State transition from %s to %s failed for runtime. Error: State transition is not allowed", from, to))
}
