package policy

import "time"

// Identity is a user, a role or a group as the directory of an account has it: what it brings to a decision.
type Identity struct {
	// ARN has the path; ID is "AIDA...", "AROA..." or "AGPA...".
	ARN, ID string
	// Policies are inline and attached ones, and for a user its groups'.
	Policies []*Document
	// Boundary is nil without a permissions boundary.
	Boundary *Document
	Tags     []Tag
	// Trust is a role's trust policy, and MaxSession the longest session that its assumption may ask for.
	Trust      *Document
	MaxSession time.Duration
}
