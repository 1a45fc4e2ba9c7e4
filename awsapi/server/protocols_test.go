package server

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"hotaru/awsapi"
)

// text is what goes both ways.
type text struct{ Text *string }

// echo is a service of any protocol with one operation, which answers what it gets.
func echo(name string, protocol awsapi.Protocol, change func(*awsapi.Service)) awsapi.Binding {
	s := &awsapi.Service{
		Name: name, FullName: "Echo", APIVersion: "2020-01-01", SigningName: name, Protocols: []awsapi.Protocol{protocol},
		TargetPrefix: strings.ToUpper(name[:1]) + name[1:], Shapes: []awsapi.Shape{{},
			{Name: "Text", Kind: awsapi.KindString, Max: "5"},
			{Name: "Message", Members: []awsapi.Member{{Name: "Text", Shape: 1}}},
			{Name: "Missing", Members: []awsapi.Member{{Name: "message", Shape: 1}}, Error: &awsapi.ErrorTrait{Status: 404, Code: "Gone"}},
		},
		Operations: []awsapi.Operation{{Name: "Echo", Method: "POST", Path: "/echo", Status: 200, Input: 2, Output: 2, Errors: []awsapi.ShapeID{3}}},
	}
	if change != nil {
		change(s)
	}
	return awsapi.Binding{Service: s, Handlers: []awsapi.Handler{awsapi.Handle(func(_ context.Context, in *text) (*text, error) {
		if in.Text != nil && *in.Text == "gone" {
			return nil, awsapi.Errorf("Missing", "no")
		}
		return in, nil
	})}}
}

func TestProtocolsSideBySide(t *testing.T) {
	s, err := New(Options{},
		echo("one", "json", func(s *awsapi.Service) { s.JSONVersion = "1.0"; s.QueryCompatible = true }),
		echo("two", "json", func(s *awsapi.Service) { s.JSONVersion = "1.1" }),
		echo("three", "smithy-rpc-v2-cbor", nil),
		echo("four", "rest-xml", func(s *awsapi.Service) { s.XMLNamespace = "http://four/" }),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path, target, smithy, body string
		status                           int
		want, contentType, queryError    string
	}{
		{"unknown target", "/", "One.Fly", "", "{}", 400, `{"__type":"com.amazonaws.one#UnknownOperationException"}`, "application/x-amz-json-1.0", "UnknownOperationException;Sender"},
		{"unknown service", "/", "Nine.Echo", "", "{}", 404, `{}`, "application/json", ""},
		{"target without a dot", "/", "One", "", "{}", 400, `{"__type":"com.amazonaws.one#UnknownOperationException"}`, "application/x-amz-json-1.0", "UnknownOperationException;Sender"},
		{"target beside a route", "/echo", "Nine.Echo", "", "{}", 404, `{}`, "application/json", ""},
		{"invalid", "/", "Two.Echo", "", `{"Text":"too long"}`, 400,
			`{"__type":"ValidationException","message":"1 validation error detected: Value 'too long' at 'text' failed to satisfy constraint: Member must have length less than or equal to 5"}`, "application/x-amz-json-1.1", ""},
		{"error of 1.0", "/", "One.Echo", "", `{"Text":"gone"}`, 400, `{"__type":"com.amazonaws.one#Missing","message":"no"}`, "application/x-amz-json-1.0", "Gone;Sender"},
		{"error of 1.1", "/", "Two.Echo", "", `{"Text":"gone"}`, 404, `{"__type":"Missing","message":"no"}`, "application/x-amz-json-1.1", ""},
		{"json 1.0", "/", "One.Echo", "", `{"Text":"hi"}`, 200, `{"Text":"hi"}`, "application/x-amz-json-1.0", ""},
		{"json 1.1", "/", "Two.Echo", "", `{"Text":"hi"}`, 200, `{"Text":"hi"}`, "application/x-amz-json-1.1", ""},
		{"json, no body", "/", "Two.Echo", "", ``, 200, `{}`, "application/x-amz-json-1.1", ""},
		{"cbor", "/service/Three/operation/Echo", "", "rpc-v2-cbor", "\xa1dTextbhi", 200, "\xa1dTextbhi", "application/cbor", ""},
		{"broken cbor", "/service/Three/operation/Echo", "", "rpc-v2-cbor", "\xa1dText", 400, "", "application/cbor", ""},
		{"cbor without its header", "/service/Three/operation/Echo", "", "", "\xa0", 404, "{}", "application/json", ""},
		{"xml", "/echo", "", "", "<x><Text>h&amp;i</Text></x>", 200, `<Message xmlns="http://four/"><Text>h&amp;i</Text></Message>`, "application/xml", ""},
		{"broken xml", "/echo", "", "", "<x><Text>", 400, "", "application/xml", ""},
		{"error in xml", "/echo", "", "", "<x><Text>gone</Text></x>", 404,
			`<ErrorResponse xmlns="http://four/"><Error><Type>Sender</Type><Code>Gone</Code><Message>no</Message></Error><RequestId><id></RequestId></ErrorResponse>`, "application/xml", ""},
	} {
		r := httptest.NewRequest("POST", c.path, strings.NewReader(c.body))
		for name, value := range map[string]string{"X-Amz-Target": c.target, "Smithy-Protocol": c.smithy} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		w := do(s, r)
		if w.Code != c.status || w.Header().Get("Content-Type") != c.contentType || w.Header().Get("X-Amzn-Query-Error") != c.queryError {
			t.Errorf("%s: %d %v", c.name, w.Code, w.Header())
		}
		if got := withID(w); c.want != "" && got != c.want {
			t.Errorf("%s: body is %q, want %q", c.name, got, c.want)
		}
	}
}
