package control

import (
	"context"

	"hotaru/awsapi"
	"hotaru/function"
)

// useLayers finds the layer versions that a function names and makes sure that they can be in one /opt.
func (l *Lambda) useLayers(ctx context.Context, call *awsapi.Call, arns []string) ([]function.LayerRef, error) {
	if len(arns) > function.MaxLayers {
		return nil, invalid("Cannot reference more than %d layers.", function.MaxLayers)
	}
	used := make([]function.LayerRef, len(arns))
	digests := make([]string, len(arns))
	of := map[function.LayerID]string{}
	for i, arn := range arns {
		id, number, err := function.ParseLayerVersionARN(arn)
		if err != nil {
			return nil, invalid("Layer version %s does not exist.", arn)
		}
		if id.Region != call.Scope.Region || id.Partition != call.Scope.Partition {
			return nil, invalid("Layers are not in the same region as the function. Layers are expected to be in region %s.",
				call.Scope.Region)
		}
		if other, twice := of[id]; twice {
			return nil, invalid("Two different versions of the same layer are not allowed to be referenced in the same "+
				"function. %s and %s are versions of the same layer.", other, arn)
		}
		of[id] = arn
		v, ok := l.Layers.version(id, number)
		switch {
		case id.Account != call.Scope.Account && (!ok || !v.allows(call.Scope)):
			return nil, layerDenied(call, arn)
		case !ok:
			return nil, invalid("Layer version %s does not exist.", arn)
		}
		used[i], digests[i] = function.LayerRef{ARN: v.ARN(), Code: v.Code}, v.Code.Digest
	}
	if len(used) == 0 {
		return nil, nil
	}
	if _, err := l.Packages.Merged(ctx, digests); err != nil {
		return nil, err
	}
	return used, nil
}

// checkUnzipped refuses more code and layers than Lambda unpacks.
func checkUnzipped(v *function.Version) error {
	total := v.Code.Unzipped
	for _, layer := range v.Layers {
		total += layer.Code.Unzipped
	}
	if total > function.MaxUnzippedBytes {
		return invalid("Function code combined with layers exceeds the maximum allowed size of %d bytes. The actual size is "+
			"%d bytes.", function.MaxUnzippedBytes, total)
	}
	return nil
}
