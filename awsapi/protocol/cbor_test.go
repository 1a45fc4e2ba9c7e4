package protocol

import (
	"encoding/base64"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/cborwire"
	"hotaru/awsapi/internal/plan"
	"hotaru/awsapi/internal/wiretest"
)

// CBOR has many forms of one value, so bodies are compared by what they decode to.

func TestPublishedCBORRequests(t *testing.T) {
	for _, s := range append(suites(t, "input", "smithy-rpc-v2-cbor"), suites(t, "input", "smithy-rpc-v2-cbor-query-compatible")...) {
		for _, c := range s.Cases {
			t.Run(c.ID, func(t *testing.T) {
				body, err := base64.StdEncoding.DecodeString(c.Serialized.Body)
				if err != nil {
					t.Fatal(err)
				}
				op, p := prepare(t, &s, &c)
				input := reflect.New(op.Input.Type).Elem()
				if err := p.Decode(op, &Request{HTTP: httptest.NewRequest("POST", c.Serialized.URI, nil), Body: body}, input); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(withoutNulls(c.Params), wiretest.Plain(op.Input, input)); d != "" {
					t.Errorf("parameters (-want +got)\n%s", d)
				}
			})
		}
	}
}

func TestPublishedCBORResponses(t *testing.T) {
	for _, s := range append(suites(t, "output", "smithy-rpc-v2-cbor"), suites(t, "output", "smithy-rpc-v2-cbor-query-compatible")...) {
		for _, c := range s.Cases {
			t.Run(c.ID, func(t *testing.T) {
				if reason := notForServers(c.ID); reason != "" {
					t.Skip(reason)
				}
				checkCBORResponse(t, &s, &c)
			})
		}
	}
}

func checkCBORResponse(t *testing.T, s *suite, c *testCase) {
	op, p := prepare(t, s, c)
	if c.ErrorCode != "" {
		checkCBORError(t, s, c, op, p)
		return
	}
	output := reflect.New(op.Output.Type).Elem()
	if err := wiretest.Fill(op.Output, output, c.Result); err != nil {
		t.Fatal(err)
	}
	a, err := p.Encode(op, output, "id")
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != c.Response.StatusCode || a.Header.Get("Smithy-Protocol") != "rpc-v2-cbor" {
		t.Errorf("answer is %d %v", a.Status, a.Header)
	}
	theirs, err := base64.StdEncoding.DecodeString(c.Response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range [][]byte{a.Body, theirs} {
		if len(body) == 0 {
			continue
		}
		back := reflect.New(op.Output.Type).Elem()
		if err := cborwire.Decode(body, whole(op.Output), back); err != nil {
			t.Fatalf("%v in %x", err, body)
		}
		if d := cmp.Diff(withoutNulls(c.Result), wiretest.Plain(op.Output, back)); d != "" {
			t.Errorf("%x (-want +got)\n%s", body, d)
		}
	}
}

func checkCBORError(t *testing.T, s *suite, c *testCase, op *Operation, p Protocol) {
	failure := FailureOf(op.Service, &awsapi.Error{Code: c.ErrorCode, Message: c.ErrorMessage, Fields: c.Error})
	a := p.EncodeFailure(op.Service, failure, "id")
	if a.Status != c.Response.StatusCode {
		t.Errorf("status is %d, want %d", a.Status, c.Response.StatusCode)
	}
	for name, value := range c.Response.Headers {
		if got := a.Header.Get(name); got != value {
			t.Errorf("header %s is %q, want %q", name, got, value)
		}
	}
	b := wiretest.NewBuilder(&s.Model)
	id, typ, err := b.Add(failure.Name)
	if err != nil {
		t.Fatal(err)
	}
	shape, err := plan.NewSet(b.Service).Compile(id, typ)
	if err != nil {
		t.Fatal(err)
	}
	back := reflect.New(typ).Elem()
	if err := cborwire.Decode(a.Body, whole(shape), back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(withoutNulls(c.Error), wiretest.Plain(shape, back)); d != "" {
		t.Errorf("error (-want +got)\n%s", d)
	}
}

func TestCBORRefuses(t *testing.T) {
	s := suites(t, "output", "smithy-rpc-v2-cbor")
	for i := range s {
		for _, c := range s[i].Cases {
			body, err := base64.StdEncoding.DecodeString(c.Response.Body)
			if err != nil || len(body) == 0 || c.ErrorCode != "" {
				continue
			}
			op, _ := prepare(t, &s[i], &c)
			for cut := range body {
				if cborwire.Decode(body[:cut], whole(op.Output), reflect.New(op.Output.Type).Elem()) == nil {
					t.Errorf("%s: accepted when cut at %d of %d", c.ID, cut, len(body))
				}
			}
			if cborwire.Decode(append(body, 0), whole(op.Output), reflect.New(op.Output.Type).Elem()) == nil {
				t.Errorf("%s: accepted with a byte more", c.ID)
			}
		}
	}
}

// everything has a member of each kind, one of them itself.
type everything struct {
	Text *string
	List []string
	Self *everything
	Map  map[string]everything
	At   *time.Time
	Blob []byte
	N    *int32
	X    *float64
}

func FuzzCBOR(f *testing.F) {
	service := &awsapi.Service{Shapes: []awsapi.Shape{{},
		{Name: "S", Members: []awsapi.Member{{Name: "Text", Shape: 2}, {Name: "List", Shape: 3}, {Name: "Self", Shape: 1},
			{Name: "Map", Shape: 4}, {Name: "At", Shape: 5}, {Name: "Blob", Shape: 6}, {Name: "N", Shape: 7}, {Name: "X", Shape: 8}}},
		{Name: "Text", Kind: awsapi.KindString}, {Name: "List", Kind: awsapi.KindList, Element: &awsapi.Member{Shape: 2}},
		{Name: "Map", Kind: awsapi.KindMap, Key: &awsapi.Member{Shape: 2}, Value: &awsapi.Member{Shape: 1}},
		{Name: "At", Kind: awsapi.KindTimestamp}, {Name: "Blob", Kind: awsapi.KindBlob}, {Name: "N", Kind: awsapi.KindInteger},
		{Name: "X", Kind: awsapi.KindDouble},
	}}
	p, err := plan.NewSet(service).Compile(1, reflect.TypeFor[everything]())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("\xbfdText\x61xdSelf\xa1aN\x18\x20\x64List\x9f\x61a\xff\xff"))
	f.Add([]byte("\xa2bAt\xc1\xfb\x41\xd4\x2d\x29\x00\x00\x00\x00aX\xf9\x7c\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		first := reflect.New(p.Type).Elem()
		if cborwire.Decode(data, whole(p), first) != nil {
			return
		}
		encoded := cborwire.AppendStructure(nil, p, first)
		second := reflect.New(p.Type).Elem()
		if err := cborwire.Decode(encoded, whole(p), second); err != nil {
			t.Fatalf("%v in %x", err, encoded)
		}
		if d := cmp.Diff(wiretest.Plain(p, first), wiretest.Plain(p, second)); d != "" {
			t.Errorf("%x\n%s", encoded, d)
		}
	})
}
