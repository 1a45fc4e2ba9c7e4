package filter

import (
	"bytes"
	"regexp"
)

// terms are the parts of an unstructured pattern. A term may be anywhere in a message, inside a word too.
type terms struct {
	// all must be there, and none of none; any, of which one must be there, counts only where both are empty.
	all, any, none []term
}

// term is a text or a regular expression.
type term struct {
	text       []byte
	expression *regexp.Regexp
}

func (t term) in(message []byte) bool {
	if t.expression != nil {
		return t.expression.Match(message)
	}
	return bytes.Contains(message, t.text)
}

func parseTerms(text string) (matcher, error) {
	var parsed terms
	s := scanner{text: text}
	for s.skipSpace(); !s.done(); s.skipSpace() {
		list := &parsed.all
		switch {
		case s.take("-"):
			list = &parsed.none
			s.skipSpace()
		case s.take("?"):
			list = &parsed.any
		}
		t, err := s.term()
		if err != nil {
			return nil, err
		}
		*list = append(*list, t)
	}
	return parsed, nil
}

// term reads one term: "a phrase", %an expression% or a word.
func (s *scanner) term() (term, error) {
	switch s.peek() {
	case '"':
		text, err := s.quoted()
		return term{text: []byte(text)}, err
	case '%':
		expression, err := s.expression()
		return term{expression: expression}, err
	}
	word := s.until(" \t\r\n")
	for i := range len(word) {
		if !isWord(word[i]) {
			return term{}, invalidTerm(word)
		}
	}
	if word == "" {
		return term{}, errInvalid
	}
	return term{text: []byte(word)}, nil
}

func (t terms) match(message []byte) bool {
	for _, unwanted := range t.none {
		if unwanted.in(message) {
			return false
		}
	}
	for _, wanted := range t.all {
		if !wanted.in(message) {
			return false
		}
	}
	if len(t.any) == 0 || len(t.all) > 0 || len(t.none) > 0 {
		return true
	}
	for _, wanted := range t.any {
		if wanted.in(message) {
			return true
		}
	}
	return false
}

func (t terms) extract([]byte) map[string]string { return map[string]string{} }
