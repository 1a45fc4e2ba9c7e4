// Package sigv4 verifies and makes AWS Signature Version 4
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html): in the Authorization header and in presigned
// URLs. It must not know operations, nor where credentials come from.
package sigv4

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"hotaru/awsapi"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	algorithmA = "AWS4-ECDSA-P256-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"

	// Unsigned stands in a payload's hash where the payload is not part of the signature.
	Unsigned = "UNSIGNED-PAYLOAD"
	// streaming starts the marks of payloads that carry signatures of their own, chunk by chunk.
	streaming = "STREAMING-"

	// skew is how far clocks may differ.
	skew = 5 * time.Minute
	// maxExpires is the longest life of a presigned URL.
	maxExpires = 7 * 24 * time.Hour
)

// The errors of a credential source.
var (
	// ErrUnknownKey says that there is no such access key or session.
	ErrUnknownKey = errors.New("sigv4: unknown access key")
	// ErrExpired says that the session token is no longer valid.
	ErrExpired = errors.New("sigv4: expired session token")
)

// Credentials finds the secret of an access key and whom it stands for, or answers ErrUnknownKey or ErrExpired; any
// other error is a failure of ours. A session's token must belong to the key. The secret is not kept beyond the
// bounded cache of signing keys.
type Credentials func(ctx context.Context, accessKeyID, sessionToken string) (secret []byte, who awsapi.Identity, err error)

// Options configure a Verifier.
type Options struct {
	Credentials Credentials
	// Regions are the ones that signatures may be scoped to; none means any.
	Regions []string
	// Insecure accepts every signature, and every access key: an unknown one stands for an Identity with nothing but
	// its AccessKeyID. A request without credentials is still refused.
	Insecure bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Verifier checks signatures. It is safe for concurrent use.
type Verifier struct {
	options Options
	keys    keyCache
}

// NewVerifier makes a Verifier.
func NewVerifier(options Options) *Verifier {
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Verifier{options: options}
}

// Expect says what a signature must be good for.
type Expect struct {
	// Service is the signing name: "lambda".
	Service string
	// Global says that the service has one endpoint for the world, whose callers sign for us-east-1 wherever they are.
	Global bool
	// Query chooses the error codes of query services (IAM, STS, SNS, ...).
	Query bool
}

// Result is what a valid signature says.
type Result struct {
	Identity awsapi.Identity
	// Region of the credential scope.
	Region string
	// PayloadHash is the signed SHA-256 of the body in lower-case hex, which the body must match; empty where the
	// payload is not signed.
	PayloadHash string
	// Chunks describe a body that comes in chunks (aws-chunked), which then takes the place of PayloadHash: what their
	// Reader reads from the body is what the caller sent. It is nil where the body is sent as it is.
	Chunks *Chunks
}

// Signed says whether a request carries anything of a signature.
func Signed(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || strings.Contains(r.URL.RawQuery, "X-Amz-Credential=")
}

// Service returns the service of the credential scope, as a hint; empty where there is none.
func Service(r *http.Request) string {
	var credential string
	if header := r.Header.Get("Authorization"); header != "" {
		_, credential, _ = strings.Cut(header, "Credential=")
		credential, _, _ = strings.Cut(credential, ",")
	} else if strings.Contains(r.URL.RawQuery, "X-Amz-Credential=") {
		credential = r.URL.Query().Get("X-Amz-Credential")
	}
	if scope, ok := parseScope(credential); ok {
		return scope.service
	}
	return ""
}

// scope is a credential scope.
type scope struct {
	accessKeyID, date, region, service, end string
}

// parseScope reads from the end, because an access key may have slashes.
func parseScope(credential string) (scope, bool) {
	var s scope
	rest := strings.TrimSpace(credential)
	for _, part := range []*string{&s.end, &s.service, &s.region, &s.date} {
		slash := strings.LastIndexByte(rest, '/')
		if slash < 0 {
			return s, false
		}
		rest, *part = rest[:slash], rest[slash+1:]
	}
	s.accessKeyID = rest
	return s, rest != ""
}

func (s scope) String() string {
	return s.date + "/" + s.region + "/" + s.service + "/" + s.end
}

// claim is a signature as a request presents it.
type claim struct {
	scope         scope
	signedHeaders string
	signature     string
	date          time.Time
	dateText      string
	token         string
	// presigned and expires say that it is a URL with a life of its own.
	presigned bool
	expires   time.Duration
}

// Verify answers who signed the request, or an *awsapi.Error. Digest is asked only where the signature covers a hash
// that the request does not state.
func (v *Verifier) Verify(r *http.Request, expect Expect, digest func() ([sha256.Size]byte, error)) (Result, error) {
	words := wordsFor(expect)
	c, err := parseClaim(r, words)
	if err != nil {
		return Result{}, err
	}
	secret, who, err := v.options.Credentials(r.Context(), c.scope.accessKeyID, c.token)
	if v.options.Insecure && (err == nil || errors.Is(err, ErrUnknownKey)) {
		who.AccessKeyID = c.scope.accessKeyID
		chunks, err := Chunked(r, expect)
		return Result{Identity: who, Region: c.scope.region, Chunks: chunks}, err
	}
	switch {
	case errors.Is(err, ErrUnknownKey):
		return Result{}, words.unknownKey()
	case errors.Is(err, ErrExpired):
		return Result{}, words.expiredToken()
	case err != nil:
		return Result{}, err
	}
	if err := v.checkScope(c, expect, words); err != nil {
		return Result{}, err
	}
	if err := v.checkTime(c, words); err != nil {
		return Result{}, err
	}
	chunks, err := Chunked(r, expect)
	if err != nil {
		return Result{}, err
	}
	if err := checkSignedHeaders(r, c, expect, chunks, words); err != nil {
		return Result{}, err
	}
	hash, declared, err := payloadHash(r, c, expect, chunks, words, digest)
	if err != nil {
		return Result{}, err
	}
	key := v.keys.get(c.scope, secret)
	signature, ok := matches(r, c, expect, key, hash)
	if !ok {
		return Result{}, words.mismatch()
	}
	if chunks != nil {
		chunks.follow(c, key, signature)
	}
	who.AccessKeyID = c.scope.accessKeyID
	return Result{Identity: who, Region: c.scope.region, PayloadHash: declared, Chunks: chunks}, nil
}

// matches compares the signature in constant time and answers the right one. Where the path could be normalized, both
// forms count: clients differ.
func matches(r *http.Request, c *claim, expect Expect, key []byte, hash string) (signature []byte, ok bool) {
	paths := make([]string, 1, 2)
	paths[0] = r.URL.EscapedPath()
	if expect.Service != "s3" {
		if normal := normalize(paths[0]); normal != paths[0] {
			paths = append(paths, normal)
		}
	}
	for _, path := range paths {
		canonical := canonicalRequest(r, path, expect.Service != "s3", c, hash)
		want := sign(key, c, sha256.Sum256(canonical))
		if equalHex(c.signature, want) {
			return want, true
		}
	}
	return nil, false
}

func (v *Verifier) checkScope(c *claim, expect Expect, words words) error {
	switch {
	case c.scope.end != terminator:
		return words.invalid("Credential should be scoped with a valid terminator: 'aws4_request', not '%s'.", c.scope.end)
	case c.scope.service != expect.Service:
		return words.invalid("Credential should be scoped to correct service: '%s'. ", expect.Service)
	case c.scope.region == "", !v.accepts(c.scope.region, expect.Global):
		return words.invalid("Credential should be scoped to a valid region. ")
	case c.scope.date != c.dateText[:8]:
		return words.invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "+
			"'%s' != '%s', from '%s'.", c.scope.date, c.dateText[:8], c.dateText)
	}
	return nil
}

func (v *Verifier) accepts(region string, global bool) bool {
	return len(v.options.Regions) == 0 || slices.Contains(v.options.Regions, region) || global && region == "us-east-1"
}

func (v *Verifier) checkTime(c *claim, words words) error {
	now := v.options.Now().UTC()
	earliest, latest := now.Add(-skew), now.Add(skew)
	if c.date.After(latest) {
		return words.invalid("Signature not yet current: %s is still later than %s (%s + 5 min.)",
			c.dateText, latest.Format(timeFormat), now.Format(timeFormat))
	}
	if c.presigned {
		if end := c.date.Add(c.expires); now.After(end) {
			return words.invalid("Signature expired: %s is now earlier than %s", end.Format(timeFormat), now.Format(timeFormat))
		}
		return nil
	}
	if c.date.Before(earliest) {
		return words.invalid("Signature expired: %s is now earlier than %s (%s - 5 min.)",
			c.dateText, earliest.Format(timeFormat), now.Format(timeFormat))
	}
	return nil
}

// checkSignedHeaders makes sure that what chooses the operation, and what frames the body, is signed.
func checkSignedHeaders(r *http.Request, c *claim, expect Expect, chunks *Chunks, words words) error {
	names := strings.Split(c.signedHeaders, ";")
	if !slices.Contains(names, "host") && !slices.Contains(names, ":authority") {
		return words.incomplete("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	if r.Header.Get("X-Amz-Target") != "" && !slices.Contains(names, "x-amz-target") {
		return words.incomplete("'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.")
	}
	var unsigned []string
	if chunks != nil && !c.presigned {
		unsigned = missingFrom(names, chunks.mustSign())
	}
	if expect.Service == "s3" {
		unsigned = append(unsigned, missingFrom(names, amzHeaders(r, c.presigned))...)
	}
	if len(unsigned) > 0 {
		return headersNotSigned(unsigned)
	}
	return nil
}

func missingFrom(names, wanted []string) []string {
	return slices.DeleteFunc(wanted, func(name string) bool { return slices.Contains(names, name) })
}

// amzHeaders are the request's headers that S3 wants signed. A presigned URL's payload hash is part of the URL's
// signature whether it is signed as a header or not.
func amzHeaders(r *http.Request, presigned bool) []string {
	var names []string
	for name := range r.Header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-amz-") && (!presigned || lower != "x-amz-content-sha256") {
			names = append(names, lower)
		}
	}
	slices.Sort(names)
	return names
}

// payloadHash is the hash that the canonical request ends with, and the one that the body must still be held against.
func payloadHash(r *http.Request, c *claim, expect Expect, chunks *Chunks, words words, digest func() ([sha256.Size]byte, error)) (hash, declared string, err error) {
	given := r.Header.Get("X-Amz-Content-Sha256")
	switch {
	case given == Unsigned || chunks != nil:
		return given, "", nil
	case len(given) == 2*sha256.Size && strings.Trim(given, "0123456789abcdef") == "":
		return given, given, nil
	case given != "":
		return "", "", words.mismatch()
	case c.presigned && expect.Service == "s3":
		return Unsigned, "", nil
	}
	sum, err := digest()
	if err != nil {
		return "", "", err
	}
	return hex.EncodeToString(sum[:]), "", nil
}

// parseClaim reads the Authorization header or the query.
func parseClaim(r *http.Request, words words) (*claim, error) {
	header := r.Header.Get("Authorization")
	if len(r.Header["Authorization"]) > 1 {
		return nil, words.incomplete("Authorization header requires exactly one value.")
	}
	if header == "" {
		if strings.Contains(r.URL.RawQuery, "X-Amz-") {
			return parsePresigned(r, words)
		}
		return nil, words.missing()
	}
	kind, rest, _ := strings.Cut(header, " ")
	if kind == algorithmA {
		return nil, words.signatureA()
	}
	if kind != algorithm {
		return nil, words.incomplete("Unsupported AWS 'algorithm': '%s'.", kind)
	}
	c := &claim{token: r.Header.Get("X-Amz-Security-Token")}
	var credential string
	for part := range strings.SplitSeq(rest, ",") {
		part = strings.TrimSpace(part)
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return nil, words.incomplete("'%s' not a valid key=value pair (missing equal-sign) in Authorization header: '%s'.",
				part, redact(header))
		}
		var into *string
		switch name {
		case "Credential":
			into = &credential
		case "SignedHeaders":
			into = &c.signedHeaders
		case "Signature":
			into = &c.signature
		default:
			continue
		}
		if *into != "" {
			return nil, words.incomplete("'%s' is given more than once in Authorization header: '%s'.", name, redact(header))
		}
		*into = value
	}
	c.dateText = r.Header.Get("X-Amz-Date")
	if c.dateText == "" {
		if t, err := http.ParseTime(r.Header.Get("Date")); err == nil {
			c.dateText = t.UTC().Format(timeFormat)
		}
	}
	if err := words.required("Authorization header requires", []need{
		{"'Credential' parameter", credential}, {"'Signature' parameter", c.signature},
		{"'SignedHeaders' parameter", c.signedHeaders},
		{"existence of either a 'X-Amz-Date' or a 'Date' header", c.dateText},
	}, "Authorization="+redact(header)); err != nil {
		return nil, err
	}
	return c.complete(credential, words)
}

func parsePresigned(r *http.Request, words words) (*claim, error) {
	query := r.URL.Query()
	switch kind := query.Get("X-Amz-Algorithm"); kind {
	case algorithm:
	case algorithmA:
		return nil, words.signatureA()
	case "":
		return nil, words.missing()
	default:
		return nil, words.incomplete("Unsupported AWS 'algorithm': '%s'.", kind)
	}
	c := &claim{
		presigned: true, signedHeaders: query.Get("X-Amz-SignedHeaders"), signature: query.Get("X-Amz-Signature"),
		dateText: query.Get("X-Amz-Date"), token: query.Get("X-Amz-Security-Token"),
	}
	credential := query.Get("X-Amz-Credential")
	if err := words.required("AWS query-string parameters must include", []need{
		{"'X-Amz-Credential'", credential}, {"'X-Amz-Signature'", c.signature},
		{"'X-Amz-SignedHeaders'", c.signedHeaders}, {"'X-Amz-Date'", c.dateText},
	}, "Re-examine the query-string parameters."); err != nil {
		return nil, err
	}
	// Without a life of its own a signature in a query lives as long as one in a header.
	c.expires = skew
	if text := query.Get("X-Amz-Expires"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < 0 || time.Duration(seconds)*time.Second > maxExpires {
			return nil, words.incomplete("X-Amz-Expires must be a number of seconds from 0 to %d", int(maxExpires.Seconds()))
		}
		c.expires = time.Duration(seconds) * time.Second
	}
	return c.complete(credential, words)
}

// complete reads the parts that both forms have.
func (c *claim) complete(credential string, words words) (*claim, error) {
	var ok bool
	if c.scope, ok = parseScope(credential); !ok {
		return nil, words.incomplete("Credential must have exactly 5 slash-delimited elements, "+
			"e.g. keyid/date/region/service/term, got '%s'", credential)
	}
	var err error
	if c.date, err = time.Parse(timeFormat, c.dateText); err != nil {
		return nil, words.incomplete("Date must be in ISO-8601 'basic format'. Got '%s'. "+
			"See http://en.wikipedia.org/wiki/ISO_8601", c.dateText)
	}
	return c, nil
}

// redact keeps a signature out of messages.
func redact(header string) string {
	before, _, found := strings.Cut(header, "Signature=")
	if found {
		return before + "Signature=..."
	}
	return header
}
