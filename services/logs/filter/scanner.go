package filter

import (
	"regexp"
	"strings"
)

// scanner reads a pattern from left to right.
type scanner struct {
	text string
	at   int
	// expressions counts the regular expressions seen.
	expressions int
}

func (s *scanner) done() bool { return s.at >= len(s.text) }

// peek is the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.done() {
		return 0
	}
	return s.text[s.at]
}

func (s *scanner) skipSpace() {
	for !s.done() && isSpace(s.text[s.at]) {
		s.at++
	}
}

// take reads the token if it is next.
func (s *scanner) take(token string) bool {
	if !strings.HasPrefix(s.text[s.at:], token) {
		return false
	}
	s.at += len(token)
	return true
}

// takeWord reads a keyword, whatever its case, if it is next and ends there.
func (s *scanner) takeWord(keyword string) bool {
	end := s.at + len(keyword)
	if end > len(s.text) || !strings.EqualFold(s.text[s.at:end], keyword) || end < len(s.text) && isWord(s.text[end]) {
		return false
	}
	s.at = end
	s.skipSpace()
	return true
}

// until reads up to the first of the bytes in stop, or to the end.
func (s *scanner) until(stop string) string {
	rest := s.text[s.at:]
	if end := strings.IndexAny(rest, stop); end >= 0 {
		rest = rest[:end]
	}
	s.at += len(rest)
	return rest
}

// while reads the bytes that belong.
func (s *scanner) while(belongs func(byte) bool) string {
	start := s.at
	for !s.done() && belongs(s.text[s.at]) {
		s.at++
	}
	return s.text[start:s.at]
}

// quoted reads a text in double quotes, in which a backslash protects a quote and itself.
func (s *scanner) quoted() (string, error) {
	var b strings.Builder
	for i := s.at + 1; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			s.at = i + 1
			return b.String(), nil
		case c == '\\' && i+1 < len(s.text) && (s.text[i+1] == '"' || s.text[i+1] == '\\'):
			i++
			b.WriteByte(s.text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", errInvalid
}

// expression reads a regular expression between percent signs. It has fewer signs than Go's: no groups, ASCII alone.
func (s *scanner) expression() (*regexp.Regexp, error) {
	s.at++
	source := s.until("%")
	if s.done() || source == "" {
		return nil, errInvalid
	}
	s.at++
	for i := range len(source) {
		if c := source[i]; !isAlphanumeric(c) && strings.IndexByte(`:_#=@/;,- ^$?[]{}|\*+.`, c) < 0 {
			return nil, invalidTerm(source)
		}
	}
	compiled, err := regexp.Compile(source)
	if err != nil {
		return nil, invalidTerm(source)
	}
	s.expressions++
	return compiled, nil
}

// finished says whether nothing but space is left and the pattern keeps to its limits.
func (s *scanner) finished() bool {
	s.skipSpace()
	return s.done() && s.expressions <= maxExpressions
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isWord(c byte) bool { return isAlphanumeric(c) || c == '_' }

// test is a condition on a subject.
type test[S any] func(S) bool

// alternatives reads conditions joined by && and ||, of which && binds more tightly, and parentheses.
func alternatives[S any](s *scanner, leaf func(*scanner) (test[S], error)) (test[S], error) {
	return joined(s, "||", func(s *scanner) (test[S], error) {
		return joined(s, "&&", func(s *scanner) (test[S], error) { return single(s, leaf) }, false)
	}, true)
}

// joined reads a list whose operator ends with the first operand that decides it.
func joined[S any](s *scanner, operator string, operand func(*scanner) (test[S], error), decides bool) (test[S], error) {
	var list []test[S]
	for {
		t, err := operand(s)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
		s.skipSpace()
		if !s.take(operator) {
			break
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return func(subject S) bool {
		for _, t := range list {
			if t(subject) == decides {
				return decides
			}
		}
		return !decides
	}, nil
}

func single[S any](s *scanner, leaf func(*scanner) (test[S], error)) (test[S], error) {
	s.skipSpace()
	if !s.take("(") {
		return leaf(s)
	}
	t, err := alternatives(s, leaf)
	if err != nil {
		return nil, err
	}
	if s.skipSpace(); !s.take(")") {
		return nil, errInvalid
	}
	return t, nil
}
