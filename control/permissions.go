package control

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"sync"

	"hotaru/awsapi/lambda"
	"hotaru/function"
	"hotaru/policy"
)

// policyAPI is whose answer has a function's policy.
const policyAPI = "GetPolicy"

// AddPermission implements https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html. A function, each of its
// versions and each of its aliases has a policy of its own.
func (l *Lambda) AddPermission(ctx context.Context, in *lambda.AddPermissionRequest) (*lambda.AddPermissionResponse, error) {
	t, err := resolve(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if t.qualifier == function.Latest {
		return nil, invalid("We currently do not support adding policies for $LATEST.")
	}
	added := statement{
		Sid: value(in.StatementId), Effect: "Allow", Action: value(in.Action), Resource: t.id.QualifiedARN(t.qualifier),
		Condition: conditionsOf(in),
	}
	if added.Principal, err = principalOf(t.id.Partition, value(in.Principal)); err != nil {
		return nil, err
	}
	text, err := json.Marshal(added)
	if err != nil {
		return nil, err
	}
	err = l.changePolicy(ctx, t, func(p resourcePolicy) (resourcePolicy, error) {
		if err := p.checkRevision(in.RevisionId, policyAPI); err != nil {
			return p, err
		}
		next, err := p.with(added)
		if err != nil {
			return p, err
		}
		return next, checkPolicySize(next)
	})
	return &lambda.AddPermissionResponse{Statement: ptr(string(text))}, err
}

// RemovePermission implements https://docs.aws.amazon.com/lambda/latest/api/API_RemovePermission.html.
func (l *Lambda) RemovePermission(ctx context.Context, in *lambda.RemovePermissionRequest) (*lambda.RemovePermissionOutput, error) {
	t, err := resolve(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return &lambda.RemovePermissionOutput{}, l.changePolicy(ctx, t, func(p resourcePolicy) (resourcePolicy, error) {
		if len(p.Statements) == 0 {
			return p, function.Errorf(function.ErrResourceNotFound, "No policy is associated with the given resource.")
		}
		return p.without(value(in.StatementId), in.RevisionId, policyAPI)
	})
}

// GetPolicy implements https://docs.aws.amazon.com/lambda/latest/api/API_GetPolicy.html.
func (l *Lambda) GetPolicy(ctx context.Context, in *lambda.GetPolicyRequest) (*lambda.GetPolicyResponse, error) {
	t, err := resolve(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	h, err := l.Functions.head(t.id)
	if err != nil {
		return nil, function.NotFound(t.id, t.qualifier)
	}
	p := h.Policies[t.qualifier]
	if len(p.Statements) == 0 {
		return nil, noLayer() // AWS has the same words for it
	}
	text, err := p.document()
	return &lambda.GetPolicyResponse{Policy: &text, RevisionId: &p.RevisionID}, err
}

// conditionsOf are those of a statement.
func conditionsOf(in *lambda.AddPermissionRequest) map[string]map[string]string {
	conditions := map[string]map[string]string{}
	add := func(operator, key string, given *string) {
		if given == nil {
			return
		}
		if conditions[operator] == nil {
			conditions[operator] = map[string]string{}
		}
		conditions[operator][key] = *given
	}
	add("StringEquals", "AWS:SourceAccount", in.SourceAccount)
	add("StringEquals", "lambda:FunctionUrlAuthType", in.FunctionUrlAuthType)
	add("StringEquals", "aws:PrincipalOrgID", in.PrincipalOrgID)
	add("StringEquals", "lambda:EventSourceToken", in.EventSourceToken)
	add("ArnLike", "AWS:SourceArn", in.SourceArn)
	if in.InvokedViaFunctionUrl != nil {
		add("Bool", "lambda:InvokedViaFunctionUrl", ptr(strconv.FormatBool(*in.InvokedViaFunctionUrl)))
	}
	if len(conditions) == 0 {
		return nil
	}
	return conditions
}

func checkPolicySize(p resourcePolicy) error {
	text, err := p.document()
	if err != nil {
		return err
	}
	if len(text) > function.MaxPolicyBytes {
		return function.Errorf(function.ErrPolicyLength, "The final policy size (%d) is bigger than the limit (%d).",
			len(text), function.MaxPolicyBytes)
	}
	return nil
}

// changePolicy stores what change makes of the policy of a function, version or alias.
func (l *Lambda) changePolicy(ctx context.Context, t target, change func(resourcePolicy) (resourcePolicy, error)) error {
	if _, err := l.Functions.head(t.id); err != nil {
		return function.NotFound(t.id, t.qualifier)
	}
	_, err := l.Functions.update(ctx, t.id, func(h *head) ([]*function.Version, error) {
		if _, isAlias := h.Aliases[t.qualifier]; t.qualifier != "" && !isAlias {
			if _, err := l.Functions.published(ctx, h, t.qualifier); err != nil {
				return nil, err
			}
		}
		next, err := change(h.Policies[t.qualifier])
		if err != nil {
			return nil, err
		}
		h.Policies, h.keepsRevision = maps.Clone(h.Policies), true
		if h.Policies == nil {
			h.Policies = map[string]resourcePolicy{}
		}
		h.Policies[t.qualifier] = next
		if len(next.Statements) == 0 {
			delete(h.Policies, t.qualifier)
		}
		return nil, nil
	})
	return err
}

// dropPolicy forgets the policy of a version or alias that is deleted.
func (h *head) dropPolicy(qualifier string) {
	if _, ok := h.Policies[qualifier]; ok {
		h.Policies = maps.Clone(h.Policies)
		delete(h.Policies, qualifier)
	}
}

// policies are the compiled policies of functions, by function and qualifier. Most functions have none.
type policies struct {
	mu         sync.RWMutex
	byFunction map[function.ID]map[string]*policy.Document
}

// compilePolicies does so for what a function's head says now. Whoever changes policies calls it when the change is in
// memory, so that the last one to come sees the last change.
func (f *Functions) compilePolicies(id function.ID) {
	f.policies.mu.Lock()
	defer f.policies.mu.Unlock()
	compiled := map[string]*policy.Document{}
	if h, err := f.head(id); err == nil {
		for qualifier, written := range h.Policies {
			compiled[qualifier] = written.compile()
		}
	}
	if len(compiled) == 0 {
		delete(f.policies.byFunction, id)
		return
	}
	if f.policies.byFunction == nil {
		f.policies.byFunction = map[function.ID]map[string]*policy.Document{}
	}
	f.policies.byFunction[id] = compiled
}

// compile is nil, which allows nothing, for a policy that cannot be compiled. One made of statement always can.
func (p resourcePolicy) compile() *policy.Document {
	text, err := p.document()
	if err != nil {
		return nil
	}
	d, err := policy.Parse(text)
	if err != nil {
		return nil
	}
	return d
}

// ResourcePolicy is the policy of the function, version or alias that an ARN names; nil without one. It implements
// authorization.Resources.
func (f *Functions) ResourcePolicy(arn string) *policy.Document {
	f.policies.mu.RLock()
	defer f.policies.mu.RUnlock()
	if len(f.policies.byFunction) == 0 {
		return nil
	}
	parts := strings.SplitN(arn, ":", 8)
	if len(parts) < 7 || parts[2] != "lambda" || parts[5] != "function" {
		return nil
	}
	qualifier := ""
	if len(parts) == 8 {
		qualifier = parts[7]
	}
	return f.policies.byFunction[function.ID{Partition: parts[1], Region: parts[3], Account: parts[4], Name: parts[6]}][qualifier]
}
