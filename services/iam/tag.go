package iam

import (
	"context"
	"slices"
	"strings"

	"hotaru/awsapi"
	api "hotaru/awsapi/iam"
)

const maxTags = 50

// tag keeps the case of its key; two keys that differ in case alone are one.
type tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// mergeTags sets tags, in the order in which their keys came first.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html
func mergeTags(tags []tag, more []api.Tag) ([]tag, error) {
	seen := map[string]bool{}
	tags = slices.Clone(tags)
	for _, t := range more {
		folded := strings.ToLower(*t.Key)
		switch {
		case strings.HasPrefix(folded, "aws:"):
			return nil, awsapi.Errorf("InvalidInput", "aws: prefixed tag key names are not allowed for external use.")
		case seen[folded]:
			return nil, awsapi.Errorf("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[folded] = true
		if at := tagIndex(tags, *t.Key); at >= 0 {
			tags[at] = tag{*t.Key, *t.Value}
		} else {
			tags = append(tags, tag{*t.Key, *t.Value})
		}
	}
	if len(tags) > maxTags {
		return nil, awsapi.Errorf("LimitExceeded", "The number of tags has reached the maximum limit.")
	}
	return tags, nil
}

func tagIndex(tags []tag, key string) int {
	return slices.IndexFunc(tags, func(t tag) bool { return strings.EqualFold(t.Key, key) })
}

func withoutTags(tags []tag, keys []string) []tag {
	return slices.DeleteFunc(slices.Clone(tags), func(t tag) bool {
		return slices.ContainsFunc(keys, func(key string) bool { return strings.EqualFold(t.Key, key) })
	})
}

// showTags is nil without tags, so that an answer has no such element.
func showTags(tags []tag) []api.Tag {
	var shown []api.Tag
	for _, t := range tags {
		shown = append(shown, api.Tag{Key: new(t.Key), Value: new(t.Value)})
	}
	return shown
}

func pageOfTags(tags []tag, marker *string, maxItems *int32) (page[tag], error) {
	tags = slices.Clone(tags)
	slices.SortFunc(tags, func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
	return paginate(tags, func(t tag) string { return t.Key }, marker, maxItems)
}

func (c *collection[T]) tag(ctx context.Context, name string, tags []api.Tag) error {
	_, err := c.change(ctx, name, func(v *T) (err error) {
		i := c.common(v)
		i.Tags, err = mergeTags(i.Tags, tags)
		return err
	})
	return err
}

func (c *collection[T]) untag(ctx context.Context, name string, keys []string) error {
	_, err := c.change(ctx, name, func(v *T) error {
		i := c.common(v)
		i.Tags = withoutTags(i.Tags, keys)
		return nil
	})
	return err
}

func (c *collection[T]) tags(ctx context.Context, name string, marker *string, maxItems *int32) (page[tag], error) {
	v, err := c.get(scopeOf(ctx), name)
	if err != nil {
		return page[tag]{}, err
	}
	return pageOfTags(c.common(v).Tags, marker, maxItems)
}

func (s *Service) tagRole(ctx context.Context, in *api.TagRoleRequest) (*api.TagRoleOutput, error) {
	return nil, s.roles.tag(ctx, *in.RoleName, in.Tags)
}

func (s *Service) untagRole(ctx context.Context, in *api.UntagRoleRequest) (*api.UntagRoleOutput, error) {
	return nil, s.roles.untag(ctx, *in.RoleName, in.TagKeys)
}

func (s *Service) listRoleTags(ctx context.Context, in *api.ListRoleTagsRequest) (*api.ListRoleTagsResponse, error) {
	p, err := s.roles.tags(ctx, *in.RoleName, in.Marker, in.MaxItems)
	return &api.ListRoleTagsResponse{Tags: append([]api.Tag{}, showTags(p.items)...), IsTruncated: p.truncated, Marker: p.marker}, err
}

func (s *Service) tagUser(ctx context.Context, in *api.TagUserRequest) (*api.TagUserOutput, error) {
	return nil, s.users.tag(ctx, *in.UserName, in.Tags)
}

func (s *Service) untagUser(ctx context.Context, in *api.UntagUserRequest) (*api.UntagUserOutput, error) {
	return nil, s.users.untag(ctx, *in.UserName, in.TagKeys)
}

func (s *Service) listUserTags(ctx context.Context, in *api.ListUserTagsRequest) (*api.ListUserTagsResponse, error) {
	p, err := s.users.tags(ctx, *in.UserName, in.Marker, in.MaxItems)
	return &api.ListUserTagsResponse{Tags: append([]api.Tag{}, showTags(p.items)...), IsTruncated: p.truncated, Marker: p.marker}, err
}

func (s *Service) tagPolicy(ctx context.Context, in *api.TagPolicyRequest) (*api.TagPolicyOutput, error) {
	_, err := s.changePolicy(ctx, *in.PolicyArn, func(p *policyRecord) (err error) {
		p.Tags, err = mergeTags(p.Tags, in.Tags)
		return err
	})
	return nil, err
}

func (s *Service) untagPolicy(ctx context.Context, in *api.UntagPolicyRequest) (*api.UntagPolicyOutput, error) {
	_, err := s.changePolicy(ctx, *in.PolicyArn, func(p *policyRecord) error {
		p.Tags = withoutTags(p.Tags, in.TagKeys)
		return nil
	})
	return nil, err
}

func (s *Service) listPolicyTags(ctx context.Context, in *api.ListPolicyTagsRequest) (*api.ListPolicyTagsResponse, error) {
	record, err := s.policy(scopeOf(ctx), *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	p, err := pageOfTags(record.Tags, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &api.ListPolicyTagsResponse{Tags: append([]api.Tag{}, showTags(p.items)...), IsTruncated: p.truncated, Marker: p.marker}, nil
}
