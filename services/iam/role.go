package iam

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hotaru/awsapi"
	api "hotaru/awsapi/iam"
	"hotaru/store"
)

const (
	kindRole           = "iam-role"
	maxTrustSize       = 2048
	defaultMaxDuration = 3600
)

// roleRecord is what the store holds of a role.
type roleRecord struct {
	Name        string            `json:"name"`
	ID          string            `json:"id"`
	Path        string            `json:"path"`
	Created     time.Time         `json:"created"`
	Trust       string            `json:"trust"`
	Description string            `json:"description,omitempty"`
	MaxDuration int32             `json:"maxDuration"`
	Boundary    string            `json:"boundary,omitempty"`
	Tags        []tag             `json:"tags,omitempty"`
	Inline      map[string]string `json:"inline,omitempty"`
	// Attached are ARNs of managed policies, in the order of attaching.
	Attached []string `json:"attached,omitempty"`
}

func noSuchRole(name string) error {
	return awsapi.Errorf("NoSuchEntity", "The role with name %s cannot be found.", name)
}

func (r *roleRecord) arn(scope awsapi.Scope) string {
	return fmt.Sprintf("arn:%s:iam::%s:role%s%s", scope.Partition, scope.Account, r.Path, r.Name)
}

// role is a role that must be there, as the view has it: shared, not to be changed.
func (s *Service) role(scope awsapi.Scope, name string) (*roleRecord, error) {
	item, found := s.roles.Get(key(scope, kindRole, name))
	if !found {
		return nil, noSuchRole(name)
	}
	return item.Value, nil
}

// loadRole reads a role that must be there from the store, for a change.
func (s *Service) loadRole(ctx context.Context, scope awsapi.Scope, name string) (*roleRecord, store.Revision, error) {
	r, revision, found, err := load[roleRecord](ctx, s, key(scope, kindRole, name))
	if err == nil && !found {
		err = noSuchRole(name)
	}
	return r, revision, err
}

// changeRole stores what change makes of the role, as often as somebody else was faster.
func (s *Service) changeRole(ctx context.Context, name *string, change func(*roleRecord) error) (*roleRecord, error) {
	scope := scopeOf(ctx)
	var changed *roleRecord
	err := retry(ctx, func() error {
		r, revision, err := s.loadRole(ctx, scope, *name)
		if err != nil {
			return err
		}
		if err := change(r); err != nil {
			return err
		}
		changed = r
		update, err := put(key(scope, kindRole, *name), r, store.At(revision))
		if err != nil {
			return err
		}
		return s.commit(ctx, update)
	})
	return changed, err
}

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
		Name: *in.RoleName, ID: newID("AROA"), Path: pathOr(in.Path), Created: instant(), Trust: *in.AssumeRolePolicyDocument,
		Description: value(in.Description), MaxDuration: defaultMaxDuration, Boundary: value(in.PermissionsBoundary), Tags: tags,
	}
	if in.MaxSessionDuration != nil {
		r.MaxDuration = *in.MaxSessionDuration
	}
	create, err := put(key(scope, kindRole, r.Name), r, store.Absent())
	if err != nil {
		return nil, err
	}
	err = retry(ctx, func() error {
		_, _, found, err := load[roleRecord](ctx, s, create.Key)
		switch {
		case err != nil:
			return err
		case found:
			return awsapi.Errorf("EntityAlreadyExists", "Role with name %s already exists.", r.Name)
		case r.Boundary == "":
			return s.commit(ctx, create)
		}
		return s.commitWithPolicy(ctx, scope, r.Boundary, create)
	})
	if err != nil {
		return nil, err
	}
	role := r.show(scope)
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

// show is the role as GetRole answers it.
func (r *roleRecord) show(scope awsapi.Scope) *api.Role {
	role := &api.Role{
		Path: &r.Path, RoleName: &r.Name, RoleId: &r.ID, Arn: new(r.arn(scope)), CreateDate: &r.Created,
		AssumeRolePolicyDocument: escaped(r.Trust), Description: optional(r.Description),
		MaxSessionDuration: &r.MaxDuration, Tags: showTags(r.Tags), RoleLastUsed: &api.RoleLastUsed{},
	}
	if r.Boundary != "" {
		role.PermissionsBoundary = &api.AttachedPermissionsBoundary{
			PermissionsBoundaryType: new("Policy"), PermissionsBoundaryArn: &r.Boundary}
	}
	return role
}

func (s *Service) getRole(ctx context.Context, in *api.GetRoleRequest) (*api.GetRoleResponse, error) {
	scope := scopeOf(ctx)
	r, err := s.role(scope, *in.RoleName)
	if err != nil {
		return nil, err
	}
	return &api.GetRoleResponse{Role: r.show(scope)}, nil
}

// listRoles answers the subset of a role's attributes that IAM's lists have.
func (s *Service) listRoles(ctx context.Context, in *api.ListRolesRequest) (*api.ListRolesResponse, error) {
	scope := scopeOf(ctx)
	p, err := paginate(s.rolesBelow(scope, value(in.PathPrefix)), roleName, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListRolesResponse{Roles: []api.Role{}, IsTruncated: p.truncated, Marker: p.marker}
	for _, r := range p.items {
		role := r.show(scope)
		role.Tags, role.PermissionsBoundary, role.RoleLastUsed = nil, nil, nil
		out.Roles = append(out.Roles, *role)
	}
	return out, nil
}

func roleName(r *roleRecord) string { return strings.ToLower(r.Name) }

// rolesBelow are all of the account's below a path, sorted by name.
func (s *Service) rolesBelow(scope awsapi.Scope, path string) []*roleRecord {
	roles := seen(s.roles, prefix(scope, kindRole))
	roles = slices.DeleteFunc(roles, func(r *roleRecord) bool { return !strings.HasPrefix(r.Path, path) })
	slices.SortFunc(roles, func(a, b *roleRecord) int { return strings.Compare(roleName(a), roleName(b)) })
	return roles
}

func (s *Service) deleteRole(ctx context.Context, in *api.DeleteRoleRequest) (*api.DeleteRoleOutput, error) {
	scope := scopeOf(ctx)
	return nil, retry(ctx, func() error {
		r, revision, err := s.loadRole(ctx, scope, *in.RoleName)
		switch {
		case err != nil:
			return err
		case len(r.Attached) > 0:
			return awsapi.Errorf("DeleteConflict", "Cannot delete entity, must detach all policies first.")
		case len(r.Inline) > 0:
			return awsapi.Errorf("DeleteConflict", "Cannot delete entity, must delete policies first.")
		}
		return s.commit(ctx, store.Change{Key: key(scope, kindRole, r.Name), Delete: true, Expect: store.At(revision)})
	})
}

func (s *Service) updateRole(ctx context.Context, in *api.UpdateRoleRequest) (*api.UpdateRoleResponse, error) {
	_, err := s.changeRole(ctx, in.RoleName, func(r *roleRecord) error {
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
	r, err := s.changeRole(ctx, in.RoleName, func(r *roleRecord) error {
		r.Description = value(in.Description)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateRoleDescriptionResponse{Role: r.show(scopeOf(ctx))}, nil
}

func (s *Service) updateAssumeRolePolicy(ctx context.Context, in *api.UpdateAssumeRolePolicyRequest) (*api.UpdateAssumeRolePolicyOutput, error) {
	_, err := s.changeRole(ctx, in.RoleName, func(r *roleRecord) error {
		r.Trust = *in.PolicyDocument
		return checkTrust(r.Trust)
	})
	return nil, err
}

func (s *Service) deleteRolePermissionsBoundary(ctx context.Context, in *api.DeleteRolePermissionsBoundaryRequest) (*api.DeleteRolePermissionsBoundaryOutput, error) {
	_, err := s.changeRole(ctx, in.RoleName, func(r *roleRecord) error {
		r.Boundary = ""
		return nil
	})
	return nil, err
}

// listInstanceProfilesForRole is always empty: instance profiles belong to EC2, which is not here. Terraform asks
// before it deletes a role.
func (s *Service) listInstanceProfilesForRole(ctx context.Context, in *api.ListInstanceProfilesForRoleRequest) (*api.ListInstanceProfilesForRoleResponse, error) {
	if _, err := s.role(scopeOf(ctx), *in.RoleName); err != nil {
		return nil, err
	}
	return &api.ListInstanceProfilesForRoleResponse{InstanceProfiles: []api.InstanceProfile{}, IsTruncated: new(false)}, nil
}
