package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hotaru/internal/client"
	"hotaru/internal/sample"
)

// world is a server, the AWS CLI pointed to it, and a directory for files.
type world struct {
	*client.Server
	t   *testing.T
	dir string
	env []string
}

func start(t *testing.T, flags ...string) *world {
	t.Helper()
	root, err := client.Root()
	if err != nil {
		t.Fatal(err)
	}
	server, err := client.Launch(t.Context(), filepath.Join(root, "bin", "hotaru"), &testLog{t: t}, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &world{server, t, t.TempDir(), []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_PAGER=",
		"AWS_ENDPOINT_URL=" + server.Endpoint.URL, "AWS_REGION=" + server.Endpoint.Region, "AWS_DEFAULT_REGION=" + server.Endpoint.Region,
		"AWS_ACCESS_KEY_ID=" + server.Endpoint.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY=" + server.Endpoint.SecretAccessKey,
	}}
}

// aws runs the CLI and returns what it prints; wantError is in what a refusal prints, "" for success.
func (w *world) aws(wantError string, args ...string) map[string]any {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "aws", append(args, "--output", "json")...)
	cmd.Env, cmd.Dir = w.env, w.dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch {
	case wantError == "" && err != nil:
		w.t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	case wantError != "" && (err == nil || !strings.Contains(stderr.String(), wantError)):
		w.t.Fatalf("aws %s: %v\ngot  %s\nwant %s", strings.Join(args, " "), err, stderr.String(), wantError)
	}
	if stdout.Len() == 0 {
		return nil
	}
	var answer map[string]any
	if err := json.Unmarshal(stdout.Bytes(), &answer); err != nil {
		w.t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, stdout.String())
	}
	return answer
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

// python is the runtime of this machine's Python.
func (w *world) python() string {
	w.t.Helper()
	installed, err := w.Installed(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	python, ok := installed["python"]
	if !ok {
		w.t.Skip("no Python that Lambda knows is installed: run make deps")
	}
	return python.ID
}

// TestCLI does with the CLI what a new user does first, and looks at every answer.
func TestCLI(t *testing.T) {
	require(t, "aws")
	w := start(t)
	w.aws("ResourceNotFoundException", "lambda", "get-function", "--function-name", "hello")

	w.write("trust.json", trust)
	w.aws("", "iam", "create-role", "--role-name", "fn", "--assume-role-policy-document", "file://trust.json")
	pack, err := sample.Zip(map[string]string{"app.py": sample.Python})
	if err != nil {
		t.Fatal(err)
	}
	w.write("hello.zip", string(pack))
	w.write("event.json", `{"name":"CLI"}`)
	create := []string{"lambda", "create-function", "--function-name", "hello", "--runtime", w.python(),
		"--handler", "app.handler", "--role", "arn:aws:iam::000000000000:role/fn", "--zip-file", "fileb://hello.zip"}
	if created := w.aws("", create...); created["State"] != "Pending" || created["FunctionArn"] != "arn:aws:lambda:us-east-1:000000000000:function:hello" {
		t.Errorf("created: %v", created)
	}
	w.aws("ResourceConflictException) when calling the CreateFunction operation: Function already exist: hello", create...)
	w.aws("", "lambda", "wait", "function-active-v2", "--function-name", "hello")
	invoked := w.aws("", "lambda", "invoke", "--function-name", "hello", "--payload", "fileb://event.json",
		"--log-type", "Tail", "out.json")
	if got := w.read("out.json"); got != `{"greeting": "Hello from Python, CLI"}` {
		t.Errorf("answer: %s", got)
	}
	log, err := base64.StdEncoding.DecodeString(invoked["LogResult"].(string))
	if err != nil || !strings.Contains(string(log), "greeting CLI\n") || invoked["ExecutedVersion"] != "$LATEST" {
		t.Errorf("invoked: %v\n%s", invoked, log)
	}
	w.download(pack)
	w.aws("", "lambda", "delete-function", "--function-name", "hello")
	w.aws("ResourceNotFoundException", "lambda", "invoke", "--function-name", "hello", "out.json")
}

// download fetches the deployment package from where GetFunction says.
func (w *world) download(want []byte) {
	w.t.Helper()
	got := w.aws("", "lambda", "get-function", "--function-name", "hello")
	location := got["Code"].(map[string]any)["Location"].(string)
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, location, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !bytes.Equal(body, want) {
		w.t.Errorf("download: %s, %d bytes, want %d, %v", response.Status, len(body), len(want), err)
	}
}

// TestStrangers are refused before anything else happens.
func TestStrangers(t *testing.T) {
	require(t, "aws")
	w := start(t)
	w.env = append(w.env, "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE")
	w.aws("UnrecognizedClientException", "lambda", "list-functions")
	w.aws("InvalidClientTokenId", "sts", "get-caller-identity")
	w.env = append(w.env, "AWS_ACCESS_KEY_ID="+w.Endpoint.AccessKeyID, "AWS_SECRET_ACCESS_KEY=wrong")
	w.aws("InvalidSignatureException", "lambda", "list-functions")
	w.aws("SignatureDoesNotMatch", "sts", "get-caller-identity")
}

// testLog shows the server's own log when a test fails.
type testLog struct{ t *testing.T }

func (l *testLog) Write(b []byte) (int, error) {
	if l.t.Context().Err() == nil {
		l.t.Log(strings.TrimRight(string(b), "\n"))
	}
	return len(b), nil
}
