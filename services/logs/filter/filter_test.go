package filter

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRefuses(t *testing.T) {
	for pattern, want := range map[string]Error{
		`ERROR a.b`:                         "Invalid character(s) in term 'a.b'",
		`-`:                                 errInvalid,
		`?`:                                 errInvalid,
		`"open`:                             errInvalid,
		`%open`:                             errInvalid,
		`%%`:                                errInvalid,
		`%(a)%`:                             "Invalid character(s) in term '(a)'",
		`%a!%`:                              "Invalid character(s) in term 'a!'",
		`%[z-a]%`:                           "Invalid character(s) in term '[z-a]'",
		`{ $.a = 1`:                         "If a filter pattern starts with '{' it must end with '}'",
		`[a, b`:                             "If a filter pattern starts with '[' it must end with ']'",
		`{}`:                                errInvalid,
		`{ $ = 1 }`:                         errInvalid,
		`{ a = 1 }`:                         errInvalid,
		`{ $.a }`:                           errInvalid,
		`{ $.a = }`:                         errInvalid,
		`{ $.a == 1 }`:                      errInvalid,
		`{ $.a < x }`:                       errInvalid,
		`{ $.a < "1" }`:                     errInvalid,
		`{ $.a IS MAYBE }`:                  errInvalid,
		`{ $.a NOT }`:                       errInvalid,
		`{ $.a[x] = 1 }`:                    errInvalid,
		`{ $.a[99999999999999999999] = 1 }`: errInvalid,
		`{ $.a["b = 1 }`:                    errInvalid,
		`{ $. = 1 }`:                        errInvalid,
		`{ ($.a = 1 }`:                      errInvalid,
		`{ $.a = 1 && }`:                    errInvalid,
		`{ $.a = 1 $.b = 2 }`:               errInvalid,
		`{ $.a = %a% || $.b = %b% || $.c = %c% }`: errInvalid,
		`[..., a, ...]`:    errInvalid,
		`[a b]`:            errInvalid,
		`[a = 1 || b = 2]`: errInvalid,
		`[a = 1 &&]`:       errInvalid,
		`[a > x]`:          errInvalid,
	} {
		_, err := Parse(pattern)
		var got Error
		if !errors.As(err, &got) || got != want {
			t.Errorf("%s: %v, want %v", pattern, err, want)
		}
	}
}

// clf is a line in the common log format.
const clf = `127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534`

const trail = `{"eventType":"UpdateTrail","sourceIPAddress":"111.111.111.111","arrayKey":["value","another value"],
"objectList":[{"name":"a","id":1},{"name":"b","id":2}],"SomeObject":null,"ThisFlag":true,"big":9007199254740993,
"user":{"id":1,"email":"John.Stiles@example.com"},"latency":55.5,"a b":{"c":"d"},"coordinates":[[0,1,2],[4,5,6]],"code":"400"}`

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		message      string
		match, other []string
	}{
		{"[ERROR] Exiting with ERRORCODE: -1\n",
			[]string{``, ` `, `ERROR`, `ERRORC`, `ERROR Exiting`, `"Exiting with"`, `?WARN ?ERROR`, `ERROR -WARN`, `-WARN`, `%C.DE%`,
				`?WARN ERROR`, `"ERROR" - "WARN"`, `%^\[ERR%`, `%\x45RROR%`},
			[]string{`error`, `ERROR WARN`, `"with Exiting"`, `?WARN ?INFO`, `ERROR -Exiting`, `-ERROR`, `%^ERR%`, `?ERROR WARN`,
				`{ $.a = 1 }`, `[a]`}},
		{`say "hi" \o`, []string{`"say \"hi\""`, `"\\o"`}, []string{`"\\\\"`}},
		{clf,
			[]string{`[]`, `[...]`, `[ip, id, user, time, request, status, size]`, `[..., size]`, `[ip, ...]`, `[ip, ..., status = 4*, size > 1000]`,
				`[ip=%^127\.0\.0\.[1-9]$%, ...]`, `[..., request = *html*, status = 4* && status != 403, size]`, `[..., request=*.html*, status_code=4*,]`,
				`[..., status = 500 || status = 404, size >= 1534]`, `[i, u, user = "frank", ...]`, `[i, u, user != joe, ...]`, `[i, u, user=!joe, ...]`,
				`[a,b,c,d="10/Oct*",e,f=404.0,g<1.6e3]`, `[,,,,,,]`},
			[]string{`[ip, user]`, `[..., size > 2000]`, `[..., user < 5, time, request, status, size]`, `[a,b,c,d,e,f,g,h]`, `[a,b,c,d,e,f,g,h,...]`,
				`[i, u, user = fran, ...]`, `[..., status = 4* && status != 404, size]`, `{ $.a = 1 }`}},
		{"2017-01-01T00:00:00Z\t11-22\tmessage\n", []string{`[timestamp=*Z, request_id="*-*", event]`}, nil},
		{trail,
			[]string{`{ $.eventType = "UpdateTrail" }`, `{ $.eventType = Update* }`, `{$.sourceIPAddress != 123.123.*}`, `{ $.arrayKey[0] = "value" }`,
				`{ $.arrayKey[*] = another* }`, `{ $.objectList[1].id = 2 }`, `{ $.objectList[*].id > 1 }`, `{ $.SomeObject IS NULL }`,
				`{ $.SomeOtherObject NOT EXISTS }`, `{ $.SomeObject EXISTS }`, `{ $.ThisFlag IS TRUE }`, `{ $.ThisFlag = true }`, `{ $.latency = * }`,
				`{ $.latency >= 555e-1 && $.latency < +56 }`, `{ $.big = 9007199254740993 }`, `{ $.big != 9007199254740992 }`, `{ $.["a b"].c = d }`,
				`{ $["a b"]["c"] = "*d" }`, `{ $.user.* = 1 }`, `{ $.coordinates[1][2] = 6 }`, `{ $.eventType = %^Up.*l$% }`,
				`{ ($.user.id = 1) && ($.objectList[0].name = "a") }`, `{ $.code = 400 }`,
				`{ $.eventType = "UpdateTrail" || $.coordinates[0][1] = nonmatch && $.arrayKey[1] = nomatch }`},
			[]string{`{ $.eventType = "updateTrail" }`, `{ $.arrayKey = 1 }`, `{ $.arrayKey != 1 }`, `{ $.user != 1 }`, `{ $.missing != 1 }`,
				`{ $.arrayKey[2] = * }`, `{ $.arrayKey.x EXISTS }`, `{ $.eventType[0] EXISTS }`, `{ $.SomeObject NOT EXISTS }`, `{ $.SomeObject = * }`,
				`{ $.ThisFlag IS FALSE }`, `{ $.ThisFlag = "true" }`, `{ $.user.id = "1" }`, `{ $.code > 1 }`, `{ $.big = 9007199254740992 }`,
				`{ $.eventType = Up*Trail }`, `{ $.eventType != %Up% }`,
				`{ ($.eventType = "UpdateTrail" || $.coordinates[0][1] = nonmatch) && $.arrayKey[1] = nomatch }`}},
		{`{"a":1} and more`, nil, []string{`{ $.a = 1 }`}},
		{`{"a":1`, nil, []string{`{ $.a = 1 }`, `{ $.b NOT EXISTS }`}},
		{`[{"a":1}]` + "\n", []string{`{ $[0].a = 1 }`}, []string{`{ $.a = 1 }`}},
	} {
		for want, patterns := range map[bool][]string{true: tc.match, false: tc.other} {
			for _, text := range patterns {
				p, err := Parse(text)
				if err != nil {
					t.Errorf("%s: %v", text, err)
				} else if p.Match([]byte(tc.message)) != want {
					t.Errorf("%s matches %q: %v", text, tc.message, !want)
				}
			}
		}
	}
}

func TestExtract(t *testing.T) {
	for _, tc := range []struct {
		pattern, message string
		want             map[string]string
	}{
		{``, "x", map[string]string{}},
		{`GET`, clf, map[string]string{}},
		{`[..., request=*.html*, status_code=4*,]`, clf, map[string]string{"$status_code": "404", "$request": "GET /index.html HTTP/1.0",
			"$7": "1534", "$4": "10/Oct/2000:13:25:15 -0700", "$3": "frank", "$2": "-", "$1": "127.0.0.1"}},
		{`[ip, ...]`, "a b", map[string]string{"$ip": "a", "$2": "b"}},
		{`{ $.a = 1 && ($.b.c = * || $.d NOT EXISTS) && $.e IS TRUE }`, `{"a":1,"b":{"c":"x"},"d":[1],"e":true}`,
			map[string]string{"$.a": "1", "$.b.c": "x", "$.e": "true"}},
	} {
		p, err := Parse(tc.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, p.Extract([]byte(tc.message))); diff != "" {
			t.Errorf("%s: %s", tc.pattern, diff)
		}
	}
}
