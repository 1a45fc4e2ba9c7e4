package gateway

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
)

func contextWith(t *testing.T, local net.Addr) context.Context {
	return context.WithValue(t.Context(), http.LocalAddrContextKey, local)
}

func TestCORSOriginRefuses(t *testing.T) {
	for _, text := range []string{"", "*", "null", "a", "a.example", "//a", "://a", "http:/a", "http://", "http://a/", "http://a/b",
		"http://a?b", "http://u@a", "http://a:b", "http://*.a", "1http://a", "http://a b", "http://a\n", "ht_tp://a"} {
		if _, err := newOrigins([]string{text}); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestJudge(t *testing.T) {
	o, err := newOrigins([]string{"https://App.example", "http://localhost:3000", "http://[::1]:80", "chrome-extension://abc"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		origin []string
		site   string
		host   string
		want   verdict
	}{
		{[]string{"http://evil.example"}, "", "", foreignPage},
		{[]string{"null"}, "", "", foreignPage},
		{[]string{""}, "", "", foreignPage},
		{[]string{"https://app.example", "https://app.example"}, "", "", foreignPage},
		{[]string{"https://app.example, https://evil.example"}, "", "", foreignPage},
		{[]string{"http://app.example"}, "", "", foreignPage},
		{[]string{"https://app.example:444"}, "", "", foreignPage},
		{[]string{"https://app.example.evil"}, "", "", foreignPage},
		{[]string{"https://x.app.example"}, "", "", foreignPage},
		{[]string{"http://localhost:3001"}, "same-site", "", foreignPage},
		{[]string{"http://localhost"}, "same-site", "", foreignPage},
		{[]string{"file://"}, "", "", foreignPage},
		{[]string{"http://127.0.0.1:4566"}, "", "localhost:4566", foreignPage},
		{nil, "cross-site", "", foreignPage},
		{nil, "same-site", "", foreignPage},
		{nil, "nonsense", "", foreignPage},

		{nil, "", "", noPage},
		{nil, "none", "", noPage},
		{nil, "same-origin", "", noPage},
		{[]string{"http://localhost:4566"}, "same-origin", "localhost:4566", noPage},
		{[]string{"https://Localhost:4566"}, "", "LOCALHOST:4566", noPage},
		{[]string{"https://hotaru.example"}, "", "hotaru.example:443", noPage},
		{[]string{"http://[::1]:4566"}, "", "[::1]:4566", noPage},

		{[]string{"https://app.example"}, "cross-site", "", allowedPage},
		{[]string{"https://APP.example:443"}, "", "", allowedPage},
		{[]string{"http://localhost:3000"}, "same-site", "", allowedPage},
		{[]string{"http://[::1]"}, "", "", allowedPage},
		{[]string{"chrome-extension://abc"}, "", "", allowedPage},
	} {
		r := &http.Request{Header: http.Header{}, Host: c.host}
		if c.host == "" {
			r.Host = "localhost:4566"
		}
		r.Header["Origin"] = c.origin
		if c.origin == nil {
			delete(r.Header, "Origin")
		}
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		if got := o.judge(r); got != c.want {
			t.Errorf("%q %q for %q: %d, want %d", c.origin, c.site, r.Host, got, c.want)
		}
	}
}

// TestPages asks as a browser does.
func TestPages(t *testing.T) {
	const page = "https://app.example"
	r := start(t, func(o *Options) { o.CORSOrigins = []string{page}; o.AnyCredentials = true })
	client := r.client()
	preflight := func(origin string) (*http.Response, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, "http://"+r.address+invokePath, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Origin", origin)
		request.Header.Set("Access-Control-Request-Method", "POST")
		request.Header.Set("Access-Control-Request-Headers", "authorization,x-amz-date,X-Amz-Client-Context, amz-sdk-request,cookie,x-amz-\"")
		request.Header.Set("Access-Control-Request-Private-Network", "true")
		return r.do(client, request)
	}
	for _, origin := range []string{"https://evil.example", "null", "https://app.example.evil"} {
		response, text := preflight(origin)
		if response.StatusCode != http.StatusForbidden || len(corsHeaders(response.Header)) > 0 || !strings.Contains(text, "may not use this Hotaru") {
			t.Errorf("preflight of %s: %s %v %s", origin, response.Status, corsHeaders(response.Header), text)
		}
		request := r.request(http.MethodPost, "http://"+r.address+"/2015-03-31/functions/wait/invocations", nil)
		request.Header.Set("Origin", origin)
		if response, text = r.do(client, request); response.StatusCode != http.StatusForbidden || len(corsHeaders(response.Header)) > 0 {
			t.Errorf("request of %s: %s %v %s", origin, response.Status, corsHeaders(response.Header), text)
		}
	}
	// An image: no Origin, and a signature that --insecure-any-credentials would take.
	image, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.address+"/2015-03-31/functions/?X-Amz-Credential=a", nil)
	if err != nil {
		t.Fatal(err)
	}
	image.Header.Set("Sec-Fetch-Site", "cross-site")
	if response, text := r.do(client, image); response.StatusCode != http.StatusForbidden || response.Header.Get("X-Amzn-Errortype") != "ForeignOriginException" {
		t.Errorf("an image: %s %s", response.Status, text)
	}
	if len(r.entered) > 0 {
		t.Fatal("a foreign page invoked a function")
	}

	response, text := preflight(page)
	want := map[string]string{
		"Access-Control-Allow-Origin": page, "Access-Control-Allow-Methods": corsMethods, "Access-Control-Max-Age": corsMaxAge,
		"Access-Control-Allow-Headers":         "authorization, x-amz-date, x-amz-client-context, amz-sdk-request",
		"Access-Control-Allow-Private-Network": "true", "Access-Control-Expose-Headers": corsExposed,
	}
	if response.StatusCode != http.StatusNoContent || text != "" {
		t.Errorf("preflight: %s %s", response.Status, text)
	}
	for name, value := range want {
		if got := response.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	request := r.request(http.MethodPost, "http://"+r.address+invokePath, []byte(`"hi"`))
	request.Header.Set("Origin", page)
	response, text = r.do(client, request)
	if response.StatusCode != http.StatusOK || text != `"hi"` || response.Header.Get("Access-Control-Allow-Origin") != page ||
		!strings.Contains(response.Header.Get("Access-Control-Expose-Headers"), "x-amz-Function-Error") {
		t.Errorf("request: %s %s %v", response.Status, text, response.Header)
	}
	if vary := strings.Join(response.Header["Vary"], ","); !strings.Contains(vary, "Origin") {
		t.Errorf("a cache may mix up origins: Vary is %q", vary)
	}
}

func corsHeaders(h http.Header) (found []string) {
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			found = append(found, name)
		}
	}
	return found
}

func FuzzParseOrigin(f *testing.F) {
	for _, text := range []string{"https://a.example", "http://[::1]:80", "null", "http://a:443", "ftp://a.:21", "http://a/"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		scheme, authority, ok := parseOrigin(text)
		if !ok {
			return
		}
		again, same, ok := parseOrigin(scheme + "://" + authority)
		if !ok || again != scheme || same != authority {
			t.Fatalf("%q is %q %q, which is %q %q %v", text, scheme, authority, again, same, ok)
		}
		if strings.ContainsAny(scheme+authority, "/ \r\n\t@?#,\"") {
			t.Fatalf("%q is %q %q", text, scheme, authority)
		}
	})
}
