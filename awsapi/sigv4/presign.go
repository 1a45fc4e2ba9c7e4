package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Presigning says how to presign a URL.
type Presigning struct {
	AccessKeyID string
	Secret      []byte
	// Token is the session's; empty for a long-term key.
	Token   string
	Region  string
	Service string
	// Expires is the URL's life from At: more than nothing, at most seven days.
	Expires time.Duration
	At      time.Time
}

// Presign returns the URL with a signature for the method in its query. The signature covers the host and the query,
// and not the payload.
func (p Presigning) Presign(method string, target *url.URL) (*url.URL, error) {
	if p.Expires <= 0 || p.Expires > maxExpires {
		return nil, fmt.Errorf("sigv4: a presigned URL cannot live for %s", p.Expires)
	}
	at := p.At.UTC().Format(timeFormat)
	c := &claim{
		presigned: true, signedHeaders: "host", dateText: at,
		scope: scope{p.AccessKeyID, at[:8], p.Region, p.Service, terminator},
	}
	signed := *target
	query := signed.Query()
	query.Set("X-Amz-Algorithm", algorithm)
	query.Set("X-Amz-Credential", p.AccessKeyID+"/"+c.scope.String())
	query.Set("X-Amz-Date", at)
	query.Set("X-Amz-Expires", strconv.FormatInt(int64(p.Expires/time.Second), 10))
	query.Set("X-Amz-SignedHeaders", c.signedHeaders)
	if p.Token != "" {
		query.Set("X-Amz-Security-Token", p.Token)
	}
	query.Del("X-Amz-Signature")
	signed.RawQuery = query.Encode()
	hash := Unsigned
	if p.Service != "s3" {
		empty := sha256.Sum256(nil)
		hash = hex.EncodeToString(empty[:])
	}
	r := &http.Request{Method: method, URL: &signed, Host: signed.Host}
	canonical := canonicalRequest(r, signed.EscapedPath(), p.Service != "s3", c, hash)
	signature := sign(derive(c.scope, p.Secret), c, sha256.Sum256(canonical))
	signed.RawQuery += "&X-Amz-Signature=" + hex.EncodeToString(signature)
	return &signed, nil
}
