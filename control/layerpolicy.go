package control

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/google/uuid"

	"hotaru/awsapi"
	"hotaru/awsapi/lambda"
	"hotaru/function"
)

// layerStatement lets somebody use a layer version. Its JSON is a statement of the resource's policy, member by member
// as AWS answers it.
type layerStatement struct {
	Sid       string
	Effect    string
	Principal any // "*", or {"AWS": the account's ARN}
	Action    string
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

// layerPolicy is a layer version's policy.
type layerPolicy struct {
	Version   string
	ID        string `json:"Id"`
	Statement []layerStatement
}

// AddLayerVersionPermission implements https://docs.aws.amazon.com/lambda/latest/api/API_AddLayerVersionPermission.html.
func (l *Lambda) AddLayerVersionPermission(ctx context.Context,
	in *lambda.AddLayerVersionPermissionRequest) (*lambda.AddLayerVersionPermissionResponse, error) {
	id, number, err := ownLayerVersion(ctx, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	statement := layerStatement{
		Sid: value(in.StatementId), Effect: "Allow", Action: value(in.Action), Resource: id.VersionARN(number),
		Principal: layerPrincipal(id.Partition, value(in.Principal)),
	}
	if in.OrganizationId != nil {
		statement.Condition = map[string]map[string]string{"StringEquals": {"aws:PrincipalOrgID": *in.OrganizationId}}
	}
	revisionID := uuid.NewString()
	err = l.Layers.update(ctx, id, number, func(v *layerVersion) error {
		if err := v.checkRevision(in.RevisionId); err != nil {
			return err
		}
		if v.statement(statement.Sid) >= 0 {
			return function.Errorf(function.ErrResourceConflict, "The statement id (%s) provided already exists. Please "+
				"provide a new statement id, or remove the existing statement.", statement.Sid)
		}
		v.Policy, v.PolicyRevision = append(v.Policy, statement), revisionID
		return nil
	})
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(statement)
	if err != nil {
		return nil, err
	}
	return &lambda.AddLayerVersionPermissionResponse{Statement: ptr(string(text)), RevisionId: &revisionID}, nil
}

// RemoveLayerVersionPermission implements
// https://docs.aws.amazon.com/lambda/latest/api/API_RemoveLayerVersionPermission.html.
func (l *Lambda) RemoveLayerVersionPermission(ctx context.Context,
	in *lambda.RemoveLayerVersionPermissionRequest) (*lambda.RemoveLayerVersionPermissionOutput, error) {
	id, number, err := ownLayerVersion(ctx, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	err = l.Layers.update(ctx, id, number, func(v *layerVersion) error {
		at := v.statement(value(in.StatementId))
		if at < 0 {
			return function.Errorf(function.ErrResourceNotFound, "Statement %s is not found in resource policy.", value(in.StatementId))
		}
		if err := v.checkRevision(in.RevisionId); err != nil {
			return err
		}
		v.Policy, v.PolicyRevision = slices.Delete(v.Policy, at, at+1), uuid.NewString()
		return nil
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
	if len(v.Policy) == 0 {
		return nil, function.Errorf(function.ErrResourceNotFound, "No policy is associated with the given resource.")
	}
	text, err := json.Marshal(layerPolicy{Version: "2012-10-17", ID: "default", Statement: v.Policy})
	if err != nil {
		return nil, err
	}
	return &lambda.GetLayerVersionPolicyResponse{Policy: ptr(string(text)), RevisionId: &v.PolicyRevision}, nil
}

func ownLayerVersion(ctx context.Context, name *string, number *int64) (function.LayerID, int64, error) {
	call := awsapi.CallFrom(ctx)
	if _, err := ownLayer(call, name); err != nil {
		return function.LayerID{}, 0, err
	}
	return layerVersionOf(call, name, number)
}

// layerPrincipal is the form that a principal has in a policy: an account becomes its root's ARN.
func layerPrincipal(partition, given string) any {
	switch {
	case given == "*":
		return "*"
	case len(given) == accountDigits:
		return map[string]string{"AWS": rootARN(partition, given)}
	default:
		return map[string]string{"AWS": given}
	}
}

const accountDigits = 12

func rootARN(partition, account string) string {
	return "arn:" + partition + ":iam::" + account + ":root"
}

// statement finds a statement by its identifier; -1 if there is none.
func (v *layerVersion) statement(sid string) int {
	return slices.IndexFunc(v.Policy, func(s layerStatement) bool { return s.Sid == sid })
}

func (v *layerVersion) checkRevision(given *string) error {
	if given != nil && *given != v.PolicyRevision {
		return function.Errorf(function.ErrPreconditionFailed, "The Revision Id provided does not match the latest "+
			"Revision Id. Call the GetLayerPolicy API to retrieve the latest Revision Id")
	}
	return nil
}

// allows says whether the policy lets another account use the layer version. There are no organizations here, so what is
// given to one is given to nobody.
func (v *layerVersion) allows(scope awsapi.Scope) bool {
	return slices.ContainsFunc(v.Policy, func(s layerStatement) bool {
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
