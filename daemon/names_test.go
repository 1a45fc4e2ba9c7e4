package daemon

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/google/go-cmp/cmp"

	"hotaru/internal/sample"
	"hotaru/pki"
)

// atStart is a variable that takes a function to the cold path: an interpreter reads it at its start alone.
func atStart(in *lambda.CreateFunctionInput) {
	in.Environment = variables(map[string]string{"LC_ALL": "C.UTF-8"})
}

// source reads one of the functions of these tests.
func source(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "names", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// saidBy invokes a function until it answers from an environment of the wanted kind, a zygote or one that was started
// cold: a zygote may not be ready yet. Each try is in a new environment.
func (h *harness) saidBy(name, event string, zygote bool) map[string]any {
	h.t.Helper()
	for try := range 50 {
		var said map[string]any
		if err := json.Unmarshal([]byte(h.ok(name, event)), &said); err != nil {
			h.t.Fatal(err)
		}
		if said["zygote"] == zygote {
			delete(said, "zygote")
			return said
		}
		_, err := h.lambda.UpdateFunctionConfiguration(h.t.Context(), &lambda.UpdateFunctionConfigurationInput{
			FunctionName: aws.String(name), Description: aws.String(fmt.Sprint("try ", try))})
		if err != nil {
			h.t.Fatal(err)
		}
		h.waitUpdated(name)
	}
	h.t.Fatalf("%s never ran with zygote %t", name, zygote)
	return nil
}

const askedNames = `{"names": ["s3.eu-central-1.amazonaws.com", "DynamoDB.US-EAST-1.amazonaws.com", "x.lambda-url.us-east-1.on.aws",
	"sqs.cn-north-1.amazonaws.com.cn", "sandbox.localdomain", "app.localhost", "example.com", "metadata.google.internal",
	"instance-data.ec2.internal", "amazonaws.com.example.com"]}`

// TestNamesPython calls AWS by its own names, over HTTPS and HTTP, from a zygote and from a cold start.
func TestNamesPython(t *testing.T) {
	h := start(t)
	const missing = -2.0 // EAI_NONAME
	who := func(name string) []any { return []any{200.0, "arn:aws:sts::000000000000:assumed-role/fn/" + name} }
	files := map[string]string{"handler.py": source(t, "handler.py")}
	if h.python == "" {
		t.Skip("no Python that Lambda knows is installed")
	}
	h.create("zygote", h.python, "handler.handler", files)
	h.create("cold", h.python, "handler.handler", files, atStart)
	for _, name := range []string{"zygote", "cold"} {
		here := []any{"127.0.0.1"}
		want := map[string]any{
			"https": who(name), "http": who(name), "endpoint": who(name), "host": here, "backwards": "localhost",
			"names": map[string]any{
				"s3.eu-central-1.amazonaws.com": here, "DynamoDB.US-EAST-1.amazonaws.com": here, "x.lambda-url.us-east-1.on.aws": here,
				"sqs.cn-north-1.amazonaws.com.cn": here, "sandbox.localdomain": here, "app.localhost": here,
				"example.com": missing, "metadata.google.internal": missing, "instance-data.ec2.internal": missing,
				"amazonaws.com.example.com": missing,
			},
			"aws":   []any{"TLSv1.3", "bucket.with.dots.s3.eu-west-1.amazonaws.com"},
			"other": "TLSV1_UNRECOGNIZED_NAME", "public authorities": true, "fast": true,
			"variables": []any{"AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"},
		}
		if diff := cmp.Diff(want, h.saidBy(name, askedNames, name == "zygote")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestRealNames: with --aws-names=real AWS's names are not ours, and nobody trusts our authority.
func TestRealNames(t *testing.T) {
	h := start(t, func(c *Config) { c.AWSNames = "real" })
	h.createPython("f", source(t, "handler.py"))
	said := h.saidBy("f", askedNames, true)
	for name, addresses := range said["names"].(map[string]any) {
		if ours := strings.HasSuffix(name, "localdomain") || strings.HasSuffix(name, "localhost"); ours != (addresses != -2.0) {
			t.Errorf("%s is at %v", name, addresses)
		}
	}
	for what, want := range map[string]any{
		"https": "URLError", "http": "URLError", "aws": "Connection refused", "other": "Connection refused",
		"endpoint": []any{200.0, "arn:aws:sts::000000000000:assumed-role/fn/f"}, "variables": []any{}, "public authorities": true,
	} {
		if diff := cmp.Diff(want, said[what]); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	if _, err := Start(t.Context(), Config{DataDir: t.TempDir(), Listen: "localhost:0", AWSNames: "both"}); err == nil {
		t.Error("another value is taken")
	}
}

// TestNoNamesOnTheHost: functions on the host's own network have the endpoint, and nothing is said of names and trust.
func TestNoNamesOnTheHost(t *testing.T) {
	h := start(t, func(c *Config) { c.Sandbox = "process" })
	if h.python == "" {
		t.Skip("no Python that Lambda knows is installed")
	}
	h.create("f", h.python, "main.handler", map[string]string{"names.py": source(t, "handler.py"), "main.py": `
import os, names
def handler(event, context):
    return [names.who(os.environ["AWS_ENDPOINT_URL"] + "/")[0], [n for n in os.environ if "CERT" in n or "BUNDLE" in n]]
`})
	if got := h.ok("f", "{}"); got != "[200, []]" {
		t.Errorf("it says %s", got)
	}
}

// TestNamesNode calls AWS in every way that Node.js has, from a zygote, from a cold start, and beside an authority of the
// function's own.
func TestNamesNode(t *testing.T) {
	h := start(t)
	if h.node == "" {
		t.Skip("no Node.js that Lambda knows is installed")
	}
	index := source(t, "index.js")
	files := map[string]string{"index.js": index}
	fast := func(in *lambda.CreateFunctionInput) { in.MemorySize = aws.Int32(1769) } // a whole CPU, for all the TLS
	h.create("zygote", h.node, "index.handler", files, fast)
	h.create("cold", h.node, "index.handler", files, fast, atStart)
	h.create("own", h.node, "index.handler", ownAuthority(t, index), fast, func(in *lambda.CreateFunctionInput) {
		in.Environment = variables(map[string]string{"NODE_EXTRA_CA_CERTS": "/var/task/own.pem"})
	})
	const host = "lambda.eu-west-1.amazonaws.com"
	unsigned := []any{403.0, "MissingAuthenticationTokenException"}
	for _, name := range []string{"zygote", "cold", "own"} {
		want := map[string]any{
			"https": unsigned, "agent": unsigned, "fetch": unsigned, "http2": unsigned, "no authority": "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
			"tls": []any{true, "h2", "DNS:" + host}, "child": "403", "own": "none",
		}
		if name == "own" {
			want["own"] = []any{200.0, nil}
			want["child"] = "UNABLE_TO_VERIFY_LEAF_SIGNATURE" // the function's own value is the one that counts
		}
		if diff := cmp.Diff(want, h.saidBy(name, "{}", name == "zygote")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// ownAuthority is a deployment package with an authority, and a certificate of it for localhost.
func ownAuthority(t *testing.T, index string) map[string]string {
	t.Helper()
	authority, err := pki.Open(t.TempDir(), pki.Options{})
	if err != nil {
		t.Fatal(err)
	}
	issued, err := authority.Certificate("localhost")
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(issued.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"index.js": index, "own.pem": string(authority.PEM()),
		"own.key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"own.crt": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issued.Certificate[0]})),
	}
}

// TestNamesGo calls AWS from a static program, whose resolver and TLS are its own.
func TestNamesGo(t *testing.T) {
	h := start(t)
	pack, err := sample.BuildGo(t.Context(), "./testdata/names")
	if err != nil {
		t.Fatal(err)
	}
	h.create("f", "provided.al2023", "bootstrap", map[string]string{}, func(in *lambda.CreateFunctionInput) {
		in.Code.ZipFile = pack
		in.Environment = variables(map[string]string{"GODEBUG": "netdns=go"})
	})
	var got struct {
		Addresses      []string
		Missing        bool
		Status         int
		Protocol, Body string
	}
	if err := json.Unmarshal([]byte(h.ok("f", "{}")), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Addresses) != 1 || got.Addresses[0] != "127.0.0.1" || !got.Missing || got.Status != 403 || got.Protocol != "HTTP/2.0" ||
		!strings.Contains(got.Body, "<Code>MissingAuthenticationToken</Code>") {
		t.Errorf("%+v", got)
	}
}

// TestNamesCurl calls AWS with curl, which finds the authority where the system has them.
func TestNamesCurl(t *testing.T) {
	if _, err := os.Stat("/usr/bin/curl"); err != nil {
		t.Skip(err)
	}
	h := start(t)
	h.create("f", "provided.al2023", "bootstrap", map[string]string{"bootstrap": source(t, "bootstrap")})
	// 6 is curl's status for a name that does not resolve.
	if got := h.ok("f", "{}"); got != `"403 127.0.0.1 0;403 127.0.0.1 0;000  6;"` {
		t.Errorf("curl says %s", got)
	}
}
