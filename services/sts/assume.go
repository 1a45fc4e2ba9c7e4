package sts

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"hotaru/awsapi"
	api "hotaru/awsapi/sts"
	"hotaru/credential"
	"hotaru/policy"
)

const (
	defaultRoleSession = time.Hour
	// maxChained is the longest session of a role that is assumed from another role's session.
	maxChained = time.Hour
	// maxPolicySize bounds the inline session policy, in characters as they are given.
	maxPolicySize = 2048
	maxPolicyARNs = 10
)

// assumeRole makes a session of a role.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func (s *Service) assumeRole(ctx context.Context, in *api.AssumeRoleRequest) (*api.AssumeRoleResponse, error) {
	call := awsapi.CallFrom(ctx)
	account, name, ok := parseRole(*in.RoleArn)
	if !ok {
		return nil, invalid("%s is invalid", *in.RoleArn)
	}
	if in.SerialNumber != nil || in.TokenCode != nil {
		return nil, noSecondFactor()
	}
	caller, _ := s.Authority.Session(call.Caller.AccessKeyID)
	session, err := s.wanted(ctx, in, caller)
	if err != nil {
		return nil, err
	}
	role, found := s.Roles.Role(awsapi.Scope{Partition: call.Scope.Partition, Account: account}, name)
	if !found || role.ARN != *in.RoleArn {
		return nil, denied("User: " + call.Caller.ARN + " is not authorized to perform: sts:AssumeRole on resource: " + *in.RoleArn)
	}
	actions, keys := asked(in, session)
	if err := s.Authorizer.MayAssume(ctx, role, actions, session.Tags, keys); err != nil {
		return nil, err
	}
	lifetime, err := lifetimeOf(in, role, caller)
	if err != nil {
		return nil, err
	}
	session.Account = account
	session.ARN = "arn:" + call.Scope.Partition + ":sts::" + account + ":assumed-role/" + role.ARN[strings.LastIndexByte(role.ARN, '/')+1:] +
		"/" + *in.RoleSessionName
	session.UserID = role.ID + ":" + *in.RoleSessionName
	packed, err := session.Packed()
	if err != nil {
		return nil, err
	}
	switch {
	case packed > 100 && session.Policy != "":
		return nil, awsapi.Errorf("PackedPolicyTooLarge", "Packed policy consumes %d%% of allotted space, please use smaller policy.", packed)
	case packed > 100:
		return nil, awsapi.Errorf("PackedPolicyTooLarge", "Packed size of session tags consumes %d%% of allotted space.", packed)
	}
	c, err := s.Authority.MintSession(session, lifetime)
	if err != nil {
		return nil, err
	}
	out := &api.AssumeRoleResponse{
		Credentials: show(c, session), AssumedRoleUser: &api.AssumedRoleUser{Arn: &session.ARN, AssumedRoleId: &session.UserID},
	}
	if packed > 0 {
		out.PackedPolicySize = new(int32(packed))
	}
	if session.SourceIdentity != "" {
		out.SourceIdentity = &session.SourceIdentity
	}
	return out, nil
}

// parseRole takes arn:aws:iam::123456789012:role/path/name apart.
func parseRole(arn string) (account, name string, ok bool) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "iam" || parts[3] != "" || len(parts[4]) != 12 {
		return "", "", false
	}
	resource, ok := strings.CutPrefix(parts[5], "role/")
	name = resource[strings.LastIndexByte(resource, '/')+1:]
	return parts[4], name, ok && name != "" && strings.Trim(parts[4], "0123456789") == ""
}

// asked are the actions and condition keys of a wish to assume a role.
func asked(in *api.AssumeRoleRequest, session *credential.Session) (actions []string, keys map[string][]string) {
	actions = []string{"sts:AssumeRole"}
	keys = map[string][]string{"sts:rolesessionname": {*in.RoleSessionName}}
	if in.ExternalId != nil {
		keys["sts:externalid"] = []string{*in.ExternalId}
	}
	if len(session.Tags) > 0 {
		actions = append(actions, "sts:TagSession")
		if len(session.Transitive) > 0 {
			keys["sts:transitivetagkeys"] = session.Transitive
		}
	}
	if in.SourceIdentity != nil {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	if session.SourceIdentity != "" {
		keys["sts:sourceidentity"] = []string{session.SourceIdentity}
	}
	return actions, keys
}

// lifetimeOf is how long the session may live.
func lifetimeOf(in *api.AssumeRoleRequest, role policy.Identity, caller *credential.Session) (time.Duration, error) {
	lifetime := min(defaultRoleSession, role.MaxSession)
	if in.DurationSeconds != nil {
		lifetime = time.Duration(*in.DurationSeconds) * time.Second
	}
	switch {
	case lifetime > role.MaxSession:
		return 0, invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	case isRoleSession(caller) && lifetime > maxChained:
		return 0, invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	return lifetime, nil
}

func isRoleSession(s *credential.Session) bool {
	return s != nil && strings.Contains(s.ARN, ":assumed-role/")
}

// wanted is the session that is asked for: its policies and tags, with what the caller's own session hands on.
func (s *Service) wanted(ctx context.Context, in *api.AssumeRoleRequest, caller *credential.Session) (*credential.Session, error) {
	session := &credential.Session{}
	if in.Policy != nil {
		if len(*in.Policy) > maxPolicySize {
			return nil, invalid("1 validation error detected: Value at 'policy' failed to satisfy constraint: "+
				"Member must have length less than or equal to %d", maxPolicySize)
		}
		if _, err := policy.CheckIdentity(*in.Policy); err != nil {
			return nil, malformed(err)
		}
		session.Policy = *in.Policy
	}
	if len(in.PolicyArns) > maxPolicyARNs {
		return nil, invalid("1 validation error detected: Value at 'policyArns' failed to satisfy constraint: "+
			"Member must have length less than or equal to %d", maxPolicyARNs)
	}
	call := awsapi.CallFrom(ctx)
	for _, p := range in.PolicyArns {
		if p.Arn == nil {
			continue
		}
		if _, _, found := s.Roles.Managed(awsapi.Scope{Partition: call.Scope.Partition, Account: call.Caller.Account}, *p.Arn); !found {
			return nil, malformed(policy.Malformed("Policy arn " + *p.Arn + " does not exist or is not attachable."))
		}
		session.PolicyARNs = append(session.PolicyARNs, *p.Arn)
	}
	if err := tag(session, in, caller); err != nil {
		return nil, err
	}
	if in.SourceIdentity != nil {
		session.SourceIdentity = *in.SourceIdentity
	}
	if caller != nil && caller.SourceIdentity != "" {
		if session.SourceIdentity != "" && session.SourceIdentity != caller.SourceIdentity {
			return nil, denied("You cannot change the source identity of a session: it is " + caller.SourceIdentity + ".")
		}
		session.SourceIdentity = caller.SourceIdentity
	}
	return session, nil
}

func malformed(err error) error {
	var m policy.Malformed
	errors.As(err, &m)
	return awsapi.Errorf("MalformedPolicyDocument", "%s", string(m))
}

// tag sets the session's tags: those of the request, and the transitive ones of the caller's session, which nobody can
// change on the way (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html).
func tag(session *credential.Session, in *api.AssumeRoleRequest, caller *credential.Session) error {
	for _, t := range in.Tags {
		key, value := *t.Key, *t.Value
		switch {
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return invalidParameter("aws: prefixed tag key names are not allowed for external use.")
		case slices.ContainsFunc(session.Tags, func(t policy.Tag) bool { return strings.EqualFold(t.Key, key) }):
			return invalidParameter("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		case caller != nil && isTransitive(caller, key):
			return invalidParameter("One of the specified transitive tag keys can't be set because it conflicts with a " +
				"transitive tag key from the calling session.")
		}
		session.Tags = append(session.Tags, policy.Tag{Key: key, Value: value})
	}
	for _, key := range in.TransitiveTagKeys {
		if !slices.ContainsFunc(session.Tags, func(t policy.Tag) bool { return strings.EqualFold(t.Key, key) }) {
			return invalidParameter("The specified transitive tag key must be included in the requested tags.")
		}
		session.Transitive = append(session.Transitive, key)
	}
	if caller != nil {
		for _, t := range caller.Tags {
			if isTransitive(caller, t.Key) {
				session.Tags, session.Transitive = append(session.Tags, t), append(session.Transitive, t.Key)
			}
		}
	}
	return nil
}

func isTransitive(s *credential.Session, key string) bool {
	return slices.ContainsFunc(s.Transitive, func(k string) bool { return strings.EqualFold(k, key) })
}
