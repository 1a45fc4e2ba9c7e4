package iam

import (
	"context"
	"maps"
	"slices"

	"hotaru/awsapi"
	api "hotaru/awsapi/iam"
)

func (c *collection[T]) noSuchInline(name string) error {
	return awsapi.Errorf("NoSuchEntity", "The %s policy with name %s cannot be found.", c.noun, name)
}

func (c *collection[T]) putInline(ctx context.Context, name, policyName, document string) error {
	_, err := c.change(ctx, name, func(v *T) error {
		if err := checkIdentityPolicy(document); err != nil {
			return err
		}
		i := c.common(v)
		if i.Inline == nil {
			i.Inline = map[string]string{}
		}
		i.Inline[policyName] = document
		size := 0
		for _, text := range i.Inline {
			size += documentSize(text)
		}
		if size > c.inlineSize {
			return awsapi.Errorf("LimitExceeded", "Maximum policy size of %d bytes exceeded for %s %s", c.inlineSize, c.noun, i.Name)
		}
		return nil
	})
	return err
}

// inline is one policy's document, escaped, with the identity's name as it was given when it was made.
func (c *collection[T]) inline(ctx context.Context, name, policyName string) (owner, document *string, err error) {
	v, err := c.get(scopeOf(ctx), name)
	if err != nil {
		return nil, nil, err
	}
	i := c.common(v)
	text, ok := i.Inline[policyName]
	if !ok {
		return nil, nil, c.noSuchInline(policyName)
	}
	return &i.Name, escaped(text), nil
}

// inlineNames is a page of an identity's inline policies.
func (c *collection[T]) inlineNames(ctx context.Context, name string, marker *string, maxItems *int32) (page[string], error) {
	v, err := c.get(scopeOf(ctx), name)
	if err != nil {
		return page[string]{}, err
	}
	names := slices.Sorted(maps.Keys(c.common(v).Inline))
	p, err := paginate(names, func(name string) string { return name }, marker, maxItems)
	p.items = append([]string{}, p.items...)
	return p, err
}

func (c *collection[T]) deleteInline(ctx context.Context, name, policyName string) error {
	_, err := c.change(ctx, name, func(v *T) error {
		i := c.common(v)
		if _, ok := i.Inline[policyName]; !ok {
			return c.noSuchInline(policyName)
		}
		delete(i.Inline, policyName)
		return nil
	})
	return err
}

func (s *Service) putRolePolicy(ctx context.Context, in *api.PutRolePolicyRequest) (*api.PutRolePolicyOutput, error) {
	return nil, s.roles.putInline(ctx, *in.RoleName, *in.PolicyName, *in.PolicyDocument)
}

func (s *Service) getRolePolicy(ctx context.Context, in *api.GetRolePolicyRequest) (*api.GetRolePolicyResponse, error) {
	name, document, err := s.roles.inline(ctx, *in.RoleName, *in.PolicyName)
	return &api.GetRolePolicyResponse{RoleName: name, PolicyName: in.PolicyName, PolicyDocument: document}, err
}

func (s *Service) listRolePolicies(ctx context.Context, in *api.ListRolePoliciesRequest) (*api.ListRolePoliciesResponse, error) {
	p, err := s.roles.inlineNames(ctx, *in.RoleName, in.Marker, in.MaxItems)
	return &api.ListRolePoliciesResponse{PolicyNames: p.items, IsTruncated: p.truncated, Marker: p.marker}, err
}

func (s *Service) deleteRolePolicy(ctx context.Context, in *api.DeleteRolePolicyRequest) (*api.DeleteRolePolicyOutput, error) {
	return nil, s.roles.deleteInline(ctx, *in.RoleName, *in.PolicyName)
}

func (s *Service) putUserPolicy(ctx context.Context, in *api.PutUserPolicyRequest) (*api.PutUserPolicyOutput, error) {
	return nil, s.users.putInline(ctx, *in.UserName, *in.PolicyName, *in.PolicyDocument)
}

func (s *Service) getUserPolicy(ctx context.Context, in *api.GetUserPolicyRequest) (*api.GetUserPolicyResponse, error) {
	name, document, err := s.users.inline(ctx, *in.UserName, *in.PolicyName)
	return &api.GetUserPolicyResponse{UserName: name, PolicyName: in.PolicyName, PolicyDocument: document}, err
}

func (s *Service) listUserPolicies(ctx context.Context, in *api.ListUserPoliciesRequest) (*api.ListUserPoliciesResponse, error) {
	p, err := s.users.inlineNames(ctx, *in.UserName, in.Marker, in.MaxItems)
	return &api.ListUserPoliciesResponse{PolicyNames: p.items, IsTruncated: p.truncated, Marker: p.marker}, err
}

func (s *Service) deleteUserPolicy(ctx context.Context, in *api.DeleteUserPolicyRequest) (*api.DeleteUserPolicyOutput, error) {
	return nil, s.users.deleteInline(ctx, *in.UserName, *in.PolicyName)
}

func (s *Service) putGroupPolicy(ctx context.Context, in *api.PutGroupPolicyRequest) (*api.PutGroupPolicyOutput, error) {
	return nil, s.groups.putInline(ctx, *in.GroupName, *in.PolicyName, *in.PolicyDocument)
}

func (s *Service) getGroupPolicy(ctx context.Context, in *api.GetGroupPolicyRequest) (*api.GetGroupPolicyResponse, error) {
	name, document, err := s.groups.inline(ctx, *in.GroupName, *in.PolicyName)
	return &api.GetGroupPolicyResponse{GroupName: name, PolicyName: in.PolicyName, PolicyDocument: document}, err
}

func (s *Service) listGroupPolicies(ctx context.Context, in *api.ListGroupPoliciesRequest) (*api.ListGroupPoliciesResponse, error) {
	p, err := s.groups.inlineNames(ctx, *in.GroupName, in.Marker, in.MaxItems)
	return &api.ListGroupPoliciesResponse{PolicyNames: p.items, IsTruncated: p.truncated, Marker: p.marker}, err
}

func (s *Service) deleteGroupPolicy(ctx context.Context, in *api.DeleteGroupPolicyRequest) (*api.DeleteGroupPolicyOutput, error) {
	return nil, s.groups.deleteInline(ctx, *in.GroupName, *in.PolicyName)
}
