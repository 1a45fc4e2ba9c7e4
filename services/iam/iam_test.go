package iam_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"hotaru/awsapi"
	"hotaru/awsapi/server"
	"hotaru/awsapi/sigv4"
	"hotaru/internal/wholebody"
	"hotaru/policy"
	"hotaru/services/iam"
	"hotaru/store/pebble"
	"hotaru/store/seal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account     = "123456789012"
	lambdaTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	readBucket  = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::a b/*"}}`
	basic       = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
)

// house is a service over a store in a directory, with an SDK client in front.
type house struct {
	*client.Client
	t       *testing.T
	service *iam.Service
	close   func()
}

func newHouse(t *testing.T, dir string) *house {
	t.Helper()
	state, err := pebble.Open(t.Context(), pebble.Options{Dir: filepath.Join(dir, "state")})
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
	s, err := server.New(server.Options{Account: account, Authenticator: sigv4.NewVerifier(sigv4.Options{Credentials: root})},
		service.Handlers().Binding())
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s)
	h := &house{t: t, service: service, Client: client.New(client.Options{
		BaseEndpoint: &front.URL, Region: "us-east-1", RetryMaxAttempts: 1, HTTPClient: &http.Client{Transport: wholebody.Transport{RoundTripper: front.Client().Transport}},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
		}),
	})}
	h.close = sync.OnceFunc(func() {
		front.Close()
		service.Close()
		if err := state.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.close)
	return h
}

func root(context.Context, string, string) ([]byte, awsapi.Identity, error) {
	return []byte("secret"), awsapi.Identity{Account: account, ARN: "arn:aws:iam::" + account + ":root"}, nil
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

func (h *house) role(name string) *types.Role {
	h.t.Helper()
	return must(h.CreateRole(h.t.Context(), &client.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: new(lambdaTrust)}))(h.t).Role
}

func (h *house) policy(name string) string {
	h.t.Helper()
	out := must(h.CreatePolicy(h.t.Context(), &client.CreatePolicyInput{PolicyName: &name, PolicyDocument: new(readBucket)}))(h.t)
	return *out.Policy.Arn
}

func (h *house) attach(role, arn string) {
	h.t.Helper()
	must(h.AttachRolePolicy(h.t.Context(), &client.AttachRolePolicyInput{RoleName: &role, PolicyArn: &arn}))(h.t)
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestMissingThings(t *testing.T) {
	h := newHouse(t, t.TempDir())
	ctx, none := t.Context(), new("none")
	h.role("there")
	noRole := "The role with name none cannot be found."
	arn := "arn:aws:iam::" + account + ":policy/none"
	noPolicy := "Policy " + arn + " was not found."
	for _, c := range []struct {
		what, message string
		call          func() error
	}{
		{"GetRole", noRole, func() error { _, err := h.GetRole(ctx, &client.GetRoleInput{RoleName: none}); return err }},
		{"DeleteRole", noRole, func() error { _, err := h.DeleteRole(ctx, &client.DeleteRoleInput{RoleName: none}); return err }},
		{"UpdateRole", noRole, func() error { _, err := h.UpdateRole(ctx, &client.UpdateRoleInput{RoleName: none}); return err }},
		{"PutRolePolicy", noRole, func() error {
			_, err := h.PutRolePolicy(ctx, &client.PutRolePolicyInput{RoleName: none, PolicyName: none, PolicyDocument: new(readBucket)})
			return err
		}},
		{"ListInstanceProfilesForRole", noRole, func() error {
			_, err := h.ListInstanceProfilesForRole(ctx, &client.ListInstanceProfilesForRoleInput{RoleName: none})
			return err
		}},
		{"AttachRolePolicy, role", noRole, func() error {
			_, err := h.AttachRolePolicy(ctx, &client.AttachRolePolicyInput{RoleName: none, PolicyArn: new(basic)})
			return err
		}},
		{"AttachRolePolicy, policy", "Policy " + arn + " does not exist or is not attachable.", func() error {
			_, err := h.AttachRolePolicy(ctx, &client.AttachRolePolicyInput{RoleName: new("there"), PolicyArn: &arn})
			return err
		}},
		{"DetachRolePolicy", "Policy " + basic + " was not found.", func() error {
			_, err := h.DetachRolePolicy(ctx, &client.DetachRolePolicyInput{RoleName: new("there"), PolicyArn: new(basic)})
			return err
		}},
		{"GetRolePolicy", "The role policy with name none cannot be found.", func() error {
			_, err := h.GetRolePolicy(ctx, &client.GetRolePolicyInput{RoleName: new("there"), PolicyName: none})
			return err
		}},
		{"DeleteRolePolicy", "The role policy with name none cannot be found.", func() error {
			_, err := h.DeleteRolePolicy(ctx, &client.DeleteRolePolicyInput{RoleName: new("there"), PolicyName: none})
			return err
		}},
		{"GetPolicy", noPolicy, func() error { _, err := h.GetPolicy(ctx, &client.GetPolicyInput{PolicyArn: &arn}); return err }},
		{"DeletePolicy", noPolicy, func() error { _, err := h.DeletePolicy(ctx, &client.DeletePolicyInput{PolicyArn: &arn}); return err }},
		{"GetPolicyVersion", "Policy " + basic + " version v9 does not exist or is not attachable.", func() error {
			_, err := h.GetPolicyVersion(ctx, &client.GetPolicyVersionInput{PolicyArn: new(basic), VersionId: new("v9")})
			return err
		}},
	} {
		refused(t, c.what, c.call(), "NoSuchEntity", c.message)
	}
}

func TestRoleConflictsAndLimits(t *testing.T) {
	h := newHouse(t, t.TempDir())
	ctx, name := t.Context(), new("Worker")
	h.role("Worker")
	create := func(name, trust string) error {
		_, err := h.CreateRole(ctx, &client.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
		return err
	}
	refused(t, "the same name", create("Worker", lambdaTrust), "EntityAlreadyExists", "Role with name Worker already exists.")
	refused(t, "the name in other case", create("worker", lambdaTrust), "EntityAlreadyExists", "Role with name worker already exists.")
	big := strings.Replace(lambdaTrust, "sts:AssumeRole", "sts:AssumeRole"+strings.Repeat("x", 2048), 1)
	refused(t, "a large trust policy", create("other", big), "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048")
	if _, err := h.GetRole(ctx, &client.GetRoleInput{RoleName: new("other")}); err == nil {
		t.Error("a refused role is there")
	}
	h.attach("Worker", basic)
	_, err := h.DeleteRole(ctx, &client.DeleteRoleInput{RoleName: name})
	refused(t, "with a policy attached", err, "DeleteConflict", "Cannot delete entity, must detach all policies first.")
	must(h.DetachRolePolicy(ctx, &client.DetachRolePolicyInput{RoleName: name, PolicyArn: new(basic)}))(t)
	put := func(policy, document string) error {
		_, err := h.PutRolePolicy(ctx, &client.PutRolePolicyInput{RoleName: name, PolicyName: &policy, PolicyDocument: &document})
		return err
	}
	if err := put("inline", readBucket); err != nil {
		t.Fatal(err)
	}
	_, err = h.DeleteRole(ctx, &client.DeleteRoleInput{RoleName: name})
	refused(t, "with an inline policy", err, "DeleteConflict", "Cannot delete entity, must delete policies first.")
	large := strings.Replace(readBucket, "a b", strings.Repeat("b", 10200), 1)
	refused(t, "too much inline", put("large", large), "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role Worker")
	for i := range 10 {
		h.attach("Worker", h.policy(fmt.Sprint("p", i)))
	}
	_, err = h.AttachRolePolicy(ctx, &client.AttachRolePolicyInput{RoleName: name, PolicyArn: new(basic)})
	refused(t, "the eleventh policy", err, "LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 10")
}

func TestRoleLife(t *testing.T) {
	dir := t.TempDir()
	h := newHouse(t, dir)
	ctx, name := t.Context(), new("worker")
	created := must(h.CreateRole(ctx, &client.CreateRoleInput{
		RoleName: name, Path: new("/apps/"), AssumeRolePolicyDocument: new(lambdaTrust), Description: new("does things"),
		Tags: []types.Tag{{Key: new("Team"), Value: new("green")}}, PermissionsBoundary: new("arn:aws:iam::aws:policy/PowerUserAccess"),
	}))(t).Role
	if !strings.HasPrefix(*created.RoleId, "AROA") || len(*created.RoleId) != 21 {
		t.Errorf("the role's identifier is %s", *created.RoleId)
	}
	same(t, "ARN", "arn:aws:iam::"+account+":role/apps/worker", *created.Arn)
	got := must(h.GetRole(ctx, &client.GetRoleInput{RoleName: name}))(t).Role
	if got.MaxSessionDuration == nil || got.RoleLastUsed == nil || got.PermissionsBoundary == nil {
		t.Fatalf("GetRole lacks something: %+v", got)
	}
	same(t, "identifier", *created.RoleId, *got.RoleId)
	same(t, "description", "does things", *got.Description)
	same(t, "session duration", int32(3600), *got.MaxSessionDuration)
	same(t, "boundary", "arn:aws:iam::aws:policy/PowerUserAccess", *got.PermissionsBoundary.PermissionsBoundaryArn)
	same(t, "created", *created.CreateDate, *got.CreateDate)
	if !strings.HasPrefix(*got.AssumeRolePolicyDocument, "%7B%22Version%22%3A%22") {
		t.Errorf("the trust policy is not percent-encoded: %s", *got.AssumeRolePolicyDocument)
	}
	plain, err := url.PathUnescape(*got.AssumeRolePolicyDocument)
	if err != nil || plain != lambdaTrust {
		t.Errorf("the trust policy is %s, %v", plain, err)
	}
	must(h.UpdateRole(ctx, &client.UpdateRoleInput{RoleName: name, MaxSessionDuration: new(int32(7200))}))(t)
	must(h.TagRole(ctx, &client.TagRoleInput{RoleName: name, Tags: []types.Tag{
		{Key: new("team"), Value: new("blue")}, {Key: new("stage"), Value: new("test")}}}))(t)
	must(h.UntagRole(ctx, &client.UntagRoleInput{RoleName: name, TagKeys: []string{"STAGE"}}))(t)
	must(h.DeleteRolePermissionsBoundary(ctx, &client.DeleteRolePermissionsBoundaryInput{RoleName: name}))(t)
	must(h.PutRolePolicy(ctx, &client.PutRolePolicyInput{RoleName: name, PolicyName: new("read"), PolicyDocument: new(readBucket)}))(t)
	h.attach("worker", basic)
	h.close()

	h = newHouse(t, dir)
	got = must(h.GetRole(ctx, &client.GetRoleInput{RoleName: name}))(t).Role
	same(t, "description after a restart", "does things", *got.Description)
	same(t, "session duration after a restart", int32(7200), *got.MaxSessionDuration)
	same(t, "boundary after a restart", true, got.PermissionsBoundary == nil)
	tags := must(h.ListRoleTags(ctx, &client.ListRoleTagsInput{RoleName: name}))(t).Tags
	if len(tags) != 1 || *tags[0].Key != "team" || *tags[0].Value != "blue" {
		t.Errorf("tags after a restart: %d, %v", len(tags), *tags[0].Key)
	}
	inline := must(h.GetRolePolicy(ctx, &client.GetRolePolicyInput{RoleName: name, PolicyName: new("read")}))(t)
	if plain, err := url.PathUnescape(*inline.PolicyDocument); err != nil || plain != readBucket {
		t.Errorf("the inline policy is %s, %v", plain, err)
	}
	same(t, "inline policies", []string{"read"}, must(h.ListRolePolicies(ctx, &client.ListRolePoliciesInput{RoleName: name}))(t).PolicyNames)
	profiles := must(h.ListInstanceProfilesForRole(ctx, &client.ListInstanceProfilesForRoleInput{RoleName: name}))(t)
	same(t, "instance profiles", 0, len(profiles.InstanceProfiles))
	attached := must(h.ListAttachedRolePolicies(ctx, &client.ListAttachedRolePoliciesInput{RoleName: name}))(t).AttachedPolicies
	if len(attached) != 1 || *attached[0].PolicyArn != basic || *attached[0].PolicyName != "AWSLambdaBasicExecutionRole" {
		t.Errorf("%d policies are attached", len(attached))
	}
	must(h.DeleteRolePolicy(ctx, &client.DeleteRolePolicyInput{RoleName: name, PolicyName: new("read")}))(t)
	must(h.DetachRolePolicy(ctx, &client.DetachRolePolicyInput{RoleName: name, PolicyArn: new(basic)}))(t)
	must(h.DeleteRole(ctx, &client.DeleteRoleInput{RoleName: name}))(t)
	_, err = h.GetRole(ctx, &client.GetRoleInput{RoleName: name})
	refused(t, "a deleted role", err, "NoSuchEntity", "The role with name worker cannot be found.")
}

func TestListRolesInPages(t *testing.T) {
	h := newHouse(t, t.TempDir())
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("r%d", i)
		path := new("/apps/")
		if i%2 == 1 {
			path = new("/other/")
		} else {
			want = append(want, name)
		}
		must(h.CreateRole(t.Context(), &client.CreateRoleInput{RoleName: &name, Path: path, AssumeRolePolicyDocument: new(lambdaTrust)}))(t)
	}
	pages := client.NewListRolesPaginator(h.Client, &client.ListRolesInput{PathPrefix: new("/apps"), MaxItems: new(int32(2))})
	var got []string
	for calls := 0; pages.HasMorePages(); calls++ {
		for _, role := range must(pages.NextPage(t.Context()))(t).Roles {
			got = append(got, *role.RoleName)
		}
		if calls > 2 {
			t.Fatal("too many pages")
		}
	}
	same(t, "names", want, got)
	_, err := h.ListRoles(t.Context(), &client.ListRolesInput{Marker: new("!")})
	refused(t, "a bad marker", err, "ValidationError", "Invalid Marker.")
}

func TestTagRefusals(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.role("worker")
	tag := func(keys ...string) error {
		in := &client.TagRoleInput{RoleName: new("worker")}
		for _, key := range keys {
			in.Tags = append(in.Tags, types.Tag{Key: &key, Value: new("")})
		}
		_, err := h.TagRole(t.Context(), in)
		return err
	}
	refused(t, "twice", tag("a", "A"), "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
	refused(t, "aws:", tag("aws:x"), "InvalidInput", "aws: prefixed tag key names are not allowed for external use.")
	var many []string
	for i := range 50 {
		many = append(many, fmt.Sprint("k", i))
	}
	if err := tag(many...); err != nil {
		t.Fatal(err)
	}
	refused(t, "the 51st", tag("more"), "LimitExceeded", "The number of tags has reached the maximum limit.")
	pages := client.NewListRoleTagsPaginator(h.Client, &client.ListRoleTagsInput{RoleName: new("worker"), MaxItems: new(int32(20))})
	n := 0
	for pages.HasMorePages() {
		n += len(must(pages.NextPage(t.Context()))(t).Tags)
	}
	same(t, "tags in pages", 50, n)
}

func TestPolicyVersions(t *testing.T) {
	h := newHouse(t, t.TempDir())
	ctx := t.Context()
	arn := new(h.policy("read"))
	same(t, "ARN", "arn:aws:iam::"+account+":policy/read", *arn)
	_, err := h.CreatePolicy(ctx, &client.CreatePolicyInput{PolicyName: new("Read"), PolicyDocument: new(readBucket)})
	refused(t, "the same name", err, "EntityAlreadyExists", "A policy called Read already exists. Duplicate names are not allowed.")
	large := strings.Replace(readBucket, "a b", strings.Repeat("b", 6144), 1)
	_, err = h.CreatePolicyVersion(ctx, &client.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: &large})
	refused(t, "a large one", err, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
	for i := range 4 {
		out := must(h.CreatePolicyVersion(ctx, &client.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: new(readBucket), SetAsDefault: i == 3}))(t)
		same(t, "version", fmt.Sprintf("v%d", i+2), *out.PolicyVersion.VersionId)
	}
	_, err = h.CreatePolicyVersion(ctx, &client.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: new(readBucket)})
	refused(t, "the sixth version", err, "LimitExceeded",
		"A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.")
	_, err = h.DeletePolicyVersion(ctx, &client.DeletePolicyVersionInput{PolicyArn: arn, VersionId: new("v5")})
	refused(t, "the default version", err, "DeleteConflict", "Cannot delete the default version of a policy.")
	_, err = h.DeletePolicy(ctx, &client.DeletePolicyInput{PolicyArn: arn})
	refused(t, "with versions", err, "DeleteConflict", "This policy has more than one version. Before you delete a policy, "+
		"you must delete the policy's versions. The default version is deleted with the policy.")
	must(h.SetDefaultPolicyVersion(ctx, &client.SetDefaultPolicyVersionInput{PolicyArn: arn, VersionId: new("v2")}))(t)
	same(t, "default", "v2", *must(h.GetPolicy(ctx, &client.GetPolicyInput{PolicyArn: arn}))(t).Policy.DefaultVersionId)
	pages := client.NewListPolicyVersionsPaginator(h.Client, &client.ListPolicyVersionsInput{PolicyArn: arn, MaxItems: new(int32(2))})
	var ids []string
	for pages.HasMorePages() {
		for _, v := range must(pages.NextPage(ctx))(t).Versions {
			ids = append(ids, *v.VersionId)
		}
	}
	same(t, "versions", []string{"v5", "v4", "v3", "v2", "v1"}, ids)
	for _, id := range []string{"v1", "v3", "v4", "v5"} {
		must(h.DeletePolicyVersion(ctx, &client.DeletePolicyVersionInput{PolicyArn: arn, VersionId: &id}))(t)
	}
	out := must(h.CreatePolicyVersion(ctx, &client.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: new(readBucket)}))(t)
	same(t, "a number is not given again", "v6", *out.PolicyVersion.VersionId)
	_, err = h.CreatePolicyVersion(ctx, &client.CreatePolicyVersionInput{PolicyArn: new(basic), PolicyDocument: new(readBucket)})
	refused(t, "AWS's own", err, "AccessDenied", "Policy is outside your own account.")
}

func TestAttachmentsAreCounted(t *testing.T) {
	h := newHouse(t, t.TempDir())
	ctx := t.Context()
	arn := new(h.policy("read"))
	h.role("a")
	h.role("b")
	h.attach("a", *arn)
	h.attach("a", *arn) // again: fine
	h.attach("b", *arn)
	must(h.PutRolePermissionsBoundary(ctx, &client.PutRolePermissionsBoundaryInput{RoleName: new("b"), PermissionsBoundary: arn}))(t)
	p := must(h.GetPolicy(ctx, &client.GetPolicyInput{PolicyArn: arn}))(t).Policy
	same(t, "attachments", int32(2), *p.AttachmentCount)
	same(t, "boundaries", int32(1), *p.PermissionsBoundaryUsageCount)
	_, err := h.DeletePolicy(ctx, &client.DeletePolicyInput{PolicyArn: arn})
	refused(t, "in use", err, "DeleteConflict", "Cannot delete a policy attached to entities.")
	entities := must(h.ListEntitiesForPolicy(ctx, &client.ListEntitiesForPolicyInput{PolicyArn: arn}))(t).PolicyRoles
	same(t, "roles", 2, len(entities))
	local := must(h.ListPolicies(ctx, &client.ListPoliciesInput{Scope: types.PolicyScopeTypeLocal, OnlyAttached: true}))(t).Policies
	if len(local) != 1 || *local[0].PolicyName != "read" {
		t.Errorf("%d local policies are attached", len(local))
	}
	all := must(h.ListPolicies(ctx, &client.ListPoliciesInput{MaxItems: new(int32(1000))}))(t).Policies
	if len(all) < 20 || !slices.ContainsFunc(all, func(p types.Policy) bool { return *p.Arn == basic }) {
		t.Errorf("%d policies, or AWS's are missing", len(all))
	}
	onlyAWS := must(h.ListPolicies(ctx, &client.ListPoliciesInput{Scope: types.PolicyScopeTypeAws, PathPrefix: new("/service-role/")}))(t).Policies
	for _, p := range onlyAWS {
		if !strings.HasPrefix(*p.Arn, "arn:aws:iam::aws:policy/service-role/") {
			t.Errorf("%s is listed", *p.Arn)
		}
	}
}

// TestAttachAgainstDelete: whichever comes first, no role is left with a policy that is gone.
func TestAttachAgainstDelete(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.role("worker")
	for i := range 20 {
		arn := h.policy(fmt.Sprint("p", i))
		var attached, deleted error
		var wg sync.WaitGroup
		wg.Go(func() {
			_, attached = h.AttachRolePolicy(t.Context(), &client.AttachRolePolicyInput{RoleName: new("worker"), PolicyArn: &arn})
		})
		wg.Go(func() { _, deleted = h.DeletePolicy(t.Context(), &client.DeletePolicyInput{PolicyArn: &arn}) })
		wg.Wait()
		if (attached == nil) == (deleted == nil) {
			t.Fatalf("attached: %v, deleted: %v", attached, deleted)
		}
		if attached == nil {
			must(h.DetachRolePolicy(t.Context(), &client.DetachRolePolicyInput{RoleName: new("worker"), PolicyArn: &arn}))(t)
		}
	}
}

// TestConcurrentChanges: no change of one role is lost.
func TestConcurrentChanges(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.role("worker")
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			_, err := h.TagRole(t.Context(), &client.TagRoleInput{RoleName: new("worker"), Tags: []types.Tag{{Key: new(fmt.Sprint("k", i)), Value: new("v")}}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	same(t, "tags", 10, len(must(h.ListRoleTags(t.Context(), &client.ListRoleTagsInput{RoleName: new("worker")}))(t).Tags))
}

func TestWhatOthersRead(t *testing.T) {
	h := newHouse(t, t.TempDir())
	scope := awsapi.Scope{Partition: "aws", Account: account, Region: "eu-west-1"}
	if _, ok := h.service.Role(scope, "worker"); ok {
		t.Error("a missing role was read")
	}
	h.role("worker")
	must(h.PutRolePolicy(t.Context(), &client.PutRolePolicyInput{RoleName: new("worker"), PolicyName: new("read"), PolicyDocument: new(readBucket)}))(t)
	h.attach("worker", basic)
	role, ok := h.service.Role(scope, "worker")
	if !ok {
		t.Fatal("the role is not there")
	}
	allows := func(action string) bool {
		return policy.Evaluate(policy.Policies{Identity: role.Policies}, &policy.Request{Action: action, Resource: "arn:aws:s3:::a b/x"}).Allowed
	}
	if len(role.Policies) != 2 || !allows("s3:GetObject") || !allows("logs:PutLogEvents") || allows("s3:PutObject") {
		t.Errorf("%d policies, or they allow something else", len(role.Policies))
	}
	same(t, "trust", true, role.Trust != nil)
	same(t, "session", time.Hour, role.MaxSession)
	other := scope
	other.Account = "999999999999"
	for _, c := range []struct {
		scope         awsapi.Scope
		role, service string
		want          bool
	}{
		{scope, "worker", "lambda.amazonaws.com", true},
		{scope, "worker", "ec2.amazonaws.com", false},
		{scope, "none", "lambda.amazonaws.com", false},
		{other, "worker", "lambda.amazonaws.com", false},
	} {
		same(t, c.role+" "+c.service, c.want, h.service.Assumable(c.scope, c.role, c.service))
	}
}
