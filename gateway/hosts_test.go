package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestParseHostRefuses(t *testing.T) {
	for _, text := range []string{
		"", ":", ":80", ".", "..", "a..b", ".a", "a b", " a", "a\t", "a/b", "a@b", "user@localhost", "a:b", "a:-1", "a:65536",
		"a:80:80", "[", "[]", "[::1", "::1]", "[::1]x", "[::1]:x", "[127.0.0.1]", "[localhost]", "[::1%eth0]", "fe80::1%eth0",
		"a%2e", "a\x00", "bücher", "localhost#", "localhost?", "a,b", "*.a", strings.Repeat("a.", 127) + "aa",
	} {
		if host, ok := parseHost(text); ok {
			t.Errorf("%q is taken for %q", text, host)
		}
	}
}

func TestParseHost(t *testing.T) {
	for text, want := range map[string]string{
		"localhost": "localhost", "LOCALHOST:4566": "localhost", "localhost.": "localhost", "localhost.:1": "localhost", "a:": "a",
		"127.0.0.1": "127.0.0.1", "127.0.0.1:4566": "127.0.0.1", "[::1]": "::1", "[::1]:4566": "::1", "::1": "::1",
		"[0:0:0:0:0:0:0:1]": "::1", "[::ffff:127.0.0.1]:80": "127.0.0.1", "My_Bucket.s3.localhost": "my_bucket.s3.localhost",
		"127.1": "127.1", "0x7f000001": "0x7f000001",
	} {
		if host, ok := parseHost(text); !ok || host != want {
			t.Errorf("%q is taken for %q, %v; want %q", text, host, ok, want)
		}
	}
}

func TestAllowedHostRefuses(t *testing.T) {
	for _, text := range []string{"", "*", "*.", "*.*.a", "a:80", "[::1]:80", "http://a", "a/", "*.127.0.0.1", "a*.b", "*a.b"} {
		if _, err := newHosts("localhost:4566", []string{text}); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestHosts(t *testing.T) {
	h, err := newHosts("hotaru.lan:4566", []string{"Api.Example", "*.functions.example", "10.0.0.7", "[fd00::7]"})
	if err != nil {
		t.Fatal(err)
	}
	g := &Gateway{hosts: h}
	local := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4566}
	check := func(host string, inside bool) bool {
		r := (&http.Request{Host: host}).WithContext(contextWith(t, local))
		return g.checkHost(r, inside)
	}
	for _, host := range []string{
		"evil.example", "localhost.evil.example", "evillocalhost", "functions.example", "api.example.evil", "xapi.example",
		"127.0.0.1.evil.example", "127.1", "0x7f000001", "2130706433", "0.0.0.0", "[::]", "192.0.2.2", "", "localhost/", "10.0.0.8",
	} {
		if check(host, false) || check(host, true) {
			t.Errorf("%q is answered", host)
		}
	}
	for _, host := range []string{
		"localhost", "localhost:80", "LocalHost.", "x.y.localhost:4566", "127.0.0.1", "127.9.9.9:1", "[::1]:4566", "hotaru.lan:1",
		"api.example", "a.functions.example", "a.b.functions.example", "10.0.0.7", "[fd00::7]:4566", "192.0.2.1:4566", "[::ffff:127.0.0.1]",
	} {
		if !check(host, false) {
			t.Errorf("%q is refused", host)
		}
	}
	for host, want := range map[string]bool{
		"lambda.us-east-1.amazonaws.com": true, "bucket.s3.amazonaws.com:443": true, "sqs.cn-north-1.amazonaws.com.cn": true,
		"lambda.us-east-1.api.aws": true, "abc.lambda-url.us-east-1.on.aws": true,
		"amazonaws.com": false, "aws": false, "evilamazonaws.com": false, "amazonaws.com.evil.example": false, "x.aws.example": false,
	} {
		if check(host, false) || check(host, true) != want || AWSName(host) != want {
			t.Errorf("%q inside: %v", host, !want)
		}
	}
	if g.AllowsName("evil.example") || !g.AllowsName("API.example") || g.AllowsName("lambda.us-east-1.amazonaws.com") {
		t.Error("names by TLS differ from hosts")
	}
}

func FuzzParseHost(f *testing.F) {
	for _, text := range []string{"localhost:80", "[::1]:80", "::1", "a.b.", "127.0.0.1", "a@b", "[::1%x]", "::ffff:1.2.3.4"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		host, port, ok := splitHost(text)
		if !ok {
			return
		}
		if again, none, ok := splitHost(host); !ok || again != host || none != "" {
			t.Fatalf("%q is %q, which is %q %q %v", text, host, again, none, ok)
		}
		if _, err := netip.ParseAddr(host); err != nil && strings.ContainsAny(host, "@/?#%:[]\\ \t\r\n\x00,") {
			t.Fatalf("%q is %q", text, host)
		}
		if h, err := newHosts("", nil); err != nil || h.allows(host) && !loopbackOrLocalhost(host) {
			t.Fatalf("%q is allowed (%v)", text, err)
		}
		_ = port
	})
}

func loopbackOrLocalhost(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}
