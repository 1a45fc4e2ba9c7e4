// Package pattern matches strings against the regular expressions of AWS's service models. They are Java's, mostly
// written without anchors, and must match the whole string. It must not know services beyond the names in its table
// of matchers.
package pattern

import (
	"fmt"
	"regexp"
	"strings"
)

// Matcher says whether a whole string satisfies a pattern.
type Matcher func(string) bool

// Compile returns the matcher for a shape's pattern: a hand-written one where the shape has one, else the pattern as
// RE2 understands it. It fails on a pattern that RE2 cannot express and nobody wrote a matcher for.
func Compile(service, shape, expression string) (Matcher, error) {
	if m, ok := handWritten(service, shape, expression); ok {
		return m, nil
	}
	re, err := regexp.Compile(`\A(?:` + translate(expression) + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("pattern of %s.%s needs a hand-written matcher: %w", service, shape, err)
	}
	return re.MatchString, nil
}

// translate writes Java's escapes \uXXXX as RE2's \x{XXXX}.
func translate(expression string) string {
	if !strings.Contains(expression, `\u`) {
		return expression
	}
	var b strings.Builder
	for i := 0; i < len(expression); i++ {
		switch {
		case expression[i] != '\\' || i+1 == len(expression):
			b.WriteByte(expression[i])
		case expression[i+1] == 'u' && i+6 <= len(expression):
			b.WriteString(`\x{` + expression[i+2:i+6] + `}`)
			i += 5
		default:
			b.WriteString(expression[i : i+2])
			i++
		}
	}
	return b.String()
}
