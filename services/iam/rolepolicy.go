package iam

import (
	"context"
	"maps"
	"slices"

	"hotaru/awsapi"
	api "hotaru/awsapi/iam"
)

// maxInlineSize bounds all inline policies of one role together, in characters without white space.
const maxInlineSize = 10240

func noSuchRolePolicy(name string) error {
	return awsapi.Errorf("NoSuchEntity", "The role policy with name %s cannot be found.", name)
}

func (s *Service) putRolePolicy(ctx context.Context, in *api.PutRolePolicyRequest) (*api.PutRolePolicyOutput, error) {
	_, err := s.changeRole(ctx, in.RoleName, func(r *roleRecord) error {
		if err := checkIdentityPolicy(*in.PolicyDocument); err != nil {
			return err
		}
		if r.Inline == nil {
			r.Inline = map[string]string{}
		}
		r.Inline[*in.PolicyName] = *in.PolicyDocument
		size := 0
		for _, text := range r.Inline {
			size += documentSize(text)
		}
		if size > maxInlineSize {
			return awsapi.Errorf("LimitExceeded", "Maximum policy size of %d bytes exceeded for role %s", maxInlineSize, r.Name)
		}
		return nil
	})
	return nil, err
}

func (s *Service) getRolePolicy(ctx context.Context, in *api.GetRolePolicyRequest) (*api.GetRolePolicyResponse, error) {
	r, err := s.role(scopeOf(ctx), *in.RoleName)
	if err != nil {
		return nil, err
	}
	text, ok := r.Inline[*in.PolicyName]
	if !ok {
		return nil, noSuchRolePolicy(*in.PolicyName)
	}
	return &api.GetRolePolicyResponse{RoleName: &r.Name, PolicyName: in.PolicyName, PolicyDocument: escaped(text)}, nil
}

func (s *Service) listRolePolicies(ctx context.Context, in *api.ListRolePoliciesRequest) (*api.ListRolePoliciesResponse, error) {
	r, err := s.role(scopeOf(ctx), *in.RoleName)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(r.Inline))
	p, err := paginate(names, func(name string) string { return name }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListRolePoliciesResponse{PolicyNames: append([]string{}, p.items...), IsTruncated: p.truncated, Marker: p.marker}, nil
}

func (s *Service) deleteRolePolicy(ctx context.Context, in *api.DeleteRolePolicyRequest) (*api.DeleteRolePolicyOutput, error) {
	_, err := s.changeRole(ctx, in.RoleName, func(r *roleRecord) error {
		if _, ok := r.Inline[*in.PolicyName]; !ok {
			return noSuchRolePolicy(*in.PolicyName)
		}
		delete(r.Inline, *in.PolicyName)
		return nil
	})
	return nil, err
}
