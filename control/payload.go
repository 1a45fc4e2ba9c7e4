package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"hotaru/function"
)

// checkPayload refuses an event that is not JSON. Lambda's words are its JSON parser's (Jackson's), with the
// place of the mistake.
func checkPayload(payload []byte) error {
	if len(payload) == 0 || json.Valid(payload) {
		return nil
	}
	what, offset := jsonMistake(payload)
	line := 1 + bytes.Count(payload[:offset], []byte("\n"))
	column := offset - bytes.LastIndexByte(payload[:offset], '\n')
	return function.Errorf(function.ErrInvalidRequestContent, "Could not parse request body into json: Could not parse "+
		"payload into json: %s\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: "+
		"%d, column: %d]", what, line, column)
}

const jsonValues = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"

// jsonMistake describes the first mistake of a text that is not JSON; offset is where Jackson's reader stands,
// so that the column is offset + 1 for a mistake at its first byte.
func jsonMistake(text []byte) (what string, offset int) {
	var mistake *json.SyntaxError
	err := json.NewDecoder(bytes.NewReader(text)).Decode(new(json.RawMessage))
	if err == nil {
		// A whole value, and then something else.
		err = json.Unmarshal(text, new(json.RawMessage))
	}
	if !errors.As(err, &mistake) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "unexpected end") {
		return "Unexpected end-of-input", len(text)
	}
	at := int(mistake.Offset) - 1
	reason := mistake.Error()
	if start := wordStart(text, at); start >= 0 {
		return wordMistake(text, start)
	}
	const after, looking = "after ", "looking for beginning of "
	switch {
	case strings.HasSuffix(reason, looking+"object key string"):
		what = "was expecting double-quote to start field name"
	case strings.HasSuffix(reason, after+"object key"):
		what = "was expecting a colon to separate field name and value"
	case strings.HasSuffix(reason, after+"object key:value pair"):
		what = "was expecting comma to separate Object entries"
	case strings.HasSuffix(reason, after+"array element"):
		what = "was expecting comma to separate Array entries"
	default:
		what = "expected a valid value " + jsonValues
	}
	return fmt.Sprintf("Unexpected character (%s): %s", character(text[at:]), what), at
}

// wordStart finds the start of the bare word that at is in, or -1 if it is in none.
func wordStart(text []byte, at int) int {
	start := at
	for start > 0 && isWord(text[start-1]) {
		start--
	}
	if start < len(text) && isWord(text[start]) && (text[start] < '0' || text[start] > '9') {
		return start
	}
	return -1
}

func isWord(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// wordMistake describes a bare word that is no token. Jackson reads it to its end to show it, and stumbles over
// bytes that are no UTF-8 on the way.
func wordMistake(text []byte, start int) (string, int) {
	end := start
	for end < len(text) {
		r, size := utf8.DecodeRune(text[end:])
		if r == utf8.RuneError && size == 1 {
			return fmt.Sprintf("Invalid UTF-8 start byte 0x%x", text[end]), end + 1
		}
		if r < utf8.RuneSelf && !isWord(byte(r)) {
			break
		}
		end += size
	}
	return fmt.Sprintf("Unrecognized token '%s': was expecting %s", text[start:end], jsonValues), end
}

// character shows a character as Jackson does.
func character(text []byte) string {
	r, size := utf8.DecodeRune(text)
	if r == utf8.RuneError && size == 1 {
		r = rune(text[0])
	}
	if r < ' ' || r >= 0x7f && r < 0xa0 {
		return fmt.Sprintf("(CTRL-CHAR, code %d)", r)
	}
	return fmt.Sprintf("'%c' (code %d)", r, r)
}
