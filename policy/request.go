package policy

import (
	"strconv"
	"strings"
	"time"
)

// Request is what is asked, by whom and how: what policies are evaluated against. Times, addresses and the like become
// condition keys only where a policy asks for them.
type Request struct {
	// Action is "lambda:InvokeFunction".
	Action string
	// Resource is an ARN, or "*" for an action without one.
	Resource  string
	Principal Principal

	// SourceIP and UserAgent describe the caller's end; empty means absent.
	SourceIP, UserAgent string
	// Secure says that the request came over TLS.
	Secure bool
	// Region is where the request is made.
	Region string
	// ResourceAccount owns the resource; empty means absent, and the principal's own.
	ResourceAccount string
	Now             time.Time
	// RequestTags are the tags that the request sets, TagKeys those that it names without values.
	RequestTags []Tag
	TagKeys     []string
	// ResourceTags are the tags that the resource has.
	ResourceTags []Tag
	// Keys are a service's own condition keys, by name in lower case.
	Keys map[string][]string
}

// Principal is who asks. Which fields are set depends on the kind.
type Principal struct {
	// ARN is a user's, a root user's or a role session's; empty for a service.
	ARN string
	// Role is a role session's role.
	Role string
	// Account of the principal.
	Account string
	// UserID as GetCallerIdentity shows it: "AIDA...", "AROA...:session" or an account.
	UserID string
	// Username is a user's alone.
	Username string
	// Service is an AWS service's name, "lambda.amazonaws.com", where that is who asks.
	Service string
	// Tags are a user's, or a role's together with its session's.
	Tags []Tag
	// Issued is when a temporary credential was made; zero means a credential that is not temporary.
	Issued time.Time
	// SourceIdentity is who began a chain of role sessions.
	SourceIdentity string
}

// Tag is a key with a value. Keys are compared without regard to case.
type Tag struct{ Key, Value string }

// kind is the value of aws:PrincipalType.
func (p *Principal) kind() string {
	switch {
	case p.Service != "":
		return "Service"
	case p.Role != "":
		return "AssumedRole"
	case p.Username != "":
		return "User"
	default:
		return "Account"
	}
}

// values are what the request has for a condition key; nil means that it has no such key. The name is in lower case.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
func (r *Request) values(key string) []string {
	if values, ok := r.Keys[key]; ok {
		return values
	}
	name, ok := strings.CutPrefix(key, "aws:")
	if !ok {
		return nil
	}
	if prefix, tag, ok := strings.Cut(name, "/"); ok {
		switch prefix {
		case "principaltag":
			return tagValue(r.Principal.Tags, tag)
		case "requesttag":
			return tagValue(r.RequestTags, tag)
		case "resourcetag":
			return tagValue(r.ResourceTags, tag)
		}
		return nil
	}
	if values, ok := r.principalValues(name); ok {
		return values
	}
	switch name {
	case "sourceip":
		return optional(r.SourceIP)
	case "useragent":
		return optional(r.UserAgent)
	case "securetransport":
		return []string{strconv.FormatBool(r.Secure)}
	case "requestedregion":
		return optional(r.Region)
	case "resourceaccount":
		return optional(r.ResourceAccount)
	case "currenttime":
		return []string{r.Now.UTC().Format(time.RFC3339)}
	case "epochtime":
		return []string{strconv.FormatInt(r.Now.Unix(), 10)}
	case "viaawsservice":
		return []string{"false"}
	case "tagkeys":
		return r.tagKeys()
	}
	return nil
}

// principalValues are the keys about who asks.
func (r *Request) principalValues(name string) (values []string, ok bool) {
	p := &r.Principal
	switch name {
	case "principalarn":
		if p.Role != "" {
			return []string{p.Role}, true
		}
		return optional(p.ARN), true
	case "principalaccount":
		return optional(p.Account), true
	case "principaltype":
		return []string{p.kind()}, true
	case "principalisawsservice":
		return []string{strconv.FormatBool(p.Service != "")}, true
	case "principalservicename":
		return optional(p.Service), true
	case "userid":
		return optional(p.UserID), true
	case "username":
		return optional(p.Username), true
	case "sourceidentity":
		return optional(p.SourceIdentity), true
	case "tokenissuetime", "multifactorauthpresent":
		if p.Issued.IsZero() {
			return nil, true
		}
		if name == "multifactorauthpresent" {
			return []string{"false"}, true
		}
		return []string{p.Issued.UTC().Format(time.RFC3339)}, true
	}
	return nil, false
}

func (r *Request) tagKeys() []string {
	if len(r.RequestTags) == 0 {
		return r.TagKeys
	}
	keys := append([]string(nil), r.TagKeys...)
	for _, tag := range r.RequestTags {
		keys = append(keys, tag.Key)
	}
	return keys
}

func optional(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

func tagValue(tags []Tag, key string) []string {
	for _, tag := range tags {
		if strings.EqualFold(tag.Key, key) {
			return []string{tag.Value}
		}
	}
	return nil
}
