// Package authorization decides for every operation whether its caller may do it: it says which action on which
// resource an operation is, finds the policies that bear on it, and has them evaluated before the handler runs. What
// nothing allows is denied. It must not know how policies are written or kept, nor what an operation does.
//
// An operation without a rule of its own is the action of its name on the resource "*"; rules for a service's
// operations are in a file named after it, and rulesOf lists them.
package authorization

import (
	"context"
	"net/http"
	"strings"
	"time"

	"hotaru/awsapi"
	"hotaru/credential"
	"hotaru/policy"
)

// Directory knows an account's users, roles, groups and managed policies; *iam.Service is one. It must not do any
// input or output: every request asks it.
type Directory interface {
	Role(scope awsapi.Scope, name string) (policy.Identity, bool)
	User(scope awsapi.Scope, name string) (policy.Identity, bool)
	Group(scope awsapi.Scope, name string) (policy.Identity, bool)
	Managed(scope awsapi.Scope, arn string) (*policy.Document, []policy.Tag, bool)
	// Used notes that a request was signed with a user's access key.
	Used(scope awsapi.Scope, accessKeyID, service string, at time.Time)
}

// Sessions finds the session behind a temporary access key that has just been verified; *credential.Authority does.
type Sessions interface {
	Session(accessKeyID string) (*credential.Session, bool)
}

// Resources knows resources' own policies. Every request asks it.
type Resources interface {
	// ResourcePolicy is the policy of what an ARN names; nil without one.
	ResourcePolicy(arn string) *policy.Document
}

// Authorizer decides. It is safe for concurrent use.
type Authorizer struct {
	Directory Directory
	Sessions  Sessions
	// Resources may be nil: no resource has a policy of its own then.
	Resources Resources
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

func (a *Authorizer) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

// Guard puts the decision before every handler that is built.
func (a *Authorizer) Guard(b awsapi.Binding) awsapi.Binding {
	handlers := make([]awsapi.Handler, len(b.Handlers))
	for i, h := range b.Handlers {
		if h.Built() {
			g := &guard{a: a, service: b.Service, rule: ruleOf(b.Service, b.Service.Operations[i].Name), next: h.Call}
			h.Call = g.call
		}
		handlers[i] = h
	}
	return awsapi.Binding{Service: b.Service, Handlers: handlers}
}

// guard is one operation's.
type guard struct {
	a       *Authorizer
	service *awsapi.Service
	rule    rule
	next    func(context.Context, any) (any, error)
}

func (g *guard) call(ctx context.Context, in any) (any, error) {
	call := awsapi.CallFrom(ctx)
	if strings.HasPrefix(call.Caller.AccessKeyID, "AKIA") && strings.Contains(call.Caller.ARN, ":user/") {
		scope := call.Scope
		scope.Account = call.Caller.Account
		g.a.Directory.Used(scope, call.Caller.AccessKeyID, g.service.Name, g.a.now())
	}
	if err := g.a.refuseSessionToken(call, g.service); err != nil {
		return nil, err
	}
	if !g.rule.free && !isRoot(call) {
		if err := g.check(call, in); err != nil {
			return nil, err
		}
	}
	return g.next(ctx, in)
}

// check asks for everything that the operation needs, until something is denied.
func (g *guard) check(call *awsapi.Call, in any) error {
	w := g.a.who(call)
	x := &exchange{a: g.a, call: call, in: fieldsOf(in)}
	q := question{action: g.rule.action, resource: "*"}
	if g.rule.question != nil {
		g.rule.question(x, &q)
	}
	if err := g.ask(call, w, &q); err != nil {
		return err
	}
	if g.rule.more == nil {
		return nil
	}
	for _, q := range g.rule.more(x, &q) {
		if err := g.ask(call, w, &q); err != nil {
			return err
		}
	}
	return nil
}

func (g *guard) ask(call *awsapi.Call, w who, q *question) error {
	if d := g.a.decide(call, w, q); !d.Allowed {
		return denied(g.service, call.Caller.ARN, q, d)
	}
	return nil
}

func (a *Authorizer) decide(call *awsapi.Call, w who, q *question) policy.Decision {
	if !w.known {
		return policy.Decision{Kind: policy.IdentityPolicy}
	}
	policies := w.policies
	if a.Resources != nil {
		policies.Resource = a.Resources.ResourcePolicy(q.resource)
	}
	return policy.Evaluate(policies, a.request(call, w, q))
}

// isRoot: the root user may do everything in its own account.
func isRoot(call *awsapi.Call) bool {
	rest, ok := strings.CutSuffix(call.Caller.ARN, ":root")
	account := call.Scope.Account
	return ok && account != "" && call.Caller.Account == account && strings.HasSuffix(rest, ":iam::"+account)
}

// who is a caller with everything that limits it.
type who struct {
	principal policy.Principal
	policies  policy.Policies
	// known is false for a caller that the directory does not have, or no longer, whom nothing may be granted.
	known bool
}

// who finds out about the caller. A deleted role or user is not known, nor is one made again with the same name: what
// was signed for the former is not the latter.
func (a *Authorizer) who(call *awsapi.Call) who {
	caller := call.Caller
	w := who{principal: policy.Principal{ARN: caller.ARN, Account: caller.Account, UserID: caller.UserID}}
	session, ok := a.session(caller.AccessKeyID)
	if !ok {
		return w
	}
	scope := awsapi.Scope{Partition: call.Scope.Partition, Account: caller.Account}
	kind, name := splitARN(caller.ARN)
	var identity policy.Identity
	switch kind {
	case "user":
		w.principal.Username = name
		identity, ok = a.Directory.User(scope, name)
	case "assumed-role":
		if identity, ok = a.Directory.Role(scope, name); ok {
			w.principal.Role = identity.ARN
		}
	default:
		return w
	}
	if id, _, _ := strings.Cut(caller.UserID, ":"); !ok || isUnique(id) && id != identity.ID {
		return w
	}
	w.known = true
	w.principal.Tags = identity.Tags
	w.policies = policy.Policies{Identity: identity.Policies, Boundary: identity.Boundary}
	if session != nil {
		a.limit(&w, scope, session)
	}
	return w
}

// session is the caller's session, nil for a long-term credential; ok is false where there should be one and is not.
func (a *Authorizer) session(accessKeyID string) (session *credential.Session, ok bool) {
	if !strings.HasPrefix(accessKeyID, "ASIA") {
		return nil, true
	}
	return a.Sessions.Session(accessKeyID)
}

// limit adds what a session brings: its policies, and its tags, which come before those of its role.
func (a *Authorizer) limit(w *who, scope awsapi.Scope, s *credential.Session) {
	w.principal.Issued, w.principal.SourceIdentity = s.Issued, s.SourceIdentity
	if len(s.Tags) > 0 {
		w.principal.Tags = append(append([]policy.Tag(nil), s.Tags...), w.principal.Tags...)
	}
	if d := s.Document(); d != nil {
		w.policies.Session = append(w.policies.Session, d)
	}
	for _, arn := range s.PolicyARNs {
		d, _, ok := a.Directory.Managed(scope, arn)
		if !ok {
			d = policy.DenyAll()
		}
		w.policies.Session = append(w.policies.Session, d)
	}
}

// isUnique says whether an identifier is one that IAM gives once and never again.
func isUnique(id string) bool {
	return len(id) == 21 && (strings.HasPrefix(id, "AIDA") || strings.HasPrefix(id, "AROA"))
}

// splitARN takes the kind and the name out of arn:aws:iam::1:user/path/name and
// arn:aws:sts::1:assumed-role/role/session.
func splitARN(arn string) (kind, name string) {
	resource := arn[strings.LastIndexByte(arn, ':')+1:]
	kind, rest, _ := strings.Cut(resource, "/")
	if kind == "assumed-role" {
		name, _, _ = strings.Cut(rest, "/")
		return kind, name
	}
	return kind, rest[strings.LastIndexByte(rest, '/')+1:]
}

// question is one thing to be allowed.
type question struct {
	action, resource string
	// account owns the resource; empty means the one that the request is made in.
	account      string
	requestTags  []policy.Tag
	tagKeys      []string
	resourceTags []policy.Tag
	keys         map[string][]string
}

func (a *Authorizer) request(call *awsapi.Call, w who, q *question) *policy.Request {
	r := &policy.Request{
		Action: q.action, Resource: q.resource, Principal: w.principal, SourceIP: call.SourceIP, UserAgent: call.UserAgent,
		Secure: strings.HasPrefix(call.BaseURL, "https:"), Region: call.Scope.Region, ResourceAccount: q.account, Now: a.now(),
		RequestTags: q.requestTags, TagKeys: q.tagKeys, ResourceTags: q.resourceTags, Keys: q.keys,
	}
	if r.ResourceAccount == "" {
		r.ResourceAccount = call.Scope.Account
	}
	return r
}

// denied is the refusal in AWS's words, with the code of the service's protocol.
func denied(service *awsapi.Service, arn string, q *question, d policy.Decision) error {
	return refusal(service, "User: "+arn+" is not authorized to perform: "+q.action+" on resource: "+q.resource+" "+
		d.Because(q.action))
}

// refusal has the code and the status that the service's protocol uses: services that speak XML say AccessDenied, those
// with a target header answer 400.
func refusal(service *awsapi.Service, message string) error {
	e := &awsapi.Error{Code: "AccessDeniedException", Status: http.StatusForbidden, Message: message}
	switch {
	case service.XMLNamespace != "" || service.Name == "s3":
		e.Code = "AccessDenied"
	case service.TargetPrefix != "":
		e.Status = http.StatusBadRequest
	}
	return e
}

// refuseSessionToken refuses what a session of a user or the root user itself, which GetSessionToken makes, cannot call:
// without a second factor, IAM, and of STS everything but AssumeRole and GetCallerIdentity
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html).
func (a *Authorizer) refuseSessionToken(call *awsapi.Call, service *awsapi.Service) error {
	session, ok := a.session(call.Caller.AccessKeyID)
	if session == nil || !ok || strings.Contains(call.Caller.ARN, ":assumed-role/") {
		return nil
	}
	switch {
	case service.Name == "iam":
		return &awsapi.Error{Code: "InvalidClientTokenId", Status: http.StatusForbidden,
			Message: "The security token included in the request is invalid"}
	case service.Name == "sts" && call.Operation != "AssumeRole" && call.Operation != "GetCallerIdentity":
		return refusal(service, "Cannot call "+call.Operation+" with session credentials")
	}
	return nil
}
