package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hotaru/awsapi"
	"hotaru/awsapi/iam"
	"hotaru/awsapi/lambda"
	"hotaru/awsapi/logs"
	"hotaru/awsapi/sigv4"
	"hotaru/awsapi/sts"
)

// answering gives every operation of a binding a handler that answers nothing, so that requests reach all of the wire.
func answering(b awsapi.Binding) awsapi.Binding {
	for i := range b.Handlers {
		output := b.Handlers[i].Output
		b.Handlers[i].Call = func(context.Context, any) (any, error) { return reflect.New(output).Interface(), nil }
	}
	return b
}

// everything is a server of all services that are generated and of one for each protocol.
func everything(f *testing.F, options Options) *Server {
	f.Helper()
	bindings := []awsapi.Binding{answering(lambda.Handlers{}.Binding()), answering(iam.Handlers{}.Binding()), answering(logs.Handlers{}.Binding()), answering(sts.Handlers{}.Binding()), echo("metrics", "", metrics)}
	for _, name := range slices.Sorted(maps.Keys(everyProtocol)) {
		bindings = append(bindings, things(name, everyProtocol[name]))
	}
	s, err := New(options, bindings...)
	if err != nil {
		f.Fatal(err)
	}
	return s
}

// checkAnswer holds what is true of every answer: it blames nobody here, shows nothing of the inside, and has an ID.
func checkAnswer(t *testing.T, w *httptest.ResponseRecorder, entry Entry) {
	t.Helper()
	if w.Code < 200 || w.Code >= 500 || entry.Err != nil {
		t.Errorf("%s %s: %d %v %s, because of %v", entry.Method, entry.Path, w.Code, w.Header(), w.Body, entry.Err)
	}
	if len(w.Header().Get("X-Amzn-Requestid")) != 36 {
		t.Errorf("the request ID is %q", w.Header().Get("X-Amzn-Requestid"))
	}
	for name, values := range w.Header() {
		for _, value := range values {
			if strings.ContainsAny(value, "\r\n\x00") {
				t.Errorf("header %s is %q", name, value)
			}
		}
	}
}

// FuzzServeHTTP sends anything to everything at once.
func FuzzServeHTTP(f *testing.F) {
	var entry Entry
	s := everything(f, Options{Done: func(e Entry) { entry = e }})
	f.Add("POST", "/", "js.Echo", "application/json", `{"Text":"x"}`, "", "", "")
	f.Add("POST", "/rx", "", "text/xml", `<a><Text>x</Text></a>`, "", "", "")
	f.Add("POST", "/", "", formType, "Action=Echo&Version=2020-01-01&Text=x", "a=b", "gzip", "")
	f.Add("POST", "/service/cb/operation/Echo", "", "application/cbor", "\xa1dTextax", "", "identity", sigv4.StreamingUnsignedTrailer)
	f.Add("GET", "/2015-03-31/functions", "", "", "", "MaxItems=5&Marker=x", "", "")
	f.Fuzz(func(t *testing.T, method, path, target, media, body, query, encoding, hash string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Method, r.URL.Path, r.URL.RawQuery = method, path, query
		r.Header = http.Header{"Content-Type": {media}, "Content-Encoding": {encoding}, "X-Amz-Content-Sha256": {hash},
			"X-Amz-Decoded-Content-Length": {"3"}}
		if target != "" {
			r.Header.Set("X-Amz-Target", target)
		} else {
			r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
		}
		checkAnswer(t, do(s, r), entry)
	})
}

// FuzzOperations sends well-formed requests with any content to an operation of the fuzzer's choice.
func FuzzOperations(f *testing.F) {
	var entry Entry
	s := everything(f, Options{Done: func(e Entry) { entry = e }})
	for i, body := range goldenBodies(f) {
		f.Add(uint(i), "a%2Fb", "x=y&Qualifier=live", "application/json", body)
	}
	f.Fuzz(func(t *testing.T, choice uint, label, query, header, body string) {
		service := s.services[choice%uint(len(s.services))]
		choice /= uint(len(s.services))
		op := service.operations[choice%uint(len(service.operations))]
		d := &service.dialects[choice/uint(len(service.operations))%uint(len(service.dialects))]
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.URL.RawQuery = query
		switch d.name {
		case awsapi.ProtocolJSON:
			r.Header.Set("X-Amz-Target", service.TargetPrefix+"."+op.Name)
		case awsapi.ProtocolCBOR:
			r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
			r.URL.Path = "/service/" + service.TargetPrefix + "/operation/" + op.Name
		case awsapi.ProtocolQuery:
			r.Header.Set("Content-Type", formType)
			r.Body = http.NoBody
			r.URL.RawQuery = "Action=" + op.Name + "&Version=" + service.APIVersion + "&" + body
			r.ContentLength = 0
		default:
			path, literals, _ := strings.Cut(op.Path, "?")
			r.Method, r.URL.RawQuery = op.Method, literals+"&"+query
			for strings.Contains(path, "{") {
				before, rest, _ := strings.Cut(path, "{")
				_, after, _ := strings.Cut(rest, "}")
				path = before + url.PathEscape(label) + after
			}
			r.URL.RawPath = path
			r.URL.Path, _ = url.PathUnescape(path)
			if err := op.ready(); err != nil {
				t.Fatal(err)
			}
			for _, field := range op.Input.Header {
				r.Header.Set(field.Wire, header)
			}
		}
		checkAnswer(t, do(s, r), entry)
	})
}

// goldenBodies are the requests of the published protocol tests.
func goldenBodies(f *testing.F) []string {
	f.Helper()
	files, err := filepath.Glob("../protocol/testdata/input/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no published tests: %v", err)
	}
	var bodies []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var suites []struct {
			Cases []struct{ Serialized struct{ Body string } }
		}
		if err := json.Unmarshal(data, &suites); err != nil {
			f.Fatal(err)
		}
		for _, s := range suites {
			for _, c := range s.Cases {
				body := c.Serialized.Body
				if strings.Contains(file, "cbor") {
					plain, err := base64.StdEncoding.DecodeString(body)
					if err != nil {
						f.Fatal(err)
					}
					body = string(plain)
				}
				bodies = append(bodies, body)
			}
		}
	}
	return bodies
}
