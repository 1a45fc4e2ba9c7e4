// Package pattern matches strings against the regular expressions of AWS's service models. They are Java's, mostly
// written without anchors, and must match the whole string. It must not know services beyond the names in its table
// of matchers.
package pattern

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
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

// translate writes Java's \uXXXX and \p{Print} as RE2 has them.
func translate(expression string) string {
	expression = strings.ReplaceAll(expression, `\p{Print}`, `[[:print:]]`)
	if !strings.Contains(expression, `\u`) {
		return expression
	}
	var b strings.Builder
	for i := 0; i < len(expression); i++ {
		switch {
		case expression[i] != '\\' || i+1 == len(expression):
			b.WriteByte(expression[i])
		case expression[i+1] == 'u' && i+6 <= len(expression):
			r, size := unicodeEscape(expression[i:])
			fmt.Fprintf(&b, `\x{%04X}`, r)
			i += size - 1
		default:
			b.WriteString(expression[i : i+2])
			i++
		}
	}
	return b.String()
}

// unicodeEscape reads \uXXXX, or two of them that make a surrogate pair.
func unicodeEscape(text string) (r rune, size int) {
	r = hex(text[2:6])
	if utf16.IsSurrogate(r) && len(text) >= 12 && text[6:8] == `\u` {
		if pair := utf16.DecodeRune(r, hex(text[8:12])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return r, 6
}

func hex(digits string) rune {
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
}
