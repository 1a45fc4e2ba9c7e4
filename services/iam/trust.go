package iam

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"hotaru/awsapi"
	"hotaru/policy"
)

func malformed(format string, args ...any) error {
	return awsapi.Errorf("MalformedPolicyDocument", format, args...)
}

// checkIdentityPolicy refuses what cannot be a policy of a role, user or group, in IAM's words.
func checkIdentityPolicy(text string) error {
	if _, err := policy.CheckIdentity(text); err != nil {
		return malformed("%s", err)
	}
	return nil
}

func documentSize(text string) int { return policy.Size(text) }

// checkTrustPolicy refuses what cannot be a role's trust policy, in IAM's words.
func checkTrustPolicy(text string) error {
	if !json.Valid([]byte(text)) {
		return malformed("This policy contains invalid Json")
	}
	d, err := policy.Parse(text)
	if err != nil {
		return malformed("%s", err)
	}
	for i := range d.Statements {
		if err := checkTrustStatement(&d.Statements[i]); err != nil {
			return err
		}
	}
	return nil
}

func checkTrustStatement(s *policy.Statement) error {
	principals, actions := s.Principal, slices.Concat(s.Action, s.NotAction)
	if principals == nil {
		principals = s.NotPrincipal
	}
	switch {
	case s.Resource != nil:
		return malformed("Has prohibited field Resource")
	case s.NotResource != nil:
		return malformed("Has prohibited field NotResource")
	case principals == nil:
		return malformed("Missing required field Principal")
	case len(principals) == 0:
		return malformed("Invalid principal in policy: The passed in policy has a statement with no principals!")
	case len(actions) == 0:
		return malformed("Missing required field Action")
	}
	for _, action := range actions {
		if !strings.HasPrefix(strings.ToLower(action), "sts:") && action != "*" {
			return malformed("AssumeRole policy may only specify STS AssumeRole actions.")
		}
	}
	for _, kind := range []string{"AWS", "Service", "Federated"} {
		for _, name := range principals[kind] {
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
func trusts(d *policy.Document, service string) bool {
	allowed := false
	for i := range d.Statements {
		s := &d.Statements[i]
		_, everybody := s.Principal["*"]
		meant := everybody || slices.Contains(s.Principal["Service"], service) || slices.Contains(s.Principal["Service"], "*")
		if !meant || !s.About("sts:AssumeRole") {
			continue
		}
		if s.Deny && !s.Conditional {
			return false
		}
		allowed = allowed || !s.Deny
	}
	return allowed
}
