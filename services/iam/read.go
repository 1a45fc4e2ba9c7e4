package iam

import (
	"strings"
	"time"

	"hotaru/awsapi"
	"hotaru/policy"
)

// Assumable says whether the account has the role and its trust policy lets the service assume it.
func (s *Service) Assumable(scope awsapi.Scope, name, service string) bool {
	r, err := s.roles.get(global(scope), name)
	return err == nil && trusts(r.trust, service)
}

// Role is a role as it is now, without I/O. The scope's region does not matter.
func (s *Service) Role(scope awsapi.Scope, name string) (policy.Identity, bool) {
	scope = global(scope)
	r, err := s.roles.get(scope, name)
	if err != nil {
		return policy.Identity{}, false
	}
	identity := s.permissions(scope, s.roles.arn(scope, &r.identity), &r.identity)
	identity.Trust, identity.MaxSession = r.trust, time.Duration(r.MaxDuration)*time.Second
	return identity, true
}

// User is a user as it is now, its groups' policies included, without I/O. The scope's region does not matter.
func (s *Service) User(scope awsapi.Scope, name string) (policy.Identity, bool) {
	scope = global(scope)
	u, err := s.users.get(scope, name)
	if err != nil {
		return policy.Identity{}, false
	}
	identity := s.permissions(scope, s.users.arn(scope, &u.identity), &u.identity)
	for _, name := range u.Groups {
		if g, err := s.groups.get(scope, name); err == nil {
			identity.Policies = s.appendDocuments(identity.Policies, scope, &g.identity)
		}
	}
	return identity, true
}

// Group is a group as it is now. The scope's region does not matter.
func (s *Service) Group(scope awsapi.Scope, name string) (policy.Identity, bool) {
	scope = global(scope)
	g, err := s.groups.get(scope, name)
	if err != nil {
		return policy.Identity{}, false
	}
	return s.permissions(scope, s.groups.arn(scope, &g.identity), &g.identity), true
}

// Managed is a managed policy's document as it is now, and its tags: a customer's or one of AWS's own.
func (s *Service) Managed(scope awsapi.Scope, arn string) (*policy.Document, []policy.Tag, bool) {
	scope = global(scope)
	if name, ok := awsName(scope.Partition, arn); ok {
		d := s.managed[name]
		return d, nil, d != nil
	}
	k, ours := policyKey(scope, arn)
	if item, found := s.policies.Get(k); ours && found && item.Value.ARN == arn {
		return item.Value.document, languageTags(item.Value.Tags), true
	}
	return nil, nil, false
}

// AccessKey finds an active access key of a user, with its secret, without I/O.
func (s *Service) AccessKey(scope awsapi.Scope, accessKeyID string) (secret string, who awsapi.Identity, ok bool) {
	scope = global(scope)
	u, k, ok := s.owner(scope, accessKeyID)
	if !ok || k.Inactive {
		return "", awsapi.Identity{}, false
	}
	plain, err := s.sealer.Unseal(sealPlace(k.ID), k.Secret)
	if err != nil {
		return "", awsapi.Identity{}, false
	}
	return string(plain), awsapi.Identity{
		Account: scope.Account, ARN: s.users.arn(scope, &u.identity), UserID: u.ID, AccessKeyID: k.ID,
	}, true
}

func (s *Service) permissions(scope awsapi.Scope, arn string, i *identity) policy.Identity {
	identity := policy.Identity{
		ARN: arn, ID: i.ID, Tags: i.languageTags,
		Policies: s.appendDocuments(make([]*policy.Document, 0, len(i.documents)+len(i.Attached)), scope, i),
	}
	if i.Boundary != "" {
		identity.Boundary = s.document(scope, i.Boundary)
	}
	return identity
}

func (s *Service) appendDocuments(documents []*policy.Document, scope awsapi.Scope, i *identity) []*policy.Document {
	documents = append(documents, i.documents...)
	for _, arn := range i.Attached {
		documents = append(documents, s.document(scope, arn))
	}
	return documents
}

// document is what a managed policy says. One that is not there, which nothing can be attached to, denies everything.
func (s *Service) document(scope awsapi.Scope, arn string) *policy.Document {
	if d, _, ok := s.Managed(scope, arn); ok {
		return d
	}
	return policy.DenyAll()
}

// awsName is the path and name of one of AWS's own policies; ok is false for a customer's.
func awsName(partition, arn string) (name string, ok bool) {
	rest, ok := strings.CutPrefix(arn, "arn:")
	if ok {
		rest, ok = strings.CutPrefix(rest, partition)
	}
	if ok {
		rest, ok = strings.CutPrefix(rest, ":iam::aws:policy")
	}
	return rest, ok
}

func languageTags(tags []tag) []policy.Tag {
	var out []policy.Tag
	for _, t := range tags {
		out = append(out, policy.Tag(t))
	}
	return out
}
