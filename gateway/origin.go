package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// origins are the web origins whose pages may talk to this Hotaru.
type origins map[string]bool

// newOrigins takes origins as browsers write them: https://app.example or http://localhost:3000.
func newOrigins(allowed []string) (origins, error) {
	o := origins{}
	for _, text := range allowed {
		scheme, authority, ok := parseOrigin(text)
		if !ok {
			return nil, fmt.Errorf("gateway: CORS origin %q: give SCHEME://HOST or SCHEME://HOST:PORT, without a path; "+
				"there is none that means every page", text)
		}
		o[scheme+"://"+authority] = true
	}
	return o, nil
}

// parseOrigin takes an Origin header apart (RFC 6454, section 7): scheme and authority, in one form, without a default
// port. "null", which a page without an origin sends, is none.
func parseOrigin(text string) (scheme, authority string, ok bool) {
	scheme, rest, ok := strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	if !ok || !goodScheme(scheme) {
		return "", "", false
	}
	authority, ok = canonicalAuthority(rest, defaultPort(scheme))
	return scheme, authority, ok
}

func goodScheme(scheme string) bool {
	for i, b := range []byte(scheme) {
		letter := b >= 'a' && b <= 'z'
		if !letter && (i == 0 || (b < '0' || b > '9') && b != '+' && b != '-' && b != '.') {
			return false
		}
	}
	return scheme != ""
}

// canonicalAuthority brings a host with or without a port into one form, without the scheme's usual port.
func canonicalAuthority(text, usual string) (string, bool) {
	host, port, ok := splitHost(text)
	if !ok {
		return "", false
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == "" || port == usual {
		return host, true
	}
	return host + ":" + port, true
}

// defaultPort is what browsers leave out of an origin.
func defaultPort(scheme string) string {
	switch scheme {
	case "http":
		return "80"
	case "https":
		return "443"
	}
	return ""
}

// verdict is what the check of a request's origin says.
type verdict int

const (
	// noPage: the request comes from no page, or from one of this Hotaru's own.
	noPage verdict = iota
	// allowedPage: the page's origin is allowed, and its browser must be told so.
	allowedPage
	// foreignPage: some page in a browser tries to drive this Hotaru.
	foreignPage
)

// judge says where a request comes from. Browsers send Origin with everything that could change something, and
// Sec-Fetch-Site (Fetch Metadata) with the rest, such as an image whose address is an API call.
func (o origins) judge(r *http.Request) verdict {
	sent := r.Header["Origin"]
	if len(sent) == 0 {
		switch r.Header.Get("Sec-Fetch-Site") {
		case "", "none", "same-origin":
			return noPage
		}
		return foreignPage
	}
	if len(sent) > 1 {
		return foreignPage
	}
	scheme, authority, ok := parseOrigin(sent[0])
	if !ok {
		return foreignPage
	}
	if o[scheme+"://"+authority] {
		return allowedPage
	}
	if scheme == "http" || scheme == "https" {
		// The scheme is left out of the comparison, since a proxy in front may speak TLS for us.
		if own, ok := canonicalAuthority(r.Host, defaultPort(scheme)); ok && own == authority {
			return noPage
		}
	}
	return foreignPage
}

// What browsers are told (https://fetch.spec.whatwg.org/#http-cors-protocol).
const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	// corsMaxAge is how long a browser may remember a preflight, in seconds.
	corsMaxAge = "7200"
	// corsExposed are the headers of answers that scripts may read.
	corsExposed = "x-amzn-RequestId, x-amzn-ErrorType, x-amzn-ErrorMessage, x-amzn-query-error, x-amzn-Trace-Id, " +
		"x-amz-request-id, x-amz-id-2, x-amz-crc32, x-amz-Function-Error, x-amz-Executed-Version, x-amz-Log-Result, " +
		"x-amzn-Remapped-Content-Length, Date, ETag, Location, Content-Range, Retry-After"
)

// allowPage tells the browser that the page may read the answer.
func allowPage(header http.Header, origin string) {
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Expose-Headers", corsExposed)
	header.Add("Vary", "Origin")
}

// isPreflight tells a browser's question from a request.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// answerPreflight tells the browser which methods and headers an allowed page may send.
func answerPreflight(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Access-Control-Allow-Methods", corsMethods)
	header.Set("Access-Control-Max-Age", corsMaxAge)
	header.Add("Vary", "Access-Control-Request-Headers")
	var allowed []string
	for name := range strings.SplitSeq(strings.Join(r.Header["Access-Control-Request-Headers"], ","), ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); pageMaySend(name) {
			allowed = append(allowed, name)
		}
	}
	if len(allowed) > 0 {
		header.Set("Access-Control-Allow-Headers", strings.Join(allowed, ", "))
	}
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		header.Set("Access-Control-Allow-Private-Network", "true")
	}
	w.WriteHeader(http.StatusNoContent)
}

// pageMaySend says whether AWS's SDKs in browsers send a header; the name is in lower case.
func pageMaySend(name string) bool {
	if slices.Contains([]string{"authorization", "content-type", "content-md5", "content-encoding", "cache-control", "pragma",
		"range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "smithy-protocol", "x-api-key"}, name) {
		return true
	}
	if strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }) {
		return false
	}
	return strings.HasPrefix(name, "x-amz-") || strings.HasPrefix(name, "x-amzn-") || strings.HasPrefix(name, "amz-sdk-")
}
