package iam_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"hotaru/awsapi"
	"hotaru/policy"
)

var here = awsapi.Scope{Partition: "aws", Account: account, Region: "us-east-1"}

func (h *house) user(name string) *types.User {
	h.t.Helper()
	return must(h.CreateUser(h.t.Context(), &client.CreateUserInput{UserName: &name}))(h.t).User
}

func (h *house) group(name string) {
	h.t.Helper()
	must(h.CreateGroup(h.t.Context(), &client.CreateGroupInput{GroupName: &name}))(h.t)
}

func (h *house) accessKey(user string) *types.AccessKey {
	h.t.Helper()
	return must(h.CreateAccessKey(h.t.Context(), &client.CreateAccessKeyInput{UserName: &user}))(h.t).AccessKey
}

func (h *house) join(group, user string) error {
	_, err := h.AddUserToGroup(h.t.Context(), &client.AddUserToGroupInput{GroupName: &group, UserName: &user})
	return err
}

func TestMissingUsersAndGroups(t *testing.T) {
	h := newHouse(t, t.TempDir())
	ctx, none, there := t.Context(), new("none"), new("there")
	h.user("there")
	h.group("there")
	const noUser, noGroup = "The user with name none cannot be found.", "The group with name none cannot be found."
	const noKey = "The Access Key with id AKIA2222222222222222 cannot be found."
	id := new("AKIA2222222222222222")
	for _, c := range []struct {
		what, message string
		call          func() error
	}{
		{"GetUser", noUser, func() error { _, err := h.GetUser(ctx, &client.GetUserInput{UserName: none}); return err }},
		{"UpdateUser", noUser, func() error { _, err := h.UpdateUser(ctx, &client.UpdateUserInput{UserName: none}); return err }},
		{"DeleteUser", noUser, func() error { _, err := h.DeleteUser(ctx, &client.DeleteUserInput{UserName: none}); return err }},
		{"CreateAccessKey", noUser, func() error {
			_, err := h.CreateAccessKey(ctx, &client.CreateAccessKeyInput{UserName: none})
			return err
		}},
		{"ListAccessKeys", noUser, func() error { _, err := h.ListAccessKeys(ctx, &client.ListAccessKeysInput{UserName: none}); return err }},
		{"UpdateAccessKey", noKey, func() error {
			_, err := h.UpdateAccessKey(ctx, &client.UpdateAccessKeyInput{UserName: there, AccessKeyId: id, Status: types.StatusTypeInactive})
			return err
		}},
		{"DeleteAccessKey", noKey, func() error {
			_, err := h.DeleteAccessKey(ctx, &client.DeleteAccessKeyInput{UserName: there, AccessKeyId: id})
			return err
		}},
		{"GetAccessKeyLastUsed", noKey, func() error {
			_, err := h.GetAccessKeyLastUsed(ctx, &client.GetAccessKeyLastUsedInput{AccessKeyId: id})
			return err
		}},
		{"PutUserPolicy", noUser, func() error {
			_, err := h.PutUserPolicy(ctx, &client.PutUserPolicyInput{UserName: none, PolicyName: none, PolicyDocument: new(readBucket)})
			return err
		}},
		{"GetUserPolicy", "The user policy with name none cannot be found.", func() error {
			_, err := h.GetUserPolicy(ctx, &client.GetUserPolicyInput{UserName: there, PolicyName: none})
			return err
		}},
		{"AttachUserPolicy", noUser, func() error {
			_, err := h.AttachUserPolicy(ctx, &client.AttachUserPolicyInput{UserName: none, PolicyArn: new(basic)})
			return err
		}},
		{"DetachUserPolicy", "Policy " + basic + " was not found.", func() error {
			_, err := h.DetachUserPolicy(ctx, &client.DetachUserPolicyInput{UserName: there, PolicyArn: new(basic)})
			return err
		}},
		{"TagUser", noUser, func() error {
			_, err := h.TagUser(ctx, &client.TagUserInput{UserName: none, Tags: []types.Tag{}})
			return err
		}},
		{"GetGroup", noGroup, func() error { _, err := h.GetGroup(ctx, &client.GetGroupInput{GroupName: none}); return err }},
		{"DeleteGroup", noGroup, func() error { _, err := h.DeleteGroup(ctx, &client.DeleteGroupInput{GroupName: none}); return err }},
		{"GetGroupPolicy", "The group policy with name none cannot be found.", func() error {
			_, err := h.GetGroupPolicy(ctx, &client.GetGroupPolicyInput{GroupName: there, PolicyName: none})
			return err
		}},
		{"AddUserToGroup, group", noGroup, func() error { return h.join("none", "there") }},
		{"AddUserToGroup, user", noUser, func() error { return h.join("there", "none") }},
		{"RemoveUserFromGroup", noGroup, func() error {
			_, err := h.RemoveUserFromGroup(ctx, &client.RemoveUserFromGroupInput{GroupName: none, UserName: there})
			return err
		}},
		{"ListGroupsForUser", noUser, func() error {
			_, err := h.ListGroupsForUser(ctx, &client.ListGroupsForUserInput{UserName: none})
			return err
		}},
	} {
		refused(t, c.what, c.call(), "NoSuchEntity", c.message)
	}
}

func TestUserConflictsAndLimits(t *testing.T) {
	h := newHouse(t, t.TempDir())
	ctx, name := t.Context(), new("Alice")
	h.user("Alice")
	h.user("bob")
	_, err := h.CreateUser(ctx, &client.CreateUserInput{UserName: new("alice")})
	refused(t, "the name in other case", err, "EntityAlreadyExists", "User with name alice already exists.")
	_, err = h.UpdateUser(ctx, &client.UpdateUserInput{UserName: new("bob"), NewUserName: new("ALICE")})
	refused(t, "renamed to one that exists", err, "EntityAlreadyExists", "User with name ALICE already exists.")
	h.accessKey("alice")
	second := h.accessKey("alice")
	_, err = h.CreateAccessKey(ctx, &client.CreateAccessKeyInput{UserName: name})
	refused(t, "the third access key", err, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
	_, err = h.CreateAccessKey(ctx, &client.CreateAccessKeyInput{})
	refused(t, "a key of nobody", err, "ValidationError", "Must specify userName when calling with non-User credentials")
	_, err = h.DeleteAccessKey(ctx, &client.DeleteAccessKeyInput{UserName: new("bob"), AccessKeyId: second.AccessKeyId})
	refused(t, "somebody else's key", err, "NoSuchEntity", "The Access Key with id "+*second.AccessKeyId+" cannot be found.")
	large := strings.Replace(readBucket, "a b", strings.Repeat("b", 2048), 1)
	_, err = h.PutUserPolicy(ctx, &client.PutUserPolicyInput{UserName: name, PolicyName: new("p"), PolicyDocument: &large})
	refused(t, "too much inline", err, "LimitExceeded", "Maximum policy size of 2048 bytes exceeded for user Alice")
	remove := func() error { _, err := h.DeleteUser(ctx, &client.DeleteUserInput{UserName: name}); return err }
	must(h.AttachUserPolicy(ctx, &client.AttachUserPolicyInput{UserName: name, PolicyArn: new(basic)}))(t)
	refused(t, "with a policy attached", remove(), "DeleteConflict", "Cannot delete entity, must detach all policies first.")
	must(h.DetachUserPolicy(ctx, &client.DetachUserPolicyInput{UserName: name, PolicyArn: new(basic)}))(t)
	must(h.PutUserPolicy(ctx, &client.PutUserPolicyInput{UserName: name, PolicyName: new("p"), PolicyDocument: new(readBucket)}))(t)
	refused(t, "with an inline policy", remove(), "DeleteConflict", "Cannot delete entity, must delete policies first.")
	must(h.DeleteUserPolicy(ctx, &client.DeleteUserPolicyInput{UserName: name, PolicyName: new("p")}))(t)
	refused(t, "with access keys", remove(), "DeleteConflict", "Cannot delete entity, must delete access keys first.")
	for _, k := range must(h.ListAccessKeys(ctx, &client.ListAccessKeysInput{UserName: name}))(t).AccessKeyMetadata {
		must(h.DeleteAccessKey(ctx, &client.DeleteAccessKeyInput{UserName: name, AccessKeyId: k.AccessKeyId}))(t)
	}
	h.group("staff")
	if err := h.join("staff", "alice"); err != nil {
		t.Fatal(err)
	}
	refused(t, "in a group", remove(), "DeleteConflict", "Cannot delete entity, must remove users from group first.")
	_, err = h.DeleteGroup(ctx, &client.DeleteGroupInput{GroupName: new("staff")})
	refused(t, "a group with members", err, "DeleteConflict", "Cannot delete entity, must remove users from group first.")
	must(h.RemoveUserFromGroup(ctx, &client.RemoveUserFromGroupInput{GroupName: new("STAFF"), UserName: name}))(t)
	must(h.DeleteGroup(ctx, &client.DeleteGroupInput{GroupName: new("staff")}))(t)
	if err := remove(); err != nil {
		t.Error(err)
	}
	for i := range 11 {
		h.group(fmt.Sprint("g", i))
		if err := h.join(fmt.Sprint("g", i), "bob"); i == 10 {
			refused(t, "the eleventh group", err, "LimitExceeded", "Cannot exceed quota for GroupsPerUser: 10")
		} else if err != nil {
			t.Error(err)
		}
	}
}

func TestUserLife(t *testing.T) {
	dir := t.TempDir()
	h := newHouse(t, dir)
	ctx := t.Context()
	const boundary = "arn:aws:iam::aws:policy/PowerUserAccess"
	created := must(h.CreateUser(ctx, &client.CreateUserInput{UserName: new("alice"), Path: new("/people/"),
		Tags: []types.Tag{{Key: new("Team"), Value: new("green")}}, PermissionsBoundary: new(boundary)}))(t).User
	if !strings.HasPrefix(*created.UserId, "AIDA") || len(*created.UserId) != 21 {
		t.Errorf("the user's identifier is %s", *created.UserId)
	}
	same(t, "ARN", "arn:aws:iam::"+account+":user/people/alice", *created.Arn)
	key := h.accessKey("alice")
	must(h.PutUserPolicy(ctx, &client.PutUserPolicyInput{UserName: new("alice"), PolicyName: new("read"), PolicyDocument: new(readBucket)}))(t)
	must(h.AttachUserPolicy(ctx, &client.AttachUserPolicyInput{UserName: new("alice"), PolicyArn: new(basic)}))(t)
	must(h.TagUser(ctx, &client.TagUserInput{UserName: new("alice"), Tags: []types.Tag{{Key: new("stage"), Value: new("test")}}}))(t)
	must(h.UntagUser(ctx, &client.UntagUserInput{UserName: new("alice"), TagKeys: []string{"STAGE"}}))(t)
	must(h.UpdateUser(ctx, &client.UpdateUserInput{UserName: new("alice"), NewUserName: new("Alicia"), NewPath: new("/staff/")}))(t)
	h.close()

	h = newHouse(t, dir)
	got := must(h.GetUser(ctx, &client.GetUserInput{UserName: new("alicia")}))(t).User
	same(t, "ARN after all", "arn:aws:iam::"+account+":user/staff/Alicia", *got.Arn)
	same(t, "identifier after all", *created.UserId, *got.UserId)
	same(t, "boundary after all", boundary, *got.PermissionsBoundary.PermissionsBoundaryArn)
	tags := must(h.ListUserTags(ctx, &client.ListUserTagsInput{UserName: new("alicia")}))(t).Tags
	same(t, "tags after all", 1, len(tags))
	same(t, "inline policies", []string{"read"}, must(h.ListUserPolicies(ctx, &client.ListUserPoliciesInput{UserName: new("alicia")}))(t).PolicyNames)
	attached := must(h.ListAttachedUserPolicies(ctx, &client.ListAttachedUserPoliciesInput{UserName: new("alicia")}))(t).AttachedPolicies
	same(t, "attached policies", 1, len(attached))
	entities := must(h.ListEntitiesForPolicy(ctx, &client.ListEntitiesForPolicyInput{PolicyArn: new(basic)}))(t)
	same(t, "users of the policy", 1, len(entities.PolicyUsers))
	if _, err := h.GetUser(ctx, &client.GetUserInput{UserName: new("alice")}); err == nil {
		t.Error("the old name is still there")
	}
	secret, who, ok := h.service.AccessKey(here, *key.AccessKeyId)
	if !ok || secret != *key.SecretAccessKey || who.ARN != *got.Arn || who.UserID != *got.UserId || who.Account != account {
		t.Errorf("the access key stands for %+v (%v)", who, ok)
	}
	must(h.DeleteUserPermissionsBoundary(ctx, &client.DeleteUserPermissionsBoundaryInput{UserName: new("alicia")}))(t)
	must(h.PutUserPermissionsBoundary(ctx, &client.PutUserPermissionsBoundaryInput{UserName: new("alicia"), PermissionsBoundary: new(basic)}))(t)
	user, ok := h.service.User(here, "ALICIA")
	if !ok || len(user.Policies) != 2 || user.Boundary == nil || len(user.Tags) != 1 || user.ARN != *got.Arn {
		t.Errorf("what authorization reads: %+v", user)
	}
	me := must(h.GetUser(ctx, nil))(t).User
	same(t, "the root user", "arn:aws:iam::"+account+":root", *me.Arn)
}

// TestSecretsAreSealed: nobody who reads the files learns a secret.
func TestSecretsAreSealed(t *testing.T) {
	dir := t.TempDir()
	h := newHouse(t, dir)
	h.user("alice")
	key := h.accessKey("alice")
	h.close()
	raw, err := base64.StdEncoding.DecodeString(*key.SecretAccessKey)
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(*key.SecretAccessKey)) || bytes.Contains(text, raw) {
			t.Errorf("%s has the secret", path)
		}
		files++
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestAccessKeysOfOthers(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.user("alice")
	key := h.accessKey("alice")
	for name, scope := range map[string]awsapi.Scope{
		"another account": {Partition: "aws", Account: "999999999999"}, "another partition": {Partition: "aws-cn", Account: account},
	} {
		if _, _, ok := h.service.AccessKey(scope, *key.AccessKeyId); ok {
			t.Errorf("found in %s", name)
		}
	}
	must(h.UpdateAccessKey(t.Context(), &client.UpdateAccessKeyInput{UserName: new("alice"), AccessKeyId: key.AccessKeyId, Status: types.StatusTypeInactive}))(t)
	if _, _, ok := h.service.AccessKey(here, *key.AccessKeyId); ok {
		t.Error("an inactive key is found")
	}
	listed := must(h.ListAccessKeys(t.Context(), &client.ListAccessKeysInput{UserName: new("alice")}))(t).AccessKeyMetadata
	if len(listed) != 1 || listed[0].Status != types.StatusTypeInactive {
		t.Errorf("%d keys, or another status", len(listed))
	}
}

// TestLastUseIsKept: the use of a key outlives the process that saw it, once it was written.
func TestLastUseIsKept(t *testing.T) {
	dir := t.TempDir()
	h := newHouse(t, dir)
	h.user("alice")
	key := h.accessKey("alice")
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	written := h.service.Written(t.Context())
	h.service.Used(here, *key.AccessKeyId, "lambda", at)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	h.close()

	h = newHouse(t, dir)
	out := must(h.GetAccessKeyLastUsed(t.Context(), &client.GetAccessKeyLastUsedInput{AccessKeyId: key.AccessKeyId}))(t)
	if *out.UserName != "alice" || !out.AccessKeyLastUsed.LastUsedDate.Equal(at) || *out.AccessKeyLastUsed.ServiceName != "lambda" ||
		*out.AccessKeyLastUsed.Region != "us-east-1" {
		t.Errorf("%+v", out.AccessKeyLastUsed)
	}
}

func TestUsersInPages(t *testing.T) {
	h := newHouse(t, t.TempDir())
	for i := range 5 {
		h.user(fmt.Sprint("u", i))
		h.group(fmt.Sprint("g", i))
		if err := h.join("g0", fmt.Sprint("u", i)); err != nil {
			t.Fatal(err)
		}
	}
	must(h.UpdateUser(t.Context(), &client.UpdateUserInput{UserName: new("u3"), NewPath: new("/x/")}))(t)
	var users, members, groups []string
	for p := client.NewListUsersPaginator(h.Client, &client.ListUsersInput{MaxItems: new(int32(2))}); p.HasMorePages(); {
		for _, u := range must(p.NextPage(t.Context()))(t).Users {
			users = append(users, *u.UserName)
		}
	}
	for p := client.NewGetGroupPaginator(h.Client, &client.GetGroupInput{GroupName: new("g0"), MaxItems: new(int32(3))}); p.HasMorePages(); {
		for _, u := range must(p.NextPage(t.Context()))(t).Users {
			members = append(members, *u.UserName)
		}
	}
	for p := client.NewListGroupsPaginator(h.Client, &client.ListGroupsInput{MaxItems: new(int32(4))}); p.HasMorePages(); {
		for _, g := range must(p.NextPage(t.Context()))(t).Groups {
			groups = append(groups, *g.GroupName)
		}
	}
	same(t, "users", []string{"u0", "u1", "u2", "u3", "u4"}, users)
	same(t, "members", users, members)
	same(t, "groups", []string{"g0", "g1", "g2", "g3", "g4"}, groups)
	below := must(h.ListUsers(t.Context(), &client.ListUsersInput{PathPrefix: new("/x/")}))(t).Users
	same(t, "users below a path", 1, len(below))
	same(t, "groups of a user", 1, len(must(h.ListGroupsForUser(t.Context(), &client.ListGroupsForUserInput{UserName: new("u1")}))(t).Groups))
}

// TestGroupLife: a group's permissions are its members', also under another name.
func TestGroupLife(t *testing.T) {
	h := newHouse(t, t.TempDir())
	ctx := t.Context()
	h.user("alice")
	h.group("Staff")
	h.group("other")
	must(h.PutGroupPolicy(ctx, &client.PutGroupPolicyInput{GroupName: new("staff"), PolicyName: new("p"), PolicyDocument: new(readBucket)}))(t)
	must(h.AttachGroupPolicy(ctx, &client.AttachGroupPolicyInput{GroupName: new("staff"), PolicyArn: new(basic)}))(t)
	if err := h.join("STAFF", "alice"); err != nil {
		t.Fatal(err)
	}
	_, err := h.UpdateGroup(ctx, &client.UpdateGroupInput{GroupName: new("staff"), NewGroupName: new("Other")})
	refused(t, "renamed to one that exists", err, "EntityAlreadyExists", "Group with name Other already exists.")
	must(h.UpdateGroup(ctx, &client.UpdateGroupInput{GroupName: new("staff"), NewGroupName: new("People"), NewPath: new("/p/")}))(t)
	user, _ := h.service.User(here, "alice")
	allows := func(action string) bool {
		return policy.Evaluate(policy.Policies{Identity: user.Policies}, &policy.Request{Action: action, Resource: "arn:aws:s3:::a b/x"}).Allowed
	}
	if !allows("s3:GetObject") || !allows("logs:PutLogEvents") || allows("s3:PutObject") {
		t.Errorf("a member has %d policies", len(user.Policies))
	}
	g := must(h.GetGroup(ctx, &client.GetGroupInput{GroupName: new("people")}))(t)
	same(t, "ARN", "arn:aws:iam::"+account+":group/p/People", *g.Group.Arn)
	same(t, "members", 1, len(g.Users))
	same(t, "inline", []string{"p"}, must(h.ListGroupPolicies(ctx, &client.ListGroupPoliciesInput{GroupName: new("people")}))(t).PolicyNames)
	same(t, "attached", 1, len(must(h.ListAttachedGroupPolicies(ctx, &client.ListAttachedGroupPoliciesInput{GroupName: new("people")}))(t).AttachedPolicies))
	must(h.RemoveUserFromGroup(ctx, &client.RemoveUserFromGroupInput{GroupName: new("people"), UserName: new("alice")}))(t)
	_, err = h.DeleteGroup(ctx, &client.DeleteGroupInput{GroupName: new("people")})
	refused(t, "with a policy attached", err, "DeleteConflict", "Cannot delete entity, must detach all policies first.")
	must(h.DetachGroupPolicy(ctx, &client.DetachGroupPolicyInput{GroupName: new("people"), PolicyArn: new(basic)}))(t)
	must(h.DeleteGroupPolicy(ctx, &client.DeleteGroupPolicyInput{GroupName: new("people"), PolicyName: new("p")}))(t)
	must(h.DeleteGroup(ctx, &client.DeleteGroupInput{GroupName: new("people")}))(t)
	user, _ = h.service.User(here, "alice")
	same(t, "policies after all", 0, len(user.Policies))
}

// TestJoinAgainstDelete: whichever comes first, nobody is left in a group that is gone.
func TestJoinAgainstDelete(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.user("alice")
	for i := range 10 {
		name := fmt.Sprint("g", i)
		h.group(name)
		var joined, deleted error
		var wg sync.WaitGroup
		wg.Go(func() { joined = h.join(name, "alice") })
		wg.Go(func() { _, deleted = h.DeleteGroup(t.Context(), &client.DeleteGroupInput{GroupName: &name}) })
		wg.Wait()
		if (joined == nil) == (deleted == nil) {
			t.Fatalf("joined: %v, deleted: %v", joined, deleted)
		}
		if joined == nil {
			must(h.RemoveUserFromGroup(t.Context(), &client.RemoveUserFromGroupInput{GroupName: &name, UserName: new("alice")}))(t)
		}
	}
}

// TestConcurrentKeys: two at most, however many ask at once.
func TestConcurrentKeys(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.user("alice")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, _ = h.CreateAccessKey(t.Context(), &client.CreateAccessKeyInput{UserName: new("alice")})
		})
	}
	wg.Wait()
	listed := must(h.ListAccessKeys(t.Context(), &client.ListAccessKeysInput{UserName: new("alice")}))(t).AccessKeyMetadata
	if len(listed) != 2 {
		t.Errorf("%d keys", len(listed))
	}
	for _, k := range listed {
		if _, _, ok := h.service.AccessKey(here, *k.AccessKeyId); !ok {
			t.Errorf("%s is listed and not good", *k.AccessKeyId)
		}
	}
}
