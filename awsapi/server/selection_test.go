package server

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hotaru/awsapi"
	"hotaru/awsapi/iam"
	"hotaru/awsapi/lambda"
	"hotaru/awsapi/sigv4"
	"hotaru/awsapi/sts"
)

// metrics is a service as CloudWatch is: three protocols, errors that query's clients know, bodies in gzip.
func metrics(s *awsapi.Service) {
	s.Protocols = []awsapi.Protocol{awsapi.ProtocolCBOR, awsapi.ProtocolJSON, awsapi.ProtocolQuery}
	s.JSONVersion, s.QueryCompatible, s.XMLNamespace = "1.0", true, "http://metrics/"
	s.Operations[0].Compressed, s.Operations[0].ResultWrapper, s.Operations[0].Path = true, "EchoResult", "/"
}

const formType = "application/x-www-form-urlencoded"

// asked is a request in the form of one protocol.
type asked struct {
	path, target, smithy, contentType, encoding, body string
}

func (a asked) request() *http.Request {
	r := httptest.NewRequest("POST", a.path, strings.NewReader(a.body))
	for name, value := range map[string]string{
		"X-Amz-Target": a.target, "Smithy-Protocol": a.smithy, "Content-Type": a.contentType, "Content-Encoding": a.encoding,
	} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	return r
}

func inGzip(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOneServiceOfThreeProtocols(t *testing.T) {
	s, err := New(Options{Authenticator: sigv4.NewVerifier(sigv4.Options{Credentials: testCredentials})}, echo("metrics", "", metrics))
	if err != nil {
		t.Fatal(err)
	}
	const failed = `<ErrorResponse xmlns="http://metrics/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId><id></RequestId></ErrorResponse>`
	query := func(code, message string) string {
		return strings.Replace(strings.Replace(failed, "%s", code, 1), "%s", message, 1)
	}
	for _, c := range []struct {
		name              string
		asked             asked
		status            int
		contentType       string
		queryError, wants string
	}{
		{"error in cbor", asked{path: "/service/Metrics/operation/Echo", smithy: "rpc-v2-cbor", body: "\xa1dTextdgone"}, 400, "application/cbor", "Gone;Sender",
			"\xa2f__typex\x1dcom.amazonaws.metrics#Missinggmessagebno"},
		{"error in json", asked{path: "/", target: "Metrics.Echo", body: `{"Text":"gone"}`}, 400, "application/x-amz-json-1.0", "Gone;Sender",
			`{"__type":"com.amazonaws.metrics#Missing","message":"no"}`},
		{"error in query", asked{path: "/", contentType: formType, body: "Action=Echo&Version=2020-01-01&Text=gone"}, 404, "text/xml", "", query("Gone", "no")},
		{"unknown in cbor", asked{path: "/service/Metrics/operation/Fly", smithy: "rpc-v2-cbor", body: "\xa0"}, 404, "application/cbor", "UnknownOperationException;Sender", ""},
		{"unknown in json", asked{path: "/", target: "Metrics.Fly", body: `{}`}, 400, "application/x-amz-json-1.0", "UnknownOperationException;Sender", ""},
		{"unknown in query", asked{path: "/", contentType: formType, body: "Action=Fly&Version=2020-01-01"}, 400, "text/xml", "",
			query("InvalidAction", "Could not find operation Fly for version 2020-01-01")},
		{"unknown, no form at all", asked{path: "/x"}, 404, "application/cbor", "UnknownOperationException;Sender", ""},
		{"invalid in json", asked{path: "/", target: "Metrics.Echo", body: `{"Text":"too long"}`}, 400, "application/x-amz-json-1.0", "ValidationException;Sender", ""},
		{"invalid in query", asked{path: "/", contentType: formType, body: "Action=Echo&Version=2020-01-01&Text=too+long"}, 400, "text/xml", "", query("ValidationError",
			"1 validation error detected: Value 'too long' at 'text' failed to satisfy constraint: Member must have length less than or equal to 5")},
		{"json beats a form", asked{path: "/?Action=Echo&Version=2020-01-01", target: "Metrics.Echo", contentType: formType, body: `{"Text":"hi"}`}, 200,
			"application/x-amz-json-1.0", "", `{"Text":"hi"}`},
		{"json of the other version", asked{path: "/", target: "Metrics.Echo", contentType: "application/x-amz-json-1.1", body: `{"Text":"hi"}`}, 200,
			"application/x-amz-json-1.0", "", `{"Text":"hi"}`},
		{"cbor", asked{path: "/service/Metrics/operation/Echo", smithy: "rpc-v2-cbor", contentType: "application/cbor", body: "\xa1dTextbhi"}, 200,
			"application/cbor", "", "\xa1dTextbhi"},
		{"cbor under a prefix", asked{path: "/a/service/Metrics/operation/Echo", smithy: "rpc-v2-cbor", body: "\xa1dTextbhi"}, 200, "application/cbor", "", ""},
		{"query", asked{path: "/", contentType: formType, body: "Action=Echo&Version=2020-01-01&Text=hi"}, 200, "text/xml", "",
			`<EchoResponse xmlns="http://metrics/"><EchoResult><Text>hi</Text></EchoResult><ResponseMetadata><RequestId><id></RequestId></ResponseMetadata></EchoResponse>`},
		{"query on a path", asked{path: "/123456789012/queue", contentType: formType, body: "Action=Echo&Version=2020-01-01&Text=hi"}, 200, "text/xml", "", ""},
		{"cbor in gzip", asked{path: "/service/Metrics/operation/Echo", smithy: "rpc-v2-cbor", encoding: "gzip", body: inGzip(t, "\xa1dTextbhi")}, 200,
			"application/cbor", "", "\xa1dTextbhi"},
		{"json in gzip", asked{path: "/", target: "Metrics.Echo", encoding: "GZIP", body: inGzip(t, `{"Text":"hi"}`)}, 200, "application/x-amz-json-1.0", "", `{"Text":"hi"}`},
		{"query in gzip", asked{path: "/", contentType: formType, encoding: "gzip", body: inGzip(t, "Action=Echo&Version=2020-01-01&Text=hi")}, 200, "text/xml", "", ""},
		{"two members of gzip", asked{path: "/", target: "Metrics.Echo", encoding: "gzip", body: inGzip(t, `{"Text":`) + inGzip(t, `"hi"}`)}, 200,
			"application/x-amz-json-1.0", "", `{"Text":"hi"}`},
		{"no gzip", asked{path: "/", target: "Metrics.Echo", encoding: "gzip", body: `{"Text":"hi"}`}, 400, "application/x-amz-json-1.0", "SerializationException;Sender", ""},
		{"half a gzip", asked{path: "/", target: "Metrics.Echo", encoding: "gzip", body: inGzip(t, `{"Text":"hi"}`)[:20]}, 400, "application/x-amz-json-1.0",
			"SerializationException;Sender", ""},
		{"no gzip in query", asked{path: "/", contentType: formType, encoding: "gzip", body: "Action=Echo"}, 400, "text/xml", "", ""},
		{"another encoding", asked{path: "/", target: "Metrics.Echo", encoding: "br", body: `{}`}, 415, "application/x-amz-json-1.0", "UnsupportedMediaTypeException;Sender", ""},
		{"gzip twice", asked{path: "/", target: "Metrics.Echo", encoding: "gzip, gzip", body: inGzip(t, inGzip(t, `{}`))}, 415, "application/x-amz-json-1.0", "", ""},
	} {
		w := do(s, signed(t, c.asked.request(), "metrics", c.asked.body))
		if w.Code != c.status || w.Header().Get("Content-Type") != c.contentType || c.queryError != "" && w.Header().Get("X-Amzn-Query-Error") != c.queryError {
			t.Errorf("%s: %d %v %s", c.name, w.Code, w.Header(), w.Body)
		}
		if got := strings.ReplaceAll(withID(w), "&#39;", "'"); c.wants != "" && got != c.wants {
			t.Errorf("%s: body is %q, want %q", c.name, got, c.wants)
		}
	}
}

// TestGzipIsBounded expands a body that is small on the wire.
func TestGzipIsBounded(t *testing.T) {
	s, err := New(Options{BodyLimit: func(string, string) int64 { return 1 << 20 }}, echo("metrics", "", metrics))
	if err != nil {
		t.Fatal(err)
	}
	bomb := inGzip(t, `{"Text":"`+strings.Repeat(" ", 8<<20))
	if len(bomb) > 1<<16 {
		t.Fatalf("the body is %d bytes", len(bomb))
	}
	for _, a := range []asked{
		{path: "/", target: "Metrics.Echo", encoding: "gzip", body: bomb},
		{path: "/", contentType: formType, encoding: "gzip", body: bomb},
	} {
		if w := do(s, a.request()); w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d %s", a.contentType, w.Code, w.Body)
		}
	}
}

// TestGzipElsewhere sends a compressed body where the model does not say so: it is a payload like any other.
func TestGzipElsewhere(t *testing.T) {
	s := newServer(t, Options{}, lambda.Handlers{Invoke: echoPayload}, iam.Handlers{}, sts.Handlers{})
	payload := inGzip(t, "{}")
	w := do(s, asked{path: invokePath, encoding: "gzip", body: payload}.request())
	if w.Code != 200 || w.Body.String() != payload {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if w := do(s, asked{path: "/2015-03-31/functions", encoding: "gzip", body: payload}.request()); w.Code != 501 && w.Code != 400 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}
