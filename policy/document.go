package policy

import (
	"bytes"
	"encoding/json"
	"slices"
)

// The versions of the language. Only the newer one has policy variables; a document without a version is of the older.
const (
	Version2008 = "2008-10-17"
	Version2012 = "2012-10-17"
)

// Document is a compiled policy document. It never changes and may be shared.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
type Document struct {
	// Version is empty where the document names none.
	Version    string
	Statements []Statement
}

// Statement has nil where the document has no such element.
type Statement struct {
	Sid string
	// Deny is the effect: Deny, or else Allow.
	Deny        bool
	Action      []string
	NotAction   []string
	Resource    []string
	NotResource []string
	// Principal and NotPrincipal map AWS, Service, Federated and CanonicalUser to names; "*" alone means everybody.
	Principal    map[string][]string
	NotPrincipal map[string][]string
	// Conditional says that there is a Condition element.
	Conditional bool

	actions    []pattern
	resources  []pattern
	conditions []condition
}

// Parse reads a document by the grammar and compiles it; ErrSyntax is its only error.
func Parse(text string) (*Document, error) {
	top, ok := object([]byte(text), "Version", "Id", "Statement")
	if !ok || top["Statement"] == nil {
		return nil, ErrSyntax
	}
	d := new(Document)
	if raw := top["Version"]; raw != nil {
		if !readText(raw, &d.Version) || d.Version != Version2008 && d.Version != Version2012 {
			return nil, ErrSyntax
		}
	}
	var id string
	if raw := top["Id"]; raw != nil && !readText(raw, &id) {
		return nil, ErrSyntax
	}
	var raws []json.RawMessage
	if json.Unmarshal(top["Statement"], &raws) != nil {
		raws = []json.RawMessage{top["Statement"]}
	}
	if len(raws) == 0 {
		return nil, ErrSyntax
	}
	d.Statements = make([]Statement, len(raws))
	for i, raw := range raws {
		if !d.Statements[i].parse(raw, d.Version == Version2012) {
			return nil, ErrSyntax
		}
	}
	return d, nil
}

// DenyAll is a document that denies everything: what to use in place of one that cannot be read.
func DenyAll() *Document {
	all := compile("*", options{wild: true})
	return &Document{Version: Version2012, Statements: []Statement{{
		Deny: true, Action: []string{"*"}, Resource: []string{"*"}, actions: []pattern{all}, resources: []pattern{all},
	}}}
}

func (s *Statement) parse(raw json.RawMessage, variables bool) bool {
	fields, ok := object(raw, "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource",
		"NotResource", "Condition")
	if !ok {
		return false
	}
	for _, name := range []string{"Action", "Resource", "Principal"} {
		if fields[name] != nil && fields["Not"+name] != nil {
			return false
		}
	}
	if raw := fields["Sid"]; raw != nil && !readText(raw, &s.Sid) {
		return false
	}
	var effect string
	if raw := fields["Effect"]; raw == nil || !readText(raw, &effect) || effect != "Allow" && effect != "Deny" {
		return false
	}
	s.Deny = effect == "Deny"
	for name, list := range map[string]*[]string{
		"Action": &s.Action, "NotAction": &s.NotAction, "Resource": &s.Resource, "NotResource": &s.NotResource,
	} {
		if raw := fields[name]; raw != nil && !readTexts(raw, list) {
			return false
		}
	}
	for name, principals := range map[string]*map[string][]string{"Principal": &s.Principal, "NotPrincipal": &s.NotPrincipal} {
		if raw := fields[name]; raw != nil && !parsePrincipals(raw, principals) {
			return false
		}
	}
	for _, action := range slices.Concat(s.Action, s.NotAction) {
		s.actions = append(s.actions, compile(action, options{wild: true, fold: true}))
	}
	for _, resource := range slices.Concat(s.Resource, s.NotResource) {
		s.resources = append(s.resources, compile(resource, options{wild: true, variables: variables}))
	}
	if raw := fields["Condition"]; raw != nil {
		s.Conditional = true
		s.conditions, ok = parseConditions(raw, variables)
	}
	return ok
}

func parsePrincipals(raw json.RawMessage, principals *map[string][]string) bool {
	var all string
	if readText(raw, &all) {
		*principals = map[string][]string{"*": nil}
		return all == "*"
	}
	kinds, ok := object(raw, "AWS", "Service", "Federated", "CanonicalUser")
	if !ok {
		return false
	}
	*principals = make(map[string][]string, len(kinds))
	for kind, raw := range kinds {
		var list []string
		if !readTexts(raw, &list) {
			return false
		}
		(*principals)[kind] = list
	}
	return true
}

// object reads a JSON object that has no other members than these, where names are given, and none twice: Go's decoder
// would take any case, and the last of several, which could hide a condition.
func object(raw []byte, names ...string) (map[string]json.RawMessage, bool) {
	if len(raw) == 0 || !json.Valid(raw) {
		return nil, false
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, false
	}
	fields := map[string]json.RawMessage{}
	for decoder.More() {
		token, err := decoder.Token()
		name, isText := token.(string)
		if err != nil || !isText || names != nil && !slices.Contains(names, name) || fields[name] != nil {
			return nil, false
		}
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			return nil, false
		}
		fields[name] = value
	}
	return fields, true
}

// readText reads a JSON string; null is none.
func readText(raw json.RawMessage, into *string) bool {
	return len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, into) == nil
}

// readTexts reads a JSON string or a list of them; the list is never nil after that.
func readTexts(raw json.RawMessage, into *[]string) bool {
	var one string
	if readText(raw, &one) {
		*into = []string{one}
		return true
	}
	var many []json.RawMessage
	if bytes.Equal(raw, []byte("null")) || json.Unmarshal(raw, &many) != nil {
		return false
	}
	*into = make([]string, len(many))
	for i, raw := range many {
		if !readText(raw, &(*into)[i]) {
			return false
		}
	}
	return true
}

// Size is what IAM's limits count: characters without white space between the tokens.
func Size(text string) int {
	var compact bytes.Buffer
	if json.Compact(&compact, []byte(text)) != nil {
		return len(text)
	}
	return compact.Len()
}

// AllowAll is a document that allows everything: what the root user has in place of policies.
func AllowAll() *Document {
	d := DenyAll()
	d.Statements[0].Deny = false
	return d
}
