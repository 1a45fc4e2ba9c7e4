package authorization_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	iamclient "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	lambdaclient "github.com/aws/aws-sdk-go-v2/service/lambda"
	stsclient "github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"

	"hotaru/authorization"
	"hotaru/awsapi"
	"hotaru/awsapi/lambda"
	"hotaru/awsapi/server"
	"hotaru/awsapi/sigv4"
	"hotaru/credential"
	"hotaru/internal/wholebody"
	"hotaru/services/iam"
	"hotaru/services/sts"
	"hotaru/store/pebble"
	"hotaru/store/seal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const account = "123456789012"

// house is IAM, STS and a Lambda whose operations do nothing, behind one Authorizer, with SDK clients in front.
type house struct {
	t     *testing.T
	url   string
	http  *http.Client
	iam   *iam.Service
	clock *clock
	root  *caller
	// reached counts the calls that came through to Lambda's handlers.
	reached atomic.Int32
}

// clock is a time that tests move.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += by
}

// caller is a credential with clients that sign with it.
type caller struct {
	iam    *iamclient.Client
	sts    *stsclient.Client
	lambda *lambdaclient.Client
}

func newHouse(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	state, err := pebble.Open(t.Context(), pebble.Options{Dir: dir + "/state"})
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	service, err := iam.Open(t.Context(), state, sealer)
	if err != nil {
		t.Fatal(err)
	}
	root, err := credential.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, iam: service, clock: &clock{}}
	authority := &credential.Authority{Root: root, Partition: "aws", Account: account, Sealer: sealer,
		Key: sealer.Derive("credential/session"), Users: service, Now: h.clock.now}
	a := &authorization.Authorizer{Directory: service, Sessions: authority, Now: h.clock.now}
	tokens := &sts.Service{Roles: service, Authorizer: a, Authority: authority}
	s, err := server.New(server.Options{Account: account, Authenticator: sigv4.NewVerifier(sigv4.Options{Credentials: lookup(authority)})},
		a.Guard(service.Handlers().Binding()), a.Guard(tokens.Handlers().Binding()), a.Guard(h.functions().Binding()))
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s)
	h.url, h.http = front.URL, &http.Client{Transport: wholebody.Transport{RoundTripper: front.Client().Transport}}
	h.root = h.caller(root.AccessKeyID, root.SecretAccessKey, "")
	t.Cleanup(func() {
		front.Close()
		service.Close()
		if err := state.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func lookup(a *credential.Authority) sigv4.Credentials {
	return func(ctx context.Context, accessKeyID, token string) ([]byte, awsapi.Identity, error) {
		secret, who, err := a.Lookup(ctx, accessKeyID, token)
		switch {
		case errors.Is(err, credential.ErrExpired):
			err = sigv4.ErrExpired
		case err != nil:
			err = sigv4.ErrUnknownKey
		}
		return []byte(secret), who, err
	}
}

// functions is a Lambda that only counts.
func (h *house) functions() lambda.Handlers {
	return lambda.Handlers{
		Invoke:         passed[lambda.InvocationRequest, lambda.InvocationResponse](h),
		GetFunction:    passed[lambda.GetFunctionRequest, lambda.GetFunctionResponse](h),
		ListFunctions:  passed[lambda.ListFunctionsRequest, lambda.ListFunctionsResponse](h),
		CreateFunction: passed[lambda.CreateFunctionRequest, lambda.FunctionConfiguration](h),
		UpdateFunctionConfiguration: passed[lambda.UpdateFunctionConfigurationRequest,
			lambda.FunctionConfiguration](h),
		CreateEventSourceMapping: passed[lambda.CreateEventSourceMappingRequest, lambda.EventSourceMappingConfiguration](h),
		GetEventSourceMapping:    passed[lambda.GetEventSourceMappingRequest, lambda.EventSourceMappingConfiguration](h),
		GetLayerVersion:          passed[lambda.GetLayerVersionRequest, lambda.GetLayerVersionResponse](h),
		ListTags:                 passed[lambda.ListTagsRequest, lambda.ListTagsResponse](h),
	}
}

func passed[In, Out any](h *house) func(context.Context, *In) (*Out, error) {
	return func(context.Context, *In) (*Out, error) {
		h.reached.Add(1)
		return new(Out), nil
	}
}

func (h *house) caller(id, secret, token string) *caller {
	config := aws.Config{Region: "us-east-1", BaseEndpoint: &h.url, RetryMaxAttempts: 1, HTTPClient: h.http,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, token)}
	return &caller{iamclient.NewFromConfig(config), stsclient.NewFromConfig(config), lambdaclient.NewFromConfig(config)}
}

// user makes a user with one inline policy and an access key; no policy leaves it without.
func (h *house) user(name, document string) (*caller, *types.AccessKey) {
	h.t.Helper()
	ctx := h.t.Context()
	must(h.root.iam.CreateUser(ctx, &iamclient.CreateUserInput{UserName: &name}))(h.t)
	if document != "" {
		must(h.root.iam.PutUserPolicy(ctx, &iamclient.PutUserPolicyInput{UserName: &name, PolicyName: &name, PolicyDocument: &document}))(h.t)
	}
	key := must(h.root.iam.CreateAccessKey(ctx, &iamclient.CreateAccessKeyInput{UserName: &name}))(h.t).AccessKey
	return h.caller(*key.AccessKeyId, *key.SecretAccessKey, ""), key
}

// role makes a role with one inline policy, and returns its ARN.
func (h *house) role(name, trust, document string) string {
	h.t.Helper()
	ctx := h.t.Context()
	out := must(h.root.iam.CreateRole(ctx, &iamclient.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust}))(h.t)
	if document != "" {
		must(h.root.iam.PutRolePolicy(ctx, &iamclient.PutRolePolicyInput{RoleName: &name, PolicyName: &name, PolicyDocument: &document}))(h.t)
	}
	return *out.Role.Arn
}

// session makes a caller of what STS answered.
func (h *house) session(c *ststypes.Credentials) *caller {
	return h.caller(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
}

// must passes a good answer through.
func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// refused wants an error with this code and message.
func refused(t *testing.T, what string, err error, code, message string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) {
		t.Errorf("%s: %v, want %s", what, err, code)
		return
	}
	if e.ErrorCode() != code || e.ErrorMessage() != message {
		t.Errorf("%s:\n got %s: %s\nwant %s: %s", what, e.ErrorCode(), e.ErrorMessage(), code, message)
	}
}

// statements makes a policy document.
func statements(list ...string) string {
	text := `{"Version":"2012-10-17","Statement":[`
	for i, s := range list {
		if i > 0 {
			text += ","
		}
		text += s
	}
	return text + "]}"
}

func allow(action, resource string) string {
	return `{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}`
}

func deny(action, resource string) string {
	return `{"Effect":"Deny","Action":"` + action + `","Resource":"` + resource + `"}`
}
