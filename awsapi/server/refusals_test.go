package server

import (
	"bytes"
	"context"
	"errors"
	"io"
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

// handlers that fail the test unless they are meant to be reached.
func strict(t *testing.T) (lambda.Handlers, iam.Handlers, sts.Handlers) {
	unexpected := func(name string) error {
		t.Errorf("%s was called", name)
		return errors.New("unexpected")
	}
	return lambda.Handlers{
			CreateFunction: func(context.Context, *lambda.CreateFunctionRequest) (*lambda.FunctionConfiguration, error) {
				return nil, unexpected("CreateFunction")
			},
			Invoke: func(context.Context, *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
				return nil, unexpected("Invoke")
			},
			InvokeAsync: func(_ context.Context, in *lambda.InvokeAsyncRequest) (*lambda.InvokeAsyncResponse, error) {
				_, err := io.Copy(io.Discard, in.InvokeArgs)
				return nil, err
			},
		}, iam.Handlers{
			CreateUser: func(context.Context, *iam.CreateUserRequest) (*iam.CreateUserResponse, error) {
				return nil, unexpected("CreateUser")
			},
		}, sts.Handlers{
			AssumeRoleWithWebIdentity: func(context.Context, *sts.AssumeRoleWithWebIdentityRequest) (*sts.AssumeRoleWithWebIdentityResponse, error) {
				return &sts.AssumeRoleWithWebIdentityResponse{}, nil
			},
		}
}

func do(s *Server, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func withID(w *httptest.ResponseRecorder) string {
	return strings.ReplaceAll(w.Body.String(), w.Header().Get("X-Amzn-Requestid"), "<id>")
}

const invokePath = "/2015-03-31/functions/f/invocations"

func TestRefusals(t *testing.T) {
	functions, users, tokens := strict(t)
	s := newServer(t, Options{}, functions, users, tokens)
	form := func(body string) *http.Request {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		return r
	}
	post := func(path, body string) *http.Request {
		return httptest.NewRequest("POST", path, strings.NewReader(body))
	}
	hinted := func(r *http.Request, service string) *http.Request {
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
		return r
	}
	xml := httptest.NewRequest("POST", "/2015-03-31/functions", strings.NewReader("<a/>"))
	xml.Header.Set("Content-Type", "text/xml")
	large := httptest.NewRequest("POST", invokePath, strings.NewReader("{}"))
	large.ContentLength = invokeLimit + 1
	create := "/2015-03-31/functions"
	for _, c := range []struct {
		name    string
		request *http.Request
		status  int
		code    string
		body    string
	}{
		{"no route", post("/2015-03-31/nothing", ""), 404, "UnknownOperationException", `{}`},
		{"no route of the signed service", hinted(post("/2015-03-31/functions/f/invocations/x", ""), "lambda"), 404, "UnknownOperationException", `{}`},
		{"wrong method", httptest.NewRequest("PATCH", create, nil), 404, "UnknownOperationException", `{}`},
		{"another service's route", hinted(post(create, "{}"), "sts"), 404, "UnknownOperationException", ""},
		{"encoded slash", post("/2015-03-31/functions/f%2Finvocations", ""), 404, "UnknownOperationException", `{}`},
		{"dots", post("/2015-03-31/x/../functions", ""), 404, "UnknownOperationException", `{}`},
		{"no action", form("Version=2010-05-08&Act=1"), 404, "UnknownOperationException", `{}`},
		{"no action, signed", hinted(form("Version=2010-05-08"), "iam"), 400, "",
			`<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>MissingAction</Code><Message>The request must contain the parameter Action.</Message></Error><RequestId><id></RequestId></ErrorResponse>`},
		{"no version", hinted(form("Action=ListUsers"), "iam"), 400, "",
			`<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>Could not find operation ListUsers for version NO_VERSION_SPECIFIED</Message></Error><RequestId><id></RequestId></ErrorResponse>`},
		{"unknown action", hinted(form("Action=A%26B&Version=2010-05-08"), "iam"), 400, "",
			`<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>Could not find operation A&amp;B for version 2010-05-08</Message></Error><RequestId><id></RequestId></ErrorResponse>`},
		{"broken form", hinted(form("Action=%zz"), "iam"), 404, "", `<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>MalformedQueryString</Code><Message>The query string contains a syntax error</Message></Error><RequestId><id></RequestId></ErrorResponse>`},
		{"large form", hinted(form("Action="+strings.Repeat("x", formLimit)), "iam"), 413, "", ""},
		{"invalid by the model", form("Action=CreateUser&Version=2010-05-08"), 400, "",
			`<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>ValidationError</Code><Message>1 validation error detected: Value null at &#39;userName&#39; failed to satisfy constraint: Member must not be null</Message></Error><RequestId><id></RequestId></ErrorResponse>`},
		{"not built", httptest.NewRequest("GET", "/2015-03-31/functions/", nil), 501, "NotImplementedException",
			`{"message":"The operation ListFunctions of AWS Lambda is not built yet."}`},
		{"no JSON", post(create, `{"FunctionName":`), 400, "SerializationException", ""},
		{"two values", post(create, `{} {}`), 400, "SerializationException", ""},
		{"nested endlessly", post(create, `{"x":`+strings.Repeat("[", 100000)), 400, "SerializationException", ""},
		{"a number for a string", post(create, `{"FunctionName":1}`), 400, "SerializationException", `{"message":"NUMBER_VALUE can not be converted to a String"}`},
		{"a string for a number", post(create, `{"Timeout":"1"}`), 400, "SerializationException", `{"message":"STRING_VALUE can not be converted to an Integer"}`},
		{"a fraction for an integer", post(create, `{"Timeout":1.5}`), 400, "SerializationException", `{"message":"NUMBER_VALUE can not be converted to an Integer"}`},
		{"too large an integer", post(create, `{"Timeout":2147483648}`), 400, "SerializationException", `{"message":"NUMBER_VALUE can not be converted to an Integer"}`},
		{"a boolean for a string", post(create, `{"FunctionName":true}`), 400, "SerializationException", `{"message":"TRUE_VALUE can not be converted to a String"}`},
		{"a list for a structure", post(create, `{"Code":[]}`), 400, "SerializationException", `{"message":"Start of list found where not expected"}`},
		{"an object for a list", post(create, `{"Layers":{}}`), 400, "SerializationException", `{"message":"Start of structure or map found where not expected"}`},
		{"a string for a structure", post(create, `{"Code":"x"}`), 400, "SerializationException", `{"message":"Unexpected field type"}`},
		{"nothing in a list", post(create, `{"Layers":["a",null]}`), 400, "SerializationException", `{"message":"Unexpected field type"}`},
		{"nothing in a map", post(create, `{"Tags":{"a":null}}`), 400, "SerializationException", `{"message":"Unexpected field type"}`},
		{"no base64", post(create, `{"Code":{"ZipFile":"*"}}`), 400, "SerializationException", `{"message":"Invalid base64 encoding"}`},
		{"no UTF-8", post(create, "{\"FunctionName\":\"\xff\"}"), 400, "SerializationException", ""},
		{"text for a number in the query", httptest.NewRequest("GET", "/2015-03-31/functions?MaxItems=x", nil), 501, "", ""},
		{"another media type", xml, 415, "UnsupportedMediaTypeException", `{"Type":"User","message":"The content type text/xml is not supported."}`},
		{"too large a payload", large, 413, "RequestEntityTooLargeException", `{"message":"Request must be smaller than 6291456 bytes for the InvokeFunction operation"}`},
		{"too large a stream", post("/2014-11-13/functions/f/invoke-async", strings.Repeat("x", invokeLimit+1)), 413, "RequestEntityTooLargeException",
			`{"message":"Request must be smaller than 6291456 bytes for the InvokeAsync operation"}`},
		{"empty name", post("/2015-03-31/functions//invocations", ""), 400, "ValidationException", ""},
	} {
		w := do(s, c.request)
		if w.Code != c.status || w.Header().Get("X-Amzn-Errortype") != c.code && c.code != "" && w.Header().Get("Content-Type") == "application/json" {
			t.Errorf("%s: %d %s %s, want %d %s", c.name, w.Code, w.Header().Get("X-Amzn-Errortype"), w.Body, c.status, c.code)
		}
		want := strings.ReplaceAll(c.body, "&#39;", "'")
		if got := withID(w); c.body != "" && got != want {
			t.Errorf("%s: body is\n%s\nwant\n%s", c.name, got, want)
		}
		if len(w.Header().Get("X-Amzn-Requestid")) != 36 {
			t.Errorf("%s: the request ID is %q", c.name, w.Header().Get("X-Amzn-Requestid"))
		}
	}
}

func TestUnknownLengthIsLimited(t *testing.T) {
	functions, users, tokens := strict(t)
	s := newServer(t, Options{BodyLimit: func(string, string) int64 { return 10 }}, functions, users, tokens)
	r := httptest.NewRequest("POST", invokePath, io.MultiReader(strings.NewReader("12345678901")))
	if r.ContentLength != -1 {
		t.Fatal("the length is known")
	}
	if w := do(s, r); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	r = httptest.NewRequest("POST", invokePath, strings.NewReader("12345"))
	r.ContentLength = 9
	if w := do(s, r); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "terminated unexpectedly") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAuthentication(t *testing.T) {
	functions, users, tokens := strict(t)
	reached := 0
	functions.Invoke = func(context.Context, *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
		reached++
		return &lambda.InvocationResponse{}, nil
	}
	functions.InvokeAsync = func(_ context.Context, in *lambda.InvokeAsyncRequest) (*lambda.InvokeAsyncResponse, error) {
		if _, err := io.ReadAll(in.InvokeArgs); err != nil {
			return nil, err
		}
		reached++
		return &lambda.InvokeAsyncResponse{}, nil
	}
	s := newServer(t, Options{Authenticator: sigv4.NewVerifier(sigv4.Options{Credentials: testCredentials})}, functions, users, tokens)
	post := func(path, body string) *http.Request {
		return httptest.NewRequest("POST", path, strings.NewReader(body))
	}
	for _, path := range []string{invokePath, "/2014-11-13/functions/f/invoke-async"} {
		if w := do(s, post(path, "{}")); w.Code != 403 || w.Body.String() != `{"message":"Missing Authentication Token"}` {
			t.Errorf("unsigned: %d %s", w.Code, w.Body)
		}
		swapped := signed(t, post(path, "{}"), "lambda", "{}")
		swapped.Body = io.NopCloser(strings.NewReader("[]"))
		if w := do(s, swapped); w.Code != 403 || w.Header().Get("X-Amzn-Errortype") != "InvalidSignatureException" {
			t.Errorf("swapped body: %d %s", w.Code, w.Body)
		}
		if w := do(s, signed(t, post(path, "{}"), "iam", "{}")); w.Code != 404 && w.Code != 403 {
			t.Errorf("signed for another service: %d %s", w.Code, w.Body)
		}
	}
	if reached != 0 {
		t.Fatalf("a refused request reached its handler %d times", reached)
	}
	for _, path := range []string{invokePath, "/2014-11-13/functions/f/invoke-async"} {
		if w := do(s, signed(t, post(path, "{}"), "lambda", "{}")); w.Code >= 300 {
			t.Errorf("signed: %d %s", w.Code, w.Body)
		}
	}
	if reached != 2 {
		t.Errorf("%d of 2 signed requests reached their handler", reached)
	}
	web := post("/", "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fr&RoleSessionName=me&WebIdentityToken=tokn")
	web.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if w := do(s, web); w.Code != 200 {
		t.Errorf("web identity needs no signature: %d %s", w.Code, w.Body)
	}
}

func TestPayloadIsNotCopied(t *testing.T) {
	payload := bytes.Repeat([]byte("x"), 6<<20)
	functions := lambda.Handlers{Invoke: func(_ context.Context, in *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
		return &lambda.InvocationResponse{Payload: in.Payload}, nil
	}}
	s := newServer(t, Options{}, functions, iam.Handlers{}, sts.Handlers{})
	w := &sink{header: http.Header{}}
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.ServeHTTP(w, httptest.NewRequest("POST", invokePath, bytes.NewReader(payload)))
		}
	})
	if copied := result.AllocedBytesPerOp(); copied > 6<<20+64<<10 {
		t.Errorf("%d bytes are allocated for a payload of %d", copied, len(payload))
	}
}

func TestBindRefuses(t *testing.T) {
	if _, err := New(Options{}, awsapi.Binding{Service: lambda.Service}); err == nil {
		t.Error("a binding without handlers is accepted")
	}
	if _, err := New(Options{}, awsapi.Binding{Service: &awsapi.Service{Protocols: []awsapi.Protocol{"smoke-signals"}}}); err == nil {
		t.Error("an unknown protocol is accepted")
	}
}
