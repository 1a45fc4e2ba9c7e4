package function

import "strings"

// The tags that Hotaru itself reads. What begins as they do and is none of them is refused, so that a misspelled one
// does not pass for a choice.
const (
	tagPrefix = "hotaru:"
	// SandboxTag names the sandbox driver of a function's environments.
	SandboxTag = tagPrefix + "sandbox"
	// EgressTag says how far a function's network reaches: EgressInternet or EgressNone. Without it, as far as the
	// installation lets it.
	EgressTag = tagPrefix + "egress"
)

// The values of EgressTag.
const (
	EgressInternet = "internet"
	EgressNone     = "none"
)

// IsOwnTag says whether a tag's key is, or pretends to be, one that Hotaru reads; known says that it is one.
func IsOwnTag(key string) (own, known bool) {
	own = len(key) >= len(tagPrefix) && strings.EqualFold(key[:len(tagPrefix)], tagPrefix)
	return own, key == SandboxTag || key == EgressTag
}
