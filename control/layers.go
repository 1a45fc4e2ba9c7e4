package control

import (
	"context"
	"slices"
	"strconv"
	"time"

	"hotaru/awsapi"
	"hotaru/awsapi/lambda"
	"hotaru/function"
)

// PublishLayerVersion implements https://docs.aws.amazon.com/lambda/latest/api/API_PublishLayerVersion.html.
func (l *Lambda) PublishLayerVersion(ctx context.Context,
	in *lambda.PublishLayerVersionRequest) (*lambda.PublishLayerVersionResponse, error) {
	call := awsapi.CallFrom(ctx)
	id, err := ownLayer(call, in.LayerName)
	if err != nil {
		return nil, err
	}
	content := in.Content
	switch {
	case content != nil && (content.S3Bucket != nil || content.S3Key != nil):
		return nil, notBuilt("Content from S3")
	case content == nil || content.ZipFile == nil:
		return nil, invalid("Please provide a source for layer version content.")
	}
	v := &function.LayerVersion{
		ID: id, Description: value(in.Description), License: value(in.LicenseInfo), Created: time.Now(),
		Runtimes: in.CompatibleRuntimes, Architectures: in.CompatibleArchitectures,
	}
	if v.Code, err = l.keepPackage(ctx, content.ZipFile); err != nil {
		return nil, err
	}
	if err := l.Layers.publish(ctx, v); err != nil {
		return nil, err
	}
	out, err := l.describeLayer(call, v)
	return (*lambda.PublishLayerVersionResponse)(out), err
}

// GetLayerVersion implements https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersion.html.
func (l *Lambda) GetLayerVersion(ctx context.Context, in *lambda.GetLayerVersionRequest) (*lambda.GetLayerVersionResponse, error) {
	call := awsapi.CallFrom(ctx)
	id, number, err := layerVersionOf(call, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	return l.getLayerVersion(call, id, number)
}

// GetLayerVersionByArn implements https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersionByArn.html.
func (l *Lambda) GetLayerVersionByArn(ctx context.Context,
	in *lambda.GetLayerVersionByArnRequest) (*lambda.GetLayerVersionResponse, error) {
	id, number, err := function.ParseLayerVersionARN(value(in.Arn))
	if err != nil {
		return nil, noLayer()
	}
	return l.getLayerVersion(awsapi.CallFrom(ctx), id, number)
}

func (l *Lambda) getLayerVersion(call *awsapi.Call, id function.LayerID, number int64) (*lambda.GetLayerVersionResponse, error) {
	v, ok := l.Layers.version(id, number)
	if id.Account != call.Scope.Account && (!ok || !v.allows(call.Scope)) {
		return nil, layerDenied(call, id.VersionARN(number))
	}
	if !ok || id.Region != call.Scope.Region {
		return nil, noLayer()
	}
	return l.describeLayer(call, v.LayerVersion)
}

// DeleteLayerVersion implements https://docs.aws.amazon.com/lambda/latest/api/API_DeleteLayerVersion.html. Functions that
// use the version go on with it.
func (l *Lambda) DeleteLayerVersion(ctx context.Context, in *lambda.DeleteLayerVersionRequest) (*lambda.DeleteLayerVersionOutput, error) {
	call := awsapi.CallFrom(ctx)
	id, err := ownLayer(call, in.LayerName)
	if err != nil {
		return nil, err
	}
	_, number, err := layerVersionOf(call, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	return &lambda.DeleteLayerVersionOutput{}, l.Layers.remove(ctx, id, number)
}

// ListLayerVersions implements https://docs.aws.amazon.com/lambda/latest/api/API_ListLayerVersions.html.
func (l *Lambda) ListLayerVersions(ctx context.Context, in *lambda.ListLayerVersionsRequest) (*lambda.ListLayerVersionsResponse, error) {
	id, err := ownLayer(awsapi.CallFrom(ctx), in.LayerName)
	if err != nil {
		return nil, err
	}
	marker, err := decodeMarker(value(in.Marker))
	if err != nil {
		return nil, err
	}
	var before int64
	if marker != "" {
		if before, err = strconv.ParseInt(marker, 10, 64); err != nil {
			return nil, invalid("Invalid marker")
		}
	}
	limit := pageSize(in.MaxItems)
	out := &lambda.ListLayerVersionsResponse{LayerVersions: []lambda.LayerVersionsListItem{}}
	for _, v := range l.Layers.newestFirst(id) {
		if marker != "" && v.Number >= before || !v.isFor(in.CompatibleRuntime, in.CompatibleArchitecture) {
			continue
		}
		if n := len(out.LayerVersions); n == limit {
			out.NextMarker = ptr(encodeMarker(strconv.FormatInt(*out.LayerVersions[n-1].Version, 10)))
			break
		}
		out.LayerVersions = append(out.LayerVersions, listedLayer(v))
	}
	return out, nil
}

// ListLayers implements https://docs.aws.amazon.com/lambda/latest/api/API_ListLayers.html.
func (l *Lambda) ListLayers(ctx context.Context, in *lambda.ListLayersRequest) (*lambda.ListLayersResponse, error) {
	after, err := decodeMarker(value(in.Marker))
	if err != nil {
		return nil, err
	}
	limit := pageSize(in.MaxItems)
	out := &lambda.ListLayersResponse{Layers: []lambda.LayersListItem{}}
	for id := range l.Layers.list(caller(awsapi.CallFrom(ctx)), after) {
		versions := l.Layers.newestFirst(id)
		newest := slices.IndexFunc(versions, func(v *layerVersion) bool {
			return v.isFor(in.CompatibleRuntime, in.CompatibleArchitecture)
		})
		if newest < 0 {
			continue
		}
		if n := len(out.Layers); n == limit {
			out.NextMarker = ptr(encodeMarker(*out.Layers[n-1].LayerName))
			break
		}
		out.Layers = append(out.Layers, lambda.LayersListItem{
			LayerName: ptr(id.Name), LayerArn: ptr(id.ARN()), LatestMatchingVersion: ptr(listedLayer(versions[newest])),
		})
	}
	return out, nil
}

// isFor says whether a version is said to be for a runtime and an architecture; nil asks for none.
func (v *layerVersion) isFor(runtimeID, architecture *string) bool {
	return (runtimeID == nil || slices.Contains(v.Runtimes, *runtimeID)) &&
		(architecture == nil || slices.Contains(v.Architectures, *architecture))
}

// layerVersionOf finds out which layer version the parameters mean.
func layerVersionOf(call *awsapi.Call, name *string, number *int64) (function.LayerID, int64, error) {
	id, ok := function.ParseLayerName(value(name), caller(call))
	if !ok {
		return function.LayerID{}, 0, noLayer()
	}
	if value(number) < 1 {
		return function.LayerID{}, 0, invalid("Layer Version Cannot be less than 1")
	}
	return id, *number, nil
}

// ownLayer is a layer of the caller's, of which alone such operations speak.
func ownLayer(call *awsapi.Call, name *string) (function.LayerID, error) {
	id, ok := function.ParseLayerName(value(name), caller(call))
	switch {
	case !ok || id.Region != call.Scope.Region || id.Partition != call.Scope.Partition:
		return function.LayerID{}, noLayer()
	case id.Account != call.Scope.Account:
		return function.LayerID{}, layerDenied(call, id.ARN())
	}
	return id, nil
}

// noLayer is what AWS says of a layer or version that is not there.
func noLayer() error {
	return function.Errorf(function.ErrResourceNotFound, "The resource you requested does not exist.")
}

// noLayerVersion is what AWS says of it where it is about its policy.
func noLayerVersion(id function.LayerID, number int64) error {
	return function.Errorf(function.ErrResourceNotFound, "Layer version %s does not exist.", id.VersionARN(number))
}

// layerDenied is AWS's answer to who uses another account's layer without its permission, or one that is not there.
func layerDenied(call *awsapi.Call, arn string) error {
	action := call.Operation
	switch action {
	case "GetLayerVersionByArn", "CreateFunction", "UpdateFunctionConfiguration":
		action = "GetLayerVersion"
	}
	return function.Errorf(function.ErrAccessDenied, "User: %s is not authorized to perform: lambda:%s on resource: %s "+
		"because no resource-based policy allows the lambda:%s action", call.Caller.ARN, action, arn, action)
}

// describeLayer shows a layer version as the API does.
func (l *Lambda) describeLayer(call *awsapi.Call, v *function.LayerVersion) (*lambda.GetLayerVersionResponse, error) {
	location, err := l.Locations.Location(call.BaseURL, function.ID(v.ID), v.Code.Digest, time.Now())
	if err != nil {
		return nil, err
	}
	return &lambda.GetLayerVersionResponse{
		Content: &lambda.LayerVersionContentOutput{
			Location: ptr(location), CodeSha256: ptr(v.Code.SHA256), CodeSize: ptr(v.Code.Size),
		},
		LayerArn: ptr(v.ID.ARN()), LayerVersionArn: ptr(v.ARN()), Version: ptr(v.Number),
		Description: ptr(v.Description), LicenseInfo: some(v.License), CreatedDate: ptr(lambdaTime(v.Created)),
		CompatibleRuntimes: shown(v.Runtimes), CompatibleArchitectures: shown(v.Architectures),
	}, nil
}

func listedLayer(v *layerVersion) lambda.LayerVersionsListItem {
	return lambda.LayerVersionsListItem{
		LayerVersionArn: ptr(v.ARN()), Version: ptr(v.Number), Description: ptr(v.Description), LicenseInfo: some(v.License),
		CreatedDate: ptr(lambdaTime(v.Created)), CompatibleRuntimes: shown(v.Runtimes),
		CompatibleArchitectures: shown(v.Architectures),
	}
}

// shown makes an empty list of one that is not there.
func shown(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
