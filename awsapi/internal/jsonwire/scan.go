// Package jsonwire reads and writes JSON bodies by plan: strict in grammar, bounded in depth, deaf to unknown
// members, and in AWS's words where it refuses. It must not know HTTP.
package jsonwire

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds nesting, so that hostile input cannot exhaust the stack.
const maxDepth = 500

// SyntaxError says where a text stops being JSON.
type SyntaxError struct {
	Offset int
	Reason string
}

func (e *SyntaxError) Error() string { return e.Reason + " at offset " + strconv.Itoa(e.Offset) }

// scanner walks over one JSON text.
type scanner struct {
	data  []byte
	pos   int
	depth int
}

func (s *scanner) fail(reason string) error { return &SyntaxError{Offset: s.pos, Reason: reason} }

// space skips white space and returns the next byte, 0 at the end.
func (s *scanner) space() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// end fails unless nothing but white space is left.
func (s *scanner) end() error {
	if s.space(); s.pos < len(s.data) {
		return s.fail("unexpected text after the value")
	}
	return nil
}

// enter steps into an object or array.
func (s *scanner) enter() error {
	s.pos++
	if s.depth++; s.depth > maxDepth {
		return s.fail("nested too deeply")
	}
	return nil
}

// next steps to the next entry of an object or array that ends with closing; it is not more at the end.
func (s *scanner) next(closing byte, first bool) (more bool, err error) {
	c := s.space()
	if c == closing {
		s.pos++
		s.depth--
		return false, nil
	}
	if first {
		return true, nil
	}
	if c != ',' {
		return false, s.fail("expected a comma or " + string(rune(closing)))
	}
	s.pos++
	return true, nil
}

// name reads an object's member name and the colon. The result is valid until the next read.
func (s *scanner) name() ([]byte, error) {
	if s.space() != '"' {
		return nil, s.fail("expected a member name")
	}
	name, err := s.text()
	if err != nil {
		return nil, err
	}
	if s.space() != ':' {
		return nil, s.fail("expected a colon")
	}
	s.pos++
	return name, nil
}

// literal reads a fixed word.
func (s *scanner) literal(word string) error {
	if len(s.data)-s.pos < len(word) || string(s.data[s.pos:s.pos+len(word)]) != word {
		return s.fail("expected " + word)
	}
	s.pos += len(word)
	return nil
}

// text reads a string. It is a part of the input where it has no escapes.
func (s *scanner) text() ([]byte, error) {
	s.pos++
	start := s.pos
	ascii := true
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			text := s.data[start:s.pos]
			if !ascii && !utf8.Valid(text) {
				return nil, s.fail("invalid UTF-8")
			}
			s.pos++
			return text, nil
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			return nil, s.fail("control character in a string")
		case c >= utf8.RuneSelf:
			ascii = false
		}
		s.pos++
	}
	return nil, s.fail("unexpected end of a string")
}

// escaped reads the rest of a string that has escapes.
func (s *scanner) escaped(start int) ([]byte, error) {
	b := append(make([]byte, 0, 2*(s.pos-start)+32), s.data[start:s.pos]...)
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		s.pos++
		switch {
		case c == '"':
			if !utf8.Valid(b) {
				return nil, s.fail("invalid UTF-8")
			}
			return b, nil
		case c < ' ':
			return nil, s.fail("control character in a string")
		case c != '\\':
			b = append(b, c)
			continue
		}
		if s.pos == len(s.data) {
			break
		}
		c = s.data[s.pos]
		s.pos++
		switch c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, err := s.unicode()
			if err != nil {
				return nil, err
			}
			b = utf8.AppendRune(b, r)
		default:
			return nil, s.fail("unknown escape")
		}
	}
	return nil, s.fail("unexpected end of a string")
}

// unicode reads the digits of \u and, for a surrogate, of the \u after it.
func (s *scanner) unicode() (rune, error) {
	first, err := s.hex()
	if err != nil || !utf16.IsSurrogate(first) {
		return first, err
	}
	if len(s.data)-s.pos >= 6 && s.data[s.pos] == '\\' && s.data[s.pos+1] == 'u' {
		before := s.pos
		s.pos += 2
		second, err := s.hex()
		if err != nil {
			return 0, err
		}
		if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
			return r, nil
		}
		s.pos = before
	}
	return utf8.RuneError, nil
}

func (s *scanner) hex() (rune, error) {
	if len(s.data)-s.pos < 4 {
		return 0, s.fail("unexpected end of an escape")
	}
	n, err := strconv.ParseUint(string(s.data[s.pos:s.pos+4]), 16, 32)
	if err != nil {
		return 0, s.fail("malformed escape")
	}
	s.pos += 4
	return rune(n), nil
}

// number reads a number's text.
func (s *scanner) number() ([]byte, error) {
	start := s.pos
	if s.peek() == '-' {
		s.pos++
	}
	switch c := s.peek(); {
	case c == '0':
		s.pos++
	case c >= '1' && c <= '9':
		s.digits()
	default:
		return nil, s.fail("unexpected character")
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return nil, s.fail("expected a digit")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return nil, s.fail("expected a digit")
		}
	}
	return s.data[start:s.pos], nil
}

func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > start
}

// skip reads over any value.
func (s *scanner) skip() error {
	switch c := s.space(); c {
	case '{', '[':
		return s.skipAll(c)
	case '"':
		_, err := s.text()
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		_, err := s.number()
		return err
	}
}

func (s *scanner) skipAll(opening byte) error {
	if err := s.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := s.next(opening+2, first)
		if err != nil || !more {
			return err
		}
		if opening == '{' {
			if _, err := s.name(); err != nil {
				return err
			}
		}
		if err := s.skip(); err != nil {
			return err
		}
	}
}

// Valid answers a *SyntaxError unless data is exactly one JSON value.
func Valid(data []byte) error {
	s := scanner{data: data}
	if err := s.skip(); err != nil {
		return err
	}
	return s.end()
}
