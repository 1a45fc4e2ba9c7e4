package filter

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// jsonPattern is a condition on messages that are JSON.
type jsonPattern struct {
	holds     test[any]
	selectors []selector
}

func parseJSON(text string) (matcher, error) {
	if !strings.HasSuffix(text, "}") {
		return nil, Error("If a filter pattern starts with '{' it must end with '}'")
	}
	p := &jsonPattern{}
	s := scanner{text: text[1 : len(text)-1]}
	holds, err := alternatives(&s, p.leaf)
	if err != nil {
		return nil, err
	}
	if !s.finished() {
		return nil, errInvalid
	}
	p.holds = holds
	return p, nil
}

// leaf reads a selector and what is said of it.
func (p *jsonPattern) leaf(s *scanner) (test[any], error) {
	sel, err := s.selector()
	if err != nil {
		return nil, err
	}
	p.selectors = append(p.selectors, sel)
	s.skipSpace()
	switch {
	case s.takeWord("IS"):
		is, err := s.constant()
		return func(root any) bool { return sel.any(root, is) }, err
	case s.takeWord("NOT"):
		if !s.takeWord("EXISTS") {
			return nil, errInvalid
		}
		return func(root any) bool { return !sel.any(root, anything) }, nil
	case s.takeWord("EXISTS"):
		return func(root any) bool { return sel.any(root, anything) }, nil
	default:
		c, err := s.condition()
		return func(root any) bool { return sel.any(root, c.holdsJSON) }, err
	}
}

func anything(any) bool { return true }

// constant reads what follows IS.
func (s *scanner) constant() (test[any], error) {
	for word, want := range map[string]any{"NULL": nil, "TRUE": true, "FALSE": false} {
		if s.takeWord(word) {
			return func(v any) bool { return v == want }, nil
		}
	}
	return nil, errInvalid
}

func (p *jsonPattern) match(message []byte) bool {
	root, ok := parse(message)
	return ok && p.holds(root)
}

func (p *jsonPattern) extract(message []byte) map[string]string {
	values := map[string]string{}
	root, ok := parse(message)
	for _, sel := range p.selectors {
		sel.any(root, func(v any) bool {
			switch v := v.(type) {
			case string:
				values[sel.text] = v
			case json.Number:
				values[sel.text] = v.String()
			case bool:
				values[sel.text] = strconv.FormatBool(v)
			}
			return !ok
		})
	}
	return values
}

// parse reads a message that is one object or array and nothing else.
func parse(message []byte) (any, bool) {
	message = bytes.TrimLeft(message, " \t\r\n")
	if len(message) == 0 || message[0] != '{' && message[0] != '[' {
		return nil, false
	}
	decoder := json.NewDecoder(bytes.NewReader(message))
	decoder.UseNumber()
	var root any
	if decoder.Decode(&root) != nil {
		return nil, false
	}
	rest := message[decoder.InputOffset():]
	return root, len(bytes.TrimRight(rest, " \t\r\n")) == 0
}

// selector names places in a JSON text: $.users[0].id, $.users[*].id, $.["a b"].
type selector struct {
	text  string
	steps []step
}

// step goes one level down: to a member, to an element, or to each.
type step struct {
	name     string
	index    int
	isIndex  bool
	wildcard bool
}

func (s *scanner) selector() (selector, error) {
	start := s.at
	if !s.take("$") {
		return selector{}, errInvalid
	}
	var sel selector
	for {
		var next step
		var err error
		switch {
		case s.take(".["), s.take("["):
			next, err = s.bracket()
		case s.take("."):
			next, err = s.member()
		default:
			sel.text = s.text[start:s.at]
			if len(sel.steps) == 0 {
				return selector{}, errInvalid
			}
			return sel, nil
		}
		if err != nil {
			return selector{}, err
		}
		sel.steps = append(sel.steps, next)
	}
}

func (s *scanner) member() (step, error) {
	if s.take("*") {
		return step{wildcard: true}, nil
	}
	name := s.while(func(c byte) bool { return isWord(c) || c == '-' || c >= 0x80 })
	if name == "" {
		return step{}, errInvalid
	}
	return step{name: name}, nil
}

// bracket reads what stands behind an opening bracket: a number, an asterisk or a name in quotes.
func (s *scanner) bracket() (next step, err error) {
	switch {
	case s.take("*"):
		next.wildcard = true
	case s.peek() == '"':
		next.name, err = s.quoted()
	default:
		next.isIndex = true
		digits := s.while(func(c byte) bool { return '0' <= c && c <= '9' })
		if next.index, err = strconv.Atoi(digits); err != nil {
			return next, errInvalid
		}
	}
	if err == nil && !s.take("]") {
		err = errInvalid
	}
	return next, err
}

// any says whether one of the values at the selector's places satisfies what is asked.
func (sel selector) any(root any, asked func(any) bool) bool {
	if len(sel.steps) == 0 {
		return asked(root)
	}
	first, rest := sel.steps[0], selector{steps: sel.steps[1:]}
	switch v := root.(type) {
	case map[string]any:
		if first.wildcard {
			for _, child := range v {
				if rest.any(child, asked) {
					return true
				}
			}
			return false
		}
		child, ok := v[first.name]
		return ok && !first.isIndex && rest.any(child, asked)
	case []any:
		if first.wildcard {
			for _, child := range v {
				if rest.any(child, asked) {
					return true
				}
			}
			return false
		}
		return first.isIndex && first.index < len(v) && rest.any(v[first.index], asked)
	default:
		return false
	}
}
