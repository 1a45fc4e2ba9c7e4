package daemon

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

const (
	here      = "arn:aws:lambda:us-east-1:000000000000:function:"
	echo      = "def handler(event, context): return event"
	noPolicy  = " because no identity-based policy allows the "
	readsOnly = "arn:aws:iam::aws:policy/AWSLambda_ReadOnlyAccess"
)

// as makes clients that sign with another credential.
func (h *harness) as(key, secret, token string) *harness {
	config := aws.Config{
		Region: h.config.Region, BaseEndpoint: aws.String(h.Endpoint().URL), RetryMaxAttempts: 1, HTTPClient: h.http,
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, token),
	}
	return &harness{Daemon: h.Daemon, t: h.t, http: h.http, lambda: lambda.NewFromConfig(config), iam: iam.NewFromConfig(config), sts: sts.NewFromConfig(config)}
}

// user makes a user with an inline policy, and clients that sign as that user.
func (h *harness) user(name, statement string) (*harness, *iamtypes.AccessKey) {
	h.t.Helper()
	ctx := h.t.Context()
	if _, err := h.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: &name}); err != nil {
		h.t.Fatal(err)
	}
	_, err := h.iam.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("p"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[` + statement + `]}`)})
	if err != nil {
		h.t.Fatal(err)
	}
	out, err := h.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		h.t.Fatal(err)
	}
	return h.as(*out.AccessKey.AccessKeyId, *out.AccessKey.SecretAccessKey, ""), out.AccessKey
}

func (h *harness) tryInvoke(name string) error {
	_, err := h.lambda.Invoke(h.t.Context(), &lambda.InvokeInput{FunctionName: &name})
	return err
}

// A user whose policy allows one function can invoke that and do nothing else; a denial wins; an inactive key is nobody's.
func TestUsersMayDoWhatTheirPoliciesSay(t *testing.T) {
	h := start(t)
	h.createPython("f", echo)
	h.createPython("g", echo)
	alice, key := h.user("alice", `{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"`+here+`f"}`)
	bob, _ := h.user("bob", `{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"lambda:*","Resource":"`+here+`f"}`)
	const who = "User: arn:aws:iam::000000000000:user/alice is not authorized to perform: "
	refused(t, alice.tryInvoke("g"), "AccessDeniedException", who+"lambda:InvokeFunction on resource: "+here+"g"+noPolicy+"lambda:InvokeFunction action")
	refused(t, alice.tryInvoke("f:$LATEST"), "AccessDeniedException", who+"lambda:InvokeFunction on resource: "+here+"f:$LATEST"+noPolicy)
	_, err := alice.lambda.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("f")})
	refused(t, err, "AccessDeniedException", who+"lambda:GetFunction on resource: "+here+"f"+noPolicy)
	_, err = alice.lambda.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: aws.String("f")})
	refused(t, err, "AccessDeniedException", who+"lambda:DeleteFunction on resource: "+here+"f"+noPolicy)
	_, err = alice.iam.ListUsers(t.Context(), nil)
	refused(t, err, "AccessDenied", who+"iam:ListUsers on resource: arn:aws:iam::000000000000:user/"+noPolicy)
	refused(t, bob.tryInvoke("f"), "AccessDeniedException", "with an explicit deny in an identity-based policy")
	if got := alice.ok("f", `"hello"`); got != `"hello"` {
		t.Errorf("alice: %s", got)
	}
	if got := bob.ok("g", `"hello"`); got != `"hello"` {
		t.Errorf("bob: %s", got)
	}
	_, err = h.iam.UpdateAccessKey(t.Context(), &iam.UpdateAccessKeyInput{
		UserName: aws.String("alice"), AccessKeyId: key.AccessKeyId, Status: iamtypes.StatusTypeInactive})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, alice.tryInvoke("f"), "UnrecognizedClientException", "The security token included in the request is invalid.")
}

// Users and their keys last.
func TestAccessKeysSurviveARestart(t *testing.T) {
	h := start(t)
	_, key := h.user("alice", `{"Effect":"Allow","Action":"lambda:ListFunctions","Resource":"*"}`)
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := start(t, func(c *Config) { c.DataDir = h.config.DataDir })
	alice := again.as(*key.AccessKeyId, *key.SecretAccessKey, "")
	if _, err := alice.lambda.ListFunctions(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// A role's session may do what the role may, as long as the role is there.
func TestAssumedRoles(t *testing.T) {
	h := start(t)
	h.createPython("f", echo)
	alice, _ := h.user("alice", `{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}`)
	role, err := h.iam.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("caller"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"sts:AssumeRole"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	attach := func() error {
		_, err := h.iam.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: aws.String("caller"),
			PolicyArn: aws.String("arn:aws:iam::aws:policy/service-role/AWSLambdaRole")})
		return err
	}
	assume := func(role string) (*sts.AssumeRoleOutput, error) {
		return alice.sts.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("s1")})
	}
	_, err = assume(h.makeRole())
	refused(t, err, "AccessDenied", "User: arn:aws:iam::000000000000:user/alice is not authorized to perform: sts:AssumeRole on resource: "+h.role)
	out, err := assume(*role.Role.Arn)
	if err != nil {
		t.Fatal(err)
	}
	session := h.as(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
	refused(t, session.tryInvoke("f"), "AccessDeniedException", "arn:aws:sts::000000000000:assumed-role/caller/s1 is not authorized to perform: "+
		"lambda:InvokeFunction on resource: "+here+"f"+noPolicy)
	if err := attach(); err != nil {
		t.Fatal(err)
	}
	if got := session.ok("f", `1`); got != `1` {
		t.Errorf("the session: %s", got)
	}
	_, err = h.iam.DetachRolePolicy(t.Context(), &iam.DetachRolePolicyInput{RoleName: aws.String("caller"),
		PolicyArn: aws.String("arn:aws:iam::aws:policy/service-role/AWSLambdaRole")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.iam.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("caller")}); err != nil {
		t.Fatal(err)
	}
	refused(t, session.tryInvoke("f"), "AccessDeniedException", noPolicy)
}

// What a function's code may do is what its execution role may.
func TestExecutionRole(t *testing.T) {
	h := start(t)
	h.createPython("f", `
import os
def handler(event, context):
    return [os.environ[n] for n in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
`)
	attach := func(arn string) {
		t.Helper()
		if _, err := h.iam.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: aws.String("fn"), PolicyArn: &arn}); err != nil {
			t.Fatal(err)
		}
	}
	attach("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
	var key [3]string
	if err := json.Unmarshal([]byte(h.ok("f", "{}")), &key); err != nil {
		t.Fatal(err)
	}
	if n := len(key[2]); n > 600 {
		t.Errorf("the session token has %d bytes", n)
	}
	code := h.as(key[0], key[1], key[2])
	who, err := code.sts.GetCallerIdentity(t.Context(), nil)
	if err != nil || *who.Arn != "arn:aws:sts::000000000000:assumed-role/fn/f" {
		t.Errorf("who: %v %v", who, err)
	}
	_, err = code.lambda.ListFunctions(t.Context(), nil)
	refused(t, err, "AccessDeniedException", "assumed-role/fn/f is not authorized to perform: lambda:ListFunctions on resource: *"+noPolicy)
	refused(t, code.tryInvoke("f"), "AccessDeniedException", "lambda:InvokeFunction on resource: "+here+"f"+noPolicy)
	_, err = code.iam.ListRoles(t.Context(), nil)
	refused(t, err, "AccessDenied", "iam:ListRoles")
	attach(readsOnly)
	if _, err := code.lambda.ListFunctions(t.Context(), nil); err != nil {
		t.Errorf("what the role may now: %v", err)
	}
	if _, err := h.iam.PutRolePermissionsBoundary(t.Context(), &iam.PutRolePermissionsBoundaryInput{RoleName: aws.String("fn"),
		PermissionsBoundary: aws.String("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")}); err != nil {
		t.Fatal(err)
	}
	_, err = code.lambda.ListFunctions(t.Context(), nil)
	refused(t, err, "AccessDeniedException", "because no permissions boundary allows the lambda:ListFunctions action")
}

// Nobody gives a function a role that they may not pass.
func TestPassingARoleTakesPermission(t *testing.T) {
	h := start(t)
	role := h.makeRole()
	alice, _ := h.user("alice", `{"Effect":"Allow","Action":"lambda:*","Resource":"*"}`)
	pack := h.zip("handler.py", echo)
	in := &lambda.CreateFunctionInput{FunctionName: aws.String("f"), Runtime: types.Runtime(h.python), Role: &role,
		Handler: aws.String("handler.handler"), Code: &types.FunctionCode{ZipFile: pack}}
	_, err := alice.lambda.CreateFunction(t.Context(), in)
	refused(t, err, "AccessDeniedException", "User: arn:aws:iam::000000000000:user/alice is not authorized to perform: iam:PassRole on resource: "+
		role+noPolicy+"iam:PassRole action")
	out, err := h.lambda.ListFunctions(t.Context(), nil)
	if err != nil || len(out.Functions) != 0 {
		t.Errorf("a refused function is there: %v", err)
	}
	_, err = h.iam.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("alice"), PolicyName: aws.String("pass"),
		PolicyDocument: aws.String(strings.ReplaceAll(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:PassRole","Resource":"ROLE",
			"Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}}}`, "ROLE", role))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.lambda.CreateFunction(t.Context(), in); err != nil {
		t.Error(err)
	}
}
