package authorization_test

import (
	"testing"

	iamclient "github.com/aws/aws-sdk-go-v2/service/iam"
	lambdaclient "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

const (
	functions   = "arn:aws:lambda:us-east-1:" + account + ":function:"
	lambdaTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
)

// invoke calls Invoke and answers its error.
func (c *caller) invoke(t *testing.T, name, qualifier string) error {
	t.Helper()
	in := &lambdaclient.InvokeInput{FunctionName: &name}
	if qualifier != "" {
		in.Qualifier = &qualifier
	}
	_, err := c.lambda.Invoke(t.Context(), in)
	return err
}

func lacks(user, action, resource string) string {
	return "User: arn:aws:iam::" + account + ":user/" + user + " is not authorized to perform: " + action + " on resource: " +
		resource + " because no identity-based policy allows the " + action + " action"
}

func TestWhatAUserMayNotInvoke(t *testing.T) {
	h := newHouse(t)
	nobody, _ := h.user("nobody", "")
	one, _ := h.user("one", statements(allow("lambda:InvokeFunction", functions+"f")))
	denied, _ := h.user("denied", statements(allow("*", "*"), deny("lambda:Invoke*", functions+"f*")))
	bounded, _ := h.user("bounded", statements(allow("*", "*")))
	boundary := must(h.root.iam.CreatePolicy(t.Context(), &iamclient.CreatePolicyInput{
		PolicyName: new("boundary"), PolicyDocument: new(statements(allow("s3:*", "*")))}))(t).Policy.Arn
	must(h.root.iam.PutUserPermissionsBoundary(t.Context(), &iamclient.PutUserPermissionsBoundaryInput{
		UserName: new("bounded"), PermissionsBoundary: boundary}))(t)
	const action, code = "lambda:InvokeFunction", "AccessDeniedException"
	refused(t, "without policies", nobody.invoke(t, "f", ""), code, lacks("nobody", action, functions+"f"))
	refused(t, "another function", one.invoke(t, "g", ""), code, lacks("one", action, functions+"g"))
	refused(t, "a function that begins the same", one.invoke(t, "f2", ""), code, lacks("one", action, functions+"f2"))
	refused(t, "a version of it", one.invoke(t, "f", "1"), code, lacks("one", action, functions+"f:1"))
	refused(t, "a version of it, in the name", one.invoke(t, "f:1", ""), code, lacks("one", action, functions+"f:1"))
	refused(t, "another region's", one.invoke(t, "arn:aws:lambda:eu-west-1:"+account+":function:f", ""), code,
		lacks("one", action, "arn:aws:lambda:eu-west-1:"+account+":function:f"))
	refused(t, "explicitly denied", denied.invoke(t, "f", ""), code, "User: arn:aws:iam::"+account+":user/denied is not "+
		"authorized to perform: lambda:InvokeFunction on resource: "+functions+"f with an explicit deny in an identity-based policy")
	refused(t, "beyond the boundary", bounded.invoke(t, "f", ""), code, "User: arn:aws:iam::"+account+":user/bounded is not "+
		"authorized to perform: lambda:InvokeFunction on resource: "+functions+"f because no permissions boundary allows the lambda:InvokeFunction action")
	_, err := one.lambda.ListFunctions(t.Context(), &lambdaclient.ListFunctionsInput{})
	refused(t, "a list", err, code, lacks("one", "lambda:ListFunctions", "*"))
	_, err = one.lambda.GetFunction(t.Context(), &lambdaclient.GetFunctionInput{FunctionName: new("f")})
	refused(t, "another action", err, code, lacks("one", "lambda:GetFunction", functions+"f"))
	if n := h.reached.Load(); n != 0 {
		t.Errorf("%d refused calls reached a handler", n)
	}
	for name, c := range map[string]*caller{"f": one, functions + "f": one, account + ":function:f": one, "g": denied} {
		if err := c.invoke(t, name, ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := h.reached.Load(); n != 4 {
		t.Errorf("%d of 4 allowed calls reached the handler", n)
	}
}

func TestPassRole(t *testing.T) {
	h := newHouse(t)
	powerful := h.role("admin", lambdaTrust, "")
	simple := must(h.root.iam.CreateRole(t.Context(), &iamclient.CreateRoleInput{
		RoleName: new("simple"), Path: new("/apps/"), AssumeRolePolicyDocument: new(lambdaTrust)}))(t).Role.Arn
	maker, _ := h.user("maker", statements(allow("lambda:*", "*"), `{"Effect":"Allow","Action":"iam:PassRole",
		"Resource":"arn:aws:iam::123456789012:role/apps/*","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}}`))
	wrong, _ := h.user("wrong", statements(allow("lambda:*", "*"), `{"Effect":"Allow","Action":"iam:PassRole","Resource":"*",
		"Condition":{"StringEquals":{"iam:PassedToService":"ec2.amazonaws.com"}}}`))
	create := func(c *caller, role string, change ...func(*lambdaclient.CreateFunctionInput)) error {
		in := &lambdaclient.CreateFunctionInput{FunctionName: new("f"), Role: &role, Code: &types.FunctionCode{ZipFile: []byte("x")}}
		for _, f := range change {
			f(in)
		}
		_, err := c.lambda.CreateFunction(t.Context(), in)
		return err
	}
	const code = "AccessDeniedException"
	refused(t, "another role", create(maker, powerful), code, lacks("maker", "iam:PassRole", powerful))
	refused(t, "another role under an allowed path", create(maker, "arn:aws:iam::123456789012:role/apps/admin"), code,
		lacks("maker", "iam:PassRole", powerful))
	refused(t, "to another service", create(wrong, powerful), code, lacks("wrong", "iam:PassRole", powerful))
	_, err := maker.lambda.UpdateFunctionConfiguration(t.Context(), &lambdaclient.UpdateFunctionConfigurationInput{
		FunctionName: new("f"), Role: &powerful})
	refused(t, "by an update", err, code, lacks("maker", "iam:PassRole", powerful))
	noTags, _ := h.user("notags", statements(allow("lambda:CreateFunction", "*"), allow("iam:PassRole", "*")))
	refused(t, "tags", create(noTags, powerful, func(in *lambdaclient.CreateFunctionInput) { in.Tags = map[string]string{"a": "b"} }),
		code, lacks("notags", "lambda:TagResource", functions+"f"))
	layer := "arn:aws:lambda:us-east-1:" + account + ":layer:l:1"
	refused(t, "a layer", create(noTags, powerful, func(in *lambdaclient.CreateFunctionInput) { in.Layers = []string{layer} }),
		code, lacks("notags", "lambda:GetLayerVersion", layer))
	if n := h.reached.Load(); n != 0 {
		t.Errorf("%d refused calls reached a handler", n)
	}
	if err := create(maker, *simple); err != nil {
		t.Error(err)
	}
	must(maker.lambda.UpdateFunctionConfiguration(t.Context(), &lambdaclient.UpdateFunctionConfigurationInput{FunctionName: new("f")}))(t)
}

func TestLambdaResourcesAndKeys(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	const code, uuid = "AccessDeniedException", "14e0db71-xmpl-4eb5-b481-8945cf9d10c2"
	nobody, _ := h.user("nobody", "")
	_, err := nobody.lambda.GetEventSourceMapping(ctx, &lambdaclient.GetEventSourceMappingInput{UUID: new(uuid)})
	refused(t, "mapping", err, code, lacks("nobody", "lambda:GetEventSourceMapping", "arn:aws:lambda:us-east-1:"+account+":event-source-mapping:"+uuid))
	_, err = nobody.lambda.GetLayerVersion(ctx, &lambdaclient.GetLayerVersionInput{LayerName: new("l"), VersionNumber: new(int64(3))})
	refused(t, "layer version", err, code, lacks("nobody", "lambda:GetLayerVersion", "arn:aws:lambda:us-east-1:"+account+":layer:l:3"))
	_, err = nobody.lambda.ListTags(ctx, &lambdaclient.ListTagsInput{Resource: new(functions + "f")})
	refused(t, "tags", err, code, lacks("nobody", "lambda:ListTags", functions+"f"))
	mapper, _ := h.user("mapper", statements(`{"Effect":"Allow","Action":"lambda:CreateEventSourceMapping","Resource":"*",
		"Condition":{"ArnLike":{"lambda:FunctionArn":"`+functions+`f"}}}`))
	mapping := func(name string) error {
		_, err := mapper.lambda.CreateEventSourceMapping(ctx, &lambdaclient.CreateEventSourceMappingInput{
			FunctionName: &name, EventSourceArn: new("arn:aws:sqs:us-east-1:" + account + ":q")})
		return err
	}
	refused(t, "another function's mapping", mapping("g"), code, lacks("mapper", "lambda:CreateEventSourceMapping", "*"))
	if err := mapping("f"); err != nil {
		t.Error(err)
	}
}
