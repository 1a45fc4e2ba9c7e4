package control

import (
	"strings"
	"testing"
)

// The first two texts are as AWS answered them.
func TestCheckPayload(t *testing.T) {
	const source = "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: "
	const values = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
	for _, tc := range []struct{ payload, want string }{
		{"n\x87r\x9e\xe9\xb5\xd7I\xee\x9bmt", "Invalid UTF-8 start byte 0x87" + source + "1, column: 3]"},
		{"\x99\xeb,j\x07\xa1zYh", "Unexpected character ((CTRL-CHAR, code 153)): expected a valid value " + values + source + "1, column: 1]"},
		{"hello", "Unrecognized token 'hello': was expecting " + values + source + "1, column: 6]"},
		{"{\n \"a\" 1}", "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value" + source + "2, column: 6]"},
		{"[1 2]", "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries" + source + "1, column: 4]"},
		{"{} {", "Unexpected character ('{' (code 123)): expected a valid value " + values + source + "1, column: 4]"},
		{`{"a":`, "Unexpected end-of-input" + source + "1, column: 6]"},
	} {
		err := checkPayload([]byte(tc.payload))
		if err == nil {
			t.Errorf("%q: accepted", tc.payload)
			continue
		}
		const start = "InvalidRequestContentException: Could not parse request body into json: Could not parse payload into json: "
		if got, ok := strings.CutPrefix(err.Error(), start); !ok || got != tc.want {
			t.Errorf("%q:\ngot  %s\nwant %s%s", tc.payload, err, start, tc.want)
		}
	}
	for _, payload := range []string{"", "null", "{}", `"x"`, " 1 "} {
		if err := checkPayload([]byte(payload)); err != nil {
			t.Errorf("%q: %v", payload, err)
		}
	}
}

func FuzzCheckPayload(f *testing.F) {
	f.Add([]byte("n\x87"))
	f.Add([]byte(`{"a":[1,{"b":nul}]}`))
	f.Fuzz(func(t *testing.T, payload []byte) { _ = checkPayload(payload) })
}
