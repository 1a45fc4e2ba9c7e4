package control

import (
	"context"
	"maps"
	"strings"

	"hotaru/awsapi/lambda"
	"hotaru/function"
)

// TagResource implements https://docs.aws.amazon.com/lambda/latest/api/API_TagResource.html, for functions.
func (l *Lambda) TagResource(ctx context.Context, in *lambda.TagResourceRequest) (*lambda.TagResourceOutput, error) {
	id, err := l.taggable(ctx, in.Resource)
	if err != nil {
		return nil, err
	}
	if len(in.Tags) == 0 {
		return nil, invalid("An error occurred and the request cannot be processed.")
	}
	return &lambda.TagResourceOutput{}, l.tag(ctx, id, func(tags map[string]string) error {
		maps.Copy(tags, in.Tags)
		return l.checkTags(id, in.Tags, len(tags))
	})
}

// UntagResource implements https://docs.aws.amazon.com/lambda/latest/api/API_UntagResource.html, for functions.
func (l *Lambda) UntagResource(ctx context.Context, in *lambda.UntagResourceRequest) (*lambda.UntagResourceOutput, error) {
	id, err := l.taggable(ctx, in.Resource)
	if err != nil {
		return nil, err
	}
	return &lambda.UntagResourceOutput{}, l.tag(ctx, id, func(tags map[string]string) error {
		for _, key := range in.TagKeys {
			delete(tags, key)
		}
		return nil
	})
}

// ListTags implements https://docs.aws.amazon.com/lambda/latest/api/API_ListTags.html, for functions.
func (l *Lambda) ListTags(ctx context.Context, in *lambda.ListTagsRequest) (*lambda.ListTagsResponse, error) {
	id, err := l.taggable(ctx, in.Resource)
	if err != nil {
		return nil, err
	}
	h, err := l.Functions.head(id)
	if err != nil {
		return nil, err
	}
	tags := h.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return &lambda.ListTagsResponse{Tags: tags}, nil
}

// Tags are a function's; nobody may change the map. ok is false for a function that is not there.
func (f *Functions) Tags(id function.ID) (tags map[string]string, ok bool) {
	h, err := f.head(id)
	if err != nil {
		return nil, false
	}
	return h.Tags, true
}

// taggable finds the function that an ARN means. Of the other resources that have tags on AWS there are none here.
func (l *Lambda) taggable(ctx context.Context, arn *string) (function.ID, error) {
	kinds := map[string]string{
		"event-source-mapping": "Event source mapping", "capacity-provider": "Capacity provider",
		"code-signing-config": "Code signing config", "network-connector": "Network connector",
	}
	if parts := strings.Split(value(arn), ":"); len(parts) > 5 && kinds[parts[5]] != "" {
		return function.ID{}, function.Errorf(function.ErrResourceNotFound, "%s not found: %s", kinds[parts[5]], value(arn))
	}
	t, err := resolve(ctx, arn, nil)
	if err != nil {
		return function.ID{}, err
	}
	if t.qualifier != "" {
		return function.ID{}, invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
	}
	_, err = l.Functions.head(t.id)
	return t.id, err
}

// tag changes a function's tags.
func (l *Lambda) tag(ctx context.Context, id function.ID, change func(tags map[string]string) error) error {
	_, err := l.Functions.update(ctx, id, func(h *head) ([]*function.Version, error) {
		tags := maps.Clone(h.Tags)
		if tags == nil {
			tags = map[string]string{}
		}
		if err := change(tags); err != nil {
			return nil, err
		}
		if maps.Equal(tags, h.Tags) {
			return nil, errUnchanged
		}
		h.Tags = tags
		return nil, nil
	})
	if err == nil {
		l.Environments.Retire(id) // tags may choose how they are made
	}
	return err
}

// checkTags refuses tags that may not be set, or that would make too many.
func (l *Lambda) checkTags(id function.ID, set map[string]string, total int) error {
	for key, value := range set {
		if own, known := function.IsOwnTag(key); own && !known {
			return invalid("Tag keys starting with 'hotaru:' are reserved for Hotaru's own: %s", key)
		} else if own {
			if err := l.OwnTags.CheckTag(id, key, value); err != nil {
				return invalid("Invalid tag: %v", err)
			}
		}
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return invalid("Tag keys starting with 'aws:' are reserved for system use: %s", key)
		}
	}
	if total > function.MaxTags {
		return invalid("Number of tags exceeds resource tag limit.")
	}
	return nil
}
