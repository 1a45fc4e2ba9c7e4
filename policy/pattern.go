package policy

import (
	"strings"
	"unicode/utf8"
)

// A compiled pattern is a sequence of symbols: bytes, and the wildcards above them.
const (
	anyOne  uint16 = 256 + iota // ?
	anyMany                     // *
)

// options say what a text means.
type options struct {
	// wild: * and ? are wildcards, otherwise characters.
	wild bool
	// fold: ASCII letters match in any case.
	fold bool
	// variables: ${...} is replaced.
	variables bool
}

// pattern is a text to compare values with. The common forms (a plain text, everything, a beginning) need no symbols.
type pattern struct {
	// text is the whole plain text or the beginning, in lower case if fold.
	text string
	form form
	fold bool
	// symbols are for globs.
	symbols []uint16
	// parts are for patterns with variables, which are complete only together with a request.
	parts []part
}

type form uint8

const (
	plain form = iota
	everything
	beginning
	glob
	dynamic
)

// part is a piece of a pattern with variables: symbols, or a variable.
type part struct {
	symbols []uint16
	// key is the variable's condition key in lower case; empty for symbols.
	key string
	// fallback stands in where the request has no such key; hasFallback tells an empty one from none.
	fallback    string
	hasFallback bool
}

func compile(text string, o options) pattern {
	if o.fold {
		text = lower(text)
	}
	p := pattern{fold: o.fold}
	parts := split(text, o)
	for _, part := range parts {
		if part.key != "" {
			p.form, p.parts = dynamic, parts
			return p
		}
	}
	var symbols []uint16
	if len(parts) > 0 {
		symbols = parts[0].symbols
	}
	wild := 0
	for _, s := range symbols {
		if s >= anyOne {
			wild++
		}
	}
	switch last := len(symbols) - 1; {
	case wild == 0:
		p.form, p.text = plain, plainText(symbols)
	case wild == 1 && symbols[last] == anyMany && last == 0:
		p.form = everything
	case wild == 1 && symbols[last] == anyMany:
		p.form, p.text = beginning, plainText(symbols[:last])
	default:
		p.form, p.symbols = glob, symbols
	}
	return p
}

func plainText(symbols []uint16) string {
	b := make([]byte, len(symbols))
	for i, s := range symbols {
		b[i] = byte(s)
	}
	return string(b)
}

// split cuts a text at its variables. ${*}, ${?} and ${$} are the characters themselves
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html). What is no variable stays as
// it is. Adjacent symbols are one part.
func split(text string, o options) []part {
	var parts []part
	var symbols []uint16
	for i := 0; i < len(text); i++ {
		if o.variables && strings.HasPrefix(text[i:], "${") {
			if end := strings.IndexByte(text[i:], '}'); end > 0 {
				inner := text[i+2 : i+end]
				i += end
				if inner == "*" || inner == "?" || inner == "$" {
					symbols = append(symbols, uint16(inner[0]))
					continue
				}
				if symbols != nil {
					parts, symbols = append(parts, part{symbols: symbols}), nil
				}
				parts = append(parts, variable(inner))
				continue
			}
		}
		symbols = append(symbols, symbol(text[i], o.wild))
	}
	if symbols != nil {
		parts = append(parts, part{symbols: symbols})
	}
	return parts
}

func symbol(c byte, wild bool) uint16 {
	switch {
	case wild && c == '*':
		return anyMany
	case wild && c == '?':
		return anyOne
	default:
		return uint16(c)
	}
}

// variable reads "aws:username" or "aws:username, 'nobody'". An empty name is one that no request has.
func variable(inner string) part {
	name, rest, more := strings.Cut(inner, ",")
	p := part{key: lower(strings.TrimSpace(name))}
	if p.key == "" {
		p.key = " "
	}
	if rest = strings.TrimSpace(rest); more && len(rest) >= 2 && rest[0] == '\'' && rest[len(rest)-1] == '\'' {
		p.fallback, p.hasFallback = rest[1:len(rest)-1], true
	}
	return p
}

// match compares a value. known is false where a variable has no value in the request, or several: nothing matches
// then.
func (p *pattern) match(value string, r *Request) (matched, known bool) {
	switch p.form {
	case plain:
		return len(value) == len(p.text) && p.begins(value), true
	case everything:
		return true, true
	case beginning:
		return len(value) >= len(p.text) && p.begins(value), true
	case glob:
		return matchSymbols(p.symbols, value, p.fold), true
	default:
		var space [256]uint16
		symbols, known := p.expand(space[:0], r)
		return known && matchSymbols(symbols, value, p.fold), known
	}
}

// expand puts variables' values in their places, each character for itself: no value brings wildcards of its own.
func (p *pattern) expand(symbols []uint16, r *Request) (all []uint16, known bool) {
	for i := range p.parts {
		part := &p.parts[i]
		if part.key == "" {
			symbols = append(symbols, part.symbols...)
			continue
		}
		value := part.fallback
		switch values := r.values(part.key); {
		case len(values) == 1:
			value = values[0]
		case len(values) > 1 || !part.hasFallback:
			return nil, false
		}
		if p.fold {
			value = lower(value)
		}
		for i := range len(value) {
			symbols = append(symbols, uint16(value[i]))
		}
	}
	return symbols, true
}

// begins says whether the value, which is long enough, begins with the text.
func (p *pattern) begins(value string) bool {
	if !p.fold {
		return value[:len(p.text)] == p.text
	}
	for i := range len(p.text) {
		if lowerByte(value[i]) != p.text[i] {
			return false
		}
	}
	return true
}

// matchSymbols compares in at most len(symbols)*len(value) steps: only the last * met is ever tried again, which is
// enough because whatever an earlier one could take instead, the later one can take as well. A ? is one character, and
// a * takes whole ones.
func matchSymbols(symbols []uint16, value string, fold bool) bool {
	at, star, resume := 0, -1, 0
	for i := 0; i < len(value); {
		if at < len(symbols) {
			switch s := symbols[at]; {
			case s == anyMany:
				star, resume = at, i
				at++
				continue
			case s == anyOne:
				at++
				i += width(value[i:])
				continue
			case s == uint16(value[i]) || fold && s == uint16(lowerByte(value[i])):
				at++
				i++
				continue
			}
		}
		if star < 0 {
			return false
		}
		resume += width(value[resume:])
		at, i = star+1, resume
	}
	for at < len(symbols) && symbols[at] == anyMany {
		at++
	}
	return at == len(symbols)
}

// width is the length of the first character in bytes; a byte that belongs to none is one by itself.
func width(value string) int {
	if value[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(value)
	return n
}

// lower folds ASCII letters alone: what names of actions and keys are made of.
func lower(text string) string {
	for i := range len(text) {
		if lowerByte(text[i]) != text[i] {
			b := []byte(text)
			for i := range b {
				b[i] = lowerByte(b[i])
			}
			return string(b)
		}
	}
	return text
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
