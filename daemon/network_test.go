package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"hotaru/sandbox/router/routertest"
)

// outside is what is on the Internet of these tests.
type outside struct {
	port  string // of a web server, at both of its addresses, after a colon
	names string // a resolv.conf that names its DNS server
}

const greeting = "hello from outside"

// furnishOutside makes an Internet for this process, with a web server and a DNS server.
func furnishOutside(t *testing.T) outside {
	t.Helper()
	internet := routertest.Furnish(t)
	serve := func(conn *net.TCPConn) {
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\n"+greeting)
	}
	at := routertest.Listen(t, internet, "[::]:0", serve)
	questions := routertest.Packets(t, internet, routertest.Internet4+":53")
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		b := make([]byte, 4096)
		for {
			n, from, err := questions.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if reply, err := resolve(b[:n]); err == nil {
				_, _ = questions.WriteToUDPAddrPort(reply, from)
			}
		}
	}()
	t.Cleanup(func() { questions.Close(); <-answered })
	o := outside{port: ":" + strconv.Itoa(int(at.Port())), names: filepath.Join(t.TempDir(), "resolv.conf")}
	o.follow(t, routertest.Internet4)
	return o
}

// follow changes the host's resolver.
func (o outside) follow(t *testing.T, server string) {
	t.Helper()
	content := "search example.com\nnameserver " + server + "\n"
	if err := os.WriteFile(o.names, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// resolve knows one name: www.example.com.
func resolve(question []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || len(m.Questions) != 1 {
		return nil, errors.Join(err, errors.New("not a question"))
	}
	q := m.Questions[0]
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}
	switch {
	case q.Name.String() != "www.example.com.":
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		address := netip.MustParseAddr(routertest.Internet4).As4()
		m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: address}}}
	case q.Type == dnsmessage.TypeAAAA:
		address := netip.MustParseAddr(routertest.Internet6).As16()
		m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AAAAResource{AAAA: address}}}
	}
	return m.Pack()
}

// createEgress creates the function of these tests.
func (h *harness) createEgress(name string, tags map[string]string) {
	h.t.Helper()
	source, err := os.ReadFile(filepath.Join("testdata", "egress.py"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.createPython(name, string(source), func(in *lambda.CreateFunctionInput) { in.Tags = tags })
}

// says asks the function for many things at once.
func (h *harness) says(name string, want map[string]any, urls, code []string) {
	h.t.Helper()
	event, err := json.Marshal(map[string]any{"urls": urls, "code": code})
	if err != nil {
		h.t.Fatal(err)
	}
	got := map[string]any{}
	if err := json.Unmarshal([]byte(h.ok(name, string(event))), &got); err != nil {
		h.t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("%s: %s", name, diff)
	}
}

// urlsOf are the URLs of what a function is to say.
func urlsOf(want map[string]any) (urls []string) {
	for what := range maps.Keys(want) {
		urls = append(urls, what)
	}
	return urls
}

// TestEgress: functions reach the Internet by name and by address, and of this machine nothing.
func TestEgress(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	o := furnishOutside(t)
	o.follow(t, "203.0.113.99") // nobody's
	h := start(t, func(c *Config) {
		c.Egress, c.ResolvConf, c.Listen = "internet", o.names, routertest.Host4+":0"
		c.EgressDenied = []string{"198.51.100.0/24"}
	})
	h.createEgress("open", nil)
	o.follow(t, routertest.Internet4) // the host's resolver changes
	h.createEgress("closed", map[string]string{"hotaru:egress": "none"})
	own := strings.TrimPrefix(h.Endpoint().URL, "http://")
	_, ownPort, err := net.SplitHostPort(own)
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]any{
		"http://www.example.com" + o.port + "/":                greeting,
		"http://" + routertest.Internet4 + o.port + "/":        greeting,
		"http://[" + routertest.Internet6 + "]" + o.port + "/": greeting,
		"http://" + routertest.Internet4 + ":9/":               "ECONNREFUSED",
		"http://other.example.com/":                            "no such name",
		"http://www/":                                          "no such name", // the host's search domains are not ours
		"http://" + own + "/":                                  "EHOSTUNREACH", // Hotaru's own port
		"http://" + routertest.Second4 + ":" + ownPort + "/":   "EHOSTUNREACH",
		"http://[::ffff:" + routertest.Host4 + "]:" + ownPort:  "EHOSTUNREACH",
		"http://[" + routertest.Host6 + "]:" + ownPort:         "EACCES",
		"http://169.254.169.254/latest/meta-data/":             "EHOSTUNREACH",
		"http://[fd00:ec2::254]/latest/meta-data/":             "EACCES",
		"http://198.51.100.7/":                                 "EHOSTUNREACH",
		"http://198.19.0.1:9001/":                              "ECONNREFUSED", // its own
		"http://0.0.0.0:" + ownPort:                            "ECONNREFUSED",
		"http://127.0.0.1:" + ownPort:                          "ECONNREFUSED",
		"http://sts.eu-central-1.amazonaws.com/":               404.0, // Hotaru's, which has nothing there
	}
	h.saysFrom("open", open)
	closed := map[string]any{
		"http://www.example.com" + o.port + "/":                "no such name",
		"http://" + routertest.Internet4 + o.port + "/":        "ENETUNREACH",
		"http://[" + routertest.Internet6 + "]" + o.port + "/": "ENETUNREACH",
		"http://" + own + "/":                                  "ENETUNREACH",
		"http://sts.eu-central-1.amazonaws.com/":               404.0,
	}
	h.saysFrom("closed", closed)
	h.breakOutOfNetwork("open")

	// What a tag chooses holds from the next invocation on.
	both := map[string]any{"http://www.example.com" + o.port + "/": "no such name"}
	arn := "arn:aws:lambda:us-east-1:000000000000:function:open"
	h.tag(arn, map[string]string{"hotaru:egress": "none"})
	h.saysFrom("open", both)
	if _, err := h.lambda.UntagResource(t.Context(), &lambda.UntagResourceInput{Resource: aws.String(arn), TagKeys: []string{"hotaru:egress"}}); err != nil {
		t.Fatal(err)
	}
	both["http://www.example.com"+o.port+"/"] = greeting
	h.saysFrom("open", both)

	_, err = h.lambda.TagResource(t.Context(), &lambda.TagResourceInput{
		Resource: aws.String(arn), Tags: map[string]string{"hotaru:egress": "some"}})
	var refused smithy.APIError
	if !errors.As(err, &refused) || refused.ErrorCode() != "InvalidParameterValueException" {
		t.Errorf("a value that means nothing: %v", err)
	}
	h.saysFrom("open", both)
}

func (h *harness) saysFrom(name string, want map[string]any) {
	h.t.Helper()
	h.says(name, want, urlsOf(want), nil)
}

// TestNoEgress: a closed installation is closed, whatever functions choose, and so is one where there is no way out.
func TestNoEgress(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	o := furnishOutside(t)
	h := start(t, func(c *Config) { c.ResolvConf = o.names })
	h.isClosed(o, "--egress=none")
	routertest.WithoutTUN(t)
	h = start(t, func(c *Config) { c.Egress, c.ResolvConf = "internet", o.names })
	h.isClosed(o, "router: make a TUN interface: inappropriate ioctl for device")
}

// isClosed makes a function that wants out and does not get there; why is what the driver says.
func (h *harness) isClosed(o outside, why string) {
	h.t.Helper()
	h.createEgress("f", map[string]string{"hotaru:egress": "internet"})
	h.saysFrom("f", map[string]any{
		"http://www.example.com" + o.port + "/":         "no such name",
		"http://" + routertest.Internet4 + o.port + "/": "ENETUNREACH",
		"http://sts.eu-central-1.amazonaws.com/":        404.0,
	})
	for _, c := range h.driver.Capabilities() {
		if c.Boundary == "egress" && (c.Enforced || c.Reason != why) {
			h.t.Errorf("%+v", c)
		}
	}
}

// breakOutOfNetwork: what a function may not do with sockets it cannot, though it has a way to the outside.
func (h *harness) breakOutOfNetwork(name string) {
	h.t.Helper()
	want := map[string]any{
		"socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)":                                                                                         "EPERM",
		"socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)":                                                                                       "EPERM",
		"socket.socket(socket.AF_INET, socket.SOCK_RAW, 255)":                                                                                       "EPERM",
		"socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1)":                                                                                       "EACCES", // ping
		"socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3)":                                                                                       "EAFNOSUPPORT",
		"socket.socket(socket.AF_INET).bind(('198.19.0.9', 0))":                                                                                     "EADDRNOTAVAIL",
		"socket.socket(socket.AF_INET).setsockopt(0, 19, 1)":                                                                                        "EPERM", // IP_TRANSPARENT
		"socket.socket(socket.AF_INET).setsockopt(socket.SOL_SOCKET, 36, 1)":                                                                        "EPERM", // SO_MARK
		"socket.socket(socket.AF_INET).bind(('0.0.0.0', 80))":                                                                                       "EACCES",
		"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('255.255.255.255', 9))":                                                          "EACCES",
		"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(0, 15, 1); s.bind(('198.19.0.9', 7777)); s.connect(('203.0.113.2', 9))": "ENETUNREACH", // IP_FREEBIND
		"open('/proc/sys/net/ipv4/ip_forward', 'w')":                                                                                                "EROFS",
	}
	h.says(name, want, nil, urlsOf(want))
}

func TestBadNetworks(t *testing.T) {
	for _, text := range []string{"", "x", "10.0.0.0/33", "10.0.0.1-10.0.0.9", "fe80::1%eth0", "::ffff:10.0.0.0/104", "::ffff:10.0.0.1", "example.com"} {
		if got, err := networks([]string{text}); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	got, err := networks([]string{"10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "2001:db8::1"})
	if err != nil || len(got) != 4 || got[1].Bits() != 32 || got[3].Bits() != 128 {
		t.Errorf("%v, %v", got, err)
	}
	for name, config := range map[string]Config{"egress": {Egress: "some"}, "denied": {EgressDenied: []string{"x"}}} {
		config.DataDir, config.Listen = t.TempDir(), "localhost:0"
		if d, err := Start(t.Context(), config); err == nil {
			t.Errorf("%s: it starts: %v", name, d.Close(context.Background()))
		}
	}
}
