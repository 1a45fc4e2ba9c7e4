package iam

import (
	"context"

	"hotaru/awsapi"
	api "hotaru/awsapi/iam"
	"hotaru/policy"
	"hotaru/store"
)

const (
	kindRole           = "iam-role"
	maxTrustSize       = 2048
	maxRoleInline      = 10240
	defaultMaxDuration = 3600
)

// roleRecord is what the store holds of a role.
type roleRecord struct {
	identity
	Trust       string `json:"trust"`
	Description string `json:"description,omitempty"`
	MaxDuration int32  `json:"maxDuration"`

	// trust is the trust policy, compiled; views alone have it.
	trust *policy.Document
}

func commonRole(r *roleRecord) *identity { return &r.identity }

func (s *Service) createRole(ctx context.Context, in *api.CreateRoleRequest) (*api.CreateRoleResponse, error) {
	scope := scopeOf(ctx)
	if err := checkTrust(*in.AssumeRolePolicyDocument); err != nil {
		return nil, err
	}
	tags, err := mergeTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	r := &roleRecord{
		identity: newIdentity("AROA", *in.RoleName, in.Path), Trust: *in.AssumeRolePolicyDocument,
		Description: value(in.Description), MaxDuration: defaultMaxDuration,
	}
	r.Boundary, r.Tags = value(in.PermissionsBoundary), tags
	if in.MaxSessionDuration != nil {
		r.MaxDuration = *in.MaxSessionDuration
	}
	if err := s.roles.create(ctx, r); err != nil {
		return nil, err
	}
	role := s.showRole(scope, r)
	role.MaxSessionDuration, role.RoleLastUsed = nil, nil
	return &api.CreateRoleResponse{Role: role}, nil
}

func checkTrust(text string) error {
	if err := checkTrustPolicy(text); err != nil {
		return err
	}
	if documentSize(text) > maxTrustSize {
		return awsapi.Errorf("LimitExceeded", "Cannot exceed quota for ACLSizePerRole: %d", maxTrustSize)
	}
	return nil
}

// showRole is the role as GetRole answers it.
func (s *Service) showRole(scope awsapi.Scope, r *roleRecord) *api.Role {
	role := &api.Role{
		Path: &r.Path, RoleName: &r.Name, RoleId: &r.ID, Arn: new(s.roles.arn(scope, &r.identity)), CreateDate: &r.Created,
		AssumeRolePolicyDocument: escaped(r.Trust), Description: optional(r.Description),
		MaxSessionDuration: &r.MaxDuration, Tags: showTags(r.Tags), RoleLastUsed: &api.RoleLastUsed{},
	}
	role.PermissionsBoundary = showBoundary(&r.identity)
	return role
}

func showBoundary(i *identity) *api.AttachedPermissionsBoundary {
	if i.Boundary == "" {
		return nil
	}
	return &api.AttachedPermissionsBoundary{PermissionsBoundaryType: new("Policy"), PermissionsBoundaryArn: &i.Boundary}
}

func (s *Service) getRole(ctx context.Context, in *api.GetRoleRequest) (*api.GetRoleResponse, error) {
	scope := scopeOf(ctx)
	r, err := s.roles.get(scope, *in.RoleName)
	if err != nil {
		return nil, err
	}
	return &api.GetRoleResponse{Role: s.showRole(scope, r)}, nil
}

// listRoles answers the subset of a role's attributes that IAM's lists have.
func (s *Service) listRoles(ctx context.Context, in *api.ListRolesRequest) (*api.ListRolesResponse, error) {
	scope := scopeOf(ctx)
	p, err := paginate(s.roles.below(scope, value(in.PathPrefix)), s.roles.folded, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListRolesResponse{Roles: []api.Role{}, IsTruncated: p.truncated, Marker: p.marker}
	for _, r := range p.items {
		role := s.showRole(scope, r)
		role.Tags, role.PermissionsBoundary, role.RoleLastUsed = nil, nil, nil
		out.Roles = append(out.Roles, *role)
	}
	return out, nil
}

func (s *Service) deleteRole(ctx context.Context, in *api.DeleteRoleRequest) (*api.DeleteRoleOutput, error) {
	scope := scopeOf(ctx)
	return nil, retry(ctx, func() error {
		r, revision, err := s.roles.load(ctx, scope, *in.RoleName)
		if err != nil {
			return err
		}
		if err := r.deletable(); err != nil {
			return err
		}
		return s.commit(ctx, store.Change{Key: key(scope, kindRole, r.Name), Delete: true, Expect: store.At(revision)})
	})
}

func (s *Service) updateRole(ctx context.Context, in *api.UpdateRoleRequest) (*api.UpdateRoleResponse, error) {
	_, err := s.roles.change(ctx, *in.RoleName, func(r *roleRecord) error {
		if in.Description != nil {
			r.Description = *in.Description
		}
		if in.MaxSessionDuration != nil {
			r.MaxDuration = *in.MaxSessionDuration
		}
		return nil
	})
	return nil, err
}

func (s *Service) updateRoleDescription(ctx context.Context, in *api.UpdateRoleDescriptionRequest) (*api.UpdateRoleDescriptionResponse, error) {
	r, err := s.roles.change(ctx, *in.RoleName, func(r *roleRecord) error {
		r.Description = value(in.Description)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateRoleDescriptionResponse{Role: s.showRole(scopeOf(ctx), r)}, nil
}

func (s *Service) updateAssumeRolePolicy(ctx context.Context, in *api.UpdateAssumeRolePolicyRequest) (*api.UpdateAssumeRolePolicyOutput, error) {
	_, err := s.roles.change(ctx, *in.RoleName, func(r *roleRecord) error {
		r.Trust = *in.PolicyDocument
		return checkTrust(r.Trust)
	})
	return nil, err
}

func (s *Service) putRolePermissionsBoundary(ctx context.Context, in *api.PutRolePermissionsBoundaryRequest) (*api.PutRolePermissionsBoundaryOutput, error) {
	return nil, s.roles.putBoundary(ctx, *in.RoleName, *in.PermissionsBoundary)
}

func (s *Service) deleteRolePermissionsBoundary(ctx context.Context, in *api.DeleteRolePermissionsBoundaryRequest) (*api.DeleteRolePermissionsBoundaryOutput, error) {
	return nil, s.roles.deleteBoundary(ctx, *in.RoleName)
}

// listInstanceProfilesForRole is always empty: instance profiles belong to EC2, which is not here. Terraform asks
// before it deletes a role.
func (s *Service) listInstanceProfilesForRole(ctx context.Context, in *api.ListInstanceProfilesForRoleRequest) (*api.ListInstanceProfilesForRoleResponse, error) {
	if _, err := s.roles.get(scopeOf(ctx), *in.RoleName); err != nil {
		return nil, err
	}
	return &api.ListInstanceProfilesForRoleResponse{InstanceProfiles: []api.InstanceProfile{}, IsTruncated: new(false)}, nil
}
