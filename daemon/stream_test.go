package daemon

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// streamer is a custom runtime that streams: "now" tells between two chunks what time it is, "fail" breaks off with an
// error, "cut" without one, "exit" ends the process, "sleep" runs into the timeout.
const streamer = `#!/usr/bin/python3
import base64, http.client, json, os, sys, time
api = os.environ["AWS_LAMBDA_RUNTIME_API"]
while True:
    c = http.client.HTTPConnection(api)
    c.request("GET", "/2018-06-01/runtime/invocation/next")
    r = c.getresponse()
    do = json.loads(r.read())
    id = r.headers["Lambda-Runtime-Aws-Request-Id"]
    c.putrequest("POST", "/2018-06-01/runtime/invocation/" + id + "/response")
    c.putheader("Content-Type", "text/event-stream")
    c.putheader("Transfer-Encoding", "chunked")
    c.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
    if do == "fail": c.putheader("Trailer", "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body")
    c.endheaders()
    def chunk(data): c.send(b"%x\r\n%s\r\n" % (len(data), data))
    chunk(b"first ")
    print("streaming", do, flush=True)
    trailer = b""
    if do == "now":
        time.sleep(0.7)
        chunk(str(time.time()).encode())
    elif do == "fail":
        body = base64.b64encode(b'{"errorMessage":"on the way","errorType":"Late"}')
        trailer = b"Lambda-Runtime-Function-Error-Type: Late\r\nLambda-Runtime-Function-Error-Body: " + body + b"\r\n"
    elif do == "cut":
        c.close()
        continue
    elif do == "exit": os._exit(3)
    elif do == "sleep": time.sleep(60)
    c.send(b"0\r\n" + trailer + b"\r\n")
    c.getresponse().read()
`

// streamed is one streamed answer.
type streamed struct {
	*lambda.InvokeWithResponseStreamOutput
	body     bytes.Buffer
	first    time.Time // when the first chunk was there
	complete types.InvokeWithResponseStreamCompleteEvent
}

func (h *harness) stream(name, payload string) (*streamed, error) {
	h.t.Helper()
	out, err := h.lambda.InvokeWithResponseStream(h.t.Context(), &lambda.InvokeWithResponseStreamInput{
		FunctionName: &name, Payload: []byte(payload), LogType: types.LogTypeTail,
	})
	if err != nil {
		return nil, err
	}
	s := &streamed{InvokeWithResponseStreamOutput: out}
	events := out.GetStream()
	defer events.Close()
	for e := range events.Events() {
		switch e := e.(type) {
		case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
			if s.body.Len() == 0 {
				s.first = time.Now()
			}
			s.body.Write(e.Value.Payload)
		case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
			s.complete = e.Value
		}
	}
	return s, events.Err()
}

func TestResponseStream(t *testing.T) {
	h := start(t)
	_, err := h.stream("f", "1")
	refused(t, err, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:f")
	h.create("f", "provided.al2023", "x", map[string]string{"bootstrap": streamer}, func(in *lambda.CreateFunctionInput) {
		in.Timeout = aws.Int32(2)
	})
	_, err = h.stream("f", "{")
	if refusal := (*types.InvalidRequestContentException)(nil); !errors.As(err, &refusal) {
		t.Errorf("a payload that is no JSON: %v", err)
	}
	for _, tc := range []struct{ payload, code, details, log string }{
		{`"fail"`, "Unhandled", `{"errorMessage":"on the way","errorType":"Late"}`, "streaming fail\n"},
		{`"cut"`, "Runtime.TruncatedResponse", `{"errorMessage":"The response was truncated.","errorType":"Runtime.TruncatedResponse"}`, ""},
		{`"exit"`, "Runtime.TruncatedResponse", `"errorType":"Runtime.TruncatedResponse"}`, "exit status 3\nRuntime.ExitError"},
		{`"sleep"`, "Sandbox.Timedout", `Task timed out after 2.00 seconds"}`, "Status: timeout"},
	} {
		s, err := h.stream("f", tc.payload)
		if err != nil {
			t.Fatalf("%s: %v", tc.payload, err)
		}
		if got := s.body.String(); got != "first " {
			t.Errorf("%s: the answer is %q", tc.payload, got)
		}
		if got := aws.ToString(s.complete.ErrorCode); got != tc.code {
			t.Errorf("%s: code %s, want %s", tc.payload, got, tc.code)
		}
		if got := aws.ToString(s.complete.ErrorDetails); !strings.HasSuffix(got, tc.details) {
			t.Errorf("%s: details %s, want %s", tc.payload, got, tc.details)
		}
		log, err := base64.StdEncoding.DecodeString(aws.ToString(s.complete.LogResult))
		if err != nil || !strings.Contains(string(log), tc.log) || !strings.Contains(string(log), "REPORT ") {
			t.Errorf("%s: log %s, %v", tc.payload, log, err)
		}
	}
	s, err := h.stream("f", `"now"`)
	if err != nil {
		t.Fatal(err)
	}
	_, second, _ := strings.Cut(s.body.String(), " ")
	wrote, err := strconv.ParseFloat(second, 64)
	if err != nil || s.complete.ErrorCode != nil || aws.ToString(s.ResponseStreamContentType) != "application/vnd.amazon.eventstream" ||
		aws.ToString(s.ExecutedVersion) != "$LATEST" || s.StatusCode != 200 {
		t.Fatalf("%q %v %v %s %s %d", s.body.String(), err, s.complete, aws.ToString(s.ResponseStreamContentType),
			aws.ToString(s.ExecutedVersion), s.StatusCode)
	}
	if float64(s.first.UnixMicro())/1e6 > wrote {
		t.Error("the first chunk came after the second was written")
	}
	// Whoever takes no stream gets the whole, and a stream holds what came whole.
	if got := h.ok("f", `"whole"`); got != "first " {
		t.Errorf("gathered: %q", got)
	}
	h.createPython("whole", `
def handler(event, context):
    if event == "fail": raise ValueError("no")
    return event`)
	if s, err = h.stream("whole", `{"a":1}`); err != nil || s.body.String() != `{"a": 1}` || s.complete.ErrorCode != nil {
		t.Errorf("%v %q %+v", err, s.body.String(), s.complete)
	}
	if s, err = h.stream("whole", `"fail"`); err != nil || s.body.Len() > 0 || aws.ToString(s.complete.ErrorCode) != "Unhandled" ||
		!strings.Contains(aws.ToString(s.complete.ErrorDetails), `"errorType": "ValueError"`) {
		t.Errorf("%v %q %+v", err, s.body.String(), s.complete)
	}
}
