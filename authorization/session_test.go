package authorization_test

import (
	"strings"
	"testing"
	"time"

	iamclient "github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	lambdaclient "github.com/aws/aws-sdk-go-v2/service/lambda"
	stsclient "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// trusting is a trust policy for a principal, with more elements of the statement.
func trusting(principal, more string) string {
	return statements(`{"Effect":"Allow","Principal":` + principal + `,"Action":["sts:AssumeRole","sts:TagSession"]` + more + `}`)
}

const trustAccount = `{"AWS":"arn:aws:iam::` + account + `:root"}`

func assume(role string, change ...func(*stsclient.AssumeRoleInput)) *stsclient.AssumeRoleInput {
	in := &stsclient.AssumeRoleInput{RoleArn: &role, RoleSessionName: new("s1")}
	for _, f := range change {
		f(in)
	}
	return in
}

func mayNot(who, action, resource string) string {
	return "User: " + who + " is not authorized to perform: " + action + " on resource: " + resource
}

func TestAssumeRoleRefusals(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	const alice = "arn:aws:iam::" + account + ":user/alice"
	user, _ := h.user("alice", statements(allow("sts:AssumeRole", "*")))
	nobody, _ := h.user("nobody", "")
	open := h.role("open", trusting(trustAccount, ""), "")
	closed := h.role("closed", lambdaTrust, "")
	external := h.role("external", trusting(trustAccount, `,"Condition":{"StringEquals":{"sts:ExternalId":"secret"}}`), "")
	barred := h.role("barred", statements(`{"Effect":"Allow","Principal":`+trustAccount+`,"Action":"sts:AssumeRole"}`,
		`{"Effect":"Deny","Principal":{"AWS":"`+alice+`"},"Action":"*"}`), "")
	missing := "arn:aws:iam::" + account + ":role/missing"
	no := func(c *caller, in *stsclient.AssumeRoleInput) error {
		_, err := c.sts.AssumeRole(ctx, in)
		return err
	}
	const code = "AccessDenied"
	refused(t, "a missing role", no(user, assume(missing)), code, mayNot(alice, "sts:AssumeRole", missing))
	refused(t, "another account's", no(user, assume(strings.Replace(open, account, "999999999999", 1))), code,
		mayNot(alice, "sts:AssumeRole", strings.Replace(open, account, "999999999999", 1)))
	refused(t, "under another path", no(user, assume(strings.Replace(open, "role/", "role/x/", 1))), code,
		mayNot(alice, "sts:AssumeRole", strings.Replace(open, "role/", "role/x/", 1)))
	refused(t, "a role for a service", no(user, assume(closed)), code, mayNot(alice, "sts:AssumeRole", closed))
	refused(t, "a role for a service, as root", no(h.root, assume(closed)), code, mayNot("arn:aws:iam::"+account+":root", "sts:AssumeRole", closed))
	refused(t, "without permission", no(nobody, assume(open)), code, lacks("nobody", "sts:AssumeRole", open))
	refused(t, "denied by the role", no(user, assume(barred)), code, mayNot(alice, "sts:AssumeRole", barred))
	refused(t, "no external ID", no(user, assume(external)), code, mayNot(alice, "sts:AssumeRole", external))
	refused(t, "another external ID", no(user, assume(external, func(in *stsclient.AssumeRoleInput) { in.ExternalId = new("guess") })),
		code, mayNot(alice, "sts:AssumeRole", external))
	tagged := assume(open, func(in *stsclient.AssumeRoleInput) { in.Tags = []types.Tag{{Key: new("team"), Value: new("green")}} })
	refused(t, "tags without permission", no(user, tagged), code, lacks("alice", "sts:TagSession", open))
	refused(t, "a source identity that the role does not trust", no(user, assume(open, func(in *stsclient.AssumeRoleInput) {
		in.SourceIdentity = new("someone")
	})), code, mayNot(alice, "sts:SetSourceIdentity", open))
	refused(t, "a second factor", no(user, assume(open, func(in *stsclient.AssumeRoleInput) {
		in.SerialNumber, in.TokenCode = new("arn:aws:iam::123456789012:mfa/x"), new("123456")
	})), code, "MultiFactorAuthentication failed with invalid MFA one time pass code. ")

	refused(t, "no ARN of a role", no(user, assume(alice)), "ValidationError", alice+" is invalid")
	refused(t, "too long", no(user, assume(open, func(in *stsclient.AssumeRoleInput) { in.DurationSeconds = new(int32(7200)) })),
		"ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	refused(t, "no policy", no(user, assume(open, func(in *stsclient.AssumeRoleInput) { in.Policy = new("{}") })),
		"MalformedPolicyDocument", "Syntax errors in policy.")
	refused(t, "a large policy", no(user, assume(open, func(in *stsclient.AssumeRoleInput) {
		in.Policy = new(statements(allow("s3:"+strings.Repeat("x", 2048), "*")))
	})), "ValidationError", "1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length less than or equal to 2048")
	refused(t, "a missing managed policy", no(user, assume(open, func(in *stsclient.AssumeRoleInput) {
		in.PolicyArns = []types.PolicyDescriptorType{{Arn: new("arn:aws:iam::aws:policy/None")}}
	})), "MalformedPolicyDocument", "Policy arn arn:aws:iam::aws:policy/None does not exist or is not attachable.")
	refused(t, "a tag twice", no(user, assume(open, func(in *stsclient.AssumeRoleInput) {
		in.Tags = []types.Tag{{Key: new("a"), Value: new("")}, {Key: new("A"), Value: new("")}}
	})), "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
	refused(t, "a transitive tag that is none", no(user, assume(open, func(in *stsclient.AssumeRoleInput) { in.TransitiveTagKeys = []string{"a"} })),
		"InvalidParameterValue", "The specified transitive tag key must be included in the requested tags.")
	if err := no(user, assume(external, func(in *stsclient.AssumeRoleInput) { in.ExternalId = new("secret") })); err != nil {
		t.Errorf("the right external ID: %v", err)
	}
}

func TestAssumeRoleAndCall(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	user, _ := h.user("alice", "")
	role := h.role("worker", trusting(`{"AWS":"arn:aws:iam::`+account+`:user/alice"}`, ""),
		statements(allow("lambda:*", functions+"${aws:PrincipalTag/team}*")))
	out := must(user.sts.AssumeRole(ctx, assume(role, func(in *stsclient.AssumeRoleInput) {
		in.Tags = []types.Tag{{Key: new("Team"), Value: new("green")}}
		in.Policy = new(statements(allow("lambda:InvokeFunction", "*"), deny("lambda:*", functions+"green-secret")))
	})))(t)
	session := "arn:aws:sts::" + account + ":assumed-role/worker/s1"
	if *out.AssumedRoleUser.Arn != session || !strings.HasPrefix(*out.AssumedRoleUser.AssumedRoleId, "AROA") ||
		!strings.HasSuffix(*out.AssumedRoleUser.AssumedRoleId, ":s1") {
		t.Errorf("%s, %s", *out.AssumedRoleUser.Arn, *out.AssumedRoleUser.AssumedRoleId)
	}
	if left := time.Until(*out.Credentials.Expiration); left < 59*time.Minute || left > time.Hour {
		t.Errorf("the session lives %v", left)
	}
	if n := len(*out.Credentials.SessionToken); n > 1000 {
		t.Errorf("a token of %d bytes", n)
	}
	c := h.session(out.Credentials)
	who := must(c.sts.GetCallerIdentity(ctx, nil))(t)
	if *who.Arn != session || *who.UserId != *out.AssumedRoleUser.AssumedRoleId || *who.Account != account {
		t.Errorf("%s is %s of %s", *who.UserId, *who.Arn, *who.Account)
	}
	const action, code = "lambda:InvokeFunction", "AccessDeniedException"
	refused(t, "what the role may not", c.invoke(t, "blue", ""), code, mayNot(session, action, functions+"blue")+
		" because no identity-based policy allows the lambda:InvokeFunction action")
	refused(t, "what the session denies", c.invoke(t, "green-secret", ""), code, mayNot(session, action, functions+"green-secret")+
		" with an explicit deny in a session policy")
	_, err := c.lambda.GetFunction(ctx, &lambdaclient.GetFunctionInput{FunctionName: new("green")})
	refused(t, "what the session does not allow", err, code, mayNot(session, "lambda:GetFunction", functions+"green")+
		" because no session policy allows the lambda:GetFunction action")
	if err := c.invoke(t, "green-1", ""); err != nil {
		t.Error(err)
	}
	h.clock.move(61 * time.Minute)
	_, err = c.sts.GetCallerIdentity(ctx, nil)
	refused(t, "when it has expired", err, "ExpiredToken", "The security token included in the request is expired")
}

func TestManagedSessionPolicies(t *testing.T) {
	h := newHouse(t)
	role := h.role("worker", trusting(trustAccount, ""), statements(allow("*", "*")))
	out := must(h.root.sts.AssumeRole(t.Context(), assume(role, func(in *stsclient.AssumeRoleInput) {
		in.PolicyArns = []types.PolicyDescriptorType{{Arn: new("arn:aws:iam::aws:policy/AWSLambda_ReadOnlyAccess")}}
	})))(t)
	c := h.session(out.Credentials)
	must(c.lambda.ListFunctions(t.Context(), &lambdaclient.ListFunctionsInput{}))(t)
	refused(t, "more than the session's policy", c.invoke(t, "f", ""), "AccessDeniedException",
		mayNot("arn:aws:sts::"+account+":assumed-role/worker/s1", "lambda:InvokeFunction", functions+"f")+
			" because no session policy allows the lambda:InvokeFunction action")
}

// TestChains: what one session hands on to the next.
func TestChains(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	first := h.role("first", strings.Replace(trusting(trustAccount, ""), `"sts:TagSession"`, `"sts:TagSession","sts:SetSourceIdentity"`, 1),
		statements(allow("sts:*", "*")))
	second := h.role("second", trusting(`{"AWS":"`+first+`"}`, ""), statements(allow("lambda:*", functions+"${aws:PrincipalTag/team}-${aws:SourceIdentity}")))
	must(h.root.iam.UpdateRole(ctx, &iamclient.UpdateRoleInput{RoleName: new("second"), MaxSessionDuration: new(int32(7200))}))(t)
	out := must(h.root.sts.AssumeRole(ctx, assume(first, func(in *stsclient.AssumeRoleInput) {
		in.Tags = []types.Tag{{Key: new("team"), Value: new("green")}, {Key: new("stage"), Value: new("test")}}
		in.TransitiveTagKeys, in.SourceIdentity = []string{"team"}, new("someone")
	})))(t)
	c := h.session(out.Credentials)
	_, err := c.sts.AssumeRole(ctx, assume(second, func(in *stsclient.AssumeRoleInput) { in.DurationSeconds = new(int32(7200)) }))
	refused(t, "more than an hour", err, "ValidationError",
		"The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	_, err = c.sts.AssumeRole(ctx, assume(second, func(in *stsclient.AssumeRoleInput) {
		in.Tags = []types.Tag{{Key: new("TEAM"), Value: new("blue")}}
	}))
	refused(t, "another value of a transitive tag", err, "InvalidParameterValue", "One of the specified transitive tag keys can't "+
		"be set because it conflicts with a transitive tag key from the calling session.")
	chained := h.session(must(c.sts.AssumeRole(ctx, assume(second)))(t).Credentials)
	if err := chained.invoke(t, "green-someone", ""); err != nil {
		t.Error(err)
	}
	if err := chained.invoke(t, "blue-someone", ""); err == nil {
		t.Error("another team's function was invoked")
	}
}

// TestDeletedIdentities: a credential of something that is gone may do nothing, whatever trusts it.
func TestDeletedIdentities(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	everything := statements(allow("*", "*"))
	role := h.role("worker", trusting(trustAccount, ""), everything)
	session := "arn:aws:sts::" + account + ":assumed-role/worker/s1"
	trustsSession := h.role("next", trusting(`{"AWS":"*"}`, ""), "")
	c := h.session(must(h.root.sts.AssumeRole(ctx, assume(role)))(t).Credentials)
	if err := c.invoke(t, "f", ""); err != nil {
		t.Fatal(err)
	}
	forget := func() {
		must(h.root.iam.DeleteRolePolicy(ctx, &iamclient.DeleteRolePolicyInput{RoleName: new("worker"), PolicyName: new("worker")}))(t)
		must(h.root.iam.DeleteRole(ctx, &iamclient.DeleteRoleInput{RoleName: new("worker")}))(t)
	}
	forget()
	denied := mayNot(session, "lambda:InvokeFunction", functions+"f") + " because no identity-based policy allows the lambda:InvokeFunction action"
	refused(t, "a deleted role", c.invoke(t, "f", ""), "AccessDeniedException", denied)
	h.role("worker", trusting(trustAccount, ""), everything)
	refused(t, "a role of the same name", c.invoke(t, "f", ""), "AccessDeniedException", denied)
	_, err := c.sts.AssumeRole(ctx, assume(trustsSession))
	refused(t, "from a deleted role's session", err, "AccessDenied", mayNot(session, "sts:AssumeRole", trustsSession)+
		" because no identity-based policy allows the sts:AssumeRole action")
}

func TestAccessKeys(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	user, key := h.user("alice", statements(allow("lambda:*", "*")))
	if !strings.HasPrefix(*key.AccessKeyId, "AKIA") || len(*key.AccessKeyId) != 20 || len(*key.SecretAccessKey) != 40 {
		t.Errorf("the key is %s with a secret of %d characters", *key.AccessKeyId, len(*key.SecretAccessKey))
	}
	used := func() *iamclient.GetAccessKeyLastUsedOutput {
		return must(h.root.iam.GetAccessKeyLastUsed(ctx, &iamclient.GetAccessKeyLastUsedInput{AccessKeyId: key.AccessKeyId}))(t)
	}
	if out := used(); *out.AccessKeyLastUsed.ServiceName != "N/A" || out.AccessKeyLastUsed.LastUsedDate != nil || *out.UserName != "alice" {
		t.Errorf("before its first use: %+v", out.AccessKeyLastUsed)
	}
	if err := user.invoke(t, "f", ""); err != nil {
		t.Fatal(err)
	}
	if out := used().AccessKeyLastUsed; *out.ServiceName != "lambda" || *out.Region != "us-east-1" || out.LastUsedDate == nil ||
		time.Since(*out.LastUsedDate).Abs() > time.Minute {
		t.Errorf("after its use: %+v", out)
	}
	status := func(to iamtypes.StatusType) {
		must(h.root.iam.UpdateAccessKey(ctx, &iamclient.UpdateAccessKeyInput{UserName: new("alice"), AccessKeyId: key.AccessKeyId, Status: to}))(t)
	}
	const invalid = "The security token included in the request is invalid."
	status(iamtypes.StatusTypeInactive)
	refused(t, "an inactive key", user.invoke(t, "f", ""), "UnrecognizedClientException", invalid)
	_, err := user.sts.GetCallerIdentity(ctx, nil)
	refused(t, "an inactive key, at STS", err, "InvalidClientTokenId", invalid)
	status(iamtypes.StatusTypeActive)
	if err := user.invoke(t, "f", ""); err != nil {
		t.Errorf("an active key again: %v", err)
	}
	if wrong := h.caller(*key.AccessKeyId, "wrong", ""); wrong.invoke(t, "f", "") == nil {
		t.Error("any secret does")
	}
	must(h.root.iam.DeleteAccessKey(ctx, &iamclient.DeleteAccessKeyInput{UserName: new("alice"), AccessKeyId: key.AccessKeyId}))(t)
	refused(t, "a deleted key", user.invoke(t, "f", ""), "UnrecognizedClientException", invalid)
	info := must(h.root.sts.GetAccessKeyInfo(ctx, &stsclient.GetAccessKeyInfoInput{AccessKeyId: key.AccessKeyId}))(t)
	if *info.Account != account {
		t.Errorf("the key belongs to %s", *info.Account)
	}
}

func TestSessionTokens(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	user, _ := h.user("alice", statements(allow("lambda:*", "*"), allow("iam:*", "*")))
	out := must(user.sts.GetSessionToken(ctx, &stsclient.GetSessionTokenInput{DurationSeconds: new(int32(900))}))(t)
	c := h.session(out.Credentials)
	_, err := c.iam.ListUsers(ctx, nil)
	refused(t, "IAM", err, "InvalidClientTokenId", "The security token included in the request is invalid")
	_, err = c.sts.GetSessionToken(ctx, nil)
	refused(t, "a session of a session", err, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	if err := c.invoke(t, "f", ""); err != nil {
		t.Error(err)
	}
	if who := must(c.sts.GetCallerIdentity(ctx, nil))(t); *who.Arn != "arn:aws:iam::"+account+":user/alice" {
		t.Errorf("it is %s", *who.Arn)
	}
	root := must(h.root.sts.GetSessionToken(ctx, &stsclient.GetSessionTokenInput{DurationSeconds: new(int32(129600))}))(t)
	if left := time.Until(*root.Credentials.Expiration); left > time.Hour {
		t.Errorf("the root user's session lives %v", left)
	}
	if err := h.session(root.Credentials).invoke(t, "f", ""); err != nil {
		t.Error(err)
	}
	must(h.root.iam.DeleteUserPolicy(ctx, &iamclient.DeleteUserPolicyInput{UserName: new("alice"), PolicyName: new("alice")}))(t)
	refused(t, "after the policy is gone", c.invoke(t, "f", ""), "AccessDeniedException", lacks("alice", "lambda:InvokeFunction", functions+"f"))
}
