package iam

import (
	"maps"
	"slices"

	"hotaru/awsapi"
)

// Role is what others may know of a role: who may assume it, and what it then may do.
type Role struct {
	ARN, ID, Name string
	// TrustPolicy is the document that says who may assume the role.
	TrustPolicy string
	// Policies are the documents of its inline and attached managed policies: it may do what one of them allows and
	// none denies.
	Policies []string
	// Boundary is the document of its permissions boundary, which must allow as well; empty without one.
	Boundary string
	// MaxSessionSeconds is the longest session that an assumption may ask for.
	MaxSessionSeconds int32
}

// Trusts says whether the trust policy lets a service ("lambda.amazonaws.com") assume the role. Conditions are left
// to whoever evaluates a request.
func (r Role) Trusts(service string) bool { return trusts(r.TrustPolicy, service) }

// Assumable says whether the account has the role and its trust policy lets the service assume it.
func (s *Service) Assumable(scope awsapi.Scope, name, service string) bool {
	r, err := s.role(global(scope), name)
	return err == nil && trusts(r.Trust, service)
}

// Role reads a role with the documents of all its policies, as they are now. The scope's region does not matter. It
// answers NoSuchEntity for a missing role.
func (s *Service) Role(scope awsapi.Scope, name string) (Role, error) {
	scope = global(scope)
	r, err := s.role(scope, name)
	if err != nil {
		return Role{}, err
	}
	role := Role{ARN: r.arn(scope), ID: r.ID, Name: r.Name, TrustPolicy: r.Trust, MaxSessionSeconds: r.MaxDuration}
	for _, name := range slices.Sorted(maps.Keys(r.Inline)) {
		role.Policies = append(role.Policies, r.Inline[name])
	}
	for _, arn := range r.Attached {
		p, err := s.policy(scope, arn)
		if err != nil {
			return Role{}, err
		}
		role.Policies = append(role.Policies, p.defaultDocument())
	}
	if r.Boundary != "" {
		p, err := s.policy(scope, r.Boundary)
		if err != nil {
			return Role{}, err
		}
		role.Boundary = p.defaultDocument()
	}
	return role, nil
}
