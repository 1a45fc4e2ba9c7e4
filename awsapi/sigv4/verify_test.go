package sigv4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"hotaru/awsapi"
)

func now() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }

func credentials(_ context.Context, key, token string) ([]byte, awsapi.Identity, error) {
	switch {
	case key == "BROKEN":
		return nil, awsapi.Identity{}, errors.New("the store is gone")
	case token == "expired":
		return nil, awsapi.Identity{}, ErrExpired
	case key != suiteKey:
		return nil, awsapi.Identity{}, ErrUnknownKey
	}
	return []byte(suiteSecret), awsapi.Identity{Account: "123456789012"}, nil
}

// request is a request signed by the real SDK; change comes after.
type request struct {
	method, target, body string
	header               map[string]string
	key, secret, token   string
	service, region      string
	at                   time.Time
	hash                 string
}

func (q request) sign(t testing.TB) *http.Request {
	t.Helper()
	if q.method == "" {
		q.method = "POST"
	}
	if q.target == "" {
		q.target = "/2015-03-31/functions/arn%3Aaws%3Alambda/invocations?Qualifier=%24LATEST&a="
	}
	r := httptest.NewRequest(q.method, "http://127.0.0.1:9000"+q.target, strings.NewReader(q.body))
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	sum := sha256.Sum256([]byte(q.body))
	hash := hex.EncodeToString(sum[:])
	if q.hash != "" {
		hash = q.hash
		r.Header.Set("X-Amz-Content-Sha256", hash)
	}
	if q.at.IsZero() {
		q.at = now()
	}
	err := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = q.service == "s3" }).SignHTTP(context.Background(), aws.Credentials{AccessKeyID: or(q.key, suiteKey),
		SecretAccessKey: or(q.secret, suiteSecret), SessionToken: q.token}, r, hash, or(q.service, "lambda"), or(q.region, "us-east-1"), q.at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func or(value, otherwise string) string {
	if value != "" {
		return value
	}
	return otherwise
}

func verify(r *http.Request, body string, expect Expect) (Result, error) {
	v := NewVerifier(Options{Credentials: credentials, Regions: []string{"us-east-1", "eu-west-1"}, Now: now})
	if expect.Service == "" {
		expect.Service = "lambda"
	}
	return v.Verify(r, expect, func() ([sha256.Size]byte, error) { return sha256.Sum256([]byte(body)), nil })
}

const mismatchText = "The request signature we calculated does not match the signature you provided. " +
	"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."

func TestVerifyRefuses(t *testing.T) {
	edit := func(name string, change func(string) string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, change(r.Header.Get(name))) }
	}
	replace := func(old, new string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, new, 1) }
	}
	for _, c := range []struct {
		name    string
		request request
		change  func(*http.Request)
		// code is for JSON and REST services, queryCode for query services.
		code, queryCode, text string
	}{
		{"nothing", request{}, func(r *http.Request) { r.Header.Del("Authorization") },
			"MissingAuthenticationTokenException", "MissingAuthenticationToken", ""},
		{"basic", request{}, edit("Authorization", func(string) string { return "Basic eDp5" }),
			"IncompleteSignatureException", "IncompleteSignature", "Unsupported AWS 'algorithm': 'Basic'."},
		{"version 4a", request{}, edit("Authorization", replace("HMAC-SHA256", "ECDSA-P256-SHA256")),
			"IncompleteSignatureException", "IncompleteSignature",
			"Signature Version 4A (AWS4-ECDSA-P256-SHA256) is not supported here: sign with AWS4-HMAC-SHA256."},
		{"no equal sign", request{}, edit("Authorization", func(string) string { return "AWS4-HMAC-SHA256 nonsense" }),
			"IncompleteSignatureException", "IncompleteSignature",
			"'nonsense' not a valid key=value pair (missing equal-sign) in Authorization header: 'AWS4-HMAC-SHA256 nonsense'."},
		{"no signature", request{}, edit("Authorization", func(string) string { return "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host" }),
			"IncompleteSignatureException", "IncompleteSignature",
			"Authorization header requires 'Signature' parameter. Authorization=AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host"},
		{"no date", request{}, func(r *http.Request) { r.Header.Del("X-Amz-Date") },
			"IncompleteSignatureException", "IncompleteSignature", ""},
		{"bad date", request{}, edit("X-Amz-Date", func(string) string { return "yesterday" }),
			"IncompleteSignatureException", "IncompleteSignature",
			"Date must be in ISO-8601 'basic format'. Got 'yesterday'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"short scope", request{}, edit("Authorization", replace("/us-east-1", "")),
			"IncompleteSignatureException", "IncompleteSignature",
			"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'AKIDEXAMPLE/20260304/lambda/aws4_request'"},
		{"host not signed", request{}, edit("Authorization", replace("host;", "")),
			"IncompleteSignatureException", "IncompleteSignature", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		{"target not signed", request{}, func(r *http.Request) { r.Header.Set("X-Amz-Target", "A.B") },
			"IncompleteSignatureException", "IncompleteSignature", "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization."},
		{"unknown key", request{key: "AKIDOTHER"}, nil,
			"UnrecognizedClientException", "InvalidClientTokenId", "The security token included in the request is invalid."},
		{"expired session", request{token: "expired"}, nil,
			"ExpiredTokenException", "ExpiredToken", "The security token included in the request is expired"},
		{"other secret", request{secret: "x"}, nil, "InvalidSignatureException", "SignatureDoesNotMatch", mismatchText},
		{"other service", request{service: "sts"}, nil, "InvalidSignatureException", "SignatureDoesNotMatch",
			"Credential should be scoped to correct service: 'lambda'. "},
		{"other region", request{region: "mars-1"}, nil, "InvalidSignatureException", "SignatureDoesNotMatch",
			"Credential should be scoped to a valid region. "},
		{"other terminator", request{}, edit("Authorization", replace("aws4_request", "aws5_request")),
			"InvalidSignatureException", "SignatureDoesNotMatch",
			"Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'."},
		{"scope of yesterday", request{}, edit("Authorization", replace("/20260304/", "/20260303/")),
			"InvalidSignatureException", "SignatureDoesNotMatch",
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20260303' != '20260304', from '20260304T050607Z'."},
		{"too old", request{at: now().Add(-5*time.Minute - time.Second)}, nil, "InvalidSignatureException", "SignatureDoesNotMatch",
			"Signature expired: 20260304T050106Z is now earlier than 20260304T050107Z (20260304T050607Z - 5 min.)"},
		{"too new", request{at: now().Add(5*time.Minute + time.Second)}, nil, "InvalidSignatureException", "SignatureDoesNotMatch",
			"Signature not yet current: 20260304T051108Z is still later than 20260304T051107Z (20260304T050607Z + 5 min.)"},
		{"another path", request{}, func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/x", "/x" }, "InvalidSignatureException", "SignatureDoesNotMatch", mismatchText},
		{"another query", request{}, func(r *http.Request) { r.URL.RawQuery += "&b=c" }, "InvalidSignatureException", "SignatureDoesNotMatch", mismatchText},
		{"another method", request{}, func(r *http.Request) { r.Method = "PUT" }, "InvalidSignatureException", "SignatureDoesNotMatch", mismatchText},
		{"another host", request{}, func(r *http.Request) { r.Host = "evil.example" }, "InvalidSignatureException", "SignatureDoesNotMatch", mismatchText},
		{"one more value", request{header: map[string]string{"X-Amz-Meta": "a"}}, func(r *http.Request) { r.Header.Add("X-Amz-Meta", "b") },
			"InvalidSignatureException", "SignatureDoesNotMatch", mismatchText},
		{"no hex", request{}, edit("Authorization", func(s string) string { return s[:len(s)-1] + "z" }), "InvalidSignatureException", "SignatureDoesNotMatch", mismatchText},
		{"hash in upper case", request{hash: strings.Repeat("A", 64)}, nil, "InvalidSignatureException", "SignatureDoesNotMatch", mismatchText},
	} {
		for _, query := range []bool{false, true} {
			r := c.request.sign(t)
			if c.change != nil {
				c.change(r)
			}
			_, err := verify(r, "", Expect{Query: query})
			var api *awsapi.Error
			if !errors.As(err, &api) {
				t.Errorf("%s: error is %v", c.name, err)
				continue
			}
			code, status := c.code, http.StatusForbidden
			if query {
				code = c.queryCode
			}
			if code == "IncompleteSignature" {
				status = http.StatusBadRequest
			}
			if api.Code != code || api.Status != status || c.text != "" && api.Message != c.text {
				t.Errorf("%s: refused with %d %s: %s\nwant %d %s: %s", c.name, api.Status, api.Code, api.Message, status, code, c.text)
			}
			if signature := r.Header.Get("Authorization"); strings.Contains(api.Message, "Signature=") && strings.Contains(api.Message, signature[len(signature)-32:]) {
				t.Errorf("%s: the refusal repeats the signature", c.name)
			}
		}
	}
	if _, err := verify(request{key: "BROKEN"}.sign(t), "", Expect{}); err == nil || errors.As(err, new(*awsapi.Error)) {
		t.Errorf("a broken credential store answers %v", err)
	}
	if _, err := verify(request{body: "a"}.sign(t), "b", Expect{}); err == nil {
		t.Error("another body passes")
	}
}

func TestVerifyAccepts(t *testing.T) {
	for name, q := range map[string]request{
		"plain":           {},
		"body":            {body: `{"a":"b"}`},
		"token":           {token: "AQoDYXdzEPT//////////w=="},
		"other region":    {region: "eu-west-1"},
		"five minutes":    {at: now().Add(-5 * time.Minute)},
		"in advance":      {at: now().Add(5 * time.Minute)},
		"odd path":        {target: "/a%2Fb/%C3%A4/c%20d/~x/%25"},
		"dots":            {target: "/a/../b//c/./d"},
		"odd query":       {target: "/x?b=2&a=1&a=0&c&d=%20+%2B&e=%E2%82%AC&=z"},
		"odd header":      {header: map[string]string{"X-Amz-Meta": `  a   "b  c"  `}},
		"content type":    {header: map[string]string{"Content-Type": "application/json"}, body: "{}"},
		"unsigned":        {hash: Unsigned, body: "anything"},
		"s3":              {service: "s3", target: "/bucket/a//b/../c%20d", hash: Unsigned},
		"get, no payload": {method: "GET"},
	} {
		r := q.sign(t)
		service := or(q.service, "lambda")
		result, err := verify(r, q.body, Expect{Service: service})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if result.Identity.Account != "123456789012" || result.Identity.AccessKeyID != suiteKey || result.Region != or(q.region, "us-east-1") {
			t.Errorf("%s: result is %+v", name, result)
		}
		if Service(r) != service || !Signed(r) {
			t.Errorf("%s: the hint is %q", name, Service(r))
		}
	}
	sum := sha256.Sum256([]byte("body"))
	r := request{body: "body", hash: hex.EncodeToString(sum[:])}.sign(t)
	result, err := NewVerifier(Options{Credentials: credentials, Now: now}).Verify(r, Expect{Service: "lambda"}, func() ([sha256.Size]byte, error) {
		t.Error("the body was read although its hash was stated")
		return sum, nil
	})
	if err != nil || result.PayloadHash != hex.EncodeToString(sum[:]) {
		t.Errorf("declared hash: %+v, %v", result, err)
	}
}

func TestGlobalServices(t *testing.T) {
	v := NewVerifier(Options{Credentials: credentials, Regions: []string{"eu-west-1"}, Now: now})
	digest := func() ([sha256.Size]byte, error) { return sha256.Sum256(nil), nil }
	for _, c := range []struct {
		region string
		global bool
		ok     bool
	}{{"us-east-1", false, false}, {"us-west-2", true, false}, {"us-east-1", true, true}, {"eu-west-1", true, true}, {"eu-west-1", false, true}} {
		_, err := v.Verify(request{region: c.region}.sign(t), Expect{Service: "lambda", Global: c.global}, digest)
		if (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestInsecure(t *testing.T) {
	v := NewVerifier(Options{Credentials: credentials, Insecure: true, Now: now})
	r := request{key: "ANYTHING", secret: "x", at: now().Add(-time.Hour)}.sign(t)
	result, err := v.Verify(r, Expect{Service: "lambda"}, nil)
	if err != nil || result.Identity != (awsapi.Identity{AccessKeyID: "ANYTHING"}) || result.Region != "us-east-1" {
		t.Errorf("%+v, %v", result, err)
	}
	if result, err = v.Verify(request{secret: "x"}.sign(t), Expect{Service: "lambda"}, nil); err != nil || result.Identity.Account != "123456789012" {
		t.Errorf("a known key is %+v, %v", result, err)
	}
	if _, err := v.Verify(httptest.NewRequest("GET", "/", nil), Expect{Service: "lambda"}, nil); err == nil {
		t.Error("no credentials at all pass")
	}
	if _, err := v.Verify(request{token: "expired"}.sign(t), Expect{Service: "lambda"}, nil); err == nil {
		t.Error("an expired session passes")
	}
}

func TestPresign(t *testing.T) {
	target := &url.URL{Scheme: "http", Host: "127.0.0.1:9000", Path: "/bucket/a key", RawQuery: "versionId=1"}
	p := Presigning{AccessKeyID: suiteKey, Secret: []byte(suiteSecret), Token: "t/o+k=", Region: "us-east-1", Service: "s3",
		Expires: 10 * time.Minute, At: now()}
	for _, expires := range []time.Duration{0, -1, maxExpires + 1} {
		bad := p
		bad.Expires = expires
		if _, err := bad.Presign("GET", target); err == nil {
			t.Errorf("a life of %s is accepted", expires)
		}
	}
	signed, err := p.Presign("GET", target)
	if err != nil {
		t.Fatal(err)
	}
	theirs, _, err := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }).PresignHTTP(context.Background(),
		aws.Credentials{AccessKeyID: suiteKey, SecretAccessKey: suiteSecret, SessionToken: "t/o+k="},
		httptest.NewRequest("GET", target.String()+"&X-Amz-Expires=600", nil), Unsigned, "s3", "us-east-1", now())
	if err != nil {
		t.Fatal(err)
	}
	their, _ := url.Parse(theirs)
	if got, want := signed.Query().Get("X-Amz-Signature"), their.Query().Get("X-Amz-Signature"); got != want {
		t.Errorf("signature is %s, the SDK's is %s", got, want)
	}
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		at     time.Time
		ok     bool
	}{
		{"changed", func(r *http.Request) {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "versionId=1", "versionId=2", 1)
		}, now(), false},
		{"longer life", func(r *http.Request) {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "Expires=600", "Expires=900", 1)
		}, now(), false},
		{"endless life", func(r *http.Request) {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "Expires=600", "Expires=9000000", 1)
		}, now(), false},
		{"put", func(r *http.Request) { r.Method = "PUT" }, now(), false},
		{"too late", nil, now().Add(10*time.Minute + time.Second), false},
		{"too early", nil, now().Add(-6 * time.Minute), false},
		{"last second", nil, now().Add(10 * time.Minute), true},
		{"at once", nil, now(), true},
	} {
		r := httptest.NewRequest("GET", signed.String(), nil)
		if c.change != nil {
			c.change(r)
		}
		v := NewVerifier(Options{Credentials: credentials, Now: func() time.Time { return c.at }})
		_, err := v.Verify(r, Expect{Service: "s3"}, nil)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestKeyCache(t *testing.T) {
	var cache keyCache
	s := scope{suiteKey, "20260304", "us-east-1", "lambda", terminator}
	first := cache.get(s, []byte("one"))
	if !bytes.Equal(first, cache.get(s, []byte("one"))) {
		t.Error("the same secret makes another key")
	}
	if bytes.Equal(first, cache.get(s, []byte("two"))) {
		t.Error("a changed secret is served the old key")
	}
	for i := range 10 * cacheSize {
		other := s
		other.accessKeyID = string(rune('a'+i%26)) + hex.EncodeToString([]byte{byte(i), byte(i >> 8)})
		cache.get(other, []byte("x"))
	}
	if n := len(cache.young) + len(cache.older); n > 2*cacheSize {
		t.Errorf("the cache holds %d keys", n)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260304/us-east-1/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature=00", "20260304T050607Z", "a=b", "")
	f.Add("", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a/b/c/d/e&X-Amz-Signature=x&X-Amz-SignedHeaders=host&X-Amz-Date=20260304T050607Z", Unsigned)
	f.Fuzz(func(t *testing.T, authorization, date, query, hash string) {
		r := httptest.NewRequest("POST", "/", nil)
		r.URL.RawQuery = query
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", date)
		r.Header.Set("X-Amz-Content-Sha256", hash)
		if _, err := verify(r, "", Expect{}); err == nil {
			t.Errorf("a forged request passes: %q %q %q", authorization, date, query)
		}
		Service(r)
	})
}
