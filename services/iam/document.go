package iam

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"hotaru/awsapi"
)

// document is a policy document.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
type document struct {
	version    string
	statements []statement
}

// statement has nil where the document has no such element.
type statement struct {
	sid       string
	effect    string
	actions   []string
	resources []string
	// principals maps AWS, Service, Federated and CanonicalUser, or "*" if that is all.
	principals map[string][]string
	has        map[string]bool
}

// parseDocument reads a document by the grammar alone; ok is false where it is broken.
func parseDocument(text string) (d document, ok bool) {
	top, ok := object([]byte(text), "Version", "Id", "Statement")
	if !ok || top["Statement"] == nil {
		return d, false
	}
	if raw := top["Version"]; raw != nil {
		if json.Unmarshal(raw, &d.version) != nil || d.version != "2008-10-17" && d.version != "2012-10-17" {
			return d, false
		}
	}
	var id string
	if raw := top["Id"]; raw != nil && json.Unmarshal(raw, &id) != nil {
		return d, false
	}
	var raws []json.RawMessage
	if json.Unmarshal(top["Statement"], &raws) != nil {
		raws = []json.RawMessage{top["Statement"]}
	}
	for _, raw := range raws {
		s, ok := parseStatement(raw)
		if !ok {
			return d, false
		}
		d.statements = append(d.statements, s)
	}
	return d, len(d.statements) > 0
}

func parseStatement(raw json.RawMessage) (s statement, ok bool) {
	fields, ok := object(raw, "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource",
		"NotResource", "Condition")
	if !ok {
		return s, false
	}
	s.has = map[string]bool{}
	for name := range fields {
		s.has[name] = true
	}
	for _, name := range []string{"Action", "Resource", "Principal"} {
		if s.has[name] && s.has["Not"+name] {
			return s, false
		}
	}
	if s.has["Sid"] && json.Unmarshal(fields["Sid"], &s.sid) != nil {
		return s, false
	}
	if json.Unmarshal(orNull(fields["Effect"]), &s.effect) != nil || s.effect != "Allow" && s.effect != "Deny" {
		return s, false
	}
	return s, s.parseLists(fields) && conditionsOK(fields["Condition"])
}

func (s *statement) parseLists(fields map[string]json.RawMessage) bool {
	for _, name := range []string{"Action", "NotAction"} {
		if raw := fields[name]; raw != nil {
			list, ok := oneOrMany(raw)
			if !ok {
				return false
			}
			s.actions = list
		}
	}
	for _, name := range []string{"Resource", "NotResource"} {
		if raw := fields[name]; raw != nil {
			list, ok := oneOrMany(raw)
			if !ok {
				return false
			}
			s.resources = list
		}
	}
	for _, name := range []string{"Principal", "NotPrincipal"} {
		if raw := fields[name]; raw != nil && !s.parsePrincipals(raw) {
			return false
		}
	}
	return true
}

func (s *statement) parsePrincipals(raw json.RawMessage) bool {
	s.principals = map[string][]string{}
	var all string
	if json.Unmarshal(raw, &all) == nil {
		s.principals["*"] = nil
		return all == "*"
	}
	kinds, ok := object(raw, "AWS", "Service", "Federated", "CanonicalUser")
	if !ok {
		return false
	}
	for kind, raw := range kinds {
		list, ok := oneOrMany(raw)
		if !ok {
			return false
		}
		s.principals[kind] = list
	}
	return true
}

// conditionsOK checks operator -> key -> value or values.
func conditionsOK(raw json.RawMessage) bool {
	if raw == nil {
		return true
	}
	var operators map[string]map[string]any
	if json.Unmarshal(raw, &operators) != nil {
		return false
	}
	for _, keys := range operators {
		for _, v := range keys {
			values, many := v.([]any)
			if !many {
				values = []any{v}
			}
			for _, v := range values {
				switch v.(type) {
				case string, bool, float64:
				default:
					return false
				}
			}
		}
	}
	return true
}

// object reads a JSON object that has no other members than these. Go's decoder would take any case.
func object(raw []byte, names ...string) (map[string]json.RawMessage, bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil || fields == nil {
		return nil, false
	}
	for name := range fields {
		if !slices.Contains(names, name) {
			return nil, false
		}
	}
	return fields, true
}

func oneOrMany(raw json.RawMessage) ([]string, bool) {
	if bytes.Equal(raw, []byte("null")) {
		return nil, false
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}, true
	}
	var many []string
	err := json.Unmarshal(raw, &many)
	return many, err == nil
}

func orNull(raw json.RawMessage) []byte {
	if raw == nil {
		return []byte("null")
	}
	return raw
}

// documentSize is what IAM's limits count: characters without white space.
func documentSize(text string) int {
	var compact bytes.Buffer
	if json.Compact(&compact, []byte(text)) != nil {
		return len(text)
	}
	return compact.Len()
}

func malformed(format string, args ...any) error {
	return awsapi.Errorf("MalformedPolicyDocument", format, args...)
}

var (
	sidPattern    = regexp.MustCompile(`^[0-9A-Za-z]*$`)
	vendorPattern = regexp.MustCompile(`^[a-zA-Z0-9\-.]+$`)
)

// checkIdentityPolicy refuses what cannot be a policy of a role, in IAM's words.
func checkIdentityPolicy(text string) error {
	d, ok := parseDocument(text)
	if !ok {
		return malformed("Syntax errors in policy.")
	}
	if d.version != "2012-10-17" {
		return malformed("Policy document must be version 2012-10-17 or greater.")
	}
	sids := map[string]bool{}
	for _, s := range d.statements {
		if err := s.checkIdentity(); err != nil {
			return err
		}
		if s.sid != "" && sids[s.sid] {
			return malformed("Statement IDs (SID) in a single policy must be unique.")
		}
		sids[s.sid] = true
	}
	return nil
}

func (s statement) checkIdentity() error {
	switch {
	case s.principals != nil:
		return malformed("Policy document should not specify a principal.")
	case len(s.actions) == 0:
		return malformed("Policy statement must contain actions.")
	case len(s.resources) == 0:
		return malformed("Policy statement must contain resources.")
	case !sidPattern.MatchString(s.sid):
		return malformed("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*")
	}
	for _, action := range s.actions {
		if err := checkAction(action); err != nil {
			return err
		}
	}
	for _, resource := range s.resources {
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
