package pattern

import (
	"strings"
	"unicode/utf16"
)

// ssm are the patterns of Systems Manager that RE2 has no words for: counts beyond its thousand, look-ahead, and
// references back to a separator.
var ssm = map[string]written{
	"ssm.CloudConnectorIamRoleArn": {
		`^arn:aws[a-z0-9-]*:iam::\d{12}:role\/[\w-\/.@+=,]{1,1017}$`,
		counted(`arn:aws[a-z0-9-]*:iam::\d{12}:role/`, `[\w\-/.@+=,]`, 1017),
	},
	"ssm.TargetLocationsURL": {
		`^https:\/\/[-a-zA-Z0-9@:%._\+~#=]{1,253}\.s3(\.[a-z\d-]{9,16})?\.amazonaws\.com\/.{1,2000}`,
		counted(`https://[-a-zA-Z0-9@:%._+~#=]{1,253}\.s3(?:\.[a-z\d-]{9,16})?\.amazonaws\.com/`, `.`, 2000),
	},
	"ssm.InstancePropertyFilterValue":     {`^.{1,100000}$`, counted("", `.`, 100000)},
	"ssm.InstancePropertyStringFilterKey": {`^.{1,100000}$`, counted("", `.`, 100000)},
	"ssm.StringDateTime": {
		`^([\-]?\d{4}(?!\d{2}\b))((-?)((0[1-9]|1[0-2])(\3([12]\d|0[1-9]|3[01]))?|W([0-4]\d|5[0-2])(-?[1-7])?|` +
			`(00[1-9]|0[1-9]\d|[12]\d{2}|3([0-5]\d|6[1-6])))([T\s]((([01]\d|2[0-3])((:?)[0-5]\d)?|24\:?00)([\.,]\d(?!:))?)?` +
			`(\17[0-5]\d([\.,]\d)?)?([zZ]|([\-])([01]\d|2[0-3]):?([0-5]\d)?)?)?)?$`,
		dateTime,
	},
}

// counted matches a head followed by one to most of a class, in UTF-16 units, as Java counts. The head must end in
// one place of a text only.
func counted(head, class string, most int) func() Matcher {
	return func() Matcher {
		re := whole(head + `((?:` + class + `)*)`)
		return func(s string) bool {
			parts := re().FindStringSubmatch(s)
			if parts == nil {
				return false
			}
			n := 0
			for _, r := range parts[1] {
				n += utf16.RuneLen(r)
			}
			return n >= 1 && n <= most
		}
	}
}

// dateTime matches ISO 8601 dates and times: a separator that is used once must be used again, so each choice of
// separators has its own words. A year must not be followed by two digits that end there, and the seconds of a time
// with colons must not follow a fraction.
func dateTime() Matcher {
	const (
		hour, fraction = `(?:[01]\d|2[0-3])`, `(?:[.,]\d)?`
		dense          = hour + `[0-5]\d` + fraction + `(?:[0-5]\d` + fraction + `)?`
		colons         = hour + `:[0-5]\d(?:[.,]\d|:[0-5]\d` + fraction + `)?`
		hours          = `(?:` + hour + `|24:?00)` + fraction
		zone           = `(?:[zZ]|-` + hour + `:?(?:[0-5]\d)?)?`
		clock          = `(?:[T\s](?:` + dense + `|` + colons + `|` + hours + `)?` + zone + `)?`
		month, day     = `(?:0[1-9]|1[0-2])`, `(?:[12]\d|0[1-9]|3[01])`
		week           = `W(?:[0-4]\d|5[0-2])(?:-?[1-7])?`
		ordinal        = `(?:00[1-9]|0[1-9]\d|[12]\d{2}|3(?:[0-5]\d|6[1-6]))`
	)
	date := func(separator string) string {
		return separator + `(?:` + month + `(?:` + separator + day + `)?|` + week + `|` + ordinal + `)` + clock
	}
	re := whole(`-?\d{4}(?:` + date("-") + `|` + date("") + `)?`)
	return func(s string) bool { return !yearMonth(s) && re().MatchString(s) }
}

// yearMonth says whether a text starts with a year and two digits after which a word ends.
func yearMonth(s string) bool {
	s = strings.TrimPrefix(s, "-")
	if len(s) < 6 || !digits(s[:6]) {
		return false
	}
	return len(s) == 6 || !wordSign(s[6])
}

func wordSign(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
