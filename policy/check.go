package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Malformed is why a document is refused, in the words that IAM and STS answer with MalformedPolicyDocument.
type Malformed string

func (m Malformed) Error() string { return string(m) }

// ErrSyntax says that a text is no policy document.
const ErrSyntax = Malformed("Syntax errors in policy.")

func malformed(format string, args ...any) error { return Malformed(fmt.Sprintf(format, args...)) }

var (
	sidPattern    = regexp.MustCompile(`^[0-9A-Za-z]*$`)
	vendorPattern = regexp.MustCompile(`^[a-zA-Z0-9\-.]+$`)
)

// CheckIdentity parses what is to be an identity's policy, a permissions boundary or a session policy, and refuses
// what cannot be one with a Malformed.
func CheckIdentity(text string) (*Document, error) {
	d, err := Parse(text)
	if err != nil {
		return nil, err
	}
	if d.Version != Version2012 {
		return nil, malformed("Policy document must be version 2012-10-17 or greater.")
	}
	sids := map[string]bool{}
	for i := range d.Statements {
		s := &d.Statements[i]
		if err := s.checkIdentity(); err != nil {
			return nil, err
		}
		if s.Sid != "" && sids[s.Sid] {
			return nil, malformed("Statement IDs (SID) in a single policy must be unique.")
		}
		sids[s.Sid] = true
	}
	return d, nil
}

func (s *Statement) checkIdentity() error {
	actions, resources := slices.Concat(s.Action, s.NotAction), slices.Concat(s.Resource, s.NotResource)
	switch {
	case s.Principal != nil || s.NotPrincipal != nil:
		return malformed("Policy document should not specify a principal.")
	case len(actions) == 0:
		return malformed("Policy statement must contain actions.")
	case len(resources) == 0:
		return malformed("Policy statement must contain resources.")
	case !sidPattern.MatchString(s.Sid):
		return malformed("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*")
	}
	for _, action := range actions {
		if err := checkAction(action); err != nil {
			return err
		}
	}
	for _, resource := range resources {
		if err := checkResource(resource); err != nil {
			return err
		}
	}
	return nil
}

func checkAction(action string) error {
	if action == "*" {
		return nil
	}
	vendor, name, found := strings.Cut(action, ":")
	switch {
	case !found || name == "":
		return malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
	case vendor != "*" && !vendorPattern.MatchString(vendor):
		return malformed("Vendor %s is not valid", vendor)
	case strings.Contains(name, ":"):
		return malformed("Actions/Condition can contain only one colon.")
	}
	return nil
}

func checkResource(resource string) error {
	if strings.Trim(resource, "*") == "" && resource != "" {
		return nil
	}
	parts := strings.SplitN(resource, ":", 6)
	switch {
	case parts[0] != "arn":
		return malformed("Resource %s must be in ARN format or \"*\".", resource)
	case len(parts) < 2 || parts[1] != "*" && parts[1] != "aws" && !strings.HasPrefix(parts[1], "aws-"):
		return malformed("Partition %q is not valid for resource %q.", strings.Join(parts[1:min(2, len(parts))], ""), resource)
	case len(parts) < 6 && !strings.HasSuffix(resource, "*"):
		return malformed("The policy failed legacy parsing")
	case len(parts) == 6 && parts[2] == "iam" && parts[3] != "" && parts[3] != "*":
		return malformed("IAM resource %s cannot contain region information.", resource)
	}
	return nil
}
