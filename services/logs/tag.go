package logs

import (
	"context"

	"hotaru/awsapi"
	api "hotaru/awsapi/logs"
)

// maxTags is how many tags a group may have.
const maxTags = 50

func (s *Service) tag(ctx context.Context, g *group, tags map[string]string, tooMany string) error {
	return s.change(ctx, g, func(r *record) error {
		if r.Tags == nil {
			r.Tags = map[string]string{}
		}
		for name, value := range tags {
			r.Tags[name] = value
		}
		if len(r.Tags) > maxTags {
			return awsapi.Errorf(tooMany, "The log group would have %d tags; it can have %d.", len(r.Tags), maxTags)
		}
		return nil
	})
}

func (s *Service) untag(ctx context.Context, g *group, names []string) error {
	return s.change(ctx, g, func(r *record) error {
		for _, name := range names {
			delete(r.Tags, name)
		}
		return nil
	})
}

func (g *group) tags() map[string]string {
	if g.record.Tags == nil {
		return map[string]string{}
	}
	return g.record.Tags
}

func (s *Service) tagLogGroup(ctx context.Context, in *api.TagLogGroupRequest) (*api.TagLogGroupOutput, error) {
	g, err := s.group(ctx, *in.LogGroupName)
	if err != nil {
		return nil, err
	}
	return nil, s.tag(ctx, g, in.Tags, api.InvalidParameterException)
}

func (s *Service) untagLogGroup(ctx context.Context, in *api.UntagLogGroupRequest) (*api.UntagLogGroupOutput, error) {
	g, err := s.group(ctx, *in.LogGroupName)
	if err != nil {
		return nil, err
	}
	return nil, s.untag(ctx, g, in.Tags)
}

func (s *Service) listTagsLogGroup(ctx context.Context, in *api.ListTagsLogGroupRequest) (*api.ListTagsLogGroupResponse, error) {
	g, err := s.group(ctx, *in.LogGroupName)
	if err != nil {
		return nil, err
	}
	return &api.ListTagsLogGroupResponse{Tags: g.tags()}, nil
}

func (s *Service) tagResource(ctx context.Context, in *api.TagResourceRequest) (*api.TagResourceOutput, error) {
	g, err := s.byARN(ctx, *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return nil, s.tag(ctx, g, in.Tags, api.TooManyTagsException)
}

func (s *Service) untagResource(ctx context.Context, in *api.UntagResourceRequest) (*api.UntagResourceOutput, error) {
	g, err := s.byARN(ctx, *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return nil, s.untag(ctx, g, in.TagKeys)
}

func (s *Service) listTagsForResource(ctx context.Context, in *api.ListTagsForResourceRequest) (*api.ListTagsForResourceResponse, error) {
	g, err := s.byARN(ctx, *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &api.ListTagsForResourceResponse{Tags: g.tags()}, nil
}
