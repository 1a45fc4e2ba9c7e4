package store

import (
	"fmt"
	"strings"
)

// Keys use nothing but A-Z a-z 0-9 - _ = and /, which every engine accepts (NATS KV, the strictest, refuses
// colons, dollars, wildcards, spaces and dots at the ends). A part's letters, digits, - and _ stand for
// themselves; any other byte is = and two upper-case hex digits, and an empty part is a lone =. The slash
// only ever separates parts, so a Prefix never matches a sibling's keys.

const upperHex = "0123456789ABCDEF"

// NewKey makes the key of a record: the kind of record, its scope's parts (partition, account, region), and
// its name's parts. It is the one place where names become keys. Parts may hold any bytes.
func NewKey(parts ...string) Key {
	var b strings.Builder
	b.Grow(keyLength(parts))
	for i, part := range parts {
		if i > 0 {
			b.WriteByte('/')
		}
		appendPart(&b, part)
	}
	return Key(b.String())
}

// NewPrefix makes the prefix of every key that continues these parts, for List and Watch. No parts match
// everything.
func NewPrefix(parts ...string) Key {
	if len(parts) == 0 {
		return ""
	}
	return NewKey(parts...) + "/"
}

// Parts returns what NewKey was given. A key that NewKey does not make is an error.
func (k Key) Parts() ([]string, error) {
	if k == "" {
		return nil, nil
	}
	encoded := strings.Split(string(k), "/")
	parts := make([]string, len(encoded))
	for i, e := range encoded {
		part, ok := decodePart(e)
		if !ok {
			return nil, fmt.Errorf("%w: %q is no key", ErrInvalid, string(k))
		}
		parts[i] = part
	}
	return parts, nil
}

func keyLength(parts []string) int {
	n := len(parts)
	for _, p := range parts {
		n += len(p) + 1
	}
	return n
}

func appendPart(b *strings.Builder, part string) {
	if part == "" {
		b.WriteByte('=')
		return
	}
	for i := range len(part) {
		if c := part[i]; isPlain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('=')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
}

func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// decodePart accepts exactly what appendPart writes, so that no two keys mean the same parts.
func decodePart(encoded string) (string, bool) {
	if encoded == "=" {
		return "", true
	}
	var b strings.Builder
	b.Grow(len(encoded))
	for i := 0; i < len(encoded); i++ {
		c := encoded[i]
		if c != '=' {
			if !isPlain(c) {
				return "", false
			}
			b.WriteByte(c)
			continue
		}
		if i+2 >= len(encoded) {
			return "", false
		}
		high, low := strings.IndexByte(upperHex, encoded[i+1]), strings.IndexByte(upperHex, encoded[i+2])
		if high < 0 || low < 0 || isPlain(byte(high<<4|low)) {
			return "", false
		}
		b.WriteByte(byte(high<<4 | low))
		i += 2
	}
	return b.String(), b.Len() > 0
}
