package filter

import (
	"strconv"
	"strings"
)

// fieldPattern is a list of fields that a message has between spaces.
type fieldPattern struct {
	// fields before and behind the ellipsis, where there is one.
	before, behind []field
	ellipsis       bool
}

// field is one place, with a name and a condition if the pattern gives them.
type field struct {
	name  string
	holds test[string]
}

func parseFields(text string) (matcher, error) {
	if !strings.HasSuffix(text, "]") {
		return nil, Error("If a filter pattern starts with '[' it must end with ']'")
	}
	p := &fieldPattern{}
	s := scanner{text: text[1 : len(text)-1]}
	if s.finished() {
		p.ellipsis = true // [] takes messages of any number of fields
		return p, nil
	}
	for {
		s.skipSpace()
		switch {
		case s.take("..."):
			if p.ellipsis {
				return nil, errInvalid
			}
			p.ellipsis = true
		default:
			f, err := s.field()
			if err != nil {
				return nil, err
			}
			if p.ellipsis {
				p.behind = append(p.behind, f)
			} else {
				p.before = append(p.before, f)
			}
		}
		s.skipSpace()
		if !s.take(",") {
			break
		}
	}
	if !s.finished() {
		return nil, errInvalid
	}
	return p, nil
}

// field reads a name, or a condition that may name the field again and again.
func (s *scanner) field() (field, error) {
	start := s.at
	f := field{name: s.name()}
	s.skipSpace()
	if c := s.peek(); c == 0 && s.done() || c == ',' {
		return f, nil
	}
	s.at = start
	holds, err := alternatives(s, func(s *scanner) (test[string], error) {
		s.skipSpace()
		name := s.name()
		if f.name == "" {
			f.name = name
		}
		if name != f.name {
			return nil, errInvalid
		}
		c, err := s.condition()
		return c.holdsText, err
	})
	f.holds = holds
	return f, err
}

func (s *scanner) name() string {
	return s.while(func(c byte) bool { return isWord(c) || c == '-' || c == '.' })
}

func (p *fieldPattern) match(message []byte) bool {
	values := split(string(message))
	fixed := len(p.before) + len(p.behind)
	if len(values) < fixed || len(values) > fixed && !p.ellipsis {
		return false
	}
	return matchAll(p.before, values) && matchAll(p.behind, values[len(values)-len(p.behind):])
}

func matchAll(fields []field, values []string) bool {
	for i, f := range fields {
		if f.holds != nil && !f.holds(values[i]) {
			return false
		}
	}
	return true
}

func (p *fieldPattern) extract(message []byte) map[string]string {
	extracted := map[string]string{}
	values := split(string(message))
	for i, value := range values {
		name := strconv.Itoa(i + 1)
		if i < len(p.before) && p.before[i].name != "" {
			name = p.before[i].name
		}
		if at := i - (len(values) - len(p.behind)); at >= 0 && p.behind[at].name != "" {
			name = p.behind[at].name
		}
		extracted["$"+name] = value
	}
	return extracted
}

// split cuts a message at its spaces. What stands in brackets or in quotes is one field, without them.
func split(message string) []string {
	var fields []string
	for {
		message = strings.TrimLeft(message, " \t\r\n")
		if message == "" {
			return fields
		}
		closing := byte(0)
		switch message[0] {
		case '[':
			closing = ']'
		case '"':
			closing = '"'
		}
		if closing != 0 {
			if end := strings.IndexByte(message[1:], closing); end >= 0 {
				fields = append(fields, message[1:end+1])
				message = message[end+2:]
				continue
			}
		}
		end := strings.IndexAny(message, " \t\r\n")
		if end < 0 {
			return append(fields, message)
		}
		fields = append(fields, message[:end])
		message = message[end:]
	}
}
