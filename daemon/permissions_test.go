package daemon

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// permit sends AddPermission as it stands, and parses the statement that it answers.
func (h *harness) permit(name, sid, principal string, change map[string]any) answer {
	h.t.Helper()
	in := map[string]any{"StatementId": sid, "Action": "lambda:InvokeFunction", "Principal": principal}
	maps.Copy(in, change)
	query := ""
	if qualifier, ok := in["Qualifier"]; ok {
		query = fmt.Sprint("?Qualifier=", qualifier)
		delete(in, "Qualifier")
	}
	return parsed(h.t, h.call(http.MethodPost, functions+"/"+name+"/policy"+query, h.json(in), nil), "Statement")
}

func (h *harness) policyOf(name string) answer {
	h.t.Helper()
	return parsed(h.t, h.call(http.MethodGet, functions+"/"+name+"/policy", nil, nil), "Policy")
}

func (h *harness) forbid(name, rest string) answer {
	h.t.Helper()
	return h.call(http.MethodDelete, functions+"/"+name+"/policy/"+rest, nil, nil)
}

const bucket = "arn:aws:s3:::bucket"

func TestPermissionRefusals(t *testing.T) {
	h := start(t)
	h.createPython("f", echo)
	const wrong = "00000000-0000-0000-0000-000000000000"
	h.permit("f", "there", "s3.amazonaws.com", nil)
	h.createAlias("f", map[string]any{"Name": "bare", "FunctionVersion": "$LATEST"})
	for _, tc := range []struct {
		name, code, text string
		got              answer
	}{
		{"no function", "ResourceNotFoundException", "Function not found: " + here + "nope", h.permit("nope", "s", "*", nil)},
		{"no version", "ResourceNotFoundException", "Function not found: " + here + "f:1", h.permit("f", "s", "*", map[string]any{"Qualifier": "1"})},
		{"no alias", "ResourceNotFoundException", "Function not found: " + here + "f:a", h.permit("f:a", "s", "*", nil)},
		{"$LATEST", "InvalidParameterValueException", "We currently do not support adding policies for $LATEST.",
			h.permit("f", "s", "*", map[string]any{"Qualifier": "$LATEST"})},
		{"a strange principal", "InvalidParameterValueException", "The provided principal was invalid. Please check the principal and try again.",
			h.permit("f", "s", "whoever", nil)},
		{"again", "ResourceConflictException", "The statement id (there) provided already exists. Please provide a new statement id, or remove the existing statement.",
			h.permit("f", "there", "*", nil)},
		{"another revision", "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id",
			h.permit("f", "s", "*", map[string]any{"RevisionId": wrong})},
		{"remove none", "ResourceNotFoundException", "Statement nope is not found in resource policy.", h.forbid("f", "nope")},
		{"remove from none", "ResourceNotFoundException", "No policy is associated with the given resource.", h.forbid("f", "nope?Qualifier=bare")},
		{"remove from no version", "ResourceNotFoundException", "Function not found: " + here + "f:1", h.forbid("f", "nope?Qualifier=1")},
		{"remove of another revision", "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id",
			h.forbid("f", "there?RevisionId="+wrong)},
		{"get none", "ResourceNotFoundException", "The resource you requested does not exist.", h.policyOf("f:1")},
		{"get of no function", "ResourceNotFoundException", "Function not found: " + here + "nope", h.policyOf("nope")},
	} {
		e, _ := tc.got["Error"].(map[string]any)
		if e["Code"] != tc.code || e["Message"] != tc.text {
			t.Errorf("%s: %v", tc.name, tc.got)
		}
	}
	if n := len(items(h.policyOf("f")["Policy"].(map[string]any)["Statement"])); n != 1 {
		t.Errorf("refusals left %d statements", n)
	}
	long := "arn:aws:s3:::" + strings.Repeat("x", 200)
	for i := range 100 {
		got := h.permit("f", fmt.Sprint("s", i), "s3.amazonaws.com", map[string]any{"SourceArn": long})
		e, _ := got["Error"].(map[string]any)
		if e == nil {
			continue
		}
		if text, _ := e["Message"].(string); e["Code"] != "PolicyLengthExceededException" || !strings.HasSuffix(text, "is bigger than the limit (20480).") {
			t.Errorf("too long: %v", got)
		}
		return
	}
	t.Error("a policy had no limit")
}

func TestRecordedPermissions(t *testing.T) {
	h := start(t)
	h.createPython("f", echo)
	account := map[string]any{"SourceAccount": "000000000000"}
	s := record(t, "lambda_api", "TestLambdaPermissions::test_add_lambda_permission_fields")
	same(t, s, "add_permission_principal_wildcard", h.permit("f", "wilcard", "*", account))
	same(t, s, "add_permission_principal_service", h.permit("f", "lambda", "lambda.amazonaws.com", account))
	same(t, s, "add_permission_principal_account", h.permit("f", "account-id", "000000000000", nil))
	same(t, s, "add_permission_principal_arn", h.permit("f", "user-arn", "arn:aws:iam::000000000000:user/u", account))
	same(t, s, "add_permission_optional_fields", h.permit("f", "urlPermission", "*", map[string]any{
		"Action": "lambda:InvokeFunctionUrl", "SourceAccount": "000000000000", "FunctionUrlAuthType": "NONE",
		"PrincipalOrgID": "o-1234567890", "SourceArn": bucket}))
	same(t, s, "add_permission_alexa_skill", h.permit("f", "alexaSkill", "*", map[string]any{
		"EventSourceToken": "amzn1.ask.skill.xxxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"}))

	h.createPython("g", echo)
	s = record(t, "lambda_api", "TestLambdaPermissions::test_remove_multi_permissions")
	before := h.getFunction("g")["Configuration"].(map[string]any)["RevisionId"]
	same(t, s, "add_permission_1", h.permit("g", "s3", "s3.amazonaws.com", nil))
	same(t, s, "add_permission_2", h.permit("g", "sqs", "sqs.amazonaws.com", map[string]any{"SourceArn": bucket}))
	same(t, s, "policy_after_2_add", h.policyOf("g"))
	same(t, s, "remove_permission_exception_nonexisting_sid", h.forbid("g", "non-existent"))
	revision := h.policyOf("g")["RevisionId"].(string)
	h.forbid("g", "sqs?RevisionId="+revision)
	same(t, s, "policy_after_removal", h.policyOf("g"))
	h.forbid("g", "s3")
	same(t, s, "get_policy_exception_removed_all", h.policyOf("g"))
	if after := h.getFunction("g")["Configuration"].(map[string]any)["RevisionId"]; after != before {
		t.Error("permissions changed the function's revision")
	}

	s = record(t, "lambda_api", "TestLambdaPermissions::test_lambda_permission_fn_versioning")
	source := map[string]any{"SourceArn": bucket}
	same(t, s, "add_permission", h.permit("g", "s3", "s3.amazonaws.com", source))
	same(t, s, "get_policy", h.policyOf("g"))
	h.publishVersion("g", nil)
	same(t, s, "get_policy_after_publishing_latest", h.policyOf("g"))
	same(t, s, "get_policy_after_publishing_new_version", h.qualifiedPolicyOf("g", "1"))
	h.permit("g", "s3", "s3.amazonaws.com", map[string]any{"SourceArn": bucket, "Qualifier": "1"})
	same(t, s, "get_policy_version", h.qualifiedPolicyOf("g", "1"))
	h.createAlias("g", map[string]any{"Name": "permission-alias", "FunctionVersion": "1"})
	same(t, s, "add_permission_alias_revision_exception", h.permit("g", "s3", "s3.amazonaws.com", map[string]any{
		"Qualifier": "permission-alias", "RevisionId": "00000000-0000-0000-0000-000000000000"}))
	h.permit("g", "s3", "s3.amazonaws.com", map[string]any{"SourceArn": bucket, "Qualifier": "permission-alias"})
	same(t, s, "get_policy_alias", h.qualifiedPolicyOf("g", "permission-alias"))
	h.permit("g", "s3_2", "s3.amazonaws.com", source)
	same(t, s, "get_policy_after_adding_2", h.policyOf("g"))
}

// qualifiedPolicyOf is GetPolicy with a qualifier.
func (h *harness) qualifiedPolicyOf(name, qualifier string) answer {
	h.t.Helper()
	return parsed(h.t, h.call(http.MethodGet, functions+"/"+name+"/policy?Qualifier="+qualifier, nil, nil), "Policy")
}

// TestPermissionsDecide: what a function's own policy allows somebody takes no policy of theirs, and no more than that is
// allowed.
func TestPermissionsDecide(t *testing.T) {
	dir := t.TempDir()
	in := func(c *Config) { c.DataDir = dir }
	h := start(t, in)
	h.createPython("f", echo)
	h.createPython("g", echo)
	h.publishVersion("f", nil)
	h.createAlias("f", map[string]any{"Name": "a", "FunctionVersion": "1"})
	const nothing = `{"Effect":"Allow","Action":"lambda:ListFunctions","Resource":"*"}`
	user, key := h.user("invoker", nothing)
	other, _ := h.user("other", nothing)
	denied, _ := h.user("denied", `{"Effect":"Deny","Action":"lambda:InvokeFunction","Resource":"*"}`)
	const code = "AccessDeniedException"
	refused(t, user.tryInvoke("f"), code, "not authorized to perform: lambda:InvokeFunction on resource: "+here+"f")
	h.permit("f", "u", "arn:aws:iam::000000000000:user/invoker", nil)
	h.permit("f", "d", "arn:aws:iam::000000000000:user/denied", nil)
	if err := user.tryInvoke("f"); err != nil {
		t.Errorf("permitted: %v", err)
	}
	refused(t, other.tryInvoke("f"), code, noPolicy[1:])
	refused(t, user.tryInvoke("g"), code, noPolicy[1:])
	refused(t, user.tryInvoke("f:1"), code, noPolicy[1:])
	refused(t, user.tryInvoke("f:a"), code, noPolicy[1:])
	refused(t, denied.tryInvoke("f"), code, "with an explicit deny in an identity-based policy")
	_, err := user.lambda.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("f")})
	refused(t, err, code, noPolicy[1:])
	h.permit("g", "conditional", "*", map[string]any{"SourceArn": bucket})
	refused(t, user.tryInvoke("g"), code, noPolicy[1:])
	h.permit("f", "u", "arn:aws:iam::000000000000:user/invoker", map[string]any{"Qualifier": "a"})
	if err := user.tryInvoke("f:a"); err != nil {
		t.Errorf("the alias: %v", err)
	}
	refused(t, user.tryInvoke("f:1"), code, noPolicy[1:])

	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	role := h.role
	h = start(t, in)
	h.role = role
	user = h.as(*key.AccessKeyId, *key.SecretAccessKey, "")
	if err := user.tryInvoke("f"); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	// What is deleted takes its policy with it, and what is made again has none.
	h.call(http.MethodDelete, functions+"/f/aliases/a", nil, nil)
	h.createAlias("f", map[string]any{"Name": "a", "FunctionVersion": "1"})
	refused(t, user.tryInvoke("f:a"), code, noPolicy[1:])
	h.forbid("f", "u")
	refused(t, user.tryInvoke("f"), code, noPolicy[1:])
	h.permit("f", "u", "arn:aws:iam::000000000000:user/invoker", nil)
	h.call(http.MethodDelete, functions+"/f", nil, nil)
	h.createPython("f", echo)
	refused(t, user.tryInvoke("f"), code, noPolicy[1:])
}
