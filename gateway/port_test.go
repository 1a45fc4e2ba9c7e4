package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// secure makes a transport trust the rig's authority.
func (r *rig) secure(t *http.Transport) {
	t.TLSClientConfig = &tls.Config{RootCAs: r.ca.Pool(), MinVersion: tls.VersionTLS12}
}

// speak makes a transport speak one protocol alone.
func speak(http1, http2, h2c bool) func(*http.Transport) {
	return func(t *http.Transport) {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(http1)
		t.Protocols.SetHTTP2(http2)
		t.Protocols.SetUnencryptedHTTP2(h2c)
	}
}

// toRig lets any host name lead to the rig.
func (r *rig) toRig(t *http.Transport) {
	t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, r.address)
	}
}

func TestTLSRefuses(t *testing.T) {
	r := start(t)
	for _, name := range []string{"evil.example", "lambda.us-east-1.amazonaws.com", "localhost.evil.example"} {
		request := r.request(http.MethodPost, "https://"+name+invokePath, nil)
		response, err := r.client(r.secure, r.toRig).Do(request)
		if err == nil {
			response.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%s: %v", name, err)
		}
	}
	response, err := r.client().Get("https://" + r.address)
	if err == nil {
		response.Body.Close()
		t.Error("a client that does not know the authority is served")
	}
	// The name of the handshake and the Host of the request are checked apart.
	request := r.request(http.MethodPost, "https://"+r.address+invokePath, nil)
	request.Host = "evil.example"
	if response, text := r.do(r.client(r.secure), request); response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another host by TLS: %s %s", response.Status, text)
	}
	c := r.dial()
	c.send("\x16\x03\x01\x00\x05hello")
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("half TLS: %v", err)
	}
}

// TestProtocols speaks everything to one port.
func TestProtocols(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		r := startOn(t, listen)
		for name, c := range map[string]struct {
			scheme string
			change []func(*http.Transport)
			major  int
		}{
			"HTTP/1.1":          {"http", []func(*http.Transport){speak(true, false, false)}, 1},
			"h2c":               {"http", []func(*http.Transport){speak(false, false, true)}, 2},
			"HTTP/1.1 over TLS": {"https", []func(*http.Transport){r.secure, speak(true, false, false)}, 1},
			"HTTP/2 over TLS":   {"https", []func(*http.Transport){r.secure, speak(false, true, false)}, 2},
		} {
			client := r.client(c.change...)
			for range 2 {
				body := []byte(`"` + strings.Repeat("a", 3<<20) + `"`)
				response, text := r.do(client, r.request(http.MethodPost, c.scheme+"://"+r.address+invokePath, body))
				if response.StatusCode != http.StatusOK || text != string(body) || response.ProtoMajor != c.major {
					t.Errorf("%s to %s: %s %s, %d bytes", name, listen, response.Proto, response.Status, len(text))
				}
			}
			foreign := r.request(http.MethodPost, c.scheme+"://"+r.address+invokePath, []byte(`"a"`))
			foreign.Host = "evil.example"
			if response, text := r.do(client, foreign); response.StatusCode != http.StatusMisdirectedRequest {
				t.Errorf("%s: another host: %s %s", name, response.Status, text)
			}
		}
		named := r.request(http.MethodPost, "https://any.localhost"+invokePath, []byte(`"a"`))
		if response, text := r.do(r.client(r.secure, r.toRig), named); response.StatusCode != http.StatusOK {
			t.Errorf("by a name: %s %s", response.Status, text)
		}
	}
}

// TestInside: inside execution environments AWS's own names are good, by TLS too.
func TestInside(t *testing.T) {
	r := start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inside := NewServer(r.gateway.Inside(), r.gateway.options.Logger)
	shared := NewPort(r.ca.TLSConfig(AWSName), Limits{}, r.gateway.options.Logger).Listen(l)
	var serving sync.WaitGroup
	serving.Go(func() { _ = inside.Serve(shared) })
	defer serving.Wait()
	defer inside.Close()
	r.address = l.Addr().String()
	for _, url := range []string{
		"https://lambda.us-east-1.amazonaws.com", "http://lambda.eu-west-1.amazonaws.com", "https://lambda.us-east-1.api.aws", "http://" + r.address,
	} {
		response, text := r.do(r.client(r.secure, r.toRig), r.request(http.MethodPost, url+invokePath, []byte(`"hi"`)))
		if response.StatusCode != http.StatusOK || text != `"hi"` {
			t.Errorf("%s: %s %s", url, response.Status, text)
		}
	}
	if response, _ := r.do(r.client(r.toRig), r.request(http.MethodPost, "http://evil.example"+invokePath, nil)); response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another name: %s", response.Status)
	}
}

// TestDrain: running requests end and are told that their connection does, idle connections end, new ones are refused.
func TestDrain(t *testing.T) {
	const path = "/2015-03-31/functions/wait/invocations"
	t.Run("HTTP/1.1", func(t *testing.T) {
		r := start(t)
		idle, silent, running := r.dial(), r.dial(), r.dial()
		idle.send("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
		idle.answer()
		running.send("POST " + path + " HTTP/1.1\r\n" + r.headers(path, nil) + "Content-Length: 0\r\n\r\n")
		r.enter()
		ended := make(chan error, 1)
		go func() { ended <- r.server.Shutdown(t.Context()) }()
		idle.ended()
		silent.ended()
		if c, err := net.Dial("tcp", r.address); err == nil {
			c.Close()
			t.Error("a new connection is accepted")
		}
		select {
		case err := <-ended:
			t.Errorf("it did not wait for the running request: %v", err)
		default:
		}
		r.proceed <- struct{}{}
		if response, _ := running.answer(); response.StatusCode != http.StatusOK || !response.Close {
			t.Errorf("%s, closed: %v", response.Status, response.Close)
		}
		running.ended()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for name, change := range map[string]func(*rig) (string, []func(*http.Transport)){
		"h2c": func(*rig) (string, []func(*http.Transport)) {
			return "http", []func(*http.Transport){speak(false, false, true)}
		},
		"HTTP/2": func(r *rig) (string, []func(*http.Transport)) {
			return "https", []func(*http.Transport){r.secure, speak(false, true, false)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t)
			scheme, changes := change(r)
			client := r.client(changes...)
			request := r.request(http.MethodPost, scheme+"://"+r.address+path, []byte(`"hi"`))
			answered := make(chan error, 1)
			go func() {
				response, err := client.Do(request)
				if err == nil {
					_, err = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
				answered <- err
			}()
			r.enter()
			ended := make(chan error, 1)
			go func() { ended <- r.server.Shutdown(t.Context()) }()
			select {
			case err := <-ended:
				t.Errorf("it did not wait for the running request: %v", err)
			case err := <-answered:
				t.Errorf("the running request ended: %v", err)
			case <-time.After(50 * time.Millisecond):
			}
			r.proceed <- struct{}{}
			if err := <-answered; err != nil {
				t.Error(err)
			}
			// The connection ends by GOAWAY, though its client would keep it.
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCut: who does not wait for the drain ends everything.
func TestCut(t *testing.T) {
	const path = "/2015-03-31/functions/wait/invocations"
	for name, h2c := range map[string]bool{"HTTP/1.1": false, "h2c": true} {
		r := start(t)
		client := r.client(speak(!h2c, false, h2c))
		request := r.request(http.MethodPost, "http://"+r.address+path, []byte(`"hi"`))
		answered := make(chan error, 1)
		go func() {
			response, err := client.Do(request)
			if err == nil {
				_ = response.Body.Close()
			}
			answered <- err
		}()
		r.enter()
		ctx, cut := context.WithCancel(t.Context())
		cut()
		if err := r.server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		r.stop()
		if err := <-answered; err == nil {
			t.Errorf("%s: the request was answered", name)
		}
	}
}

func TestConnections(t *testing.T) {
	r := start(t, limits(Limits{Connections: 2}))
	first, second := r.dial(), r.dial()
	for _, c := range []*raw{first, second} {
		c.send("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
		c.answer()
	}
	r.dial().ended()
	if !strings.Contains(r.log.String(), "too many are open") {
		t.Errorf("nobody is told:\n%s", r.log.String())
	}
	first.send("GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	first.answer()
	first.ended()
	for limit := time.Now().Add(30 * time.Second); ; {
		c := r.dial()
		_, _ = io.WriteString(c, "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if response, err := http.ReadResponse(c.answers, nil); err == nil {
			response.Body.Close()
			return
		}
		if time.Now().After(limit) {
			t.Fatal("the place of a closed connection stays taken")
		}
	}
}

// failing is a listener that fails now and then.
type failing struct {
	net.Listener
	mu    sync.Mutex
	times int
}

func (f *failing) Accept() (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.times > 0 {
		f.times--
		return nil, &net.OpError{Op: "accept", Err: errors.New("too many open files")}
	}
	return f.Listener.Accept()
}

// TestListener: errors come through, and Close leaves nothing running, whether anybody accepts or not.
func TestListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	shared := NewPort(nil, Limits{HeaderTime: time.Hour}, slog.New(slog.DiscardHandler)).Listen(&failing{Listener: l, times: 2})
	for range 2 {
		if c, err := shared.Accept(); err == nil || c != nil {
			t.Errorf("the listener's error: %v", err)
		}
	}
	spoken, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer spoken.Close()
	silent, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := io.WriteString(spoken, "\x16"); err != nil { // without TLS it is data like any other
		t.Fatal(err)
	}
	c, err := shared.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, isTLS := c.(*tls.Conn); isTLS {
		t.Error("TLS is spoken without a configuration")
	}
	first := make([]byte, 8)
	if n, err := c.Read(first); n != 1 || err != nil || first[0] != tlsHandshake {
		t.Errorf("read %d %v", n, err)
	}
	waiting, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	if _, err := io.WriteString(waiting, "G"); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- errors.Join(shared.Close(), shared.Close()) }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Close waits for a client that says nothing")
	}
	if _, err := shared.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	for name, c := range map[string]net.Conn{"silent": silent, "not accepted": waiting} {
		if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the %s connection stays open", name)
		}
	}
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Error(err)
	}
}
