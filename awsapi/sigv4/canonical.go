package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// canonicalRequest is the text whose hash is signed.
func canonicalRequest(r *http.Request, path string, encodePath bool, c *claim, payloadHash string) []byte {
	b := make([]byte, 0, 1024)
	b = append(append(b, r.Method...), '\n')
	switch {
	case path == "":
		b = append(b, '/')
	case encodePath:
		b = appendEncoded(b, path, true)
	default:
		b = append(b, path...)
	}
	b = appendQuery(append(b, '\n'), r.URL.RawQuery, c.presigned)
	b = append(b, '\n')
	for name := range strings.SplitSeq(c.signedHeaders, ";") {
		b = append(append(b, name...), ':')
		b = append(appendHeader(b, r, name), '\n')
	}
	b = append(append(append(b, '\n'), c.signedHeaders...), '\n')
	return append(b, payloadHash...)
}

// appendQuery writes a query's parameters encoded anew and sorted, without the signature of a presigned URL.
func appendQuery(b []byte, rawQuery string, presigned bool) []byte {
	if rawQuery == "" {
		return b
	}
	type pair struct{ name, value string }
	var pairs []pair
	for part := range strings.SplitSeq(rawQuery, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		p := pair{encodeAgain(name), encodeAgain(value)}
		if presigned && p.name == "X-Amz-Signature" {
			continue
		}
		pairs = append(pairs, p)
	}
	slices.SortFunc(pairs, func(x, y pair) int {
		if d := strings.Compare(x.name, y.name); d != 0 {
			return d
		}
		return strings.Compare(x.value, y.value)
	})
	for i, p := range pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(append(append(b, p.name...), '='), p.value...)
	}
	return b
}

// encodeAgain decodes a query's part and encodes it as the signature wants it. What cannot be decoded is taken as it
// is.
func encodeAgain(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		text = plain
	}
	return string(appendEncoded(nil, text, false))
}

const upperHex = "0123456789ABCDEF"

func appendEncoded(b []byte, text string, keepSlash bool) []byte {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.', c == '~',
			c == '/' && keepSlash:
			b = append(b, c)
		default:
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

// appendHeader writes a header's values, joined by commas, with single spaces.
func appendHeader(b []byte, r *http.Request, name string) []byte {
	switch name {
	case "host", ":authority":
		return append(b, r.Host...)
	case "content-length":
		if r.Header.Get(name) == "" && r.ContentLength >= 0 {
			return strconv.AppendInt(b, r.ContentLength, 10)
		}
	}
	for i, value := range r.Header[http.CanonicalHeaderKey(name)] {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, value)
	}
	return b
}

func appendTrimmed(b []byte, value string) []byte {
	value = strings.Trim(value, " \t\r\n")
	space := false
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			space = true
			continue
		}
		if space {
			b = append(b, ' ')
			space = false
		}
		b = append(b, c)
	}
	return b
}

// normalize resolves dots and empty segments of a path, as RFC 3986 does.
func normalize(path string) string {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path
	}
	var kept []string
	for segment := range strings.SplitSeq(path, "/") {
		switch segment {
		case "", ".":
		case "..":
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
		default:
			kept = append(kept, segment)
		}
	}
	normal := "/" + strings.Join(kept, "/")
	if len(kept) > 0 && (strings.HasSuffix(path, "/") || strings.HasSuffix(path, "/.") || strings.HasSuffix(path, "/..")) {
		normal += "/"
	}
	return normal
}

func hmacSHA256(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}

// sign makes the signature of a canonical request's hash.
func sign(key []byte, c *claim, canonical [sha256.Size]byte) []byte {
	return hmacSHA256(key, stringToSign(c, canonical))
}

func stringToSign(c *claim, canonical [sha256.Size]byte) []byte {
	b := make([]byte, 0, 256)
	b = append(append(append(append(b, algorithm...), '\n'), c.dateText...), '\n')
	b = append(append(append(append(b, c.scope.date...), '/'), c.scope.region...), '/')
	b = append(append(append(append(b, c.scope.service...), '/'), c.scope.end...), '\n')
	return hex.AppendEncode(b, canonical[:])
}

func equalHex(text string, want []byte) bool {
	got, err := hex.DecodeString(text)
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1
}
