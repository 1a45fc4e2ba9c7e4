package authorization

import (
	"context"
	"maps"

	"hotaru/awsapi"
	api "hotaru/awsapi/sts"
	"hotaru/policy"
)

// stsRules: everybody may ask who they are, and make a session of themselves; assuming a role is decided where its
// trust policy is known, with MayAssume.
func stsRules() map[string]rule {
	return map[string]rule{
		"AssumeRole": {free: true}, "GetCallerIdentity": {free: true}, "GetSessionToken": {free: true},
	}
}

// MayAssume evaluates a role's trust policy together with the caller's own policies, for each of the actions that the
// wish to assume it needs (sts:AssumeRole; sts:TagSession with tags); the error is AWS's refusal. tags are the
// session's, keys STS's own condition keys by name in lower case. The root user needs no policy of its own, but the
// role must trust its account all the same.
func (a *Authorizer) MayAssume(ctx context.Context, role policy.Identity, actions []string, tags []policy.Tag, keys map[string][]string) error {
	call := awsapi.CallFrom(ctx)
	w := a.who(call)
	if isRoot(call) {
		w.known, w.policies = true, policy.Policies{Identity: []*policy.Document{policy.AllowAll()}}
	}
	w.policies.Resource = role.Trust
	for _, action := range actions {
		q := question{action: action, resource: role.ARN, account: accountOf(role.ARN), requestTags: tags, keys: maps.Clone(keys)}
		q.describe(role.Tags)
		if trusted := role.Trust.Decide(a.request(call, w, &q)); !trusted.Allowed {
			// AWS gives no reason here: who asks must not learn whether there is such a role.
			return refusal(api.Service, "User: "+call.Caller.ARN+" is not authorized to perform: "+action+" on resource: "+role.ARN)
		}
		if d := a.decide(call, w, &q); !d.Allowed {
			return denied(api.Service, call.Caller.ARN, &q, d)
		}
	}
	return nil
}
