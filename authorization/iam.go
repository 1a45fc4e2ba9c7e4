package authorization

import (
	"strings"

	"hotaru/awsapi"
	"hotaru/policy"
)

// iamRules follow the Service Authorization Reference
// (https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html).
func iamRules() map[string]rule {
	group := rule{question: func(x *exchange, q *question) { x.named(q, "group", "GroupName", x.a.Directory.Group) }}
	below := func(kind string) rule {
		return rule{question: func(x *exchange, q *question) { q.resource = x.listed(kind) }}
	}
	return map[string]rule{
		"":                    {question: iamResource},
		"AddUserToGroup":      group,
		"RemoveUserFromGroup": group,
		"ListUsers":           below("user"),
		"ListGroups":          below("group"),
		"ListRoles":           below("role"),
		"CreateUser":          made("user", "UserName"),
		"CreateGroup":         made("group", "GroupName"),
		"CreateRole":          made("role", "RoleName"),
		"CreatePolicy":        made("policy", "PolicyName"),
		"UpdateUser":          {question: iamResource, more: renamed("user", "NewUserName")},
		"UpdateGroup":         {question: iamResource, more: renamed("group", "NewGroupName")},
	}
}

func (x *exchange) iamARN(resource string) string {
	return "arn:" + x.call.Scope.Partition + ":iam::" + x.call.Scope.Account + ":" + resource
}

// listed is the resource of a list: everything below a path.
func (x *exchange) listed(kind string) string {
	path, ok := x.in.text("PathPrefix")
	if !ok {
		path = "/"
	}
	return x.iamARN(kind + path)
}

// made is the rule of an operation that makes something new.
func made(kind, member string) rule {
	return rule{question: func(x *exchange, q *question) {
		name, _ := x.in.text(member)
		path, ok := x.in.text("Path")
		if !ok {
			path = "/"
		}
		q.resource = x.iamARN(kind + path + name)
		iamKeys(x, q)
	}}
}

// renamed asks for what a user or group will be called, too.
func renamed(kind, member string) func(*exchange, *question) []question {
	return func(x *exchange, asked *question) []question {
		name, named := x.in.text(member)
		path, moved := x.in.text("NewPath")
		if !named && !moved {
			return nil
		}
		resource := asked.resource[strings.LastIndexByte(asked.resource, ':')+1:]
		start, end := strings.IndexByte(resource, '/'), strings.LastIndexByte(resource, '/')
		if start < 0 {
			return nil
		}
		if !named {
			name = resource[end+1:]
		}
		if !moved {
			path = resource[start : end+1]
		}
		return []question{{action: asked.action, resource: x.iamARN(kind + path + name)}}
	}
}

// iamResource names what an operation is about by the members of its input: the role, user or group before a policy,
// because that is what an attachment changes.
func iamResource(x *exchange, q *question) {
	iamKeys(x, q)
	switch d := x.a.Directory; {
	case x.in.has("RoleName"):
		x.named(q, "role", "RoleName", d.Role)
	case x.in.has("UserName"):
		x.named(q, "user", "UserName", d.User)
	case x.in.has("GroupName"):
		x.named(q, "group", "GroupName", d.Group)
	default:
		if arn, ok := x.in.text("PolicyArn"); ok {
			q.resource = arn
			if _, tags, found := d.Managed(x.call.Scope, arn); found {
				q.describe(tags)
			}
		}
	}
}

// iamKeys are IAM's own condition keys, and tags.
func iamKeys(x *exchange, q *question) {
	x.tagging(q)
	for member, key := range map[string]string{"PolicyArn": "iam:policyarn", "PermissionsBoundary": "iam:permissionsboundary"} {
		if value, ok := x.in.text(member); ok {
			if q.keys == nil {
				q.keys = map[string][]string{}
			}
			q.keys[key] = []string{value}
		}
	}
}

// lookup finds a role, user or group by its name.
type lookup = func(scope awsapi.Scope, name string) (policy.Identity, bool)

// named makes the resource the role, user or group that a member names, with its path and its own spelling. Where the
// member is not set the caller is meant.
func (x *exchange) named(q *question, kind, member string, find lookup) {
	name, ok := x.in.text(member)
	if !ok {
		if own, username := splitARN(x.call.Caller.ARN); own == kind {
			name = username
		}
	}
	q.resource = x.iamARN(kind + "/" + name)
	if identity, found := find(x.call.Scope, name); found {
		q.resource = identity.ARN
		q.describe(identity.Tags)
	}
}
