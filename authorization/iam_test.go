package authorization_test

import (
	"testing"

	iamclient "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// TestIAMResources: which resource each operation is checked against.
func TestIAMResources(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	nobody, _ := h.user("nobody", "")
	must(h.root.iam.CreateRole(ctx, &iamclient.CreateRoleInput{RoleName: new("Worker"), Path: new("/apps/"), AssumeRolePolicyDocument: new(lambdaTrust)}))(t)
	must(h.root.iam.CreateGroup(ctx, &iamclient.CreateGroupInput{GroupName: new("staff"), Path: new("/people/")}))(t)
	const iam = "arn:aws:iam::" + account + ":"
	for _, c := range []struct {
		action, resource string
		call             func() error
	}{
		{"iam:GetRole", iam + "role/apps/Worker", func() error {
			_, err := nobody.iam.GetRole(ctx, &iamclient.GetRoleInput{RoleName: new("worker")})
			return err
		}},
		{"iam:GetRole", iam + "role/none", func() error {
			_, err := nobody.iam.GetRole(ctx, &iamclient.GetRoleInput{RoleName: new("none")})
			return err
		}},
		{"iam:CreateRole", iam + "role/x/y", func() error {
			_, err := nobody.iam.CreateRole(ctx, &iamclient.CreateRoleInput{RoleName: new("y"), Path: new("/x/"), AssumeRolePolicyDocument: new(lambdaTrust)})
			return err
		}},
		{"iam:AttachRolePolicy", iam + "role/apps/Worker", func() error {
			_, err := nobody.iam.AttachRolePolicy(ctx, &iamclient.AttachRolePolicyInput{RoleName: new("Worker"), PolicyArn: new("arn:aws:iam::aws:policy/AdministratorAccess")})
			return err
		}},
		{"iam:GetUser", iam + "user/nobody", func() error { _, err := nobody.iam.GetUser(ctx, nil); return err }},
		{"iam:CreateAccessKey", iam + "user/nobody", func() error { _, err := nobody.iam.CreateAccessKey(ctx, nil); return err }},
		{"iam:CreateUser", iam + "user/new", func() error {
			_, err := nobody.iam.CreateUser(ctx, &iamclient.CreateUserInput{UserName: new("new")})
			return err
		}},
		{"iam:ListUsers", iam + "user/", func() error { _, err := nobody.iam.ListUsers(ctx, nil); return err }},
		{"iam:ListRoles", iam + "role/apps/", func() error {
			_, err := nobody.iam.ListRoles(ctx, &iamclient.ListRolesInput{PathPrefix: new("/apps/")})
			return err
		}},
		{"iam:AddUserToGroup", iam + "group/people/staff", func() error {
			_, err := nobody.iam.AddUserToGroup(ctx, &iamclient.AddUserToGroupInput{UserName: new("nobody"), GroupName: new("staff")})
			return err
		}},
		{"iam:GetPolicy", "arn:aws:iam::aws:policy/AdministratorAccess", func() error {
			_, err := nobody.iam.GetPolicy(ctx, &iamclient.GetPolicyInput{PolicyArn: new("arn:aws:iam::aws:policy/AdministratorAccess")})
			return err
		}},
		{"iam:CreatePolicy", iam + "policy/p", func() error {
			_, err := nobody.iam.CreatePolicy(ctx, &iamclient.CreatePolicyInput{PolicyName: new("p"), PolicyDocument: new(statements(allow("*", "*")))})
			return err
		}},
	} {
		refused(t, c.action, c.call(), "AccessDenied", lacks("nobody", c.action, c.resource))
	}
	if len(must(h.root.iam.ListUsers(ctx, nil))(t).Users) != 1 {
		t.Error("a refused call changed something")
	}
}

// TestDelegation: a boundary and conditions keep an administrator of roles from making a more powerful one.
func TestDelegation(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	const boundary = "arn:aws:iam::aws:policy/AWSLambda_FullAccess"
	delegate, _ := h.user("delegate", statements(
		`{"Effect":"Allow","Action":"iam:CreateRole","Resource":"*","Condition":{"StringEquals":{"iam:PermissionsBoundary":"`+boundary+`"}}}`,
		`{"Effect":"Allow","Action":"iam:AttachRolePolicy","Resource":"arn:aws:iam::123456789012:role/apps/*","Condition":{"ArnEquals":{"iam:PolicyARN":"`+boundary+`"}}}`,
		`{"Effect":"Allow","Action":"iam:TagRole","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"green"},"ForAllValues:StringEquals":{"aws:TagKeys":["stage"]}}}`,
		allow("iam:UpdateUser", "arn:aws:iam::123456789012:user/delegate")))
	create := func(name string, limit *string) error {
		_, err := delegate.iam.CreateRole(ctx, &iamclient.CreateRoleInput{RoleName: &name, Path: new("/apps/"),
			AssumeRolePolicyDocument: new(lambdaTrust), PermissionsBoundary: limit})
		return err
	}
	refused(t, "without a boundary", create("r", nil), "AccessDenied", lacks("delegate", "iam:CreateRole", "arn:aws:iam::123456789012:role/apps/r"))
	if err := create("r", new(boundary)); err != nil {
		t.Fatal(err)
	}
	attach := func(policy string) error {
		_, err := delegate.iam.AttachRolePolicy(ctx, &iamclient.AttachRolePolicyInput{RoleName: new("r"), PolicyArn: &policy})
		return err
	}
	refused(t, "another policy", attach("arn:aws:iam::aws:policy/AdministratorAccess"), "AccessDenied",
		lacks("delegate", "iam:AttachRolePolicy", "arn:aws:iam::123456789012:role/apps/r"))
	if err := attach(boundary); err != nil {
		t.Error(err)
	}
	tag := func(key string) error {
		_, err := delegate.iam.TagRole(ctx, &iamclient.TagRoleInput{RoleName: new("r"), Tags: []types.Tag{{Key: &key, Value: new("x")}}})
		return err
	}
	refused(t, "a role of nobody's", tag("stage"), "AccessDenied", lacks("delegate", "iam:TagRole", "arn:aws:iam::123456789012:role/apps/r"))
	must(h.root.iam.TagRole(ctx, &iamclient.TagRoleInput{RoleName: new("r"), Tags: []types.Tag{{Key: new("team"), Value: new("green")}}}))(t)
	refused(t, "another key", tag("team"), "AccessDenied", lacks("delegate", "iam:TagRole", "arn:aws:iam::123456789012:role/apps/r"))
	if err := tag("stage"); err != nil {
		t.Error(err)
	}
	_, err := delegate.iam.UpdateUser(ctx, &iamclient.UpdateUserInput{UserName: new("delegate"), NewUserName: new("admin")})
	refused(t, "another name", err, "AccessDenied", lacks("delegate", "iam:UpdateUser", "arn:aws:iam::123456789012:user/admin"))
}

// TestGroups: a member has its groups' permissions, until it leaves.
func TestGroups(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	user, _ := h.user("alice", "")
	must(h.root.iam.CreateGroup(ctx, &iamclient.CreateGroupInput{GroupName: new("Staff")}))(t)
	must(h.root.iam.PutGroupPolicy(ctx, &iamclient.PutGroupPolicyInput{GroupName: new("staff"), PolicyName: new("f"),
		PolicyDocument: new(statements(allow("lambda:InvokeFunction", functions+"f")))}))(t)
	must(h.root.iam.AttachGroupPolicy(ctx, &iamclient.AttachGroupPolicyInput{GroupName: new("staff"),
		PolicyArn: new("arn:aws:iam::aws:policy/AWSLambda_ReadOnlyAccess")}))(t)
	no := lacks("alice", "lambda:InvokeFunction", functions+"f")
	refused(t, "before joining", user.invoke(t, "f", ""), "AccessDeniedException", no)
	must(h.root.iam.AddUserToGroup(ctx, &iamclient.AddUserToGroupInput{GroupName: new("staff"), UserName: new("alice")}))(t)
	if err := user.invoke(t, "f", ""); err != nil {
		t.Error(err)
	}
	must(user.lambda.ListFunctions(ctx, nil))(t)
	must(h.root.iam.UpdateGroup(ctx, &iamclient.UpdateGroupInput{GroupName: new("staff"), NewGroupName: new("people")}))(t)
	if err := user.invoke(t, "f", ""); err != nil {
		t.Errorf("after the group was renamed: %v", err)
	}
	must(h.root.iam.RemoveUserFromGroup(ctx, &iamclient.RemoveUserFromGroupInput{GroupName: new("people"), UserName: new("alice")}))(t)
	refused(t, "after leaving", user.invoke(t, "f", ""), "AccessDeniedException", no)
}
