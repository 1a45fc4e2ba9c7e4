package pattern

import (
	"regexp"
	"strings"
	"sync"
)

// written is a matcher for one pattern that RE2 has no words for: its look-around is done by a function, the rest by
// an expression. Expression is the model's text, so that a changed model fails generation instead of passing
// unnoticed.
type written struct {
	expression string
	match      func() Matcher
}

func handWritten(service, shape, expression string) (Matcher, bool) {
	if expression == notBlank {
		return unless(blank, `.+`)(), true
	}
	w, ok := matchers[service+"."+shape]
	if !ok {
		w, ok = ssm[service+"."+shape]
	}
	if !ok || w.expression != expression {
		return nil, false
	}
	return w.match(), true
}

// matchers are the patterns with look-around, by service and shape.
var matchers = map[string]written{
	"lambda.Alias": {
		`(?!^[0-9]+$)([a-zA-Z0-9-_]+)`,
		unless(digits, `[a-zA-Z0-9-_]+`),
	},
	"lambda.FunctionUrlQualifier": {
		`((?!^\d+$)^[0-9a-zA-Z-_]+$)`,
		unless(digits, `[0-9a-zA-Z-_]+`),
	},
	"lambda.S3Bucket": {
		`[0-9A-Za-z\.\-_]*(?<!\.)`,
		unless(func(s string) bool { return strings.HasSuffix(s, ".") }, `[0-9A-Za-z\.\-_]*`),
	},
	"lambda.CollectionName": {
		`(^(?!(system\x2e)))(^[_a-zA-Z0-9])([^$]*)`,
		unless(func(s string) bool { return strings.HasPrefix(s, "system.") }, `[_a-zA-Z0-9][^$]*`),
	},
	"lambda.FunctionUrlFunctionName": {
		`(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?` +
			`(function:)?([a-zA-Z0-9-_]{1,64})(:((?!\d+$)[0-9a-zA-Z-_]+))?`,
		functionURLName,
	},
	"pipes.EventBridgeEventSource": {
		`.*(?=[/\.\-_A-Za-z0-9]+)((?!aws\.).*)|(\$(\.[\w/_-]+(\[(\d+|\*)\])*)*).*`,
		either(pipeSource, pathOf+`.*`),
	},
	"pipes.PathParameter": {
		`(?!\s*$).+|(\$(\.[\w/_-]+(\[(\d+|\*)\])*)*)`,
		unless(blank, `.+`),
	},
	"scheduler.Source": {
		`^(?=[/\.\-_A-Za-z0-9]+)((?!aws\.).*)|(\$(\.[\w_-]+(\[(\d+|\*)\])*)*)$`,
		either(scheduleSource, strings.ReplaceAll(pathOf, "/", "")),
	},
	"iam.accountAliasType": {
		`^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$`,
		unless(func(s string) bool { return strings.Contains(s, "--") }, `[a-z0-9][a-z0-9-]{1,61}[a-z0-9]`),
	},
}

// notBlank is an expression that many shapes share.
const notBlank = `^(?!\s*$).+`

func blank(s string) bool { return strings.Trim(s, " \t\n\v\f\r") == "" }

// pathOf is the part of a pipe's or a schedule's source that is a JSON path.
const pathOf = `\$(\.[\w/_-]+(\[(\d+|\*)\])*)*`

// either matches what one of the matchers does.
func either(one func(string) bool, expression string) func() Matcher {
	return func() Matcher {
		re := whole(expression)
		return func(s string) bool { return one(s) || re().MatchString(s) }
	}
}

const sourceSigns = "/.-_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// scheduleSource is a source of events that is not AWS's own.
func scheduleSource(s string) bool {
	return s != "" && strings.ContainsRune(sourceSigns, rune(s[0])) && !strings.HasPrefix(s, "aws.") && !strings.ContainsAny(s, "\r\n")
}

// pipeSource is looser than it looks: any sign of a source will do that does not begin "aws.".
func pipeSource(s string) bool {
	if strings.ContainsAny(s, "\r\n") {
		return false
	}
	for i := range len(s) {
		if strings.IndexByte(sourceSigns, s[i]) >= 0 && !strings.HasPrefix(s[i:], "aws.") {
			return true
		}
	}
	return false
}

// unless matches what the expression matches in full and refused does not hold for.
func unless(refused func(string) bool, expression string) func() Matcher {
	return func() Matcher {
		re := whole(expression)
		return func(s string) bool { return !refused(s) && re().MatchString(s) }
	}
}

// functionURLName matches a function's name or ARN, of which the last part, if it stands for the qualifier, is not
// a number. A number may still be the function's own name ("123456789012:7" is account and function), so every way
// of reading the parts counts.
func functionURLName() Matcher {
	const head = `(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?` +
		`(\d{12}:)?(function:)?([a-zA-Z0-9-_]{1,64})`
	unqualified, qualified := whole(head), whole(head+`:[0-9a-zA-Z-_]+`)
	return func(s string) bool {
		if unqualified().MatchString(s) {
			return true
		}
		return !digits(s[strings.LastIndexByte(s, ':')+1:]) && qualified().MatchString(s)
	}
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func whole(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\A(?:` + expression + `)\z`) })
}
