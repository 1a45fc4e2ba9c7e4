package iam

import (
	"context"
	"slices"
	"strings"

	"hotaru/awsapi"
	api "hotaru/awsapi/iam"
	"hotaru/store"
)

// maxAttached is IAM's default quota of managed policies per role.
const maxAttached = 10

// useOfPolicy changes a role so that it uses a policy that must exist.
func (s *Service) useOfPolicy(ctx context.Context, name, arn string, change func(*roleRecord) (changed bool, err error)) error {
	scope := scopeOf(ctx)
	return retry(ctx, func() error {
		r, revision, err := s.loadRole(ctx, scope, name)
		if err != nil {
			return err
		}
		changed, err := change(r)
		if err != nil || !changed {
			return err
		}
		update, err := put(key(scope, kindRole, name), r, store.At(revision))
		if err != nil {
			return err
		}
		return s.commitWithPolicy(ctx, scope, arn, update)
	})
}

// attachRolePolicy is idempotent.
func (s *Service) attachRolePolicy(ctx context.Context, in *api.AttachRolePolicyRequest) (*api.AttachRolePolicyOutput, error) {
	return nil, s.useOfPolicy(ctx, *in.RoleName, *in.PolicyArn, func(r *roleRecord) (bool, error) {
		if slices.Contains(r.Attached, *in.PolicyArn) {
			return false, nil
		}
		if len(r.Attached) >= maxAttached {
			return false, awsapi.Errorf("LimitExceeded", "Cannot exceed quota for PoliciesPerRole: %d", maxAttached)
		}
		r.Attached = append(r.Attached, *in.PolicyArn)
		return true, nil
	})
}

func (s *Service) putRolePermissionsBoundary(ctx context.Context, in *api.PutRolePermissionsBoundaryRequest) (*api.PutRolePermissionsBoundaryOutput, error) {
	return nil, s.useOfPolicy(ctx, *in.RoleName, *in.PermissionsBoundary, func(r *roleRecord) (bool, error) {
		r.Boundary = *in.PermissionsBoundary
		return true, nil
	})
}

func (s *Service) detachRolePolicy(ctx context.Context, in *api.DetachRolePolicyRequest) (*api.DetachRolePolicyOutput, error) {
	_, err := s.changeRole(ctx, in.RoleName, func(r *roleRecord) error {
		at := slices.Index(r.Attached, *in.PolicyArn)
		if at < 0 {
			return noSuchPolicy(*in.PolicyArn)
		}
		r.Attached = slices.Delete(r.Attached, at, at+1)
		return nil
	})
	return nil, err
}

// pathOfARN is the path of a policy or role: what stands between the resource's type and its name.
func pathOfARN(arn string) string {
	resource := arn[strings.LastIndex(arn, ":")+1:]
	from, to := strings.Index(resource, "/"), strings.LastIndex(resource, "/")
	if from < 0 {
		return "/"
	}
	return resource[from : to+1]
}

func nameOfARN(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

func (s *Service) listAttachedRolePolicies(ctx context.Context, in *api.ListAttachedRolePoliciesRequest) (*api.ListAttachedRolePoliciesResponse, error) {
	r, err := s.role(scopeOf(ctx), *in.RoleName)
	if err != nil {
		return nil, err
	}
	arns := slices.DeleteFunc(slices.Clone(r.Attached), func(arn string) bool {
		return !strings.HasPrefix(pathOfARN(arn), value(in.PathPrefix))
	})
	slices.Sort(arns)
	p, err := paginate(arns, func(arn string) string { return arn }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListAttachedRolePoliciesResponse{AttachedPolicies: []api.AttachedPolicy{}, IsTruncated: p.truncated, Marker: p.marker}
	for _, arn := range p.items {
		out.AttachedPolicies = append(out.AttachedPolicies, api.AttachedPolicy{PolicyName: new(nameOfARN(arn)), PolicyArn: new(arn)})
	}
	return out, nil
}

// listEntitiesForPolicy knows roles alone: users and groups are not kept here, so their lists are empty.
func (s *Service) listEntitiesForPolicy(ctx context.Context, in *api.ListEntitiesForPolicyRequest) (*api.ListEntitiesForPolicyResponse, error) {
	scope := scopeOf(ctx)
	if _, err := s.policy(scope, *in.PolicyArn); err != nil {
		return nil, err
	}
	roles := slices.DeleteFunc(s.rolesBelow(scope, value(in.PathPrefix)), func(r *roleRecord) bool { return !uses(r, in) })
	p, err := paginate(roles, roleName, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListEntitiesForPolicyResponse{
		PolicyGroups: []api.PolicyGroup{}, PolicyUsers: []api.PolicyUser{}, PolicyRoles: []api.PolicyRole{},
		IsTruncated: p.truncated, Marker: p.marker,
	}
	for _, r := range p.items {
		out.PolicyRoles = append(out.PolicyRoles, api.PolicyRole{RoleName: &r.Name, RoleId: &r.ID})
	}
	return out, nil
}

func uses(r *roleRecord, in *api.ListEntitiesForPolicyRequest) bool {
	attached := slices.Contains(r.Attached, *in.PolicyArn)
	boundary := r.Boundary == *in.PolicyArn
	switch value(in.PolicyUsageFilter) {
	case "PermissionsPolicy":
		boundary = false
	case "PermissionsBoundary":
		attached = false
	}
	kind := value(in.EntityFilter)
	return (kind == "" || kind == "Role") && (attached || boundary)
}
