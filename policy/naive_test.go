package policy

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The naive evaluator reads documents with encoding/json, matches with regexp, and says what IAM's documentation says
// in the order in which that says it. It knows a part of the language alone.

type naiveDocument struct {
	Version   string
	Statement []naiveStatement
}

type naiveStatement struct {
	Effect                      string
	Action, NotAction, Resource []string                       `json:",omitempty"`
	NotResource                 []string                       `json:",omitempty"`
	Condition                   map[string]map[string][]string `json:",omitempty"`
}

func naiveGlob(pattern, value string, fold bool) bool {
	expression := regexp.QuoteMeta(pattern)
	expression = strings.ReplaceAll(strings.ReplaceAll(expression, `\*`, `.*`), `\?`, `.`)
	flags := "s"
	if fold {
		flags = "si"
	}
	return regexp.MustCompile(`^(?` + flags + `:` + expression + `)$`).MatchString(value)
}

func (s naiveStatement) applies(r *Request, keys map[string]string) bool {
	glob := func(value string, fold bool) func(string) bool {
		return func(pattern string) bool { return naiveGlob(pattern, value, fold) }
	}
	if s.Action != nil && !slices.ContainsFunc(s.Action, glob(r.Action, true)) ||
		s.NotAction != nil && slices.ContainsFunc(s.NotAction, glob(r.Action, true)) ||
		s.Resource != nil && !slices.ContainsFunc(s.Resource, glob(r.Resource, false)) ||
		s.NotResource != nil && slices.ContainsFunc(s.NotResource, glob(r.Resource, false)) {
		return false
	}
	for operator, conditions := range s.Condition {
		for key, values := range conditions {
			value, present := keys[key]
			equal, like := slices.Contains(values, value), slices.ContainsFunc(values, glob(value, false))
			holds := map[string]bool{
				"StringEquals": present && equal, "StringNotEquals": !present || !equal,
				"StringLike": present && like, "StringNotLike": !present || !like,
				"StringEqualsIfExists": !present || equal, "StringLikeIfExists": !present || like,
				"Null": slices.Contains(values, fmt.Sprint(!present)),
			}[operator]
			if !holds {
				return false
			}
		}
	}
	return true
}

func naive(p [3][]naiveDocument, r *Request, keys map[string]string) Decision {
	var allowed [3]bool
	for kind, documents := range p {
		for _, d := range documents {
			for _, s := range d.Statement {
				if s.Effect == "Deny" && s.applies(r, keys) {
					return Decision{Explicit: true, Kind: Kind(kind)}
				}
				allowed[kind] = allowed[kind] || s.Effect == "Allow" && s.applies(r, keys)
			}
		}
	}
	for kind := range p {
		if !allowed[kind] && (kind == 0 || len(p[kind]) > 0) {
			return Decision{Kind: Kind(kind)}
		}
	}
	return Decision{Allowed: true}
}

func drawDocument(t *rapid.T) naiveDocument {
	patterns := func(of string) []string {
		return rapid.SliceOfN(rapid.StringMatching(of), 1, 3).Draw(t, "patterns")
	}
	d := naiveDocument{Version: Version2012}
	for range rapid.IntRange(1, 3).Draw(t, "statements") {
		s := naiveStatement{Effect: rapid.SampledFrom([]string{"Allow", "Allow", "Deny"}).Draw(t, "effect")}
		if actions := patterns(`[ab*?A]{1,3}:[abB*?]{1,3}|\*`); rapid.Bool().Draw(t, "not action") {
			s.NotAction = actions
		} else {
			s.Action = actions
		}
		if resources := patterns(`[abé*?]{0,5}|\*`); rapid.Bool().Draw(t, "not resource") {
			s.NotResource = resources
		} else {
			s.Resource = resources
		}
		if rapid.IntRange(0, 2).Draw(t, "conditions") == 0 {
			operator := rapid.SampledFrom([]string{"StringEquals", "StringNotEquals", "StringLike", "StringNotLike",
				"StringEqualsIfExists", "StringLikeIfExists"}).Draw(t, "operator")
			s.Condition = map[string]map[string][]string{operator: {
				rapid.SampledFrom([]string{"x:a", "x:b"}).Draw(t, "key"): patterns(`[ab*?]{0,3}`)}}
			if rapid.Bool().Draw(t, "null") {
				s.Condition["Null"] = map[string][]string{"x:a": {rapid.SampledFrom([]string{"true", "false"}).Draw(t, "absent")}}
			}
		}
		d.Statement = append(d.Statement, s)
	}
	return d
}

// TestAgainstNaive: both evaluators say the same, reasons included.
func TestAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var documents [3][]naiveDocument
		documents[0] = rapid.SliceOfN(rapid.Custom(drawDocument), 0, 2).Draw(t, "identity")
		documents[1] = rapid.SliceOfN(rapid.Custom(drawDocument), 0, 1).Draw(t, "boundary")
		documents[2] = rapid.SliceOfN(rapid.Custom(drawDocument), 0, 2).Draw(t, "session")
		var compiled [3][]*Document
		for kind := range documents {
			for _, d := range documents[kind] {
				text, err := json.Marshal(d)
				if err != nil {
					t.Fatal(err)
				}
				c, err := Parse(string(text))
				if err != nil {
					t.Fatalf("%v: %s", err, text)
				}
				compiled[kind] = append(compiled[kind], c)
			}
		}
		p := Policies{Identity: compiled[0], Session: compiled[2]}
		if len(compiled[1]) > 0 {
			p.Boundary = compiled[1][0]
		}
		r := &Request{
			Action:   rapid.StringMatching(`[abA]{1,3}:[abB]{1,3}`).Draw(t, "action"),
			Resource: rapid.StringMatching(`[abé]{0,5}`).Draw(t, "resource"), Keys: map[string][]string{},
		}
		keys := map[string]string{}
		for _, key := range []string{"x:a", "x:b"} {
			if rapid.Bool().Draw(t, "present") {
				keys[key] = rapid.StringMatching(`[ab]{0,3}`).Draw(t, key)
				r.Keys[key] = []string{keys[key]}
			}
		}
		if got, want := Evaluate(p, r), naive(documents, r, keys); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

// TestMonotony: another Deny never allows more, another Allow never denies.
func TestMonotony(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() *Document {
			text, err := json.Marshal(drawDocument(t))
			if err != nil {
				t.Fatal(err)
			}
			d, err := Parse(string(text))
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		base, more := draw(), draw()
		r := &Request{Action: rapid.StringMatching(`[ab]{1,2}:[ab]{1,2}`).Draw(t, "action"),
			Resource: rapid.StringMatching(`[ab]{0,3}`).Draw(t, "resource")}
		before := Evaluate(Policies{Identity: []*Document{base}}, r)
		for i := range more.Statements {
			one := &Document{Version: more.Version, Statements: more.Statements[i : i+1]}
			after := Evaluate(Policies{Identity: []*Document{base, one}}, r)
			if more.Statements[i].Deny && after.Allowed && !before.Allowed {
				t.Fatal("a Deny allowed something")
			}
			if !more.Statements[i].Deny && before.Allowed && !after.Allowed {
				t.Fatal("an Allow denied something")
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(`{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"a","Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:*"],"Resource":"arn:aws:s3:::${aws:username}","Condition":{"ForAnyValue:StringLikeIfExists":{"aws:username":["b",1,true]}}}]}`)
	f.Add(`{"Statement":{"Effect":"Deny","NotPrincipal":"*","NotAction":"*","NotResource":["arn"],"Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::${a:b}:*"},"DateLessThan":{"aws:CurrentTime":"2030"},"NotIpAddress":{"aws:SourceIp":"::/0"}}}}`)
	f.Add(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"${a,'b'}${*}${","Condition":{"Null":{"a":"true"},"BinaryEquals":{"b":"QQ=="},"NumericLessThan":{"c":"1e400"}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text)
		if err != nil {
			if err != ErrSyntax {
				t.Errorf("refused with %v", err)
			}
			return
		}
		r := user()
		first := Evaluate(Policies{Identity: []*Document{d}}, r)
		again, err := Parse(text)
		if err != nil {
			t.Fatal("refused the second time")
		}
		if second := Evaluate(Policies{Identity: []*Document{again}}, r); second != first {
			t.Errorf("%v, then %v", first, second)
		}
		if Evaluate(Policies{Identity: []*Document{d, DenyAll()}}, r).Allowed {
			t.Error("allowed what is denied")
		}
		if _, err := CheckIdentity(text); err == nil && d.Version != Version2012 {
			t.Error("accepted an old version")
		}
		if Size(text) > len(text) {
			t.Error("grew")
		}
	})
}

func FuzzMatch(f *testing.F) {
	f.Add("a*b?c", "axxbyc", true)
	f.Add("*é?", "ééx", false)
	f.Add("**", "", false)
	f.Fuzz(func(t *testing.T, text, value string, fold bool) {
		// Characters that are none, and cases beyond ASCII, mean something else to regexp.
		if strings.ToValidUTF8(text, "") != text || strings.ToValidUTF8(value, "") != value || len(text) > 50 {
			return
		}
		if fold && strings.ContainsFunc(text+value, func(r rune) bool { return r > 127 }) {
			return
		}
		p := compile(text, options{wild: true, fold: fold})
		got, known := p.match(value, nil)
		if want := naiveGlob(text, value, fold); got != want || !known {
			t.Errorf("%q with %q (fold %v): %v, want %v", text, value, fold, got, want)
		}
		p = compile(text+"${x:none,''}", options{wild: true, fold: fold, variables: true})
		if strings.Contains(text, "$") {
			return
		}
		if dynamic, known := p.match(value, user()); dynamic != got || !known {
			t.Errorf("%q with %q: %v through a variable", text, value, dynamic)
		}
	})
}
