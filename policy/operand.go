package policy

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// never is an operand that cannot be read as its operator wants it: no value matches.
type never struct{}

func (never) match(string, *Request) (bool, bool) { return false, true }

func readString(o options) func(string, bool) operand {
	return func(text string, variables bool) operand {
		p := compile(text, options{wild: o.wild, variables: variables})
		return &p
	}
}

// folded compares in any case, beyond ASCII too.
type folded struct{ pattern }

func readFolded(text string, variables bool) operand {
	return &folded{compile(text, options{variables: variables})}
}

func (f *folded) match(value string, r *Request) (matched, known bool) {
	if f.form != dynamic {
		return strings.EqualFold(f.text, value), true
	}
	symbols, known := f.expand(nil, r)
	return known && strings.EqualFold(plainText(symbols), value), known
}

// arn compares the six parts of an ARN one by one; wildcards do not reach over a colon, except in the last part. A
// lone * matches everything.
type arn struct {
	parts [6]pattern
	all   bool
}

func readARN(text string, variables bool) operand {
	a := &arn{all: text == "*"}
	texts := splitARN(text)
	if texts == nil {
		if a.all {
			return a
		}
		return never{}
	}
	for i, text := range texts {
		a.parts[i] = compile(text, options{wild: true, variables: variables})
	}
	return a
}

// splitARN cuts at the first five colons outside of variables, which have colons too; nil if there are fewer.
func splitARN(text string) []string {
	parts := make([]string, 0, 6)
	start, inside := 0, false
	for i := 0; i < len(text) && len(parts) < 5; i++ {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			inside = true
		case text[i] == '}':
			inside = false
		case text[i] == ':' && !inside:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	if len(parts) < 5 {
		return nil
	}
	return append(parts, text[start:])
}

func (a *arn) match(value string, r *Request) (matched, known bool) {
	if a.all {
		return true, true
	}
	rest := value
	for i := range a.parts {
		part := rest
		if i < 5 {
			var found bool
			if part, rest, found = strings.Cut(rest, ":"); !found {
				return false, true
			}
		}
		if matched, known := a.parts[i].match(part, r); !matched {
			return false, known
		}
	}
	return true, true
}

// boolean is "true" or "false" in any case.
type boolean string

func readBool(text string, _ bool) operand {
	b := boolean(lower(text))
	if b != "true" && b != "false" {
		return never{}
	}
	return b
}

func (b boolean) match(value string, _ *Request) (bool, bool) { return lower(value) == string(b), true }

// binary compares bytes; both sides are in base 64.
type binary []byte

func readBinary(text string, _ bool) operand {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return never{}
	}
	return binary(b)
}

func (b binary) match(value string, _ *Request) (bool, bool) {
	v, err := base64.StdEncoding.DecodeString(value)
	return err == nil && bytes.Equal(v, b), true
}

// address is a range of IP addresses.
type address netip.Prefix

func readAddress(text string, _ bool) operand {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return address(prefix.Masked())
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return address(netip.PrefixFrom(a, a.BitLen()))
	}
	return never{}
}

func (a address) match(value string, _ *Request) (bool, bool) {
	v, err := netip.ParseAddr(value)
	return err == nil && netip.Prefix(a).Contains(v.Unmap().WithZone("")), true
}

// number compares by size.
type number struct {
	size  float64
	holds func(order int) bool
}

func readNumber(holds func(int) bool) func(string, bool) operand {
	return func(text string, _ bool) operand {
		size, ok := parseNumber(text)
		if !ok {
			return never{}
		}
		return number{size, holds}
	}
}

// parseNumber takes what a decimal number looks like, and none of Go's other forms.
func parseNumber(text string) (float64, bool) {
	if text == "" || strings.Trim(text, "0123456789+-.eE") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil
}

func (n number) match(value string, _ *Request) (bool, bool) {
	v, ok := parseNumber(value)
	return ok && n.holds(cmp.Compare(v, n.size)), true
}

// date compares points in time.
type date struct {
	at    time.Time
	holds func(order int) bool
}

func readDate(holds func(int) bool) func(string, bool) operand {
	return func(text string, _ bool) operand {
		at, ok := parseDate(text)
		if !ok {
			return never{}
		}
		return date{at, holds}
	}
}

// parseDate takes the forms of ISO 8601 that the W3C's note on dates has, and seconds since 1970.
func parseDate(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01", "20060102T150405Z"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	if seconds, ok := parseNumber(text); ok && seconds >= 0 && seconds < 1<<40 {
		whole := int64(seconds)
		return time.Unix(whole, int64((seconds-float64(whole))*1e9)), true
	}
	return time.Time{}, false
}

func (d date) match(value string, _ *Request) (bool, bool) {
	v, ok := parseDate(value)
	return ok && d.holds(v.Compare(d.at)), true
}
