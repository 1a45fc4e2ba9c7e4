package control

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/google/uuid"

	"hotaru/function"
)

// statement lets somebody do something with a resource. Its JSON is a statement of the resource's policy, member by
// member as AWS answers it.
type statement struct {
	Sid       string
	Effect    string
	Principal any // "*", or {"AWS": an ARN}, or {"Service": a name}
	Action    string
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

// resourcePolicy is what is allowed with one resource; without statements there is none.
type resourcePolicy struct {
	Statements []statement `json:"statements,omitempty"`
	RevisionID string      `json:"revisionId,omitempty"`
}

// document is the policy's JSON.
func (p resourcePolicy) document() (string, error) {
	text, err := json.Marshal(struct {
		Version   string
		ID        string `json:"Id"`
		Statement []statement
	}{"2012-10-17", "default", p.Statements})
	return string(text), err
}

// with is the policy with one statement more.
func (p resourcePolicy) with(s statement) (resourcePolicy, error) {
	if p.find(s.Sid) >= 0 {
		return p, function.Errorf(function.ErrResourceConflict, "The statement id (%s) provided already exists. Please "+
			"provide a new statement id, or remove the existing statement.", s.Sid)
	}
	return resourcePolicy{append(slices.Clone(p.Statements), s), uuid.NewString()}, nil
}

// without is the policy with one statement less, whose revision must be the one given, if one is. api is whose answer has
// the revision.
func (p resourcePolicy) without(sid string, revisionID *string, api string) (resourcePolicy, error) {
	at := p.find(sid)
	if at < 0 {
		return p, function.Errorf(function.ErrResourceNotFound, "Statement %s is not found in resource policy.", sid)
	}
	if err := p.checkRevision(revisionID, api); err != nil {
		return p, err
	}
	return resourcePolicy{slices.Delete(slices.Clone(p.Statements), at, at+1), uuid.NewString()}, nil
}

func (p resourcePolicy) find(sid string) int {
	return slices.IndexFunc(p.Statements, func(s statement) bool { return s.Sid == sid })
}

func (p resourcePolicy) checkRevision(given *string, api string) error {
	if given != nil && *given != p.RevisionID {
		return function.Errorf(function.ErrPreconditionFailed, "The Revision Id provided does not match the latest "+
			"Revision Id. Call the %s API to retrieve the latest Revision Id", api)
	}
	return nil
}

// principalOf is the form that a principal has in a policy: an account becomes its root's ARN.
func principalOf(partition, given string) (any, error) {
	switch {
	case given == "*":
		return "*", nil
	case len(given) == accountDigits && strings.Trim(given, "0123456789") == "":
		return map[string]string{"AWS": rootARN(partition, given)}, nil
	case strings.HasPrefix(given, "arn:"):
		return map[string]string{"AWS": given}, nil
	case strings.HasSuffix(given, ".amazonaws.com"), strings.HasSuffix(given, ".amazon.com"):
		return map[string]string{"Service": given}, nil
	}
	return nil, invalid("The provided principal was invalid. Please check the principal and try again.")
}

const accountDigits = 12

func rootARN(partition, account string) string {
	return "arn:" + partition + ":iam::" + account + ":root"
}
