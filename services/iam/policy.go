package iam

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hotaru/awsapi"
	api "hotaru/awsapi/iam"
	"hotaru/policy"
	"hotaru/store"
)

const (
	kindPolicy     = "iam-policy"
	maxManagedSize = 6144
	maxVersions    = 5
)

// policyRecord is what the store holds of a customer managed policy; AWS's own have the same form.
type policyRecord struct {
	Name        string          `json:"name"`
	ID          string          `json:"id"`
	ARN         string          `json:"arn"`
	Path        string          `json:"path"`
	Description string          `json:"description,omitempty"`
	Created     time.Time       `json:"created"`
	Updated     time.Time       `json:"updated"`
	Tags        []tag           `json:"tags,omitempty"`
	Versions    []policyVersion `json:"versions"`
	Default     int             `json:"default"`
	// Last is the number of the newest version ever made; numbers are not given again.
	Last int `json:"last"`

	// document is the default version, compiled; views alone have it.
	document *policy.Document
}

type policyVersion struct {
	Number   int       `json:"number"`
	Document string    `json:"document"`
	Created  time.Time `json:"created"`
}

func noSuchPolicy(arn string) error {
	return awsapi.Errorf("NoSuchEntity", "Policy %s was not found.", arn)
}

// policyKey is where the customer managed policy of an ARN is; ours is false for other accounts' and AWS's own.
func policyKey(scope awsapi.Scope, arn string) (k store.Key, ours bool) {
	rest, ours := strings.CutPrefix(arn, fmt.Sprintf("arn:%s:iam::%s:policy/", scope.Partition, scope.Account))
	return key(scope, kindPolicy, rest[strings.LastIndex(rest, "/")+1:]), ours
}

// policy is a customer managed policy as the view has it, shared and not to be changed, or one of AWS's own.
func (s *Service) policy(scope awsapi.Scope, arn string) (*policyRecord, error) {
	if p := awsManaged(scope.Partition, arn); p != nil {
		return p, nil
	}
	k, ours := policyKey(scope, arn)
	if item, found := s.policies.Get(k); ours && found && item.Value.ARN == arn {
		return item.Value, nil
	}
	return nil, noSuchPolicy(arn)
}

// loadPolicy reads a customer managed policy from the store, for a change. One of AWS's own has revision 0.
func (s *Service) loadPolicy(ctx context.Context, scope awsapi.Scope, arn string) (*policyRecord, store.Revision, error) {
	if p := awsManaged(scope.Partition, arn); p != nil {
		return p, 0, nil
	}
	k, ours := policyKey(scope, arn)
	if !ours {
		return nil, 0, noSuchPolicy(arn)
	}
	p, revision, found, err := load[policyRecord](ctx, s, k)
	if err == nil && (!found || p.ARN != arn) {
		err = noSuchPolicy(arn)
	}
	return p, revision, err
}

// changePolicy stores what change makes of a customer managed policy.
func (s *Service) changePolicy(ctx context.Context, arn string, change func(*policyRecord) error) (*policyRecord, error) {
	scope := scopeOf(ctx)
	var changed *policyRecord
	err := retry(ctx, func() error {
		p, revision, err := s.ownPolicy(ctx, scope, arn)
		if err != nil {
			return err
		}
		if err := change(p); err != nil {
			return err
		}
		changed = p
		k, _ := policyKey(scope, arn)
		update, err := put(k, p, store.At(revision))
		if err != nil {
			return err
		}
		return s.commit(ctx, update)
	})
	return changed, err
}

// ownPolicy is a policy that the account may change.
func (s *Service) ownPolicy(ctx context.Context, scope awsapi.Scope, arn string) (*policyRecord, store.Revision, error) {
	p, revision, err := s.loadPolicy(ctx, scope, arn)
	if err == nil && revision == 0 {
		err = &awsapi.Error{Code: "AccessDenied", Status: 403, Message: "Policy is outside your own account."}
	}
	return p, revision, err
}

func checkManagedPolicy(text string) error {
	if err := checkIdentityPolicy(text); err != nil {
		return err
	}
	if documentSize(text) > maxManagedSize {
		return awsapi.Errorf("LimitExceeded", "Cannot exceed quota for PolicySize: %d", maxManagedSize)
	}
	return nil
}

func (s *Service) createPolicy(ctx context.Context, in *api.CreatePolicyRequest) (*api.CreatePolicyResponse, error) {
	scope := scopeOf(ctx)
	if err := checkManagedPolicy(*in.PolicyDocument); err != nil {
		return nil, err
	}
	tags, err := mergeTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	now := instant()
	p := &policyRecord{
		Name: *in.PolicyName, ID: newID("ANPA"), Path: pathOr(in.Path), Description: value(in.Description),
		ARN:     fmt.Sprintf("arn:%s:iam::%s:policy%s%s", scope.Partition, scope.Account, pathOr(in.Path), *in.PolicyName),
		Created: now, Updated: now, Tags: tags, Default: 1, Last: 1,
		Versions: []policyVersion{{Number: 1, Document: *in.PolicyDocument, Created: now}},
	}
	create, err := put(key(scope, kindPolicy, p.Name), p, store.Absent())
	if err != nil {
		return nil, err
	}
	err = retry(ctx, func() error {
		_, _, found, err := load[policyRecord](ctx, s, create.Key)
		switch {
		case err != nil:
			return err
		case found:
			return awsapi.Errorf("EntityAlreadyExists", "A policy called %s already exists. Duplicate names are not allowed.", p.Name)
		}
		return s.commit(ctx, create)
	})
	if err != nil {
		return nil, err
	}
	shown := p.show(usage{})
	shown.Description = nil
	return &api.CreatePolicyResponse{Policy: shown}, nil
}

// usage counts who uses a policy.
type usage struct{ attached, boundary int32 }

// usages counts for all policies at once.
func usages(identities []*identity) map[string]usage {
	counts := map[string]usage{}
	for _, i := range identities {
		for _, arn := range i.Attached {
			u := counts[arn]
			u.attached++
			counts[arn] = u
		}
		if i.Boundary != "" {
			u := counts[i.Boundary]
			u.boundary++
			counts[i.Boundary] = u
		}
	}
	return counts
}

// usages counts what the account's roles, users and groups use; fresh reads them from the store.
func (s *Service) usages(ctx context.Context, scope awsapi.Scope, fresh bool) (map[string]usage, error) {
	var all []*identity
	for _, read := range []func(context.Context, awsapi.Scope, bool) ([]*identity, error){
		s.roles.identities, s.users.identities, s.groups.identities,
	} {
		identities, err := read(ctx, scope, fresh)
		if err != nil {
			return nil, err
		}
		all = append(all, identities...)
	}
	return usages(all), nil
}

// show is the policy as GetPolicy answers it.
func (p *policyRecord) show(u usage) *api.Policy {
	return &api.Policy{
		PolicyName: &p.Name, PolicyId: &p.ID, Arn: &p.ARN, Path: &p.Path, DefaultVersionId: new(versionID(p.Default)),
		AttachmentCount: &u.attached, PermissionsBoundaryUsageCount: &u.boundary, IsAttachable: new(true),
		Description: optional(p.Description), CreateDate: &p.Created, UpdateDate: &p.Updated, Tags: showTags(p.Tags),
	}
}

func (s *Service) getPolicy(ctx context.Context, in *api.GetPolicyRequest) (*api.GetPolicyResponse, error) {
	scope := scopeOf(ctx)
	p, err := s.policy(scope, *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	counts, err := s.usages(ctx, scope, false)
	if err != nil {
		return nil, err
	}
	return &api.GetPolicyResponse{Policy: p.show(counts[p.ARN])}, nil
}

// listPolicies answers the subset of a policy's attributes that IAM's lists have.
func (s *Service) listPolicies(ctx context.Context, in *api.ListPoliciesRequest) (*api.ListPoliciesResponse, error) {
	scope := scopeOf(ctx)
	var all []*policyRecord
	if value(in.Scope) != "AWS" {
		all = seen(s.policies, prefix(scope, kindPolicy))
	}
	if value(in.Scope) != "Local" {
		all = append(all, allAWSManaged(scope.Partition)...)
	}
	counts, err := s.usages(ctx, scope, false)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(p *policyRecord) bool { return !listed(p, counts[p.ARN], in) })
	slices.SortFunc(all, func(a, b *policyRecord) int { return cmp.Compare(a.ARN, b.ARN) })
	page, err := paginate(all, func(p *policyRecord) string { return p.ARN }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListPoliciesResponse{Policies: []api.Policy{}, IsTruncated: page.truncated, Marker: page.marker}
	for _, p := range page.items {
		shown := p.show(counts[p.ARN])
		shown.Tags, shown.Description = nil, nil
		out.Policies = append(out.Policies, *shown)
	}
	return out, nil
}

func listed(p *policyRecord, u usage, in *api.ListPoliciesRequest) bool {
	if !strings.HasPrefix(p.Path, value(in.PathPrefix)) {
		return false
	}
	permissions, boundary := u.attached > 0, u.boundary > 0
	switch value(in.PolicyUsageFilter) {
	case "PermissionsPolicy":
		boundary = false
	case "PermissionsBoundary":
		permissions = false
	default:
		return !value(in.OnlyAttached) || permissions || boundary
	}
	return permissions || boundary
}

func (s *Service) deletePolicy(ctx context.Context, in *api.DeletePolicyRequest) (*api.DeletePolicyOutput, error) {
	scope := scopeOf(ctx)
	return nil, retry(ctx, func() error {
		p, revision, err := s.ownPolicy(ctx, scope, *in.PolicyArn)
		if err != nil {
			return err
		}
		// Not from the view: whoever attached the policy before this revision of it must be among them.
		used, err := s.usages(ctx, scope, true)
		switch {
		case err != nil:
			return err
		case used[p.ARN] != usage{}:
			return awsapi.Errorf("DeleteConflict", "Cannot delete a policy attached to entities.")
		case len(p.Versions) > 1:
			return awsapi.Errorf("DeleteConflict", "This policy has more than one version. Before you delete a policy, "+
				"you must delete the policy's versions. The default version is deleted with the policy.")
		}
		k, _ := policyKey(scope, p.ARN)
		return s.commit(ctx, store.Change{Key: k, Delete: true, Expect: store.At(revision)})
	})
}

// commitWithPolicy commits an identity that begins to use a policy, if the policy is there and stays as it is meanwhile:
// deleting it expects a revision that this commit replaces.
func (s *Service) commitWithPolicy(ctx context.Context, scope awsapi.Scope, arn string, user store.Change) error {
	p, revision, err := s.loadPolicy(ctx, scope, arn)
	if isNoSuchEntity(err) {
		return awsapi.Errorf("NoSuchEntity", "Policy %s does not exist or is not attachable.", arn)
	}
	if err != nil {
		return err
	}
	if revision == 0 {
		return s.commit(ctx, user)
	}
	k, _ := policyKey(scope, arn)
	touch, err := put(k, p, store.At(revision))
	if err != nil {
		return err
	}
	return s.commit(ctx, user, touch)
}
