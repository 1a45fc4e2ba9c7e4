package server

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"hotaru/awsapi"
	"hotaru/awsapi/checksum"
	"hotaru/awsapi/iam"
	"hotaru/awsapi/lambda"
	"hotaru/awsapi/sigv4"
	"hotaru/awsapi/sts"
)

func echoPayload(_ context.Context, in *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
	return &lambda.InvocationResponse{Payload: in.Payload}, nil
}

// inChunks signs a request whose body is sent in chunks of at most 8 KiB; change alters the body on its way.
func inChunks(t *testing.T, path, payload string, change func(string) string) *http.Request {
	t.Helper()
	r := httptest.NewRequest("POST", path, nil)
	r.Header.Set("X-Amz-Content-Sha256", sigv4.StreamingSigned)
	r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(len(payload)))
	r.Header.Set("Content-Encoding", "aws-chunked")
	at := time.Now()
	keys := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}
	if err := v4.NewSigner().SignHTTP(t.Context(), keys, r, sigv4.StreamingSigned, "lambda", "us-east-1", at); err != nil {
		t.Fatal(err)
	}
	_, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	seed, err := hex.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	signer := v4.NewStreamSigner(keys, "lambda", "us-east-1", seed)
	var body strings.Builder
	for rest := payload; ; {
		chunk := rest[:min(8<<10, len(rest))]
		rest = rest[len(chunk):]
		next, err := signer.GetSignature(t.Context(), nil, []byte(chunk), at)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&body, "%x;chunk-signature=%x\r\n%s\r\n", len(chunk), next, chunk)
		if chunk == "" {
			break
		}
	}
	text := body.String()
	if change != nil {
		text = change(text)
	}
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	return r
}

func TestChunkedBodies(t *testing.T) {
	var trailer http.Header
	functions := lambda.Handlers{Invoke: echoPayload, InvokeAsync: func(_ context.Context, in *lambda.InvokeAsyncRequest) (*lambda.InvokeAsyncResponse, error) {
		data, err := io.ReadAll(in.InvokeArgs)
		if err != nil {
			return nil, err
		}
		trailer = in.InvokeArgs.(awsapi.Trailed).Trailer()
		return &lambda.InvokeAsyncResponse{Status: new(int32(200 + len(data)%7))}, nil
	}}
	s := newServer(t, Options{Authenticator: sigv4.NewVerifier(sigv4.Options{Credentials: testCredentials})}, functions, iam.Handlers{}, sts.Handlers{})
	payload := `"` + strings.Repeat("x", 20<<10) + `"`
	for name, c := range map[string]struct {
		change func(string) string
		status int
		code   string
	}{
		"changed":   {func(s string) string { return strings.Replace(s, "x\r\n", "y\r\n", 1) }, 403, "InvalidSignatureException"},
		"cut":       {func(s string) string { return s[:len(s)-100] }, 400, "IncompleteBody"},
		"one more":  {func(s string) string { return s + "0" }, 400, "IncompleteBody"},
		"not in it": {func(string) string { return payload }, 400, "IncompleteBody"},
		"right":     {nil, 200, ""},
	} {
		for _, path := range []string{invokePath, "/2014-11-13/functions/f/invoke-async"} {
			w := do(s, inChunks(t, path, payload, c.change))
			if w.Code != c.status && (c.status != 200 || w.Code >= 300) || w.Header().Get("X-Amzn-Errortype") != c.code {
				t.Errorf("%s: %s answers %d %v %s", name, path, w.Code, w.Header(), w.Body)
			}
			if c.code == "" && path == invokePath && w.Body.String() != payload {
				t.Errorf("%s: %d bytes came back", name, w.Body.Len())
			}
		}
	}
	// Unsigned chunks with a checksum behind them, and a server that lets everybody in.
	sum, _ := checksum.New("x-amz-checksum-crc64nvme")
	_, _ = io.WriteString(sum, "hello")
	open := newServer(t, Options{}, functions, iam.Handlers{}, sts.Handlers{})
	for text, status := range map[string]int{sum.Text(): 202, "AAAAAAAAAAA=": 400} {
		r := httptest.NewRequest("POST", "/2014-11-13/functions/f/invoke-async", strings.NewReader("5\r\nhello\r\n0\r\nx-amz-checksum-crc64nvme:"+text+"\r\n\r\n"))
		r.Header.Set("X-Amz-Content-Sha256", sigv4.StreamingUnsignedTrailer)
		r.Header.Set("X-Amz-Decoded-Content-Length", "5")
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc64nvme")
		trailer = nil
		w := do(open, r)
		if status == 400 && w.Code != 400 || status == 202 && (w.Code != 205 && w.Code != 202 || trailer.Get("x-amz-checksum-crc64nvme") != text) {
			t.Errorf("%s: %d %s, trailer %v", text, w.Code, w.Body, trailer)
		}
	}
}

// TestFormsInChunks has a form say that its body is in chunks: the signature would then not cover it.
func TestFormsInChunks(t *testing.T) {
	s := newServer(t, Options{Authenticator: sigv4.NewVerifier(sigv4.Options{Credentials: testCredentials})}, lambda.Handlers{}, iam.Handlers{
		CreateUser: func(context.Context, *iam.CreateUserRequest) (*iam.CreateUserResponse, error) {
			t.Error("a body that nobody signed reached its handler")
			return nil, nil
		},
	}, sts.Handlers{})
	const form = "Action=CreateUser&Version=2010-05-08&UserName=eve"
	for _, mark := range []string{sigv4.StreamingSigned, sigv4.StreamingUnsignedTrailer} {
		for _, method := range []string{"POST", "GET"} {
			r := httptest.NewRequest(method, "/", strings.NewReader(form))
			if method == "GET" {
				r = httptest.NewRequest(method, "/?"+form, nil)
			}
			r.Header.Set("Content-Type", formType)
			r.Header.Set("X-Amz-Content-Sha256", mark)
			r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(len(form)))
			if mark == sigv4.StreamingUnsignedTrailer {
				r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
			}
			keys := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}
			if err := v4.NewSigner().SignHTTP(t.Context(), keys, r, mark, "iam", "us-east-1", time.Now()); err != nil {
				t.Fatal(err)
			}
			if w := do(s, r); w.Code < 400 || w.Code >= 500 {
				t.Errorf("%s %s: %d %s", method, mark, w.Code, w.Body)
			}
		}
	}
}

// TestContentEncodingWithoutChunks has Content-Encoding say what the body is besides being framed.
func TestContentEncodingWithoutChunks(t *testing.T) {
	for given, want := range map[string]string{"aws-chunked": "", "aws-chunked, gzip": "gzip", "gzip,aws-chunked": "gzip", "": ""} {
		r := httptest.NewRequest("PUT", "/", nil)
		r.Header.Set("Content-Encoding", given)
		if got := withoutChunks(r).Header.Get("Content-Encoding"); got != want || r.Header.Get("Content-Encoding") != given {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
	}
}
