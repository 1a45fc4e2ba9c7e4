package server

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdkiam "github.com/aws/aws-sdk-go-v2/service/iam"
	sdklambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	sdksts "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"hotaru/awsapi"
	"hotaru/awsapi/iam"
	"hotaru/awsapi/lambda"
	"hotaru/awsapi/sigv4"
	"hotaru/awsapi/sts"
)

// clients are real SDK clients of one server.
type clients struct {
	lambda *sdklambda.Client
	iam    *sdkiam.Client
	sts    *sdksts.Client

	mu      sync.Mutex
	entries []Entry
}

func (c *clients) last(t *testing.T) Entry {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) == 0 {
		t.Fatal("nothing in the access log")
	}
	return c.entries[len(c.entries)-1]
}

func start(t *testing.T, secret string, functions lambda.Handlers, users iam.Handlers, tokens sts.Handlers) *clients {
	t.Helper()
	c := &clients{}
	s := newServer(t, Options{
		Authenticator: sigv4.NewVerifier(sigv4.Options{Credentials: testCredentials, Regions: []string{"us-east-1"}}),
		Done: func(e Entry) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.entries = append(c.entries, e)
		},
	}, functions, users, tokens)
	front := httptest.NewServer(s)
	t.Cleanup(front.Close)
	config := aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(front.URL), HTTPClient: front.Client(), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(testKey, secret, ""),
	}
	c.lambda, c.iam, c.sts = sdklambda.NewFromConfig(config), sdkiam.NewFromConfig(config), sdksts.NewFromConfig(config)
	return c
}

func wantCode(t *testing.T, err error, code, message string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("error is %v, want %s", err, code)
	}
	if api.ErrorCode() != code || message != "" && api.ErrorMessage() != message {
		t.Errorf("error is %s: %s, want %s: %s", api.ErrorCode(), api.ErrorMessage(), code, message)
	}
}

const wrongSignature = "The request signature we calculated does not match the signature you provided. " +
	"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."

func TestSDKIsRefused(t *testing.T) {
	ctx := context.Background()
	cause := errors.New("the disk is on fire")
	c := start(t, testSecret, lambda.Handlers{
		GetFunction: func(context.Context, *lambda.GetFunctionRequest) (*lambda.GetFunctionResponse, error) {
			return nil, awsapi.Errorf(lambda.ResourceNotFoundException, "Function not found: %s", "arn")
		},
		GetPolicy: func(context.Context, *lambda.GetPolicyRequest) (*lambda.GetPolicyResponse, error) { return nil, cause },
		GetAlias: func(context.Context, *lambda.GetAliasRequest) (*lambda.AliasConfiguration, error) {
			panic("on purpose")
		},
		Invoke: func(context.Context, *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
			return nil, &awsapi.Error{Code: lambda.TooManyRequestsException, Message: "Rate Exceeded.", Fields: map[string]any{
				"Reason": lambda.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded, "retryAfterSeconds": "7"}}
		},
	}, iam.Handlers{
		GetUser: func(context.Context, *iam.GetUserRequest) (*iam.GetUserResponse, error) {
			return nil, awsapi.Errorf(iam.NoSuchEntityException, "The user with name x cannot be found.")
		},
	}, sts.Handlers{})

	_, err := c.lambda.GetFunction(ctx, &sdklambda.GetFunctionInput{FunctionName: aws.String("f")})
	var notFound *types.ResourceNotFoundException
	if !errors.As(err, &notFound) || *notFound.Message != "Function not found: arn" || *notFound.Type != "User" {
		t.Errorf("GetFunction: %v", err)
	}
	if e := c.last(t); e.Err != nil || e.Code != "ResourceNotFoundException" || e.Status != http.StatusNotFound {
		t.Errorf("entry is %+v", e)
	}
	_, err = c.lambda.GetPolicy(ctx, &sdklambda.GetPolicyInput{FunctionName: aws.String("f")})
	wantCode(t, err, "ServiceException", "An error occurred and the request cannot be processed.")
	if e := c.last(t); !errors.Is(e.Err, cause) || e.Status != 500 {
		t.Errorf("entry is %+v", e)
	}
	_, err = c.lambda.GetAlias(ctx, &sdklambda.GetAliasInput{FunctionName: aws.String("f"), Name: aws.String("a")})
	wantCode(t, err, "ServiceException", "An error occurred and the request cannot be processed.")
	_, err = c.lambda.Invoke(ctx, &sdklambda.InvokeInput{FunctionName: aws.String("f")})
	var throttled *types.TooManyRequestsException
	if !errors.As(err, &throttled) || throttled.Reason != types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded ||
		*throttled.RetryAfterSeconds != "7" {
		t.Errorf("Invoke: %v", err)
	}
	_, err = c.lambda.ListFunctions(ctx, &sdklambda.ListFunctionsInput{})
	wantCode(t, err, "NotImplementedException", "The operation ListFunctions of AWS Lambda is not built yet.")
	_, err = c.iam.GetUser(ctx, &sdkiam.GetUserInput{UserName: aws.String("x")})
	wantCode(t, err, "NoSuchEntity", "The user with name x cannot be found.")
	_, err = c.sts.GetCallerIdentity(ctx, &sdksts.GetCallerIdentityInput{})
	wantCode(t, err, "NotImplementedException", "")

	forger := start(t, "another secret", lambda.Handlers{}, iam.Handlers{}, sts.Handlers{})
	_, err = forger.lambda.ListFunctions(ctx, &sdklambda.ListFunctionsInput{})
	wantCode(t, err, "InvalidSignatureException", wrongSignature)
	_, err = forger.iam.ListUsers(ctx, &sdkiam.ListUsersInput{})
	wantCode(t, err, "SignatureDoesNotMatch", wrongSignature)
}

func TestSDKRoundTrip(t *testing.T) {
	ctx := context.Background()
	const name = "arn:aws:lambda:us-east-1:123456789012:function:my-func:live"
	modified := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var created *lambda.CreateFunctionRequest
	c := start(t, testSecret, lambda.Handlers{
		CreateFunction: func(_ context.Context, in *lambda.CreateFunctionRequest) (*lambda.FunctionConfiguration, error) {
			created = in
			return &lambda.FunctionConfiguration{FunctionName: in.FunctionName, MemorySize: in.MemorySize, Layers: []lambda.Layer{{Arn: new("a")}}}, nil
		},
		Invoke: func(ctx context.Context, in *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
			call := awsapi.CallFrom(ctx)
			if *in.FunctionName != name || call.Scope.Account != "123456789012" || call.Caller.AccessKeyID != testKey || call.Operation != "Invoke" {
				return nil, awsapi.Errorf(lambda.InvalidParameterValueException, "%s %+v", *in.FunctionName, call)
			}
			return &lambda.InvocationResponse{StatusCode: new(int32(202)), FunctionError: new("Unhandled"), Payload: in.Payload}, nil
		},
		InvokeWithResponseStream: func(context.Context, *lambda.InvokeWithResponseStreamRequest) (*lambda.InvokeWithResponseStreamResponse, error) {
			return &lambda.InvokeWithResponseStreamResponse{ExecutedVersion: new("7"),
				EventStream: func(yield func(*lambda.InvokeWithResponseStreamResponseEvent, error) bool) {
					_ = yield(&lambda.InvokeWithResponseStreamResponseEvent{PayloadChunk: &lambda.InvokeResponseStreamUpdate{Payload: []byte("one")}}, nil) &&
						yield(&lambda.InvokeWithResponseStreamResponseEvent{InvokeComplete: &lambda.InvokeWithResponseStreamCompleteEvent{LogResult: new("log")}}, nil)
				}}, nil
		},
	}, iam.Handlers{
		ListRoles: func(_ context.Context, in *iam.ListRolesRequest) (*iam.ListRolesResponse, error) {
			return &iam.ListRolesResponse{IsTruncated: new(false), Roles: []iam.Role{{RoleName: in.PathPrefix, CreateDate: &modified,
				Tags: []iam.Tag{{Key: new("k"), Value: new("<v>")}}}}}, nil
		},
	}, sts.Handlers{
		GetCallerIdentity: func(ctx context.Context, _ *sts.GetCallerIdentityRequest) (*sts.GetCallerIdentityResponse, error) {
			return &sts.GetCallerIdentityResponse{Account: &awsapi.CallFrom(ctx).Caller.Account}, nil
		},
	})
	made, err := c.lambda.CreateFunction(ctx, &sdklambda.CreateFunctionInput{
		FunctionName: aws.String("f"), Role: aws.String("arn:aws:iam::123456789012:role/r"), MemorySize: aws.Int32(256),
		Code: &types.FunctionCode{ZipFile: []byte("zip")}, Tags: map[string]string{"a": "b"}, Layers: []string{},
		Environment: &types.Environment{Variables: map[string]string{"KEY": "ä\n\""}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if *made.MemorySize != 256 || *made.Layers[0].Arn != "a" {
		t.Errorf("CreateFunction answered %+v", made)
	}
	want := &lambda.CreateFunctionRequest{
		FunctionName: new("f"), Role: new("arn:aws:iam::123456789012:role/r"), MemorySize: new(int32(256)),
		Code: &lambda.FunctionCode{ZipFile: []byte("zip")}, Tags: map[string]string{"a": "b"}, Layers: []string{},
		Environment: &lambda.Environment{Variables: map[string]string{"KEY": "ä\n\""}},
	}
	if d := cmp.Diff(want, created); d != "" {
		t.Errorf("CreateFunction got (-want +got)\n%s", d)
	}
	invoked, err := c.lambda.Invoke(ctx, &sdklambda.InvokeInput{FunctionName: aws.String(name), Payload: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	if invoked.StatusCode != 202 || *invoked.FunctionError != "Unhandled" || string(invoked.Payload) != "{}" {
		t.Errorf("Invoke answered %+v", invoked)
	}
	checkStream(t, c)
	roles, err := c.iam.ListRoles(ctx, &sdkiam.ListRolesInput{PathPrefix: aws.String("/p/")})
	if err != nil {
		t.Fatal(err)
	}
	if r := roles.Roles[0]; *r.RoleName != "/p/" || !r.CreateDate.Equal(modified) || *r.Tags[0].Value != "<v>" || roles.IsTruncated {
		t.Errorf("ListRoles answered %+v", roles)
	}
	who, err := c.sts.GetCallerIdentity(ctx, &sdksts.GetCallerIdentityInput{})
	if err != nil || *who.Account != "123456789012" {
		t.Errorf("GetCallerIdentity answered %+v, %v", who, err)
	}
}

func checkStream(t *testing.T, c *clients) {
	t.Helper()
	out, err := c.lambda.InvokeWithResponseStream(context.Background(), &sdklambda.InvokeWithResponseStreamInput{FunctionName: aws.String("f")})
	if err != nil {
		t.Fatal(err)
	}
	stream := out.GetStream()
	defer stream.Close()
	var got []string
	for event := range stream.Events() {
		switch e := event.(type) {
		case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
			got = append(got, string(e.Value.Payload))
		case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
			got = append(got, *e.Value.LogResult)
		}
	}
	if d := cmp.Diff([]string{"one", "log"}, got); d != "" || stream.Err() != nil || *out.ExecutedVersion != "7" {
		t.Errorf("stream: %s, %v", d, stream.Err())
	}
}
