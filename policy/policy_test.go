package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	account = "123456789012"
	fn      = "arn:aws:lambda:us-east-1:123456789012:function:f"
)

// statements makes a document of statements.
func statements(list ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(list, ",") + `]}`
}

func parse(t testing.TB, text string) *Document {
	t.Helper()
	d, err := Parse(text)
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return d
}

// user is a request of a user; change makes another of it.
func user(change ...func(*Request)) *Request {
	r := &Request{
		Action: "lambda:InvokeFunction", Resource: fn, Region: "us-east-1", ResourceAccount: account,
		Principal: Principal{ARN: "arn:aws:iam::" + account + ":user/apps/alice", Account: account, Username: "alice",
			UserID: "AIDAAAAAAAAAAAAAAAAAA", Tags: []Tag{{"Team", "green"}}},
		SourceIP: "192.0.2.7", UserAgent: "tool/1", Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	for _, f := range change {
		f(r)
	}
	return r
}

func session(r *Request) {
	r.Principal = Principal{ARN: "arn:aws:sts::" + account + ":assumed-role/worker/s", Account: account,
		Role: "arn:aws:iam::" + account + ":role/apps/worker", UserID: "AROAAAAAAAAAAAAAAAAAA:s", Issued: r.Now.Add(-time.Hour)}
}

func TestSyntaxIsRefused(t *testing.T) {
	condition := func(c string) string {
		return statements(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":` + c + `}`)
	}
	for _, text := range []string{
		``, `null`, `[]`, `{}`, `"x"`, `{"Version":"2012-10-17"}`, statements(), statements(`null`), statements(`[]`),
		`{"Version":null,"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`,
		`{"version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`,
		statements(`{"Effect":"Maybe","Action":"*","Resource":"*"}`),
		statements(`{"Effect":null,"Action":"*","Resource":"*"}`),
		statements(`{"Effect":"Allow","Action":null,"Resource":"*"}`),
		statements(`{"Effect":"Allow","Action":["a:b",null],"Resource":"*"}`),
		statements(`{"Effect":"Allow","Action":"*","Resource":"*","NotResource":"*"}`),
		statements(`{"Effect":"Allow","Principal":"me","Action":"*"}`),
		statements(`{"Effect":"Allow","Principal":{"Somebody":"*"},"Action":"*"}`),
		statements(`{"Effect":"Deny","Effect":"Allow","Action":"*","Resource":"*"}`),
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}} {}`,
		condition(`{"StringEquals":{"a":"b"},"StringEquals":{"c":"d"}}`), condition(`{"StringEquals":{"a":"b","a":"c"}}`),
		condition(`"x"`), condition(`null`), condition(`{"StringEqual":{"a":"b"}}`), condition(`{"NullIfExists":{"a":"true"}}`),
		condition(`{"StringEquals":null}`), condition(`{"StringEquals":{"a":{}}}`), condition(`{"StringEquals":{"a":[["b"]]}}`),
		condition(`{"StringEquals":{"a":null}}`), condition(`{"NumericAround":{"a":1}}`), condition(`{"Date":{"a":1}}`),
		condition(`{"ForSome:StringEquals":{"a":"b"}}`),
	} {
		if d, err := Parse(text); !errors.Is(err, ErrSyntax) || d != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestDenials: everything that must not be allowed, with AWS's reason.
func TestDenials(t *testing.T) {
	allow := statements(`{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"` + fn + `"}`)
	deny := statements(`{"Effect":"Deny","Action":"*","Resource":"*"}`)
	other := statements(`{"Effect":"Allow","Action":"lambda:GetFunction","Resource":"*"}`)
	trust := statements(`{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"*"}`)
	for _, c := range []struct {
		name, want                         string
		identity, boundary, session, owner string
		request                            func(*Request)
	}{
		{name: "no policy", want: "because no identity-based policy allows the lambda:InvokeFunction action"},
		{name: "another action", identity: other, want: "because no identity-based policy allows the lambda:InvokeFunction action"},
		{name: "another resource", identity: allow, request: func(r *Request) { r.Resource += "2" },
			want: "because no identity-based policy allows the lambda:InvokeFunction action"},
		{name: "a qualified resource", identity: allow, request: func(r *Request) { r.Resource += ":1" },
			want: "because no identity-based policy allows the lambda:InvokeFunction action"},
		{name: "denied besides", identity: statements(`{"Effect":"Allow","Action":"*","Resource":"*"}`, `{"Effect":"Deny","Action":"lambda:invoke*","Resource":"*"}`),
			want: "with an explicit deny in an identity-based policy"},
		{name: "boundary allows something else", identity: allow, boundary: other,
			want: "because no permissions boundary allows the lambda:InvokeFunction action"},
		{name: "boundary alone", boundary: allow, want: "because no identity-based policy allows the lambda:InvokeFunction action"},
		{name: "boundary denies", identity: allow, boundary: deny, want: "with an explicit deny in a permissions boundary"},
		{name: "session allows something else", identity: allow, session: other,
			want: "because no session policy allows the lambda:InvokeFunction action"},
		{name: "session denies", identity: allow, session: deny, want: "with an explicit deny in a session policy"},
		{name: "session alone", session: allow, want: "because no identity-based policy allows the lambda:InvokeFunction action"},
		{name: "the resource denies", identity: allow, owner: statements(`{"Effect":"Deny","Principal":"*","Action":"*"}`),
			want: "with an explicit deny in a resource-based policy"},
		{name: "the account is trusted, the user not allowed", owner: trust,
			want: "because no identity-based policy allows the lambda:InvokeFunction action"},
		{name: "another account's resource", identity: allow, request: func(r *Request) { r.ResourceAccount = "999999999999" },
			want: "because no resource-based policy allows the lambda:InvokeFunction action"},
		{name: "another account trusts, identity does not allow", owner: statements(`{"Effect":"Allow","Principal":"*","Action":"*"}`),
			request: func(r *Request) { r.ResourceAccount = "999999999999" },
			want:    "because no identity-based policy allows the lambda:InvokeFunction action"},
		{name: "the role is trusted, its session limited", session: other, request: session,
			owner: statements(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/apps/worker"},"Action":"*"}`),
			want:  "because no session policy allows the lambda:InvokeFunction action"},
		{name: "everybody but this one is denied", identity: allow, want: "with an explicit deny in a resource-based policy",
			owner: statements(`{"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam::123456789012:user/bob"},"Action":"*"}`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p Policies
			if c.identity != "" {
				p.Identity = []*Document{parse(t, c.identity)}
			}
			if c.boundary != "" {
				p.Boundary = parse(t, c.boundary)
			}
			if c.session != "" {
				p.Session = []*Document{parse(t, c.session)}
			}
			if c.owner != "" {
				p.Resource = parse(t, c.owner)
			}
			r := user()
			if c.request != nil {
				c.request(r)
			}
			d := Evaluate(p, r)
			if d.Allowed || d.Because(r.Action) != c.want {
				t.Errorf("allowed: %v\n got %s\nwant %s", d.Allowed, d.Because(r.Action), c.want)
			}
		})
	}
	if Evaluate(Policies{Identity: []*Document{parse(t, statements(`{"Effect":"Allow","Action":"*","Resource":"*"}`)), DenyAll()}}, user()).Allowed {
		t.Error("DenyAll does not deny")
	}
}

func TestWhatAResourceGrants(t *testing.T) {
	for _, c := range []struct {
		name, principal string
		request         func(*Request)
		want            bool
	}{
		{"the user", `{"AWS":"arn:aws:iam::123456789012:user/apps/alice"}`, nil, true},
		{"the user by identifier", `{"AWS":"AIDAAAAAAAAAAAAAAAAAA"}`, nil, true},
		{"everybody", `"*"`, nil, true},
		{"every AWS principal", `{"AWS":["999999999999","*"]}`, nil, true},
		{"the user without its path", `{"AWS":"arn:aws:iam::123456789012:user/alice"}`, nil, false},
		{"the account", `{"AWS":"arn:aws:iam::123456789012:root"}`, nil, false},
		{"another account's root", `{"AWS":"arn:aws:iam::999999999999:root"}`, nil, false},
		{"a service", `{"Service":"lambda.amazonaws.com"}`, nil, false},
		{"nobody", `{"AWS":[]}`, nil, false},
		{"an empty name", `{"AWS":""}`, func(r *Request) { r.Principal.Account, r.Principal.UserID = "", "" }, false},
		{"the session's role", `{"AWS":"arn:aws:iam::123456789012:role/apps/worker"}`, session, true},
		{"the session", `{"AWS":"arn:aws:sts::123456789012:assumed-role/worker/s"}`, session, true},
		{"another session", `{"AWS":"arn:aws:sts::123456789012:assumed-role/worker/t"}`, session, false},
		{"the role by identifier", `{"AWS":"AROAAAAAAAAAAAAAAAAAA"}`, session, true},
	} {
		d := parse(t, statements(`{"Effect":"Allow","Principal":`+c.principal+`,"Action":"lambda:*"}`))
		r := user()
		if c.request != nil {
			c.request(r)
		}
		if got := Evaluate(Policies{Resource: d}, r); got.Allowed != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	service := user(func(r *Request) { r.Principal = Principal{Service: "lambda.amazonaws.com"} })
	if d := parse(t, statements(`{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"*"}`)).Decide(service); !d.Allowed {
		t.Errorf("a trusted service: %v", d)
	}
	if d := parse(t, statements(`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"*"}`)).Decide(service); d.Allowed {
		t.Errorf("a service as an AWS principal: %v", d)
	}
}

func TestActionsAndResources(t *testing.T) {
	for _, c := range []struct {
		statement, action, resource string
		want                        bool
	}{
		{`"Action":"LAMBDA:invokefunction","Resource":"*"`, "lambda:InvokeFunction", fn, true},
		{`"Action":"lambda:Invoke*","Resource":"*"`, "lambda:InvokeFunction", fn, true},
		{`"Action":"lambda:*Func?ion","Resource":"*"`, "lambda:InvokeFunction", fn, true},
		{`"Action":"lambda:Invoke?","Resource":"*"`, "lambda:InvokeFunction", fn, false},
		{`"NotAction":"lambda:*","Resource":"*"`, "lambda:InvokeFunction", fn, false},
		{`"NotAction":["iam:*","sts:*"],"Resource":"*"`, "lambda:InvokeFunction", fn, true},
		{`"Action":[],"Resource":"*"`, "lambda:InvokeFunction", fn, false},
		{`"Action":"*","Resource":[]`, "lambda:InvokeFunction", fn, false},
		{`"Action":"*","Resource":"arn:aws:lambda:*:*:function:F"`, "a:b", fn, false},
		{`"Action":"*","Resource":"arn:aws:lambda:*:*:function:f"`, "a:b", fn, true},
		{`"Action":"*","Resource":"arn:aws:lambda:*:*:function:f:*"`, "a:b", fn, false},
		{`"Action":"*","Resource":"arn:aws:lambda:*:*:function:f:*"`, "a:b", fn + ":1", true},
		{`"Action":"*","Resource":"arn:aws:s3:::b/${aws:username}/*"`, "a:b", "arn:aws:s3:::b/alice/x", true},
		{`"Action":"*","Resource":"arn:aws:s3:::b/${aws:username}/*"`, "a:b", "arn:aws:s3:::b/bob/x", false},
		{`"Action":"*","Resource":"arn:aws:s3:::b/${aws:PrincipalTag/team}"`, "a:b", "arn:aws:s3:::b/green", true},
		{`"Action":"*","Resource":"arn:aws:s3:::b/${aws:PrincipalTag/none}"`, "a:b", "arn:aws:s3:::b/", false},
		{`"Action":"*","Resource":"arn:aws:s3:::b/${aws:PrincipalTag/none, 'all'}"`, "a:b", "arn:aws:s3:::b/all", true},
		{`"Action":"*","Resource":"arn:aws:s3:::b/${*}${?}${$}x"`, "a:b", "arn:aws:s3:::b/*?$x", true},
		{`"Action":"*","Resource":"arn:aws:s3:::b/${*}"`, "a:b", "arn:aws:s3:::b/y", false},
		{`"Action":"*","Resource":"arn:aws:s3:::b/${*"`, "a:b", "arn:aws:s3:::b/${*", true},
		{`"Action":"*","NotResource":"arn:aws:s3:::b/${aws:PrincipalTag/none}"`, "a:b", "arn:aws:s3:::c", false},
		{`"Action":"*","NotResource":"arn:aws:s3:::b/*"`, "a:b", "arn:aws:s3:::c/x", true},
		{`"Action":"*","NotResource":"arn:aws:s3:::b/*"`, "a:b", "arn:aws:s3:::b/x", false},
	} {
		d := parse(t, statements(`{"Effect":"Allow",`+c.statement+`}`))
		r := user(func(r *Request) { r.Action, r.Resource, r.ResourceAccount = c.action, c.resource, "" })
		if got := Evaluate(Policies{Identity: []*Document{d}}, r); got.Allowed != c.want {
			t.Errorf("%s with %s on %s: %v", c.statement, c.action, c.resource, got.Allowed)
		}
	}
	old := parse(t, `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"${aws:username}"}}`)
	for resource, want := range map[string]bool{"alice": false, "${aws:username}": true} {
		r := user(func(r *Request) { r.Resource = resource })
		if got := Evaluate(Policies{Identity: []*Document{old}}, r); got.Allowed != want {
			t.Errorf("the older language has no variables, but %q: %v", resource, got.Allowed)
		}
	}
	sly := user(func(r *Request) { r.Principal.Username, r.Resource = "*", "arn:aws:s3:::b/bob" })
	if Evaluate(Policies{Identity: []*Document{parse(t, statements(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::b/${aws:username}"}`))}}, sly).Allowed {
		t.Error("a user called * is everybody")
	}
}

func TestConditions(t *testing.T) {
	keys := func(r *Request) {
		r.Keys = map[string][]string{"x:one": {"b"}, "x:many": {"a", "b"}, "x:number": {"10"}, "x:empty": {},
			"x:bytes": {"QmluYXJ5"}, "x:arn": {"arn:aws:sns:us-east-1:123456789012:topic"}, "x:v6": {"2001:db8::1"}}
		r.RequestTags, r.ResourceTags = []Tag{{"Owner", "me"}}, []Tag{{"Stage", "test"}}
	}
	for _, c := range []struct {
		condition string
		want      bool
	}{
		{`{"StringEquals":{"x:one":"b"}}`, true},
		{`{"StringEquals":{"X:ONE":["a","b"]}}`, true},
		{`{"StringEquals":{"x:one":"B"}}`, false},
		{`{"StringEquals":{"x:one":"*"}}`, false},
		{`{"stringequals":{"x:one":"b"}}`, true},
		{`{"StringEquals":{"x:none":"b"}}`, false},
		{`{"StringEquals":{"x:one":[]}}`, false},
		{`{"StringEqualsIfExists":{"x:none":"b"}}`, true},
		{`{"StringEqualsIfExists":{"x:one":"a"}}`, false},
		{`{"StringNotEquals":{"x:one":["a","c"]}}`, true},
		{`{"StringNotEquals":{"x:one":["a","b"]}}`, false},
		{`{"StringNotEquals":{"x:none":"b"}}`, true},
		{`{"StringNotEqualsIfExists":{"x:one":"b"}}`, false},
		{`{"StringEqualsIgnoreCase":{"x:one":"B"}}`, true},
		{`{"StringEqualsIgnoreCase":{"aws:username":"${aws:PrincipalTag/none,'ALICE'}"}}`, true},
		{`{"StringNotEqualsIgnoreCase":{"x:one":"B"}}`, false},
		{`{"StringLike":{"aws:username":"al*"}}`, true},
		{`{"StringLike":{"aws:username":"AL*"}}`, false},
		{`{"StringNotLike":{"aws:username":"al*"}}`, false},
		{`{"StringEquals":{"aws:ResourceTag/stage":"${aws:RequestTag/none, 'test'}"}}`, true},
		{`{"StringEquals":{"aws:ResourceTag/stage":"${x:none}"}}`, false},
		{`{"StringNotEquals":{"aws:ResourceTag/stage":"${x:none}"}}`, false},
		{`{"StringEquals":{"x:one":"b"},"Bool":{"aws:SecureTransport":"true"}}`, false},
		{`{"StringEquals":{"x:one":"b","x:many":"c"}}`, false},
		{`{"NumericEquals":{"x:number":10}}`, true},
		{`{"NumericEquals":{"x:number":"1e1"}}`, true},
		{`{"NumericNotEquals":{"x:number":"10.0"}}`, false},
		{`{"NumericLessThan":{"x:number":"9"}}`, false},
		{`{"NumericLessThan":{"x:number":"100"}}`, true},
		{`{"NumericLessThanEquals":{"x:number":"10"}}`, true},
		{`{"NumericGreaterThan":{"x:number":"10"}}`, false},
		{`{"NumericGreaterThanEquals":{"x:number":"10"}}`, true},
		{`{"NumericEquals":{"x:one":"b"}}`, false},
		{`{"NumericLessThan":{"x:number":"inf"}}`, false},
		{`{"DateLessThan":{"aws:CurrentTime":"2026-03-01T12:00:01Z"}}`, true},
		{`{"DateLessThan":{"aws:CurrentTime":"2026-03-01T13:00:00+02:00"}}`, false},
		{`{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-03-01"}}`, true},
		{`{"DateEquals":{"aws:CurrentTime":"2026-03-01T12:00Z"}}`, true},
		{`{"DateNotEquals":{"aws:CurrentTime":"2026-03-01T12:00Z"}}`, false},
		{`{"DateGreaterThan":{"aws:EpochTime":1700000000}}`, true},
		{`{"DateLessThanEquals":{"aws:EpochTime":"2026-03-01T12:00:00Z"}}`, true},
		{`{"NumericGreaterThan":{"aws:EpochTime":"1700000000"}}`, true},
		{`{"DateGreaterThan":{"aws:CurrentTime":"yesterday"}}`, false},
		{`{"DateGreaterThan":{"aws:TokenIssueTime":"2000-01-01"}}`, false},
		{`{"Bool":{"aws:SecureTransport":false}}`, true},
		{`{"Bool":{"aws:SecureTransport":"False"}}`, true},
		{`{"Bool":{"aws:SecureTransport":"no"}}`, false},
		{`{"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}}`, true},
		{`{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`, false},
		{`{"Bool":{"aws:ViaAWSService":"false"}}`, true},
		{`{"BinaryEquals":{"x:bytes":"QmluYXJ5"}}`, true},
		{`{"BinaryEquals":{"x:bytes":"Qml"}}`, false},
		{`{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, true},
		{`{"IpAddress":{"aws:SourceIp":["198.51.100.0/24","192.0.2.7"]}}`, true},
		{`{"IpAddress":{"aws:SourceIp":"192.0.2.8"}}`, false},
		{`{"IpAddress":{"aws:SourceIp":"everywhere"}}`, false},
		{`{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, false},
		{`{"NotIpAddress":{"aws:SourceIp":"198.51.100.0/24"}}`, true},
		{`{"IpAddress":{"x:v6":"2001:db8::/32"}}`, true},
		{`{"IpAddress":{"x:v6":"0.0.0.0/0"}}`, false},
		{`{"ArnEquals":{"x:arn":"arn:aws:sns:*:123456789012:top*"}}`, true},
		{`{"ArnLike":{"x:arn":"arn:aws:sns:us-east-?:${aws:PrincipalAccount}:topic"}}`, true},
		{`{"ArnLike":{"x:arn":"arn:aws:sns:*:topic"}}`, false},
		{`{"ArnLike":{"x:arn":"arn:aws:*"}}`, false},
		{`{"ArnLike":{"x:arn":"*"}}`, true},
		{`{"ArnNotLike":{"x:arn":"arn:aws:sqs:*:*:*"}}`, true},
		{`{"ArnNotEquals":{"x:arn":"arn:aws:sns:*:*:*"}}`, false},
		{`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::123456789012:user/apps/*"}}`, true},
		{`{"Null":{"x:none":"true"}}`, true},
		{`{"Null":{"x:none":false}}`, false},
		{`{"Null":{"x:one":"false"}}`, true},
		{`{"Null":{"aws:CalledVia":"true"}}`, true},
		{`{"ForAllValues:StringEquals":{"x:many":["a","b","c"]}}`, true},
		{`{"ForAllValues:StringEquals":{"x:many":["a"]}}`, false},
		{`{"ForAllValues:StringEquals":{"x:none":"a"}}`, true},
		{`{"ForAllValues:StringEquals":{"x:empty":"a"}}`, true},
		{`{"ForAllValues:StringNotEquals":{"x:many":["b"]}}`, false},
		{`{"ForAnyValue:StringEquals":{"x:many":["c","b"]}}`, true},
		{`{"ForAnyValue:StringEquals":{"x:none":"a"}}`, false},
		{`{"ForAnyValue:StringNotEquals":{"x:many":"a"}}`, true},
		{`{"ForAnyValue:StringNotEquals":{"x:none":"a"}}`, false},
		{`{"ForAnyValue:StringEqualsIfExists":{"x:none":"a"}}`, true},
		{`{"StringNotEquals":{"x:many":"a"}}`, false},
		{`{"ForAllValues:StringLike":{"aws:TagKeys":"Own*"}}`, true},
		{`{"StringEquals":{"aws:RequestTag/OWNER":"me","aws:RequestedRegion":"us-east-1","aws:PrincipalType":"User",
			"aws:userid":"AIDAAAAAAAAAAAAAAAAAA","aws:ResourceAccount":"123456789012","aws:UserAgent":"tool/1"}}`, true},
	} {
		d := parse(t, statements(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":`+c.condition+`}`))
		if got := Evaluate(Policies{Identity: []*Document{d}}, user(keys)); got.Allowed != c.want {
			t.Errorf("%s: %v", c.condition, got.Allowed)
		}
	}
	temporary := parse(t, statements(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{
		"DateGreaterThan":{"aws:TokenIssueTime":"2026-03-01T10:00:00Z"},"Bool":{"aws:MultiFactorAuthPresent":"false"},
		"StringEquals":{"aws:PrincipalType":"AssumedRole"},"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/apps/worker"},
		"Null":{"aws:username":"true"}}}`))
	if got := Evaluate(Policies{Identity: []*Document{temporary}}, user(session)); !got.Allowed {
		t.Errorf("a role's session: %v", got)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]int{`{ "a" : "b c" }`: 11, `{`: 1} {
		if got := Size(text); got != want {
			t.Errorf("%s: %d", text, got)
		}
	}
}

// small are two policies as execution roles have them.
func small(t testing.TB) Policies {
	return Policies{Identity: []*Document{
		parse(t, statements(`{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}`)),
		parse(t, statements(`{"Effect":"Allow","Action":["lambda:GetFunction","lambda:Invoke*"],"Resource":["arn:aws:lambda:*:123456789012:function:f","arn:aws:lambda:*:123456789012:function:f:*"]}`,
			`{"Effect":"Deny","Action":"lambda:*","Resource":"arn:aws:lambda:*:*:function:secret-*"}`)),
	}}
}

func TestEvaluationAllocatesNothing(t *testing.T) {
	p, r := small(t), user(session)
	if !Evaluate(p, r).Allowed {
		t.Fatal("denied")
	}
	if n := testing.AllocsPerRun(100, func() { Evaluate(p, r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEvaluate(b *testing.B) {
	p, r := small(b), user(session)
	conditional := small(b)
	conditional.Identity = append(conditional.Identity, parse(b, statements(
		`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":"us-east-1"},"Bool":{"aws:SecureTransport":"true"}}}`)))
	for name, p := range map[string]Policies{"plain": p, "conditions": conditional} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !Evaluate(p, r).Allowed {
					b.Fatal("denied")
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	text := statements(`{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}`)
	b.ReportAllocs()
	for b.Loop() {
		parse(b, text)
	}
}

// TestHostilePatterns: no pattern takes more than its length times the value's.
func TestHostilePatterns(t *testing.T) {
	pattern, value := strings.Repeat("*a", 2000)+"b", strings.Repeat("a", 20000)
	d := parse(t, statements(fmt.Sprintf(`{"Effect":"Allow","Action":"*","Resource":%q}`, pattern)))
	started := time.Now()
	if Evaluate(Policies{Identity: []*Document{d}}, user(func(r *Request) { r.Resource = value })).Allowed {
		t.Error("allowed")
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}
