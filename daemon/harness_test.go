package daemon

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"go.uber.org/goleak"

	"hotaru/internal/sample"
	"hotaru/internal/wholebody"
	"hotaru/runtime"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
} // the clients' idle connections

// harness is a whole Hotaru in this process, with clients.
type harness struct {
	*Daemon
	t      *testing.T
	lambda *lambda.Client
	iam    *iam.Client
	sts    *sts.Client
	// http carries what these and all others send.
	http *http.Client
	role string
	// python and node are the runtimes of this machine.
	python, node string
}

// start starts a Hotaru with real isolation. change may alter its configuration.
func start(t *testing.T, change ...func(*Config)) *harness {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("isolation takes root")
	}
	config := Config{
		DataDir: t.TempDir(), Listen: "localhost:0", Egress: "none",
		SearchPath: filepath.SplitList(os.Getenv("PATH")), HomeDirs: []string{os.Getenv("HOME")},
		Logger: slog.New(slog.NewTextHandler(&testLog{t: t}, nil)),
	}
	for _, f := range change {
		f(&config)
	}
	d, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	h := &harness{Daemon: d, t: t, http: &http.Client{Transport: wholebody.Transport{RoundTripper: transport}}}
	h.connect(d.Endpoint().Credential.AccessKeyID, d.Endpoint().Credential.SecretAccessKey)
	for _, s := range d.runtimes.List(t.Context()) {
		switch {
		case s.Err != nil:
		case s.Language == runtime.Python:
			h.python = s.ID
		case s.Language == runtime.NodeJS:
			h.node = s.ID
		}
	}
	return h
}

// connect makes clients that sign with a credential.
func (h *harness) connect(key, secret string) {
	config := aws.Config{
		Region: h.config.Region, BaseEndpoint: aws.String(h.Endpoint().URL), RetryMaxAttempts: 1, HTTPClient: h.http,
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""),
	}
	h.lambda, h.iam, h.sts = lambda.NewFromConfig(config), iam.NewFromConfig(config), sts.NewFromConfig(config)
}

const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

// makeRole makes an execution role once.
func (h *harness) makeRole() string {
	h.t.Helper()
	if h.role == "" {
		out, err := h.iam.CreateRole(h.t.Context(), &iam.CreateRoleInput{
			RoleName: aws.String("fn"), AssumeRolePolicyDocument: aws.String(trust),
		})
		if err != nil {
			h.t.Fatal(err)
		}
		h.role = *out.Role.Arn
	}
	return h.role
}

// create creates a function from text files and waits until it is active.
func (h *harness) create(name, runtimeID, handler string, files map[string]string, change ...func(*lambda.CreateFunctionInput)) {
	h.t.Helper()
	pack, err := sample.Zip(files)
	if err != nil {
		h.t.Fatal(err)
	}
	h.createPack(name, runtimeID, handler, pack, change...)
}

// createPack creates a function from a deployment package and waits until it is active.
func (h *harness) createPack(name, runtimeID, handler string, pack []byte, change ...func(*lambda.CreateFunctionInput)) {
	h.t.Helper()
	in := &lambda.CreateFunctionInput{
		FunctionName: aws.String(name), Runtime: types.Runtime(runtimeID), Handler: aws.String(handler),
		Role: aws.String(h.makeRole()), Code: &types.FunctionCode{ZipFile: pack}, Timeout: aws.Int32(10),
	}
	for _, f := range change {
		f(in)
	}
	if _, err := h.lambda.CreateFunction(h.t.Context(), in); err != nil {
		h.t.Fatal(err)
	}
	h.waitActive(name)
}

// createPython creates a Python function from one file.
func (h *harness) createPython(name, source string, change ...func(*lambda.CreateFunctionInput)) {
	h.t.Helper()
	if h.python == "" {
		h.t.Skip("no Python that Lambda knows is installed")
	}
	h.create(name, h.python, "handler.handler", map[string]string{"handler.py": source}, change...)
}

func (h *harness) waitActive(name string) {
	h.t.Helper()
	waiter := lambda.NewFunctionActiveV2Waiter(h.lambda, func(o *lambda.FunctionActiveV2WaiterOptions) {
		o.MinDelay, o.MaxDelay = 5*time.Millisecond, 50*time.Millisecond
	})
	if err := waiter.Wait(h.t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String(name)}, settling); err != nil {
		h.t.Fatalf("%v: %s", err, h.reason(name))
	}
}

// settling is how long a function may take to become what it is to be, on a machine that has other things to do.
const settling = time.Minute

// reason is why a function is not active.
func (h *harness) reason(name string) string {
	out, err := h.lambda.GetFunctionConfiguration(h.t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &name})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(out.State, " ", aws.ToString(out.StateReason), " ", out.LastUpdateStatus, " ", aws.ToString(out.LastUpdateStatusReason))
}

func (h *harness) waitUpdated(name string) {
	h.t.Helper()
	waiter := lambda.NewFunctionUpdatedV2Waiter(h.lambda, func(o *lambda.FunctionUpdatedV2WaiterOptions) {
		o.MinDelay, o.MaxDelay = 5*time.Millisecond, 50*time.Millisecond
	})
	if err := waiter.Wait(h.t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String(name)}, settling); err != nil {
		h.t.Fatalf("%v: %s", err, h.reason(name))
	}
}

// invoke runs an event and returns the answer; a function error fails the test unless wanted.
func (h *harness) invoke(name, payload string) *lambda.InvokeOutput {
	h.t.Helper()
	out, err := h.lambda.Invoke(h.t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String(name), Payload: []byte(payload), LogType: types.LogTypeTail,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// ok invokes and wants a success.
func (h *harness) ok(name, payload string) string {
	h.t.Helper()
	out := h.invoke(name, payload)
	if out.FunctionError != nil {
		h.t.Fatalf("%s: %s %s", name, *out.FunctionError, out.Payload)
	}
	return string(out.Payload)
}

// answer is a raw answer of the Lambda API, in the form that botocore gives it and records have it.
type answer map[string]any

// call sends a signed request to the Lambda API.
func (h *harness) call(method, path string, body []byte, header map[string]string) answer {
	h.t.Helper()
	response, text := h.send(method, path, body, header)
	return parseAnswer(h.t, response, text, strings.HasSuffix(path, "/invocations"))
}

// send sends a signed request to the Lambda API and returns what came back as it came.
func (h *harness) send(method, path string, body []byte, header map[string]string) (*http.Response, []byte) {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), method, h.Endpoint().URL+path, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	sum := sha256.Sum256(body)
	c := h.Endpoint().Credential
	err = v4.NewSigner().SignHTTP(h.t.Context(), aws.Credentials{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey,
	}, request, hex.EncodeToString(sum[:]), "lambda", h.config.Region, time.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return response, text
}

// parseAnswer does what botocore does with an answer of restJson1.
func parseAnswer(t *testing.T, response *http.Response, text []byte, invocation bool) answer {
	t.Helper()
	a := answer{}
	var body any
	err := json.Unmarshal(text, &body)
	if invocation && response.StatusCode < 300 {
		a["StatusCode"] = float64(response.StatusCode)
		a["Payload"] = body
		if err != nil {
			a["Payload"] = string(text)
		}
		for header, member := range map[string]string{
			"X-Amz-Function-Error": "FunctionError", "X-Amz-Executed-Version": "ExecutedVersion",
		} {
			if value := response.Header.Get(header); value != "" {
				a[member] = value
			}
		}
	} else if object, ok := body.(map[string]any); ok {
		for name, value := range object {
			a[name] = value
		}
	}
	if code := response.Header.Get("X-Amzn-Errortype"); code != "" {
		message := a["message"]
		if message == nil {
			message = a["Message"]
		}
		if a["Type"] == nil {
			delete(a, "message")
			delete(a, "Message")
		}
		code, _, _ = strings.Cut(code, ":")
		a["Error"] = map[string]any{"Code": code, "Message": message}
	}
	a["ResponseMetadata"] = map[string]any{
		"HTTPHeaders": map[string]any{}, "HTTPStatusCode": float64(response.StatusCode),
	}
	return a
}

// testLog shows the daemon's own log when a test fails.
type testLog struct {
	mu sync.Mutex
	t  *testing.T
}

func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.t.Context().Err() == nil {
		l.t.Log(strings.TrimRight(string(b), "\n"))
	}
	return len(b), nil
}
