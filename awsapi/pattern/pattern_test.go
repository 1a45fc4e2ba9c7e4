package pattern

import (
	"strings"
	"testing"
)

func TestCompileRefusesLookAround(t *testing.T) {
	if _, err := Compile("lambda", "Unknown", `(?!x)y`); err == nil {
		t.Error("a pattern with look-ahead and no matcher was accepted")
	}
	if _, err := Compile("lambda", "Alias", `(?!^[0-9]+$)([a-z]+)`); err == nil {
		t.Error("the matcher of another expression was used for a changed pattern")
	}
}

func TestMatch(t *testing.T) {
	name64 := strings.Repeat("a", 64)
	for _, c := range []struct {
		service, shape, expression string
		matches, refuses           []string
	}{
		{"x", "Unanchored", `[a-z]+`, []string{"abc"}, []string{"", "abc1", "1abc", "abc\n"}},
		{"x", "Alternatives", `a|b`, []string{"a", "b"}, []string{"ab", "ac"}},
		{"x", "EmptyOr", `$|kafka://x`, []string{"", "kafka://x"}, []string{"kafka://xy", "x"}},
		{"iam", "path", `(\u002F)|(\u002F[\u0021-\u007E]+\u002F)`, []string{"/", "/a/b/"}, []string{"", "a/", "/ä/"}},
		{"lambda", "Alias", matchers["lambda.Alias"].expression,
			[]string{"live", "1a", "a1", "-", "_"}, []string{"", "1", "42", "a b", "$LATEST"}},
		{"lambda", "FunctionUrlQualifier", matchers["lambda.FunctionUrlQualifier"].expression,
			[]string{"live", "1a"}, []string{"", "1", "$LATEST"}},
		{"lambda", "S3Bucket", matchers["lambda.S3Bucket"].expression,
			[]string{"", "a.b", "a-b_c"}, []string{"a.", ".", "a/b"}},
		{"lambda", "CollectionName", matchers["lambda.CollectionName"].expression,
			[]string{"a", "system", "system2.x", "_a.b"}, []string{"", "system.users", "$a", "a$", "-a"}},
		{"lambda", "FunctionUrlFunctionName", matchers["lambda.FunctionUrlFunctionName"].expression,
			[]string{"f", "f:live", name64, "123456789012:f", "123456789012:7", "arn:aws:lambda:us-east-1:123456789012:function:f:live", "7", "f:1a"},
			[]string{"", "f:1", "f:", name64 + "a", "f:$LATEST", "arn:aws:lambda:us-east-1:123456789012:function:f:12"}},
		{"any", "Any", notBlank, []string{"a", " a "}, []string{"", " ", "\t\n"}},
		{"dynamodb", "Print", `\p{Print}+`, []string{"a ~"}, []string{"", "\t", "ä"}},
		{"dynamodb", "Pairs", `[\u0020-\uD7FF\uD800\uDC00-\uDBFF\uDFFF]*`, []string{"a😀"}, []string{"\t", "\uE000"}},
		{"scheduler", "Source", matchers["scheduler.Source"].expression,
			[]string{"my.app", "awsx", "$", "$.a-b[1]"}, []string{"", "aws.ec2", "ä", "$.a/b", "$x"}},
		{"pipes", "EventBridgeEventSource", matchers["pipes.EventBridgeEventSource"].expression,
			[]string{"my.app", "$", "$.a/b[*]x", "aws.ec2"}, []string{"", "ä", "a\nb"}},
		{"pipes", "PathParameter", matchers["pipes.PathParameter"].expression, []string{"a", "$.x"}, []string{"", "  "}},
		{"iam", "accountAliasType", matchers["iam.accountAliasType"].expression,
			[]string{"abc", "a-b-c", "a1b"}, []string{"ab", "-ab", "ab-", "a--b", "Abc", strings.Repeat("a", 64)}},
		{"ssm", "CloudConnectorIamRoleArn", ssm["ssm.CloudConnectorIamRoleArn"].expression,
			[]string{"arn:aws:iam::123456789012:role/a", "arn:aws-cn:iam::123456789012:role/a/b-c", "arn:aws:iam::123456789012:role/" + strings.Repeat("a", 1017)},
			[]string{"", "arn:aws:iam::123456789012:role/", "arn:aws:iam::123456789012:role/a b", "arn:aws:iam::123456789012:role/" + strings.Repeat("a", 1018)}},
		{"ssm", "TargetLocationsURL", ssm["ssm.TargetLocationsURL"].expression,
			[]string{"https://b.s3.amazonaws.com/k", "https://b.s3.us-east-1.amazonaws.com/" + strings.Repeat("k", 2000)},
			[]string{"", "https://b.s3.amazonaws.com/", "http://b.s3.amazonaws.com/k", "https://.s3.amazonaws.com/k", "https://b.s3.amazonaws.com/" + strings.Repeat("k", 2001)}},
		{"ssm", "InstancePropertyFilterValue", ssm["ssm.InstancePropertyFilterValue"].expression,
			[]string{"a", strings.Repeat("a", 100000), strings.Repeat("😀", 50000)}, []string{"", "a\nb", strings.Repeat("a", 100001), strings.Repeat("😀", 50001)}},
		{"ssm", "StringDateTime", ssm["ssm.StringDateTime"].expression,
			[]string{"2026", "-0044", "2026-01", "2026-01-31", "20260131", "2026-W52-7", "2026W527", "2026-365", "2026365", "2026-01-31T", "2026-01-31T23", "2026-01-31T23:59",
				"2026-01-31T23:59:59", "2026-01-31T23:59:59.1Z", "20260131T235959Z", "20260131T2359.5", "2026-01-31T23:59,5-08:00", "2026-01-31 24:00", "2026-01-31T2400z", "2026-01-31T23-08"},
			[]string{"", "202601", "202601-01", "2026-13", "2026-01-32", "2026-0131", "202601-31", "2026-W53", "2026-367", "2026-01-31T24:01", "2026-01-31T23:5959", "2026-01-31T2359:59",
				"2026-01-31T23:59.5:59", "2026-01-31T23:59:60", "2026-01-31T23:59+01:00", "2026-01-31x", "26-01-31"}},
	} {
		m, err := Compile(c.service, c.shape, c.expression)
		if err != nil {
			t.Errorf("%s.%s: %v", c.service, c.shape, err)
			continue
		}
		for _, s := range c.refuses {
			if m(s) {
				t.Errorf("%s.%s matches %q", c.service, c.shape, s)
			}
		}
		for _, s := range c.matches {
			if !m(s) {
				t.Errorf("%s.%s does not match %q", c.service, c.shape, s)
			}
		}
	}
}
