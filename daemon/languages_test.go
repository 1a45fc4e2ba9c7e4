package daemon

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// TestProcessEnds has functions end their process in every way there is, in the sandbox: the answer says how, what was
// printed before is in the log, and the next event finds a new process.
func TestProcessEnds(t *testing.T) {
	h := start(t)
	h.createPython("python", `
import ctypes, os, sys
print("in init")
def handler(event, context):
    print("before the end", end="")
    if event == "segfault":
        ctypes.string_at(0)
    if event == "sys.exit":
        sys.exit(4)
    if event == "os._exit":
        os._exit(5)
    if event == "kill":
        os.kill(os.getpid(), 9)
    return os.environ["AWS_LAMBDA_FUNCTION_NAME"]
`)
	h.create("node", "nodejs20.x", "index.handler", map[string]string{"index.mjs": `
await new Promise((resolve) => setTimeout(resolve, 2));
export const handler = async (event) => {
  process.stdout.write('before the end');
  const pause = () => new Promise((resolve) => setTimeout(resolve, 5000));
  switch (event) {
    case 'exit': process.exit(0); break;
    case 'exit 6': process.exit(6); break;
    case 'kill': process.kill(process.pid, 'SIGKILL'); await pause(); break;
    case 'rejection': Promise.reject(new TypeError('nobody waits')); await pause(); break;
    case 'timer': setTimeout(() => { throw new RangeError('later'); }, 1); await pause(); break;
  }
  return process.env.AWS_LAMBDA_FUNCTION_NAME;
};
`})
	for _, tc := range []struct{ function, event, message, kind string }{
		{"python", "segfault", "Runtime exited with error: signal: segmentation fault", "Runtime.ExitError"},
		{"python", "sys.exit", "Runtime exited with error: exit status 4", "Runtime.ExitError"},
		{"python", "os._exit", "Runtime exited with error: exit status 5", "Runtime.ExitError"},
		{"python", "kill", "Runtime exited with error: signal: killed", "Runtime.ExitError"},
		{"node", "exit", "Runtime exited without providing a reason", "Runtime.ExitError"},
		{"node", "exit 6", "Runtime exited with error: exit status 6", "Runtime.ExitError"},
		{"node", "kill", "Runtime exited with error: signal: killed", "Runtime.ExitError"},
		{"node", "rejection", `"errorMessage":"TypeError: nobody waits"`, "Runtime.UnhandledPromiseRejection"},
		{"node", "timer", `"errorMessage":"later"`, "RangeError"},
	} {
		out := h.invoke(tc.function, `"`+tc.event+`"`)
		log, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
		if err != nil || aws.ToString(out.FunctionError) != "Unhandled" || !strings.Contains(string(out.Payload), tc.message) ||
			!strings.Contains(string(out.Payload), `"errorType":"`+tc.kind+`"`) || !strings.Contains(string(log), "before the end") {
			t.Errorf("%s %s: %s %s\n%s", tc.function, tc.event, aws.ToString(out.FunctionError), out.Payload, log)
		}
		if got := h.ok(tc.function, "1"); got != `"`+tc.function+`"` {
			t.Errorf("after %s: %s", tc.event, got)
		}
	}
}

// TestWrapperWithoutDescriptors starts the runtime by a wrapper that passes no descriptors on: the bootstrap talks over the
// HTTP Runtime API then, with the same answers.
func TestWrapperWithoutDescriptors(t *testing.T) {
	h := start(t)
	wrapped := func(in *lambda.CreateFunctionInput) {
		in.Environment = &types.Environment{Variables: map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/bootstrap"}}
	}
	const wrapper = "#!/bin/sh\nexec 3<&-\nexec \"$@\"\n"
	h.create("python", "python3.11", "app.handler", map[string]string{"bootstrap": wrapper, "app.py": `
import logging, os
def handler(event, context):
    if event == 1:
        logging.warning("two\nlines")
        raise ValueError("one")
    return [event, os.path.exists("/proc/self/fd/3") and os.readlink("/proc/self/fd/3").split(":")[0] == "socket", context.aws_request_id != ""]
`}, wrapped)
	h.create("node", "nodejs20.x", "index.handler", map[string]string{"bootstrap": wrapper, "index.js": `
exports.handler = async (event, context) => {
  if (event === 1) {
    console.warn('two\nlines');
    throw new TypeError('one');
  }
  return [event, process.env.AWS_LAMBDA_EXEC_WRAPPER === '/var/task/bootstrap', context.awsRequestId !== ''];
};
`}, wrapped)
	for name, kind := range map[string]string{"python": "ValueError", "node": "TypeError"} {
		for range 2 {
			out := h.invoke(name, "1")
			log, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
			if err != nil || !strings.Contains(strings.ReplaceAll(string(out.Payload), " ", ""), `"errorType":"`+kind+`"`) ||
				!strings.Contains(string(log), "\ttwo\rlines\n") {
				t.Errorf("%s: %s\n%s", name, out.Payload, log)
			}
			if got := strings.ReplaceAll(h.ok(name, `"x"`), " ", ""); got != `["x",true,true]` {
				t.Errorf("%s: %s", name, got)
			}
		}
	}
}

// TestNodeStreams reads what a Node.js function streams, through the API.
func TestNodeStreams(t *testing.T) {
	h := start(t)
	h.create("f", "nodejs20.x", "index.handler", map[string]string{"index.mjs": `
import { pipeline } from 'stream/promises';
import { Readable } from 'stream';
export const handler = awslambda.streamifyResponse(async (event, stream, context) => {
  console.log('streaming', event);
  if (event === 'http') stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201 });
  if (event === 'fail') { stream.write('first '); throw new RangeError('on the way'); }
  await pipeline(Readable.from(['one ', 'two ', context.functionName]), stream);
});
`})
	for range 2 {
		for _, tc := range []struct{ event, body, code string }{
			{"plain", "one two f", ""}, {"http", `{"statusCode":201}` + strings.Repeat("\x00", 8) + "one two f", ""}, {"fail", "first ", "Unhandled"},
		} {
			s, err := h.stream("f", `"`+tc.event+`"`)
			if err != nil {
				t.Fatal(err)
			}
			log, err := base64.StdEncoding.DecodeString(aws.ToString(s.complete.LogResult))
			if err != nil || s.body.String() != tc.body || aws.ToString(s.complete.ErrorCode) != tc.code ||
				!strings.Contains(string(log), "\tINFO\tstreaming "+tc.event+"\n") {
				t.Errorf("%s: %q %s %s\n%s", tc.event, s.body.String(), aws.ToString(s.complete.ErrorCode), aws.ToString(s.complete.ErrorDetails), log)
			}
		}
	}
	// A caller that takes no stream gets the whole.
	if got := string(h.invoke("f", `"plain"`).Payload); got != "one two f" {
		t.Errorf("not streamed: %s", got)
	}
}
