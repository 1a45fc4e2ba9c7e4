package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"hotaru/awsapi"
	"hotaru/awsapi/iam"
	"hotaru/awsapi/lambda"
	"hotaru/awsapi/sts"
)

// thing has a member of each kind, one of them itself.
type thing struct {
	Text    *string
	Number  *int32
	Long    *int64
	Double  *float64
	Boolean *bool
	At      *time.Time
	Blob    []byte
	List    []string
	Map     map[string]string
	Self    *thing
}

// things is a service of one protocol whose operation answers what it gets.
func things(name string, protocol awsapi.Protocol) awsapi.Binding {
	s := &awsapi.Service{
		Name: name, FullName: "Things", APIVersion: "2020-01-01", SigningName: name, Protocols: []awsapi.Protocol{protocol},
		TargetPrefix: name, JSONVersion: "1.1", XMLNamespace: "http://things/", Shapes: []awsapi.Shape{{},
			{Name: "Thing", Members: []awsapi.Member{{Name: "Text", Shape: 2}, {Name: "Number", Shape: 3}, {Name: "Long", Shape: 4},
				{Name: "Double", Shape: 5}, {Name: "Boolean", Shape: 6}, {Name: "At", Shape: 7}, {Name: "Blob", Shape: 8},
				{Name: "List", Shape: 9}, {Name: "Map", Shape: 10}, {Name: "Self", Shape: 1}}},
			{Name: "Text", Kind: awsapi.KindString}, {Name: "Number", Kind: awsapi.KindInteger}, {Name: "Long", Kind: awsapi.KindLong},
			{Name: "Double", Kind: awsapi.KindDouble}, {Name: "Boolean", Kind: awsapi.KindBoolean}, {Name: "At", Kind: awsapi.KindTimestamp},
			{Name: "Blob", Kind: awsapi.KindBlob}, {Name: "List", Kind: awsapi.KindList, Element: &awsapi.Member{Shape: 2}},
			{Name: "Map", Kind: awsapi.KindMap, Key: &awsapi.Member{Shape: 2}, Value: &awsapi.Member{Shape: 2}},
		},
		Operations: []awsapi.Operation{{Name: "Echo", Method: "POST", Path: "/" + name, Status: 200, Input: 1, Output: 1, ResultWrapper: "EchoResult"}},
	}
	return awsapi.Binding{Service: s, Handlers: []awsapi.Handler{awsapi.Handle(func(_ context.Context, in *thing) (*thing, error) { return in, nil })}}
}

// The services of everything, and how a body is sent to each.
var everyProtocol = map[string]awsapi.Protocol{
	"rj": awsapi.ProtocolRestJSON, "rx": awsapi.ProtocolRestXML, "js": awsapi.ProtocolJSON, "qu": awsapi.ProtocolQuery, "cb": awsapi.ProtocolCBOR,
}

func everyService(t testing.TB, options Options) *Server {
	t.Helper()
	var bindings []awsapi.Binding
	for name, p := range everyProtocol {
		bindings = append(bindings, things(name, p))
	}
	s, err := New(options, bindings...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// to makes a request for a service; a query's body is what follows its action.
func to(name string, body io.Reader) *http.Request {
	r := httptest.NewRequest("POST", "/"+name, body)
	switch everyProtocol[name] {
	case awsapi.ProtocolJSON:
		r.URL.Path = "/"
		r.Header.Set("X-Amz-Target", name+".Echo")
	case awsapi.ProtocolQuery:
		r.URL.Path, r.URL.RawQuery = "/", "Action=Echo&Version=2020-01-01"
		r.Header.Set("Content-Type", formType)
	case awsapi.ProtocolCBOR:
		r.URL.Path = "/service/" + name + "/operation/Echo"
		r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
	}
	return r
}

const xmlHead = `<?xml version="1.0" encoding="UTF-8"?>`

func TestBodies(t *testing.T) {
	s := everyService(t, Options{})
	deep := strings.Repeat(`{"Self":`, 400) + "{}" + strings.Repeat("}", 400)
	for _, c := range []struct {
		name, service, body string
		status              int
		// answer is the body, or a part of it where it starts with "...".
		answer string
	}{
		{"nothing", "rj", "", 200, "{}"}, {"nothing", "js", "", 200, "{}"}, {"nothing", "rx", "", 200, `<Thing xmlns="http://things/"></Thing>`},
		{"nothing", "cb", "", 200, "\xa0"}, {"nothing", "qu", "", 200, "..."},
		{"only white space", "rj", " \r\n", 400, "..."}, {"only white space", "js", " ", 400, "..."}, {"only white space", "rx", " \n", 400, "...MalformedXML"},
		{"null", "rj", "null", 200, "{}"}, {"null", "js", "null", 200, "{}"}, {"null", "cb", "\xf6", 200, "\xa0"},
		{"a list", "rj", "[]", 400, `{"message":"Start of list found where not expected"}`}, {"a list", "js", "[]", 400, "...Start of list"}, {"a list", "cb", "\x80", 400, "..."},
		{"a string", "rj", `"x"`, 400, `{"message":"Unexpected field type"}`}, {"a string", "cb", "\x61x", 400, "..."},
		{"byte order mark", "rj", "\ufeff{}", 400, "...Could not parse"}, {"byte order mark", "js", "\ufeff{}", 400, "..."}, {"byte order mark", "rx", "\ufeff" + xmlHead + "<T><Text>a</Text></T>", 200, "...<Text>a</Text>"},
		{"trailing garbage", "rj", "{}x", 400, "..."}, {"trailing garbage", "js", "{}{}", 400, "..."}, {"trailing garbage", "cb", "\xa0\x00", 400, "..."},
		{"trailing garbage", "rx", "<a/><b/>", 400, "..."}, {"trailing white space", "rj", "{} \n", 200, "{}"}, {"trailing comment", "rx", "<a/><!-- b -->", 200, "..."},
		{"deep", "rj", deep, 200, deep}, {"deep", "js", deep, 200, deep},
		{"too deep", "rj", strings.Repeat(`{"Self":`, 100000), 400, "..."}, {"too deep", "js", strings.Repeat("[", 100000), 400, "..."},
		{"too deep, unknown", "rj", `{"x":` + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + "}", 400, "..."},
		{"too deep", "rx", strings.Repeat("<Self>", 100000), 400, "..."}, {"too deep, unknown", "rx", "<a>" + strings.Repeat("<x>", 100000), 400, "..."},
		{"too deep", "cb", strings.Repeat("\xa1dSelf", 100000), 400, "..."}, {"too deep, tags", "cb", "\xa1ax" + strings.Repeat("\xc6", 100000), 400, "..."},
		{"too deep, known tags", "cb", "\xa1dText" + strings.Repeat("\xc6", 100000), 400, "..."},
		{"too deep", "qu", strings.Repeat("Self.", 100) + "Text=x", 404, "...MalformedQueryString"},
		{"a key twice", "rj", `{"Text":"a","Text":"b"}`, 200, `{"Text":"b"}`}, {"a key twice", "js", `{"Text":"a","Text":"b"}`, 200, `{"Text":"b"}`},
		{"a key twice", "cb", "\xa2dTextaadTextab", 200, "\xa1dTextab"}, {"a map's key twice", "rj", `{"Map":{"k":"a","k":"b"}}`, 200, `{"Map":{"k":"b"}}`},
		{"a parameter twice", "qu", "Text=a&Text=b", 200, "...<Text>a</Text>"}, {"an element twice", "rx", "<a><Text>a</Text><Text>b</Text></a>", 200, "...<Text>b</Text>"},
		{"huge integer", "rj", `{"Number":1e400}`, 400, "...NUMBER_VALUE"}, {"huge integer", "js", `{"Long":9223372036854775808}`, 400, "...NUMBER_VALUE"},
		{"largest integer", "rj", `{"Long":9223372036854775807}`, 200, `{"Long":9223372036854775807}`},
		{"huge integer", "qu", "Long=9223372036854775808", 400, "...MalformedInput"}, {"huge integer", "rx", "<a><Long>9223372036854775808</Long></a>", 400, "..."},
		{"huge integer", "cb", "\xa1dLong\x1b\xff\xff\xff\xff\xff\xff\xff\xff", 400, "..."},
		{"endless digits", "rj", `{"Long":` + strings.Repeat("9", 100000) + "}", 400, "...NUMBER_VALUE"},
		{"huge double", "rj", `{"Double":1e400}`, 400, "...NUMBER_VALUE"}, {"tiny double", "rj", `{"Double":1e-400}`, 200, `{"Double":0.0}`},
		{"far time", "rj", `{"At":1e300}`, 400, "..."}, {"far time", "cb", "\xa1bAt\xc1\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00", 400, "..."},
		{"NaN", "rj", `{"Double":"NaN"}`, 200, `{"Double":"NaN"}`}, {"NaN of no number", "rj", `{"Double":NaN}`, 400, "..."}, {"infinity", "js", `{"Double":"-Infinity"}`, 200, `{"Double":"-Infinity"}`},
		{"NaN", "qu", "Double=NaN", 200, "...<Double>NaN</Double>"}, {"NaN", "rx", "<a><Double>NaN</Double></a>", 200, "...<Double>NaN</Double>"},
		{"NaN", "cb", "\xa1fDouble\xf9\x7e\x00", 200, "..."}, {"NaN of an integer", "rj", `{"Number":"NaN"}`, 400, "...STRING_VALUE"},
		{"no UTF-8", "rj", "{\"Text\":\"\xff\"}", 400, "..."}, {"no UTF-8", "js", "{\"\xff\":1}", 400, "..."}, {"no UTF-8", "cb", "\xa1dTexta\xff", 400, "..."},
		{"no UTF-8", "qu", "Text=%FF", 400, "...MalformedInput"}, {"no UTF-8", "rx", "<a><Text>\xff</Text></a>", 400, "..."},
		{"half a surrogate", "rj", `{"Text":"\ud83d"}`, 200, "{\"Text\":\"\ufffd\"}"}, {"zero byte", "rj", `{"Text":"\u0000"}`, 200, `{"Text":"\u0000"}`},
		{"an entity", "rx", `<!DOCTYPE a [<!ENTITY e "x">]><a><Text>&e;</Text></a>`, 400, "..."}, {"an encoding", "rx", `<?xml version="1.0" encoding="EBCDIC"?><a/>`, 400, "..."},
		{"a false length", "cb", "\xa1dBlob\x5b\x7f\xff\xff\xff\xff\xff\xff\xff", 400, "..."}, {"a false count", "cb", "\xbb\xff\xff\xff\xff\xff\xff\xff\xff", 400, "..."},
		{"no base64", "rj", `{"Blob":"*"}`, 400, "..."}, {"no base64", "qu", "Blob=*", 400, "..."}, {"no boolean", "qu", "Boolean=yes", 400, "..."},
		{"nothing in a list", "js", `{"List":[null]}`, 400, "..."}, {"nothing in a list", "cb", "\xa1dList\x81\xf6", 400, "..."},
		{"a map without a key", "qu", "Map.entry.1.value=x", 400, "..."},
	} {
		w := do(s, to(c.service, strings.NewReader(c.body)))
		part, isPart := strings.CutPrefix(c.answer, "...")
		got := w.Body.String()
		if w.Code != c.status || !isPart && got != c.answer || isPart && !strings.Contains(got, part) {
			t.Errorf("%s to %s: %d %.300q, want %d %.300q", c.name, c.service, w.Code, got, c.status, c.answer)
		}
		if strings.Contains(got, "reflect") || strings.Contains(got, ".go:") || strings.Contains(got, "goroutine") {
			t.Errorf("%s to %s: internals in %q", c.name, c.service, got)
		}
	}
}

func TestContentTypes(t *testing.T) {
	s := everyService(t, Options{})
	body := map[string]string{"rj": `{"Text":"a"}`, "js": `{"Text":"a"}`, "rx": "<a><Text>a</Text></a>", "qu": "Text=a", "cb": "\xa1dTextaa"}
	for _, c := range []struct {
		service string
		types   []string
		status  int
	}{
		{"rj", []string{"text/xml"}, 415}, {"rj", []string{"application/cbor"}, 415}, {"rj", []string{"application/json;"}, 200}, {"rj", []string{"nonsense/"}, 415},
		{"rj", []string{"application/json", "application/json"}, 415}, {"rj", []string{"application/json", "text/xml"}, 415}, {"rj", []string{"application/json; charset=utf-16"}, 415},
		{"rj", []string{"application/json; charset=\"UTF-8\""}, 200}, {"rj", []string{"APPLICATION/JSON;charset=utf8"}, 200}, {"rj", []string{"application/x-www-form-urlencoded"}, 200},
		{"rj", []string{"application/vnd.api+json"}, 200}, {"rj", []string{""}, 200},
		{"js", []string{"text/xml"}, 415}, {"js", []string{"application/x-amz-json-1.0"}, 200}, {"js", []string{"application/x-amz-json-1.1; charset=utf-8"}, 200},
		{"js", []string{"application/x-amz-json-1.1", "application/cbor"}, 415}, {"js", []string{"multipart/form-data"}, 415},
		{"cb", []string{"application/json"}, 415}, {"cb", []string{"application/cbor", "application/cbor"}, 415}, {"cb", []string{"application/cbor; x=y"}, 200}, {"cb", nil, 200},
		{"rx", []string{"text/plain"}, 200}, {"rx", []string{"application/xml"}, 200}, {"rx", []string{"text/xml", "text/xml"}, 200},
		{"qu", []string{"application/json"}, 404}, {"qu", []string{formType, formType}, 404}, {"qu", []string{formType + "; charset=utf-8"}, 200}, {"qu", nil, 404},
	} {
		r := to(c.service, strings.NewReader(body[c.service]))
		r.Header["Content-Type"] = c.types
		if w := do(s, r); w.Code != c.status {
			t.Errorf("%s of %q: %d %s, want %d", c.service, c.types, w.Code, w.Body, c.status)
		}
	}
}

// TestBodiesThatBreakOff have no length, or end before it, or in an error of the connection.
func TestBodiesThatBreakOff(t *testing.T) {
	const limit = 1 << 10
	s := everyService(t, Options{BodyLimit: func(string, string) int64 { return limit }})
	for name := range everyProtocol {
		size, broken := limit+1, errors.New("connection reset")
		if everyProtocol[name] == awsapi.ProtocolQuery {
			size = formLimit + 1
		}
		for what, c := range map[string]struct {
			body   io.Reader
			length int64
			status int
		}{
			"too long, chunked":  {io.MultiReader(strings.NewReader(strings.Repeat(" ", size))), -1, 413},
			"too long, declared": {strings.NewReader("x"), int64(size), 413},
			"cut":                {strings.NewReader("12345"), 9, 400},
			"broken, chunked":    {io.MultiReader(strings.NewReader("{"), iotest.ErrReader(broken)), -1, 400},
			"broken, declared":   {io.MultiReader(strings.NewReader("{"), iotest.ErrReader(broken)), 9, 400},
			"cut while chunked":  {io.MultiReader(strings.NewReader("{"), iotest.ErrReader(io.ErrUnexpectedEOF)), -1, 400},
		} {
			r := to(name, c.body)
			r.ContentLength = c.length
			if w := do(s, r); w.Code != c.status || strings.Contains(w.Body.String(), "reset") {
				t.Errorf("%s to %s: %d %s, want %d", what, name, w.Code, w.Body, c.status)
			}
		}
	}
	// A payload that streams breaks off in its handler's hands.
	streaming := newServer(t, Options{}, lambda.Handlers{InvokeAsync: func(_ context.Context, in *lambda.InvokeAsyncRequest) (*lambda.InvokeAsyncResponse, error) {
		_, err := io.Copy(io.Discard, in.InvokeArgs)
		if _, again := in.InvokeArgs.Read(make([]byte, 1)); !errors.Is(again, err) {
			t.Errorf("read again: %v after %v", again, err)
		}
		return nil, err
	}}, iam.Handlers{}, sts.Handlers{})
	r := httptest.NewRequest("POST", "/2014-11-13/functions/f/invoke-async", io.MultiReader(strings.NewReader("{"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	if w := do(streaming, r); w.Code != 400 || w.Header().Get("X-Amzn-Errortype") != "IncompleteBody" {
		t.Errorf("a stream: %d %s", w.Code, w.Body)
	}
}
