// Package filter parses and matches the filter patterns of CloudWatch Logs: terms, conditions on JSON, and conditions on
// fields between spaces
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html). It must not know where
// messages come from.
package filter

import (
	"fmt"
	"strings"
)

// maxExpressions is how many regular expressions a pattern on JSON or on fields may have.
const maxExpressions = 2

// Error is why a text is no pattern, in words for whoever wrote it.
type Error string

func (e Error) Error() string { return string(e) }

// errInvalid is what the service says where it says nothing more.
const errInvalid Error = "Invalid filter pattern"

func invalidTerm(term string) Error {
	return Error(fmt.Sprintf("Invalid character(s) in term '%s'", term))
}

// Pattern decides which messages match. It is safe for concurrent use; the zero Pattern matches every message.
type Pattern struct{ matcher }

// matcher is one of the three kinds of patterns.
type matcher interface {
	match(message []byte) bool
	// extract are the values that a matching message has for the pattern's fields.
	extract(message []byte) map[string]string
}

// Parse reads a pattern. It answers an Error for a text that is none. Empty text matches every message.
func Parse(text string) (Pattern, error) {
	text = strings.TrimSpace(text)
	var m matcher
	var err error
	switch {
	case text == "":
		return Pattern{}, nil
	case text[0] == '{':
		m, err = parseJSON(text)
	case text[0] == '[':
		m, err = parseFields(text)
	default:
		m, err = parseTerms(text)
	}
	if err != nil {
		return Pattern{}, err
	}
	return Pattern{m}, nil
}

// All says whether the pattern matches every message.
func (p Pattern) All() bool { return p.matcher == nil }

// Match says whether a message matches. It keeps no reference to the message.
func (p Pattern) Match(message []byte) bool { return p.All() || p.match(message) }

// Extract are the values of a matching message by name: "$name" and "$3" of fields, "$.a.b" of JSON; terms have none.
func (p Pattern) Extract(message []byte) map[string]string {
	if p.All() {
		return map[string]string{}
	}
	return p.extract(message)
}
