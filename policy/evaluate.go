package policy

import (
	"slices"
	"strings"
)

// Policies are all that bear on one request.
type Policies struct {
	// Identity are the principal's own: inline, attached and its groups'.
	Identity []*Document
	// Boundary is its permissions boundary; nil without one.
	Boundary *Document
	// Session are the policies that its session was made with; none means that the session is not limited.
	Session []*Document
	// Resource is the resource's own policy, a role's trust policy included; nil without one.
	Resource *Document
}

// Kind is a kind of policy.
type Kind uint8

// The kinds of policies, in the order in which their denials are told.
const (
	IdentityPolicy Kind = iota
	BoundaryPolicy
	SessionPolicy
	ResourcePolicy
)

// Decision is the answer to a request.
type Decision struct {
	Allowed bool
	// Explicit says that a statement denies the request; otherwise none allows it. Kind is where. Both mean nothing
	// where the request is allowed.
	Explicit bool
	Kind     Kind
}

// Because is the reason of a denial as AWS words it at the end of its messages
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html).
func (d Decision) Because(action string) string {
	kinds := [...]struct{ article, name string }{
		IdentityPolicy: {"an ", "identity-based policy"}, BoundaryPolicy: {"a ", "permissions boundary"},
		SessionPolicy: {"a ", "session policy"}, ResourcePolicy: {"a ", "resource-based policy"},
	}
	kind := kinds[d.Kind]
	if d.Explicit {
		return "with an explicit deny in " + kind.article + kind.name
	}
	return "because no " + kind.name + " allows the " + action + " action"
}

// effect is what a set of statements says.
type effect struct {
	denied bool
	// granted is how directly the principal is named where it is allowed.
	granted grant
}

// grant is how a statement that allows names the principal.
type grant uint8

const (
	notGranted grant = iota
	// toAccount: the principal's account is trusted, which may pass that on by its own policies.
	toAccount
	// toRole: the session's role is named.
	toRole
	// toPrincipal: the principal itself is, or the statement has no principal because the policy is its own.
	toPrincipal
)

// Evaluate answers a request of a principal that is not the root user, whom no policy of its own account limits.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
func Evaluate(p Policies, r *Request) Decision {
	identity, session := evaluateAll(p.Identity, r), evaluateAll(p.Session, r)
	var boundary, resource effect
	if p.Boundary != nil {
		boundary = p.Boundary.evaluate(r)
	}
	if p.Resource != nil {
		resource = p.Resource.evaluate(r)
	}
	for kind, e := range [...]effect{identity, boundary, session, resource} {
		if e.denied {
			return Decision{Explicit: true, Kind: Kind(kind)}
		}
	}
	foreign := r.ResourceAccount != "" && r.ResourceAccount != r.Principal.Account
	switch {
	case foreign && resource.granted == notGranted:
		return Decision{Kind: ResourcePolicy}
	case !foreign && resource.granted == toPrincipal:
		// What the resource's owner gives to exactly this principal needs no other permission.
		return Decision{Allowed: true}
	case identity.granted == notGranted && (foreign || resource.granted != toRole):
		return Decision{Kind: IdentityPolicy}
	case p.Boundary != nil && boundary.granted == notGranted:
		return Decision{Kind: BoundaryPolicy}
	case len(p.Session) > 0 && session.granted == notGranted:
		return Decision{Kind: SessionPolicy}
	}
	return Decision{Allowed: true}
}

// Decide evaluates one resource's policy for a principal without policies of its own, such as an AWS service.
func (d *Document) Decide(r *Request) Decision {
	e := d.evaluate(r)
	return Decision{Allowed: !e.denied && e.granted != notGranted, Explicit: e.denied, Kind: ResourcePolicy}
}

func evaluateAll(documents []*Document, r *Request) (all effect) {
	for _, d := range documents {
		e := d.evaluate(r)
		all.denied = all.denied || e.denied
		all.granted = max(all.granted, e.granted)
	}
	return all
}

func (d *Document) evaluate(r *Request) (e effect) {
	for i := range d.Statements {
		s := &d.Statements[i]
		granted := s.applies(r)
		switch {
		case granted == notGranted:
		case s.Deny:
			e.denied = true
			return e
		default:
			e.granted = max(e.granted, granted)
		}
	}
	return e
}

// applies says whether a statement is about the request. Where that hangs on a variable without a value, a statement
// that allows does not apply.
func (s *Statement) applies(r *Request) grant {
	if !s.About(r.Action) {
		return notGranted
	}
	granted := toPrincipal
	switch {
	case s.Principal != nil:
		granted = r.Principal.among(s.Principal)
	case s.NotPrincipal != nil && r.Principal.among(s.NotPrincipal) != notGranted:
		return notGranted
	}
	if granted == notGranted || !s.aboutResource(r) {
		return notGranted
	}
	for i := range s.conditions {
		holds, known := s.conditions[i].holds(r)
		if !holds || !known && !s.Deny {
			return notGranted
		}
	}
	return granted
}

// About says whether the statement's Action or NotAction covers an action, whatever else it says.
func (s *Statement) About(action string) bool {
	for i := range s.actions {
		if matched, _ := s.actions[i].match(action, nil); matched {
			return s.NotAction == nil
		}
	}
	return s.NotAction != nil
}

// aboutResource holds for every resource where the statement names none, as in trust policies.
func (s *Statement) aboutResource(r *Request) bool {
	if s.Resource == nil && s.NotResource == nil {
		return true
	}
	for i := range s.resources {
		matched, known := s.resources[i].match(r.Resource, r)
		if matched {
			return s.NotResource == nil
		}
		if !known && s.NotResource != nil && !s.Deny {
			return false
		}
	}
	return s.NotResource != nil
}

// among says how principals of a statement name this one.
func (p *Principal) among(principals map[string][]string) grant {
	if _, everybody := principals["*"]; everybody {
		return p.asAnyone()
	}
	if p.Service != "" {
		services := principals["Service"]
		if slices.Contains(services, p.Service) || slices.Contains(services, "*") {
			return toPrincipal
		}
		return notGranted
	}
	best := notGranted
	for _, name := range principals["AWS"] {
		best = max(best, p.named(name))
	}
	return best
}

// asAnyone is the grant to everybody: a role's session has it as its role has.
func (p *Principal) asAnyone() grant {
	if p.Role != "" {
		return toRole
	}
	return toPrincipal
}

// named compares with one AWS principal: an ARN, an account, an identifier, or *.
func (p *Principal) named(name string) grant {
	id, _, _ := strings.Cut(p.UserID, ":")
	switch {
	case name == "":
		return notGranted
	case name == "*":
		return p.asAnyone()
	case name == p.ARN:
		if p.kind() == "Account" {
			return toAccount
		}
		return toPrincipal
	case name == p.Role:
		return toRole
	case name == p.Account, isRootOf(name, p.Account):
		return toAccount
	case len(id) > 12 && name == id:
		if p.Role != "" {
			return toRole
		}
		return toPrincipal
	}
	return notGranted
}

// isRootOf takes arn:aws:iam::123456789012:root apart without allocating.
func isRootOf(name, account string) bool {
	rest, ok := strings.CutPrefix(name, "arn:")
	if !ok || account == "" {
		return false
	}
	_, rest, _ = strings.Cut(rest, ":")
	rest, ok = strings.CutPrefix(rest, "iam::")
	return ok && len(rest) == len(account)+len(":root") && strings.HasPrefix(rest, account) && strings.HasSuffix(rest, ":root")
}
