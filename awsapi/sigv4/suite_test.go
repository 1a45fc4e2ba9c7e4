package sigv4

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/awsapi"
)

const (
	suiteKey    = "AKIDEXAMPLE"
	suiteSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// suiteCase is one request of the published suite: as it is, canonical, string to sign, header, and signed.
type suiteCase struct{ Req, Creq, Sts, Authz, Sreq string }

func loadSuite(t *testing.T) map[string]suiteCase {
	t.Helper()
	data, err := os.ReadFile("testdata/suite.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]suiteCase
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 34 {
		t.Fatalf("the suite has %d requests, want 34", len(all))
	}
	return all
}

// parse reads a request as its bytes are: net/http would refuse the suite's spaces and UTF-8 in paths.
func parse(t *testing.T, text string) (*http.Request, []byte) {
	t.Helper()
	text = strings.ReplaceAll(text, "\r\n", "\n")
	head, body, _ := strings.Cut(text, "\n\n")
	line, rest, _ := strings.Cut(head, "\n")
	method, rest2, _ := strings.Cut(line, " ")
	target := rest2[:strings.LastIndex(rest2, " ")]
	r := &http.Request{Method: method, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	path, query, _ := strings.Cut(target, "?")
	r.URL = &url.URL{Path: path, RawPath: path, RawQuery: query}
	var last string
	for header := range strings.SplitSeq(rest, "\n") {
		if strings.HasPrefix(header, " ") {
			values := r.Header[last]
			values[len(values)-1] += " " + strings.TrimSpace(header)
			continue
		}
		name, value, _ := strings.Cut(header, ":")
		if strings.EqualFold(name, "host") {
			r.Host = value
			continue
		}
		last = textproto.CanonicalMIMEHeaderKey(name)
		r.Header[last] = append(r.Header[last], strings.TrimPrefix(value, " "))
	}
	return r, []byte(body)
}

func suiteCredentials(context.Context, string, string) ([]byte, awsapi.Identity, error) {
	return []byte(suiteSecret), awsapi.Identity{Account: "1"}, nil
}

func suiteTime() time.Time { return time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC) }

func TestPublishedSuite(t *testing.T) {
	for name, c := range loadSuite(t) {
		t.Run(name, func(t *testing.T) {
			r, body := parse(t, c.Sreq)
			// The signed request of one case repeats another's signature; the header on its own is right in all.
			r.Header.Set("Authorization", c.Authz)
			claim, err := parseClaim(r, wordsFor(Expect{}))
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(body)
			path := r.URL.RawPath
			if strings.Contains(path, "//") || strings.Contains(path, "/.") {
				path = normalize(path)
			}
			canonical := canonicalRequest(r, path, true, claim, hex.EncodeToString(sum[:]))
			if d := cmp.Diff(strings.ReplaceAll(c.Creq, "\r\n", "\n"), string(canonical)); d != "" {
				t.Errorf("canonical request (-want +got)\n%s", d)
			}
			if d := cmp.Diff(strings.ReplaceAll(c.Sts, "\r\n", "\n"), string(stringToSign(claim, sha256.Sum256(canonical)))); d != "" {
				t.Errorf("string to sign (-want +got)\n%s", d)
			}
			if strings.ContainsAny(r.URL.RawPath, " \u1234") {
				return // No such path can arrive: net/http refuses it.
			}
			v := NewVerifier(Options{Credentials: suiteCredentials, Now: suiteTime})
			digest := func() ([sha256.Size]byte, error) { return sum, nil }
			result, err := v.Verify(r, Expect{Service: "service"}, digest)
			if err != nil {
				t.Fatalf("the published signature is refused: %v", err)
			}
			if result.Region != "us-east-1" || result.Identity.AccessKeyID != suiteKey {
				t.Errorf("result is %+v", result)
			}
			r.Method = "PATCH"
			if _, err := v.Verify(r, Expect{Service: "service"}, digest); err == nil {
				t.Error("another method passes")
			}
		})
	}
}
