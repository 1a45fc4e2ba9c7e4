package protocol

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/plan"
	"hotaru/awsapi/internal/querywire"
	"hotaru/awsapi/internal/route"
	"hotaru/awsapi/internal/wiretest"
	"hotaru/awsapi/lambda"
)

// The published protocol tests (testdata/README.md) are written for clients. Here requests are decoded and must give
// the parameters; results are encoded and must give the response.

// suite is one model with its cases.
type suite struct {
	wiretest.Model
	Cases []testCase `json:"cases"`
}

type testCase struct {
	ID    string `json:"id"`
	Given struct {
		Name string `json:"name"`
		HTTP struct {
			Method       string `json:"method"`
			RequestURI   string `json:"requestUri"`
			ResponseCode int    `json:"responseCode"`
		} `json:"http"`
		Input  *wiretest.Reference  `json:"input"`
		Output *wiretest.Reference  `json:"output"`
		Errors []wiretest.Reference `json:"errors"`
	} `json:"given"`
	Params     map[string]any `json:"params"`
	Serialized struct {
		Method  string            `json:"method"`
		URI     string            `json:"uri"`
		Body    string            `json:"body"`
		Headers map[string]string `json:"headers"`
	} `json:"serialized"`
	Result       map[string]any `json:"result"`
	ErrorCode    string         `json:"errorCode"`
	ErrorMessage string         `json:"errorMessage"`
	Error        map[string]any `json:"error"`
	Response     struct {
		StatusCode int               `json:"status_code"`
		Headers    map[string]string `json:"headers"`
		Body       string            `json:"body"`
	} `json:"response"`
}

func suites(t *testing.T, direction, name string) []suite {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", direction, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []suite
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// prepare builds the service and the operation of a case.
func prepare(t *testing.T, s *suite, c *testCase) (*Operation, Protocol) {
	t.Helper()
	b := wiretest.NewBuilder(&s.Model)
	op := awsapi.Operation{Name: c.Given.Name, Method: c.Given.HTTP.Method, Path: c.Given.HTTP.RequestURI, Status: 200}
	if c.Given.HTTP.ResponseCode != 0 {
		op.Status = c.Given.HTTP.ResponseCode
	}
	input, output := reflect.TypeFor[struct{}](), reflect.TypeFor[struct{}]()
	var err error
	if ref := c.Given.Input; ref != nil {
		if op.Input, input, err = b.Add(ref.Shape); err != nil {
			t.Fatal(err)
		}
	}
	if ref := c.Given.Output; ref != nil {
		if op.Output, output, err = b.Add(ref.Shape); err != nil {
			t.Fatal(err)
		}
		if op.ResultWrapper = ref.ResultWrapper; op.ResultWrapper == "" {
			op.ResultWrapper = op.Name + "Result"
		}
	}
	for _, ref := range c.Given.Errors {
		if _, _, err := b.Add(ref.Shape); err != nil {
			t.Fatal(err)
		}
	}
	p, ok := For(b.Service, b.Service.Protocols[0])
	if !ok {
		t.Fatalf("no protocol for %s", b.Service.Protocols)
	}
	set := plan.NewSet(b.Service)
	ready := &Operation{Operation: &op, Service: b.Service}
	if ready.Input, err = set.Compile(op.Input, input); err != nil {
		t.Fatal(err)
	}
	if ready.Output, err = set.Compile(op.Output, output); err != nil {
		t.Fatal(err)
	}
	return ready, p
}

func TestPublishedRequests(t *testing.T) {
	for _, name := range []string{"rest-json", "rest-xml", "query", "json", "json_1_0", "json_1_0-query-compatible"} {
		for _, s := range suites(t, "input", name) {
			for _, c := range s.Cases {
				t.Run(name+"/"+c.ID, func(t *testing.T) {
					if reason := notForServers(c.ID); reason != "" {
						t.Skip(reason)
					}
					checkRequest(t, &s, &c)
				})
			}
		}
	}
}

func checkRequest(t *testing.T, s *suite, c *testCase) {
	op, p := prepare(t, s, c)
	r := httptest.NewRequest(c.Serialized.Method, "http://example.com"+escapeSpaces(c.Serialized.URI), strings.NewReader(c.Serialized.Body))
	for name, value := range c.Serialized.Headers {
		r.Header.Set(name, value)
	}
	request := &Request{HTTP: r, Body: []byte(c.Serialized.Body), Stream: strings.NewReader(c.Serialized.Body)}
	switch op.Service.Protocols[0] {
	case "query":
		form, err := querywire.Parse(c.Serialized.Body)
		if err != nil {
			t.Fatal(err)
		}
		request.Form = form
		if action, _ := form.Get("Action"); action != op.Name {
			t.Errorf("Action is %q", action)
		}
	case "rest-json", "rest-xml":
		var router route.Router
		if err := router.Add(0, op.Method, op.Path); err != nil {
			t.Fatal(err)
		}
		match, ok := router.Find(r.Method, r.URL.EscapedPath(), r.URL.RawQuery)
		if !ok {
			t.Fatalf("%s %s has no route %s", r.Method, r.URL, op.Path)
		}
		request.Match = match
	}
	input := reflect.New(op.Input.Type).Elem()
	if err := p.Decode(op, request, input); err != nil {
		t.Fatal(err)
	}
	got := plainWithStreams(op.Input, input)
	for _, f := range op.Input.Query {
		if _, named := c.Params[f.Name]; !named && f.Plan.Shape.Kind == awsapi.KindMap {
			// A map of the whole query has the named parameters too, which clients do not repeat.
			delete(got.(map[string]any), f.Name)
		}
	}
	if d := cmp.Diff(withoutNulls(c.Params), got); d != "" {
		t.Errorf("parameters (-want +got)\n%s", d)
	}
}

func escapeSpaces(uri string) string { return strings.ReplaceAll(uri, " ", "%20") }

// withoutNulls drops members that are null or, in lists, keeps them: sparse lists have them.
func withoutNulls(m map[string]any) any {
	out := map[string]any{}
	for k, v := range m {
		if v != nil {
			out[k] = v
		}
	}
	return out
}

// plainWithStreams is wiretest.Plain with streaming payloads read.
func plainWithStreams(p *plan.Plan, v reflect.Value) any {
	var stream any
	if p.Payload != nil && p.Payload.Of(v).Kind() == reflect.Interface {
		if reader, ok := p.Payload.Of(v).Interface().(io.Reader); ok {
			b, _ := io.ReadAll(reader)
			stream = string(b)
		}
		p.Payload.Of(v).SetZero()
	}
	m := wiretest.Plain(p, v)
	if stream != nil && stream != "" {
		m.(map[string]any)[p.Payload.Name] = stream
	}
	return m
}

func TestPublishedResponses(t *testing.T) {
	for _, name := range []string{"rest-json", "rest-xml", "query", "json", "json_1_0", "json_1_0-query-compatible"} {
		for _, s := range suites(t, "output", name) {
			for _, c := range s.Cases {
				t.Run(name+"/"+c.ID, func(t *testing.T) {
					if reason := notForServers(c.ID); reason != "" {
						t.Skip(reason)
					}
					checkResponse(t, &s, &c)
				})
			}
		}
	}
}

func checkResponse(t *testing.T, s *suite, c *testCase) {
	op, p := prepare(t, s, c)
	var a *Answer
	if c.ErrorCode != "" {
		a = p.EncodeFailure(op.Service, FailureOf(op.Service, &awsapi.Error{Code: c.ErrorCode, Message: c.ErrorMessage, Fields: c.Error}), "foo-id")
	} else {
		output := reflect.New(op.Output.Type).Elem()
		if err := wiretest.Fill(op.Output, output, c.Result); err != nil {
			t.Fatal(err)
		}
		var err error
		if a, err = p.Encode(op, output, "foo-id"); err != nil {
			t.Fatal(err)
		}
	}
	if a.Status != c.Response.StatusCode {
		t.Errorf("status is %d, want %d", a.Status, c.Response.StatusCode)
	}
	for name, value := range c.Response.Headers {
		if got := a.Header.Get(name); got != value {
			t.Errorf("header %s is %q, want %q", name, got, value)
		}
	}
	want := []byte(c.Response.Body)
	if op.Service.Protocols[0] == "rest-xml" && c.ErrorCode == "" && isXML(want) && isXML(a.Body) {
		// The model format has lost the root's name.
		w, g := element(t, want), element(t, a.Body)
		g.Name = w.Name
		if d := cmp.Diff(w, g); d != "" {
			t.Errorf("body (-want +got)\n%s", d)
		}
		return
	}
	if op.Service.Protocols[0] == "query" || c.ErrorCode != "" && op.Service.Protocols[0] == "rest-xml" {
		if len(want) == 0 {
			return
		}
		if d := cmp.Diff(element(t, want), element(t, a.Body)); d != "" {
			t.Errorf("body (-want +got)\n%s", d)
		}
		return
	}
	var wantJSON, gotJSON any
	a.Body = withoutNamespace(a.Body)
	want = withoutNamespace(want)
	if json.Unmarshal(want, &wantJSON) != nil || json.Unmarshal(a.Body, &gotJSON) != nil {
		if !bytes.Equal(want, a.Body) && (len(want) != 0 || string(a.Body) != "{}") {
			t.Errorf("body is %s, want %s", a.Body, want)
		}
		return
	}
	if d := cmp.Diff(wantJSON, gotJSON); d != "" {
		t.Errorf("body (-want +got)\n%s", d)
	}
}

func isXML(body []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) }

// withoutNamespace drops what stands before # in __type: clients do, and services differ.
func withoutNamespace(body []byte) []byte {
	before, after, found := bytes.Cut(body, []byte(`"__type":"`))
	if !found {
		if before, after, found = bytes.Cut(body, []byte(`"__type": "`)); !found {
			return body
		}
	}
	if _, name, ok := bytes.Cut(after, []byte("#")); ok && bytes.IndexByte(after, '#') < bytes.IndexByte(after, '"') {
		after = name
	}
	return bytes.Join([][]byte{before, after}, []byte(`"__type":"`))
}

// node is an XML element for comparison: names without prefixes, text trimmed, children in order.
type node struct {
	Name     string
	Text     string
	Children []node
}

// sortEntries makes comparison blind to the order of elements with children, which maps have in any order.
func sortEntries(children []node) {
	slices.SortStableFunc(children, func(a, b node) int {
		if a.Name != b.Name || len(a.Children) == 0 || len(b.Children) == 0 {
			return 0
		}
		return strings.Compare(a.Children[0].Text, b.Children[0].Text)
	})
}

func element(t *testing.T, data []byte) node {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(data))
	var stack []node
	root := node{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return root
		}
		if err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		switch e := token.(type) {
		case xml.StartElement:
			stack = append(stack, node{Name: e.Name.Local})
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].Text += strings.TrimSpace(string(e))
			}
		case xml.EndElement:
			done := stack[len(stack)-1]
			sortEntries(done.Children)
			stack = stack[:len(stack)-1]
			if done.Name == "ResponseMetadata" || done.Name == "RequestId" && len(stack) == 1 && stack[0].Name != "ErrorResponse" {
				continue
			}
			if len(stack) == 0 {
				root = done
			} else {
				stack[len(stack)-1].Children = append(stack[len(stack)-1].Children, done)
			}
		}
	}
}

// TestRecordedError holds an answer of Lambda whose length and headers were recorded.
func TestRecordedError(t *testing.T) {
	f := FailureOf(lambda.Service, awsapi.Errorf(lambda.PreconditionFailedException,
		"The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id"))
	a := restJSON{}.EncodeFailure(lambda.Service, f, "id")
	if len(a.Body) != 149 || a.Status != 412 || a.Header.Get("X-Amzn-ErrorType") != "PreconditionFailedException" || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %v %d bytes: %s", a.Status, a.Header, len(a.Body), a.Body)
	}
}
