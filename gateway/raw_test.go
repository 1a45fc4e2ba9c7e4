package gateway

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMalformedRequests: what two readers could read in two ways is refused, and nothing that follows it is answered.
func TestMalformedRequests(t *testing.T) {
	r := start(t)
	host := "Host: " + r.address + "\r\n"
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for name, c := range map[string]struct {
		text   string
		status int
	}{
		"no host":               {"GET / HTTP/1.1\r\n\r\n", 400},
		"two hosts":             {"GET / HTTP/1.1\r\n" + host + "Host: evil.example\r\n\r\n", 400},
		"two lengths":           {"POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 50\r\n\r\na", 400},
		"a list of lengths":     {"POST / HTTP/1.1\r\n" + host + "Content-Length: 1, 1\r\n\r\na", 400},
		"negative length":       {"POST / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400},
		"signed length":         {"POST / HTTP/1.1\r\n" + host + "Content-Length: +1\r\n\r\na", 400},
		"huge length":           {"POST / HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999\r\n\r\na", 400},
		"gzip coding":           {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", 501},
		"two codings":           {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501},
		"gzip and chunked":      {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
		"identity":              {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: identity\r\n\r\n", 501},
		"space before colon":    {"GET / HTTP/1.1\r\n" + host + "Content-Length : 5\r\n\r\n", 400},
		"folded header":         {"GET / HTTP/1.1\r\n" + host + "X-A: b\r\n\tc\r\nX\x01: d\r\n\r\n", 400},
		"control in a value":    {"GET / HTTP/1.1\r\n" + host + "X-A: b\x00c\r\n\r\n", 400},
		"space in the target":   {"GET /a b HTTP/1.1\r\n" + host + "\r\n", 400},
		"bad escape":            {"GET /%zz HTTP/1.1\r\n" + host + "\r\n", 400},
		"another version":       {"GET / HTTP/3.0\r\n" + host + "\r\n", 505},
		"no HTTP":               {"hello\r\n\r\n", 400},
		"another expectation":   {"POST / HTTP/1.1\r\n" + host + "Expect: 200-ok\r\nContent-Length: 1\r\n\r\n", 417},
		"too large":             {"GET / HTTP/1.1\r\n" + host + "X-A: " + strings.Repeat("a", 80<<10) + "\r\n\r\n", 431},
		"too many headers":      {"GET / HTTP/1.1\r\n" + host + strings.Repeat("X-A: a\r\n", 20000) + "\r\n", 431},
		"a target of elsewhere": {"GET http://evil.example/ HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", 421},
		"all options":           {"OPTIONS * HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 421},
		"a tunnel":              {"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\nConnection: close\r\n\r\n", 421},
	} {
		c2 := r.dial()
		// The server may have closed before all of it was sent: its answer is what counts.
		_, _ = fmt.Fprint(c2, c.text+smuggled)
		response, err := http.ReadResponse(c2.answers, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if response.StatusCode != c.status {
			t.Errorf("%s: %s, want %d", name, response.Status, c.status)
		}
		_ = response.Body.Close()
		c2.Close()
	}
	r.stop()
	if strings.Contains(r.log.String(), "/smuggled") {
		t.Errorf("a smuggled request was answered:\n%s", r.log.String())
	}
}

// TestLengthAndChunks: net/http prefers the chunks; a proxy that preferred the length must not get a second answer.
func TestLengthAndChunks(t *testing.T) {
	r := start(t)
	for name, head := range map[string]string{
		"1.1": "POST " + invokePath + " HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
		"1.0": "POST " + invokePath + " HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
	} {
		c := r.dial()
		c.send(head + r.headers(invokePath, nil) + "\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if response, _ := c.answer(); !response.Close {
			t.Errorf("%s: %s keeps the connection", name, response.Status)
		}
		c.ended()
	}
	r.stop()
	if strings.Contains(r.log.String(), "/smuggled") {
		t.Errorf("a smuggled request was answered:\n%s", r.log.String())
	}
}

func TestHeaderSentTwice(t *testing.T) {
	r := start(t)
	for _, name := range singular() {
		c := r.dial()
		c.send("POST " + invokePath + " HTTP/1.1\r\n" + r.headers(invokePath, nil) + name + ": a\r\n" + name + ": b\r\n\r\n")
		response, text := c.answer()
		if response.StatusCode != http.StatusBadRequest || !strings.Contains(text, name+" was sent more than once") {
			t.Errorf("%s: %s %s", name, response.Status, text)
		}
	}
}

// TestWrongHost is refused with the name that would be needed, before its body has come.
func TestWrongHost(t *testing.T) {
	r := start(t, func(o *Options) { o.AllowedHosts = []string{"*.good.example"} })
	c := r.dial()
	c.send("POST / HTTP/1.1\r\nHost: evil.example:80\r\nContent-Length: 1000000\r\n\r\n")
	response, text := c.answer()
	const want = `{"message":"evil.example is not a name of this Hotaru. If it should be one, start it with --allowed-host=evil.example."}`
	if response.StatusCode != http.StatusMisdirectedRequest || text != want || response.Header.Get("X-Amzn-Errortype") != "MisdirectedRequestException" {
		t.Errorf("%s %s", response.Status, text)
	}
	for host, status := range map[string]int{"a.good.example": 404, "x.localhost": 404, "good.example": 421, "<script>": 400, "a b": 400, "a,b": 421} {
		c := r.dial()
		c.send("GET /x HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
		if response, text := c.answer(); response.StatusCode != status || strings.Contains(text, "<") {
			t.Errorf("%s: %s %s", host, response.Status, text)
		}
	}
	old := r.dial()
	old.send("GET /x HTTP/1.0\r\n\r\n")
	if response, _ := old.answer(); response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("HTTP/1.0 without a host: %s", response.Status)
	}
	old.ended()
}

// TestUnsigned is refused although its body never comes: at once where the client asked first or the body is large.
func TestUnsigned(t *testing.T) {
	r := start(t, limits(Limits{BodyTime: time.Hour}))
	for name, head := range map[string]string{
		"asked first": "Content-Length: 10\r\nExpect: 100-continue\r\n",
		"large":       "Content-Length: 5000000\r\n",
		"small":       "Content-Length: 10\r\n",
		"chunked":     "Transfer-Encoding: chunked\r\n",
	} {
		c := r.dial()
		c.send("POST " + invokePath + " HTTP/1.1\r\nHost: " + r.address + "\r\n" + head + "\r\n")
		if response, text := c.answer(); response.StatusCode != http.StatusForbidden || response.Header.Get("X-Amzn-Errortype") != "MissingAuthenticationTokenException" {
			t.Errorf("%s: %s %s", name, response.Status, text)
		}
		c.ended()
	}
}

// TestRefusedConnectionIsKept where the client has sent its body anyway.
func TestRefusedConnectionIsKept(t *testing.T) {
	r := start(t)
	c := r.dial()
	body := strings.Repeat("a", 100<<10)
	for range 3 {
		c.send("POST " + invokePath + " HTTP/1.1\r\nHost: " + r.address + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
		if response, _ := c.answer(); response.StatusCode != http.StatusForbidden || response.Close {
			t.Fatalf("%s, closed: %v", response.Status, response.Close)
		}
	}
}

func TestContinue(t *testing.T) {
	r := start(t)
	c := r.dial()
	head := "POST " + invokePath + " HTTP/1.1\r\n" + r.headers(invokePath, []byte(`"hi"`))
	c.send(head + "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	if response, _ := c.answer(); response.StatusCode != http.StatusContinue {
		t.Fatalf("asked first: %s", response.Status)
	}
	c.send(`"hi"`)
	if response, text := c.answer(); response.StatusCode != http.StatusOK || text != `"hi"` {
		t.Errorf("%s %s", response.Status, text)
	}
	c.send(head + "Content-Length: 4\r\n\r\n" + `"hi"`)
	if response, text := c.answer(); response.StatusCode != http.StatusOK || text != `"hi"` || response.Close {
		t.Errorf("the second on the connection: %s %s", response.Status, text)
	}
	c.send(head + "Transfer-Encoding: chunked\r\n\r\n2\r\n\"h\r\n2\r\ni\"\r\n0\r\n\r\n")
	if response, text := c.answer(); response.StatusCode != http.StatusOK || text != `"hi"` || !response.Close {
		t.Errorf("in chunks: %s %s", response.Status, text)
	}
	c.ended()

	c = r.dial()
	c.send("POST " + invokePath + " HTTP/1.0\r\n" + r.headers(invokePath, []byte(`"hi"`)) + "Content-Length: 4\r\n\r\n" + `"hi"`)
	if response, text := c.answer(); response.StatusCode != http.StatusOK || text != `"hi"` {
		t.Errorf("HTTP/1.0: %s %s", response.Status, text)
	}
	c.ended()
}

// TestEscapedPath: an escaped slash belongs to a name and never divides.
func TestEscapedPath(t *testing.T) {
	r := start(t)
	for path, want := range map[string]int{
		"/2015-03-31/functions/echo%2Finvocations":                                                          404,
		"/2015-03-31/functions/../functions/echo/invocations":                                               404,
		"/2015-03-31//functions/echo/invocations":                                                           404,
		"/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Aecho/invocations": 200,
	} {
		c := r.dial()
		c.send("POST " + path + " HTTP/1.1\r\n" + r.headers(path, nil) + "Content-Length: 0\r\n\r\n")
		if response, text := c.answer(); response.StatusCode != want {
			t.Errorf("%s: %s %s", path, response.Status, text)
		}
	}
}
