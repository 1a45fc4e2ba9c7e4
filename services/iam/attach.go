package iam

import (
	"context"
	"slices"
	"strings"

	"hotaru/awsapi"
	api "hotaru/awsapi/iam"
	"hotaru/store"
)

// maxAttached is IAM's default quota of managed policies per role, user and group.
const maxAttached = 10

// use changes an identity so that it uses a policy that must exist.
func (c *collection[T]) use(ctx context.Context, name, arn string, change func(*identity) (changed bool, err error)) error {
	scope := scopeOf(ctx)
	return retry(ctx, func() error {
		value, revision, err := c.load(ctx, scope, name)
		if err != nil {
			return err
		}
		changed, err := change(c.common(value))
		if err != nil || !changed {
			return err
		}
		update, err := put(key(scope, c.kind, name), value, store.At(revision))
		if err != nil {
			return err
		}
		return c.s.commitWithPolicy(ctx, scope, arn, update)
	})
}

// attach is idempotent.
func (c *collection[T]) attach(ctx context.Context, name, arn string) error {
	return c.use(ctx, name, arn, func(i *identity) (bool, error) {
		if slices.Contains(i.Attached, arn) {
			return false, nil
		}
		if len(i.Attached) >= maxAttached {
			return false, awsapi.Errorf("LimitExceeded", "Cannot exceed quota for PoliciesPer%s: %d", c.title(), maxAttached)
		}
		i.Attached = append(i.Attached, arn)
		return true, nil
	})
}

func (c *collection[T]) detach(ctx context.Context, name, arn string) error {
	_, err := c.change(ctx, name, func(v *T) error {
		i := c.common(v)
		at := slices.Index(i.Attached, arn)
		if at < 0 {
			return noSuchPolicy(arn)
		}
		i.Attached = slices.Delete(i.Attached, at, at+1)
		return nil
	})
	return err
}

func (c *collection[T]) putBoundary(ctx context.Context, name, arn string) error {
	return c.use(ctx, name, arn, func(i *identity) (bool, error) {
		i.Boundary = arn
		return true, nil
	})
}

func (c *collection[T]) deleteBoundary(ctx context.Context, name string) error {
	_, err := c.change(ctx, name, func(v *T) error {
		c.common(v).Boundary = ""
		return nil
	})
	return err
}

// attached is a page of what is attached to an identity.
func (c *collection[T]) attached(ctx context.Context, name string, path, marker *string, maxItems *int32) (page[api.AttachedPolicy], error) {
	v, err := c.get(scopeOf(ctx), name)
	if err != nil {
		return page[api.AttachedPolicy]{}, err
	}
	arns := slices.DeleteFunc(slices.Clone(c.common(v).Attached), func(arn string) bool {
		return !strings.HasPrefix(pathOfARN(arn), value(path))
	})
	slices.Sort(arns)
	p, err := paginate(arns, func(arn string) string { return arn }, marker, maxItems)
	if err != nil {
		return page[api.AttachedPolicy]{}, err
	}
	shown := page[api.AttachedPolicy]{items: []api.AttachedPolicy{}, truncated: p.truncated, marker: p.marker}
	for _, arn := range p.items {
		shown.items = append(shown.items, api.AttachedPolicy{PolicyName: new(nameOfARN(arn)), PolicyArn: new(arn)})
	}
	return shown, nil
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

func (s *Service) attachRolePolicy(ctx context.Context, in *api.AttachRolePolicyRequest) (*api.AttachRolePolicyOutput, error) {
	return nil, s.roles.attach(ctx, *in.RoleName, *in.PolicyArn)
}

func (s *Service) detachRolePolicy(ctx context.Context, in *api.DetachRolePolicyRequest) (*api.DetachRolePolicyOutput, error) {
	return nil, s.roles.detach(ctx, *in.RoleName, *in.PolicyArn)
}

func (s *Service) listAttachedRolePolicies(ctx context.Context, in *api.ListAttachedRolePoliciesRequest) (*api.ListAttachedRolePoliciesResponse, error) {
	p, err := s.roles.attached(ctx, *in.RoleName, in.PathPrefix, in.Marker, in.MaxItems)
	return &api.ListAttachedRolePoliciesResponse{AttachedPolicies: p.items, IsTruncated: p.truncated, Marker: p.marker}, err
}

func (s *Service) attachUserPolicy(ctx context.Context, in *api.AttachUserPolicyRequest) (*api.AttachUserPolicyOutput, error) {
	return nil, s.users.attach(ctx, *in.UserName, *in.PolicyArn)
}

func (s *Service) detachUserPolicy(ctx context.Context, in *api.DetachUserPolicyRequest) (*api.DetachUserPolicyOutput, error) {
	return nil, s.users.detach(ctx, *in.UserName, *in.PolicyArn)
}

func (s *Service) listAttachedUserPolicies(ctx context.Context, in *api.ListAttachedUserPoliciesRequest) (*api.ListAttachedUserPoliciesResponse, error) {
	p, err := s.users.attached(ctx, *in.UserName, in.PathPrefix, in.Marker, in.MaxItems)
	return &api.ListAttachedUserPoliciesResponse{AttachedPolicies: p.items, IsTruncated: p.truncated, Marker: p.marker}, err
}

func (s *Service) attachGroupPolicy(ctx context.Context, in *api.AttachGroupPolicyRequest) (*api.AttachGroupPolicyOutput, error) {
	return nil, s.groups.attach(ctx, *in.GroupName, *in.PolicyArn)
}

func (s *Service) detachGroupPolicy(ctx context.Context, in *api.DetachGroupPolicyRequest) (*api.DetachGroupPolicyOutput, error) {
	return nil, s.groups.detach(ctx, *in.GroupName, *in.PolicyArn)
}

func (s *Service) listAttachedGroupPolicies(ctx context.Context, in *api.ListAttachedGroupPoliciesRequest) (*api.ListAttachedGroupPoliciesResponse, error) {
	p, err := s.groups.attached(ctx, *in.GroupName, in.PathPrefix, in.Marker, in.MaxItems)
	return &api.ListAttachedGroupPoliciesResponse{AttachedPolicies: p.items, IsTruncated: p.truncated, Marker: p.marker}, err
}
