package iam

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// checkTrustPolicy refuses what cannot be a role's trust policy, in IAM's words.
func checkTrustPolicy(text string) error {
	if !json.Valid([]byte(text)) {
		return malformed("This policy contains invalid Json")
	}
	d, ok := parseDocument(text)
	if !ok {
		return malformed("Syntax errors in policy.")
	}
	for _, s := range d.statements {
		if err := s.checkTrust(); err != nil {
			return err
		}
	}
	return nil
}

func (s statement) checkTrust() error {
	switch {
	case s.has["Resource"]:
		return malformed("Has prohibited field Resource")
	case s.has["NotResource"]:
		return malformed("Has prohibited field NotResource")
	case s.principals == nil:
		return malformed("Missing required field Principal")
	case len(s.principals) == 0:
		return malformed("Invalid principal in policy: The passed in policy has a statement with no principals!")
	case len(s.actions) == 0:
		return malformed("Missing required field Action")
	}
	for _, action := range s.actions {
		if !strings.HasPrefix(strings.ToLower(action), "sts:") && action != "*" {
			return malformed("AssumeRole policy may only specify STS AssumeRole actions.")
		}
	}
	for _, kind := range []string{"AWS", "Service", "Federated"} {
		for _, name := range s.principals[kind] {
			if !principalPatterns()[kind].MatchString(name) {
				return malformed("Invalid principal in policy: %q:%q", strings.ToUpper(kind), name)
			}
		}
	}
	return nil
}

// principalPatterns say what each kind of principal looks like. Whether an AWS principal exists is not looked at: it
// may live in an account that is not here.
func principalPatterns() map[string]*regexp.Regexp {
	return map[string]*regexp.Regexp{"AWS": awsPrincipal, "Service": servicePrincipal, "Federated": federatedPrincipal}
}

var (
	awsPrincipal       = regexp.MustCompile(`^(\*|\d{12}|A(IDA|ROA)[A-Z0-9]{16,}|arn:aws[a-z-]*:(iam|sts)::(\d{12}|cloudfront):.+)$`)
	servicePrincipal   = regexp.MustCompile(`^(\*|[a-z0-9-]+(\.[a-z0-9-]+)+)$`)
	federatedPrincipal = regexp.MustCompile(`^(arn:aws[a-z-]*:iam::\d{12}:.+|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+)$`)
)

// trusts says whether a trust policy lets a service assume the role. Conditions are not looked at here: they are
// about a request, and there is none yet.
func trusts(text, service string) bool {
	d, ok := parseDocument(text)
	if !ok {
		return false
	}
	allowed := false
	for _, s := range d.statements {
		_, everybody := s.principals["*"]
		meant := everybody || slices.Contains(s.principals["Service"], service) || slices.Contains(s.principals["Service"], "*")
		if s.has["NotPrincipal"] || !meant || !s.assumes() {
			continue
		}
		if s.effect == "Deny" && !s.has["Condition"] {
			return false
		}
		allowed = allowed || s.effect == "Allow"
	}
	return allowed
}

// assumes says whether the statement is about sts:AssumeRole.
func (s statement) assumes() bool {
	matches := slices.ContainsFunc(s.actions, func(action string) bool {
		switch strings.ToLower(action) {
		case "*", "sts:*", "sts:assume*", "sts:assumerole*", "sts:assumerole":
			return true
		}
		return false
	})
	return matches != s.has["NotAction"]
}
