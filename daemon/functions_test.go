package daemon

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// refused wants an AWS error of a code whose message holds some text.
func refused(t *testing.T, err error, code, text string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), text) {
		t.Errorf("got  %v\nwant %s: %s", err, code, text)
	}
}

func TestCreateRefusals(t *testing.T) {
	h := start(t)
	role := h.makeRole()
	_, err := h.iam.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("other"), AssumeRolePolicyDocument: aws.String(
		strings.Replace(trust, "lambda.amazonaws.com", "ec2.amazonaws.com", 1))})
	if err != nil {
		t.Fatal(err)
	}
	pack := h.zip("handler.py", "def handler(event, context): pass")
	for _, tc := range []struct {
		name, code, text string
		change           func(in *lambda.CreateFunctionInput)
	}{
		{"no role", "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda.",
			func(in *lambda.CreateFunctionInput) { in.Role = aws.String("arn:aws:iam::000000000000:role/nobody") }},
		{"a role for others", "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda.",
			func(in *lambda.CreateFunctionInput) { in.Role = aws.String("arn:aws:iam::000000000000:role/other") }},
		{"another account's role", "AccessDeniedException", "Cross-account pass role is not allowed.",
			func(in *lambda.CreateFunctionInput) { in.Role = aws.String("arn:aws:iam::111122223333:role/fn") }},
		{"too much memory", "InvalidParameterValueException",
			"'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240",
			func(in *lambda.CreateFunctionInput) { in.MemorySize = aws.Int32(10241) }},
		{"too little memory", "ValidationException", "at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128",
			func(in *lambda.CreateFunctionInput) { in.MemorySize = aws.Int32(127) }},
		{"too long", "InvalidParameterValueException", "'Timeout' value failed to satisfy constraint",
			func(in *lambda.CreateFunctionInput) { in.Timeout = aws.Int32(901) }},
		{"too short", "ValidationException", "at 'timeout' failed to satisfy constraint",
			func(in *lambda.CreateFunctionInput) { in.Timeout = aws.Int32(0) }},
		{"too much storage", "ValidationException", "at 'ephemeralStorage.size' failed to satisfy constraint",
			func(in *lambda.CreateFunctionInput) {
				in.EphemeralStorage = &types.EphemeralStorage{Size: aws.Int32(10241)}
			}},
		{"a runtime that never was", "", "at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [",
			func(in *lambda.CreateFunctionInput) { in.Runtime = "cobol85" }},
		{"a retired runtime", "InvalidParameterValueException", "The runtime parameter of python2.7 is no longer supported",
			func(in *lambda.CreateFunctionInput) { in.Runtime = "python2.7" }},
		{"a reserved variable", "InvalidParameterValueException", "Reserved keys used in this request: AWS_REGION",
			func(in *lambda.CreateFunctionInput) { in.Environment = variables(map[string]string{"AWS_REGION": "x"}) }},
		{"no handler", "InvalidParameterValueException", "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
			func(in *lambda.CreateFunctionInput) { in.Handler = nil }},
		{"no zip", "InvalidParameterValueException", "Could not unzip uploaded file. Please check your file, then try to upload again.",
			func(in *lambda.CreateFunctionInput) { in.Code.ZipFile = []byte("not a zip") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := &lambda.CreateFunctionInput{FunctionName: aws.String("f"), Runtime: types.Runtime(h.python), Role: &role,
				Handler: aws.String("handler.handler"), Code: &types.FunctionCode{ZipFile: pack}}
			tc.change(in)
			_, err := h.lambda.CreateFunction(t.Context(), in)
			var api smithy.APIError
			if !errors.As(err, &api) {
				t.Fatalf("accepted, or no AWS error: %v", err)
			}
			code := tc.code
			if code == "" {
				code = api.ErrorCode()
			}
			refused(t, err, code, tc.text)
		})
	}
	if out, err := h.lambda.ListFunctions(t.Context(), &lambda.ListFunctionsInput{}); err != nil || len(out.Functions) != 0 {
		t.Errorf("refusals left functions: %v %v", out, err)
	}
}

func TestOperationsThatAreNotBuiltSaySo(t *testing.T) {
	h := start(t)
	_, err := h.lambda.CreateCodeSigningConfig(t.Context(), &lambda.CreateCodeSigningConfigInput{
		AllowedPublishers: &types.AllowedPublishers{SigningProfileVersionArns: []string{
			"arn:aws:signer:us-east-1:000000000000:/signing-profiles/p"}}})
	refused(t, err, "NotImplementedException", "CreateCodeSigningConfig")
}

func TestStrangersAreRefused(t *testing.T) {
	h := start(t)
	for _, tc := range []struct{ key, secret, lambdaCode, stsCode string }{
		{"AKIAIOSFODNN7EXAMPLE", "x", "UnrecognizedClientException", "InvalidClientTokenId"},
		{h.Endpoint().Credential.AccessKeyID, "wrong", "InvalidSignatureException", "SignatureDoesNotMatch"},
	} {
		h.connect(tc.key, tc.secret)
		_, err := h.lambda.ListFunctions(t.Context(), &lambda.ListFunctionsInput{})
		refused(t, err, tc.lambdaCode, "")
		_, err = h.sts.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		refused(t, err, tc.stsCode, "")
	}
}

func TestAnyCredentials(t *testing.T) {
	h := start(t, func(c *Config) { c.InsecureAnyCredentials = true })
	h.connect("test", "test")
	who, err := h.sts.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *who.Arn != "arn:aws:iam::000000000000:root" {
		t.Errorf("%v %v", who, err)
	}
}

// An update switches to the new code as a whole, and environments of the old one end.
func TestUpdates(t *testing.T) {
	h := start(t)
	const source = "import os\ndef handler(event, context):\n    return [%d, os.environ.get('COLOUR'), context.memory_limit_in_mb]\n"
	h.createPython("f", fmt.Sprintf(source, 1))
	if got := h.ok("f", "{}"); got != `[1, null, "128"]` {
		t.Errorf("at first: %s", got)
	}
	_, err := h.lambda.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{
		FunctionName: aws.String("f"), ZipFile: []byte("no zip")})
	refused(t, err, "InvalidParameterValueException", "Could not unzip uploaded file")
	dry, err := h.lambda.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{
		FunctionName: aws.String("f"), ZipFile: h.zip("handler.py", fmt.Sprintf(source, 2)), DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := h.ok("f", "{}"); got != `[1, null, "128"]` {
		t.Errorf("after a dry run: %s", got)
	}
	updated, err := h.lambda.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{
		FunctionName: aws.String("f"), ZipFile: h.zip("handler.py", fmt.Sprintf(source, 2))})
	if err != nil || updated.LastUpdateStatus != types.LastUpdateStatusInProgress || *updated.CodeSha256 != *dry.CodeSha256 {
		t.Fatalf("update: %v %v", updated, err)
	}
	h.waitUpdated("f")
	if got := h.ok("f", "{}"); got != `[2, null, "128"]` {
		t.Errorf("after the code's update: %s", got)
	}
	_, err = h.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("arn:aws:lambda:us-east-1:000000000000:function:f"), MemorySize: aws.Int32(256),
		Environment: variables(map[string]string{"COLOUR": "green"})})
	if err != nil {
		t.Fatal(err)
	}
	h.waitUpdated("f")
	if got := h.ok("f", "{}"); got != `[2, "green", "256"]` {
		t.Errorf("after the configuration's update: %s", got)
	}
	_, err = h.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("f"), RevisionId: updated.RevisionId, Description: aws.String("x")})
	refused(t, err, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id")
}

func TestListPages(t *testing.T) {
	h := start(t)
	var names []string
	for i := range 5 {
		name := fmt.Sprintf("f-%d", i)
		h.createPython(name, "def handler(event, context): pass")
		names = append(names, name)
	}
	pages := lambda.NewListFunctionsPaginator(h.lambda, &lambda.ListFunctionsInput{MaxItems: aws.Int32(2)})
	var got []string
	n := 0
	for ; pages.HasMorePages(); n++ {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page.Functions {
			got = append(got, *f.FunctionName)
			if f.State != "" {
				t.Errorf("ListFunctions shows State %s", f.State)
			}
		}
	}
	if !slices.Equal(got, names) || n != 3 {
		t.Errorf("%d pages: %v", n, got)
	}
	_, err := h.lambda.ListFunctions(t.Context(), &lambda.ListFunctionsInput{Marker: aws.String("nonsense")})
	refused(t, err, "InvalidParameterValueException", "Invalid marker")
}

// Scopes have nothing in common: the same name in another region is another function.
func TestRegionsAreApart(t *testing.T) {
	h := start(t)
	h.createPython("f", "def handler(event, context): return 'here'")
	h.config.Region = "eu-west-1"
	h.connect(h.Endpoint().Credential.AccessKeyID, h.Endpoint().Credential.SecretAccessKey)
	_, err := h.lambda.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("f")})
	refused(t, err, "ResourceNotFoundException", "Function not found: arn:aws:lambda:eu-west-1:000000000000:function:f")
	h.createPython("f", "import os\ndef handler(event, context): return os.environ['AWS_REGION']")
	if got := h.ok("f", "{}"); got != `"eu-west-1"` {
		t.Errorf("in the other region: %s", got)
	}
}

// A deleted function's name can be used again at once, and nothing of the old one shows.
func TestDeleteAndCreateAgain(t *testing.T) {
	h := start(t)
	for i := range 3 {
		h.createPython("f", fmt.Sprintf("def handler(event, context): return %d", i))
		if got := h.ok("f", "{}"); got != fmt.Sprint(i) {
			t.Errorf("round %d: %s", i, got)
		}
		if _, err := h.lambda.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: aws.String("f")}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := h.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f")})
	refused(t, err, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:f")
}

// Invokes at the same time each have an environment of their own, and an environment has one event at a time.
func TestConcurrentInvokes(t *testing.T) {
	h := start(t)
	h.createPython("f", `
import time, os
busy = False
def handler(event, context):
    global busy
    if busy: raise Exception("two events at once")
    busy = True
    open("/tmp/mine", "a").write("x")
    time.sleep(0.3)
    busy = False
    return [open("/proc/sys/kernel/hostname").read(), len(open("/tmp/mine").read())]
`, func(in *lambda.CreateFunctionInput) { in.Timeout = aws.Int32(30) })
	var group sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for range 20 {
		group.Go(func() {
			out, err := h.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f")})
			if err != nil || out.FunctionError != nil {
				t.Errorf("%v %v", out, err)
				return
			}
			var answer []any
			if err := json.Unmarshal(out.Payload, &answer); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			seen[fmt.Sprint(answer[0])]++
			if answer[1] != float64(seen[fmt.Sprint(answer[0])]) {
				t.Errorf("/tmp of another environment, or a lost one: %v", answer)
			}
		})
	}
	group.Wait()
	if len(seen) < 10 {
		t.Errorf("20 events at once ran in %d environments", len(seen))
	}
}

// What a function's code may do with its credentials: ask who it is, and nothing else yet.
func TestCallsFromInside(t *testing.T) {
	h := start(t)
	h.createPython("f", `
import os, json, hashlib, hmac, datetime, urllib.request, urllib.error
def sign(key, text): return hmac.new(key, text.encode(), hashlib.sha256).digest()
def call(service, method, path, body):
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    host = endpoint.split("//")[1]
    now = datetime.datetime.utcnow().strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": host, "x-amz-date": now, "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"],
               "content-type": "application/x-www-form-urlencoded"}
    names = ";".join(sorted(headers))
    canonical = "\n".join([method, path, "", *[n + ":" + headers[n] for n in sorted(headers)], "", names,
                           hashlib.sha256(body).hexdigest()])
    scope = "/".join([now[:8], os.environ["AWS_REGION"], service, "aws4_request"])
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in scope.split("/"): key = sign(key, part)
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    headers["authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
        os.environ["AWS_ACCESS_KEY_ID"], scope, names, hmac.new(key, text.encode(), hashlib.sha256).hexdigest())
    try:
        with urllib.request.urlopen(urllib.request.Request(endpoint + path, body or None, headers, method=method)) as r:
            return [r.status, r.read().decode()]
    except urllib.error.HTTPError as e:
        return [e.code, e.read().decode()]
def handler(event, context):
    return [call("sts", "POST", "/", b"Action=GetCallerIdentity&Version=2011-06-15"),
            call("lambda", "GET", "/2015-03-31/functions", b"")]
`)
	var answers [2][2]any
	if err := json.Unmarshal([]byte(h.ok("f", "{}")), &answers); err != nil {
		t.Fatal(err)
	}
	if who := fmt.Sprint(answers[0][1]); answers[0][0] != 200.0 || !strings.Contains(who, "arn:aws:sts::000000000000:assumed-role/fn/f") {
		t.Errorf("who: %v", answers[0])
	}
	if denied := fmt.Sprint(answers[1][1]); answers[1][0] != 403.0 || !strings.Contains(denied,
		"assumed-role/fn/f is not authorized to perform: lambda:ListFunctions") {
		t.Errorf("denied: %v", answers[1])
	}
}

func TestLogTailAndStoredLog(t *testing.T) {
	h := start(t)
	h.createPython("f", "import logging\ndef handler(event, context):\n    print('printed')\n    logging.getLogger().error('two\\nlines')\n    print('x' * event)\n")
	out := h.invoke("f", "1")
	tail, err := base64.StdEncoding.DecodeString(*out.LogResult)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"START RequestId: ", " Version: $LATEST\n", "\nprinted\n", "two\nlines\n", "\nEND RequestId: ", "\nREPORT RequestId: ", "Memory Size: 128 MB\tMax Memory Used: ", "Init Duration: "} {
		if !strings.Contains(string(tail), want) {
			t.Errorf("no %q in the tail:\n%s", want, tail)
		}
	}
	out = h.invoke("f", "10000")
	if tail, err = base64.StdEncoding.DecodeString(*out.LogResult); err != nil || len(tail) != 4096 || !strings.Contains(string(tail), "REPORT") {
		t.Errorf("tail of a long log: %d bytes, %v", len(tail), err)
	}
}

func TestRuntimeThatIsMissing(t *testing.T) {
	h := start(t)
	missing := missingPython(h)
	pack := h.zip("handler.py", "import sys\ndef handler(event, context): return list(sys.version_info[:2])")
	_, err := h.lambda.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String("f"), Runtime: types.Runtime(missing), Role: aws.String(h.makeRole()),
		Handler: aws.String("handler.handler"), Code: &types.FunctionCode{ZipFile: pack}})
	if err != nil {
		t.Fatal(err)
	}
	waiter := lambda.NewFunctionActiveV2Waiter(h.lambda, func(o *lambda.FunctionActiveV2WaiterOptions) { o.MinDelay = 5 * time.Millisecond })
	if err := waiter.Wait(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("f")}, 10*time.Second); err == nil {
		t.Fatal("active")
	}
	got, err := h.lambda.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("f")})
	if err != nil || got.State != types.StateFailed || got.StateReasonCode != types.StateReasonCodeInvalidRuntime ||
		!strings.Contains(*got.StateReason, "install Python") || !strings.Contains(*got.StateReason, "--runtimes=nearest") {
		t.Errorf("%+v %v", got, err)
	}
	_, err = h.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f")})
	refused(t, err, "ResourceConflictException", "The function is currently in the following state: Failed")
}

func TestNearestRuntime(t *testing.T) {
	h := start(t, func(c *Config) { c.Runtimes = "nearest" })
	d := start(t)
	missing := missingPython(d)
	h.create("f", missing, "handler.handler", map[string]string{"handler.py": "def handler(event, context): return 1"})
	if got := h.ok("f", "{}"); got != "1" {
		t.Errorf("answer: %s", got)
	}
	got, err := h.lambda.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("f")})
	if err != nil || got.RuntimeVersionConfig.Error == nil || !strings.Contains(*got.RuntimeVersionConfig.Error.Message, missing+" is not installed here") {
		t.Errorf("%+v %v", got.RuntimeVersionConfig, err)
	}
}

// missingPython is a runtime of Lambda's that this machine lacks.
func missingPython(h *harness) string {
	h.t.Helper()
	for _, s := range h.runtimes.List(h.t.Context()) {
		if s.Err != nil && strings.HasPrefix(s.ID, "python3.1") {
			return s.ID
		}
	}
	h.t.Skip("every Python is installed")
	return ""
}
