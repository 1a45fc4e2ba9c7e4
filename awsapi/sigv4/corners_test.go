package sigv4

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"hotaru/awsapi"
)

// TestCanonicalCorners has the real SDK sign each corner of the canonical request, and says what its text is.
func TestCanonicalCorners(t *testing.T) {
	for _, c := range []struct{ name, service, target, path, query string }{
		{"encoded twice", "lambda", "/a%20b/c%2Fd", "/a%2520b/c%252Fd", ""},
		{"S3 encodes once", "s3", "/a%20b/c%2Fd", "/a%20b/c%2Fd", ""},
		{"no path", "lambda", "", "/", ""},
		{"unicode", "lambda", "/%C3%A4/%E2%82%AC/%F0%9F%94%A5", "/%25C3%25A4/%25E2%2582%25AC/%25F0%259F%2594%25A5", ""},
		{"unicode of S3", "s3", "/%C3%A4/%E2%82%AC", "/%C3%A4/%E2%82%AC", ""},
		{"signs of a path", "lambda", "/~-_.:@!$&'()*+,;=", "/~-_.%3A%40%21%24%26%27%28%29%2A%2B%2C%3B%3D", ""},
		{"double slashes", "lambda", "/a//b/", "/a//b/", ""},
		{"double slashes of S3", "s3", "//a///b//", "//a///b//", ""},
		{"dots of S3", "s3", "/a/./b/../c", "/a/./b/../c", ""},
		{"lower-case escapes of S3", "s3", "/%c3%a4", "/%c3%a4", ""},
		{"empty value", "lambda", "/?a=&b", "/", "a=&b="},
		{"no name", "lambda", "/?=x", "/", "=x"},
		{"repeated", "lambda", "/?b=2&a=z&a=A&a=a", "/", "a=A&a=a&a=z&b=2"},
		{"plus is a space", "lambda", "/?a=b+c&d=e%20f", "/", "a=b%20c&d=e%20f"},
		{"plus that is one", "lambda", "/?a=b%2Bc", "/", "a=b%2Bc"},
		{"order of bytes", "lambda", "/?a1=&A=&a=&_=", "/", "A=&_=&a=&a1="},
		{"slashes in a value", "s3", "/?prefix=a/b&delimiter=%2F", "/", "delimiter=%2F&prefix=a%2Fb"},
		{"signs of a value", "lambda", "/?a=~-_.*!'()", "/", "a=~-_.%2A%21%27%28%29"},
		{"unicode value", "lambda", "/?%C3%A4=%E2%82%AC", "/", "%C3%A4=%E2%82%AC"},
		{"equal signs", "lambda", "/?a=b=c==", "/", "a=b%3Dc%3D%3D"},
	} {
		r := request{target: orSlash(c.target), service: c.service, hash: Unsigned}.sign(t)
		if c.target == "" {
			r.URL.Path, r.URL.RawPath = "", ""
		}
		if _, err := verify(r, "", Expect{Service: c.service}); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		claim, err := parseClaim(r, wordsFor(Expect{}))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(canonicalRequest(r, r.URL.EscapedPath(), c.service != "s3", claim, Unsigned)), "\n")
		if lines[1] != c.path || lines[2] != c.query {
			t.Errorf("%s: path %q, query %q, want %q, %q", c.name, lines[1], lines[2], c.path, c.query)
		}
		if c.service == "s3" && c.path != "/" {
			if _, err := verify(r, "", Expect{Service: "lambda"}); err == nil {
				t.Errorf("%s: passes for another service", c.name)
			}
		}
	}
}

func orSlash(target string) string { return or(target, "/") }

// TestHeaderForms sends signed requests as raw text, in the forms that clients and proxies give their headers.
func TestHeaderForms(t *testing.T) {
	signed := request{target: "/x", hash: Unsigned, header: map[string]string{"X-Amz-Meta-A": `a "b  c" d`, "Content-Type": "application/json"}}.sign(t)
	head := func(change func(name, value string) string) *http.Request {
		text := "POST /x HTTP/1.1\r\nHost: " + signed.Host + "\r\n"
		for name, values := range signed.Header {
			text += change(name, values[0])
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text + "Content-Length: 0\r\n\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for name, c := range map[string]struct {
		change func(name, value string) string
		ok     bool
	}{
		"as they are":        {func(name, value string) string { return name + ": " + value + "\r\n" }, true},
		"lower case":         {func(name, value string) string { return strings.ToLower(name) + ":" + value + "\r\n" }, true},
		"upper case":         {func(name, value string) string { return strings.ToUpper(name) + ": " + value + "\r\n" }, true},
		"spaces around":      {func(name, value string) string { return name + ":  \t" + value + "  \r\n" }, true},
		"spaces within":      {func(name, value string) string { return name + ": " + strings.ReplaceAll(value, " d", "   d") + "\r\n" }, true},
		"two authorizations": {twice("Authorization"), false},
		"a header left out": {func(name, value string) string {
			if name == "X-Amz-Meta-A" {
				return ""
			}
			return name + ": " + value + "\r\n"
		}, false},
		"a header twice":      {twice("X-Amz-Meta-A"), false},
		"a header that is no": {func(name, value string) string { return name + ": " + strings.ReplaceAll(value, " d", " e") + "\r\n" }, false},
	} {
		if _, err := verify(head(c.change), "", Expect{}); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Values of one name are joined in their order.
	two := request{hash: Unsigned}
	r := httptest.NewRequest("POST", "http://127.0.0.1/x", nil)
	r.Header["X-Amz-Meta-A"] = []string{" 2 ", "1,0"}
	r.Header.Set("X-Amz-Content-Sha256", Unsigned)
	if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: suiteKey, SecretAccessKey: suiteSecret}, r, two.hash, "lambda", "us-east-1", now()); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(r, "", Expect{}); err != nil {
		t.Errorf("two values: %v", err)
	}
	r.Header["X-Amz-Meta-A"] = []string{"1,0", " 2 "}
	if _, err := verify(r, "", Expect{}); err == nil {
		t.Error("values in another order pass")
	}
}

func twice(which string) func(name, value string) string {
	return func(name, value string) string {
		line := name + ": " + value + "\r\n"
		if name == which {
			return line + line
		}
		return line
	}
}

// TestAuthorizationForms are refusals of the header itself, with the codes of each family.
func TestAuthorizationForms(t *testing.T) {
	good := request{}.sign(t).Header.Get("Authorization")
	_, rest, _ := strings.Cut(good, " ")
	for _, c := range []struct{ name, authorization, text string }{
		{"no parts", "AWS4-HMAC-SHA256", "'' not a valid key=value pair (missing equal-sign) in Authorization header: 'AWS4-HMAC-SHA256'."},
		{"two credentials", good + ", Credential=a/b/c/d/e", "'Credential' is given more than once"},
		{"two signatures", good + ", Signature=00", "'Signature' is given more than once"},
		{"signed headers twice", good + ", SignedHeaders=host", "'SignedHeaders' is given more than once"},
		{"upper case in signed headers", strings.Replace(good, "SignedHeaders=host", "SignedHeaders=Host", 1), "'Host' or ':authority' must be a 'SignedHeader'"},
		{"another algorithm", "AWS4-HMAC-SHA512 " + rest, "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512'."},
		{"version 2", "AWS AKIDEXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=", "Unsupported AWS 'algorithm': 'AWS'."},
		{"version 4A", "AWS4-ECDSA-P256-SHA256 " + rest, "Signature Version 4A (AWS4-ECDSA-P256-SHA256) is not supported here: sign with AWS4-HMAC-SHA256."},
	} {
		for expect, code := range map[Expect]string{
			{}: "IncompleteSignatureException", {Query: true}: "IncompleteSignature", {Service: "s3"}: "AuthorizationHeaderMalformed",
		} {
			r := request{}.sign(t)
			r.Header.Set("Authorization", strings.Replace(c.authorization, "/lambda/", "/"+or(expect.Service, "lambda")+"/", 1))
			_, err := verify(r, "", expect)
			var api *awsapi.Error
			if !errors.As(err, &api) || api.Code != code || !strings.HasPrefix(api.Message, c.text) {
				t.Errorf("%s: %v, want %s: %s", c.name, err, code, c.text)
			}
		}
	}
}

func TestWordsOfS3(t *testing.T) {
	for _, c := range []struct {
		name    string
		request request
		change  func(*http.Request)
		code    string
		status  int
	}{
		{"nothing", request{}, func(r *http.Request) { r.Header.Del("Authorization") }, "AccessDenied", 403},
		{"unknown key", request{key: "AKIDNOBODY"}, nil, "InvalidAccessKeyId", 403},
		{"expired session", request{token: "expired"}, nil, "ExpiredToken", 400},
		{"other secret", request{secret: "x"}, nil, "SignatureDoesNotMatch", 403},
		{"header not signed", request{}, func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") }, "AccessDenied", 403},
	} {
		c.request.service, c.request.hash = "s3", Unsigned
		r := c.request.sign(t)
		if c.change != nil {
			c.change(r)
		}
		_, err := verify(r, "", Expect{Service: "s3"})
		var api *awsapi.Error
		if !errors.As(err, &api) || api.Code != c.code || api.Status != c.status {
			t.Errorf("%s: %v, want %d %s", c.name, err, c.status, c.code)
		}
	}
}

// TestSessionTokens has tokens in a header and in a query; each belongs to the signature.
func TestSessionTokens(t *testing.T) {
	const token = "AQoDYXdzEPT//////////wEXAMPLE+a=="
	var asked string
	v := NewVerifier(Options{Now: now, Credentials: func(_ context.Context, key, session string) ([]byte, awsapi.Identity, error) {
		asked = session
		return []byte(suiteSecret), awsapi.Identity{}, nil
	}})
	header := request{token: token, hash: Unsigned}.sign(t)
	signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: suiteKey, SecretAccessKey: suiteSecret, SessionToken: token},
		httptest.NewRequest("GET", "http://127.0.0.1/x?X-Amz-Expires=60", nil), Unsigned, "lambda", "us-east-1", now())
	if err != nil {
		t.Fatal(err)
	}
	query := httptest.NewRequest("GET", signed, nil)
	query.Header.Set("X-Amz-Content-Sha256", Unsigned)
	for name, r := range map[string]*http.Request{"header": header, "query": query} {
		asked = ""
		if _, err := v.Verify(r, Expect{Service: "lambda"}, nil); err != nil || asked != token {
			t.Errorf("%s: %v, token %q", name, err, asked)
		}
	}
	header.Header.Set("X-Amz-Security-Token", token+"A")
	query.URL.RawQuery = strings.Replace(query.URL.RawQuery, "EXAMPLE", "EXAMPLF", 1)
	for name, r := range map[string]*http.Request{"header": header, "query": query} {
		if _, err := v.Verify(r, Expect{Service: "lambda"}, nil); err == nil {
			t.Errorf("%s: another token passes", name)
		}
	}
}

// TestClock moves the clock to both sides of each limit.
func TestClock(t *testing.T) {
	header := func() *http.Request { return request{hash: Unsigned}.sign(t) }
	presigned := func() *http.Request {
		url, _, err := v4.NewSigner().PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: suiteKey, SecretAccessKey: suiteSecret},
			httptest.NewRequest("GET", "http://127.0.0.1/x?X-Amz-Expires=60", nil), Unsigned, "lambda", "us-east-1", now())
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", url, nil)
		r.Header.Set("X-Amz-Content-Sha256", Unsigned)
		return r
	}
	for _, c := range []struct {
		name    string
		request func() *http.Request
		at      time.Duration
		text    string
	}{
		{"header, five minutes late", header, 5 * time.Minute, ""},
		{"header, later", header, 5*time.Minute + time.Second, "Signature expired: 20260304T050607Z is now earlier than 20260304T050608Z (20260304T051108Z - 5 min.)"},
		{"header, five minutes early", header, -5 * time.Minute, ""},
		{"header, earlier", header, -5*time.Minute - time.Second, "Signature not yet current: 20260304T050607Z is still later than 20260304T050606Z (20260304T050106Z + 5 min.)"},
		{"presigned, last second", presigned, time.Minute, ""},
		{"presigned, over", presigned, time.Minute + time.Second, "Signature expired: 20260304T050707Z is now earlier than 20260304T050708Z"},
		{"presigned, five minutes early", presigned, -5 * time.Minute, ""},
		{"presigned, earlier", presigned, -5*time.Minute - time.Second, "Signature not yet current: 20260304T050607Z is still later than 20260304T050606Z (20260304T050106Z + 5 min.)"},
	} {
		v := NewVerifier(Options{Credentials: credentials, Now: func() time.Time { return now().Add(c.at) }})
		_, err := v.Verify(c.request(), Expect{Service: "lambda"}, nil)
		var api *awsapi.Error
		if c.text == "" && err != nil || c.text != "" && (!errors.As(err, &api) || api.Message != c.text) {
			t.Errorf("%s: %v, want %q", c.name, err, c.text)
		}
	}
}
