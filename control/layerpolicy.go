package control

import (
	"context"
	"encoding/json"
	"slices"

	"hotaru/awsapi"
	"hotaru/awsapi/lambda"
	"hotaru/function"
)

// layerPolicyAPI is whose answer has a layer version's policy, in AWS's words.
const layerPolicyAPI = "GetLayerPolicy"

// AddLayerVersionPermission implements https://docs.aws.amazon.com/lambda/latest/api/API_AddLayerVersionPermission.html.
func (l *Lambda) AddLayerVersionPermission(ctx context.Context,
	in *lambda.AddLayerVersionPermissionRequest) (*lambda.AddLayerVersionPermissionResponse, error) {
	id, number, err := ownLayerVersion(ctx, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	added := statement{Sid: value(in.StatementId), Effect: "Allow", Action: value(in.Action), Resource: id.VersionARN(number)}
	if added.Principal, err = principalOf(id.Partition, value(in.Principal)); err != nil {
		return nil, err
	}
	if in.OrganizationId != nil {
		added.Condition = map[string]map[string]string{"StringEquals": {"aws:PrincipalOrgID": *in.OrganizationId}}
	}
	var next resourcePolicy
	err = l.Layers.update(ctx, id, number, func(v *layerVersion) (err error) {
		if err := v.Policy.checkRevision(in.RevisionId, layerPolicyAPI); err != nil {
			return err
		}
		v.Policy, err = v.Policy.with(added)
		next = v.Policy
		return err
	})
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(added)
	if err != nil {
		return nil, err
	}
	return &lambda.AddLayerVersionPermissionResponse{Statement: ptr(string(text)), RevisionId: &next.RevisionID}, nil
}

// RemoveLayerVersionPermission implements
// https://docs.aws.amazon.com/lambda/latest/api/API_RemoveLayerVersionPermission.html.
func (l *Lambda) RemoveLayerVersionPermission(ctx context.Context,
	in *lambda.RemoveLayerVersionPermissionRequest) (*lambda.RemoveLayerVersionPermissionOutput, error) {
	id, number, err := ownLayerVersion(ctx, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	err = l.Layers.update(ctx, id, number, func(v *layerVersion) (err error) {
		v.Policy, err = v.Policy.without(value(in.StatementId), in.RevisionId, layerPolicyAPI)
		return err
	})
	return &lambda.RemoveLayerVersionPermissionOutput{}, err
}

// GetLayerVersionPolicy implements https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersionPolicy.html.
func (l *Lambda) GetLayerVersionPolicy(ctx context.Context,
	in *lambda.GetLayerVersionPolicyRequest) (*lambda.GetLayerVersionPolicyResponse, error) {
	id, number, err := ownLayerVersion(ctx, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	v, ok := l.Layers.version(id, number)
	if !ok {
		return nil, noLayerVersion(id, number)
	}
	if len(v.Policy.Statements) == 0 {
		return nil, function.Errorf(function.ErrResourceNotFound, "No policy is associated with the given resource.")
	}
	text, err := v.Policy.document()
	return &lambda.GetLayerVersionPolicyResponse{Policy: &text, RevisionId: ptr(v.Policy.RevisionID)}, err
}

func ownLayerVersion(ctx context.Context, name *string, number *int64) (function.LayerID, int64, error) {
	call := awsapi.CallFrom(ctx)
	if _, err := ownLayer(call, name); err != nil {
		return function.LayerID{}, 0, err
	}
	return layerVersionOf(call, name, number)
}

// allows says whether the policy lets another account use the layer version. There are no organizations here, so what is
// given to one is given to nobody.
func (v *layerVersion) allows(scope awsapi.Scope) bool {
	return slices.ContainsFunc(v.Policy.Statements, func(s statement) bool {
		if s.Condition != nil {
			return false
		}
		if s.Principal == "*" {
			return true
		}
		who, _ := s.Principal.(map[string]any) // as JSON decodes it
		return who["AWS"] == rootARN(scope.Partition, scope.Account)
	})
}
