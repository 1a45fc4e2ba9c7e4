package control

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"hotaru/awsapi"
	"hotaru/awsapi/lambda"
	"hotaru/function"
)

// GetFunction implements https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html.
func (l *Lambda) GetFunction(ctx context.Context, in *lambda.GetFunctionRequest) (*lambda.GetFunctionResponse, error) {
	t, h, v, err := l.find(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	location, err := l.Locations.Location(t.call.BaseURL, t.id, v.Code.Digest, time.Now())
	if err != nil {
		return nil, err
	}
	return &lambda.GetFunctionResponse{
		Configuration: l.describe(ctx, h, v, t.qualifier),
		Concurrency:   h.concurrency(),
		Code: &lambda.FunctionCodeLocation{
			RepositoryType: ptr("S3"),
			Location:       ptr(location),
		},
		Tags: h.Tags,
	}, nil
}

// GetFunctionConfiguration implements
// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html.
func (l *Lambda) GetFunctionConfiguration(ctx context.Context,
	in *lambda.GetFunctionConfigurationRequest) (*lambda.FunctionConfiguration, error) {
	t, h, v, err := l.find(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return l.describe(ctx, h, v, t.qualifier), nil
}

// find reads the version that a request names.
func (l *Lambda) find(ctx context.Context, name, qualifier *string) (target, *head, *function.Version, error) {
	t, err := resolve(ctx, name, qualifier)
	if err != nil {
		return target{}, nil, nil, err
	}
	h, err := l.Functions.head(t.id)
	if err != nil {
		return target{}, nil, nil, function.NotFound(t.id, t.qualifier)
	}
	version := t.qualifier
	if a, ok := h.Aliases[t.qualifier]; ok {
		version = a.Version
	}
	if version != "" && version != function.Latest {
		v, err := l.Functions.published(ctx, h, version)
		return t, h, v, err
	}
	v, err := l.Functions.version(ctx, h, h.Latest)
	return t, h, v, err
}

// maxListed is the most that one page of a list has.
const maxListed = 50

func pageSize(asked *int32) int {
	if asked == nil {
		return maxListed
	}
	return min(maxListed, int(*asked))
}

// ListFunctions implements https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html.
func (l *Lambda) ListFunctions(ctx context.Context, in *lambda.ListFunctionsRequest) (*lambda.ListFunctionsResponse, error) {
	after, err := decodeMarker(value(in.Marker))
	if err != nil {
		return nil, err
	}
	limit := pageSize(in.MaxItems)
	scope := caller(awsapi.CallFrom(ctx))
	out := &lambda.ListFunctionsResponse{Functions: []lambda.FunctionConfiguration{}}
	if region := value(in.MasterRegion); region != "" && region != "ALL" && region != scope.Region {
		return out, nil
	}
	if value(in.FunctionVersion) == "ALL" {
		return out, l.listAllVersions(ctx, scope, after, limit, out)
	}
	for h := range l.Functions.list(scope, after) {
		if len(out.Functions) == limit {
			out.NextMarker = ptr(encodeMarker(after))
			break
		}
		v, err := l.Functions.version(ctx, h, h.Latest)
		if err != nil {
			return nil, err
		}
		c := l.summarize(v, "")
		c.RevisionId = ptr(h.RevisionID)
		out.Functions = append(out.Functions, *c)
		after = h.ID.Name
	}
	return out, nil
}

// A marker is opaque to callers; the name within keeps its place when functions come and go between pages.
const markerPrefix = "after:"

func encodeMarker(name string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(markerPrefix + name))
}

func decodeMarker(marker string) (string, error) {
	if marker == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(marker)
	name, ok := strings.CutPrefix(string(text), markerPrefix)
	if err != nil || !ok {
		return "", invalid("Invalid marker")
	}
	return name, nil
}

// DeleteFunction implements https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html.
func (l *Lambda) DeleteFunction(ctx context.Context, in *lambda.DeleteFunctionRequest) (*lambda.DeleteFunctionResponse, error) {
	t, err := resolve(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if _, err := l.Functions.head(t.id); err != nil {
		return nil, err
	}
	switch t.qualifier {
	case "":
	case function.Latest:
		return nil, invalid("$LATEST version cannot be deleted without deleting the function.")
	default:
		// Deleting a version that is not there changes nothing and succeeds, as on AWS.
		err = l.Functions.removePublished(ctx, t.id, t.qualifier)
	}
	if t.qualifier == "" {
		err = l.Functions.remove(ctx, t.id)
	}
	if err != nil {
		return nil, err
	}
	l.Environments.Retire(t.id)
	return &lambda.DeleteFunctionResponse{StatusCode: ptr(int32(204))}, nil
}
