//go:build linux

package router

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/router/routertest"
	"hotaru/sandbox/router/rtnl"
)

func TestTCP(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t)
	sandbox := w.sandbox(0)
	for _, family := range []struct {
		name                  string
		internet, unreachable netip.Addr
		prohibited            netip.Addr
	}{
		{"IPv4", internet4, netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")},
		{"IPv6", internet6, netip.MustParseAddr("2001:db8:1::1"), netip.MustParseAddr("2001:db8:1::2")},
	} {
		t.Run(family.name, func(t *testing.T) {
			w.T = t
			hostSays(t, family.unreachable, unix.RTN_UNREACHABLE)
			hostSays(t, family.prohibited, unix.RTN_PROHIBIT)
			sandbox.refused("tcp", at(family.internet, 9), unix.ECONNREFUSED)
			sandbox.refused("tcp", at(family.unreachable, 80), unix.EHOSTUNREACH)
			sandbox.refused("tcp", at(family.prohibited, 80), map[bool]unix.Errno{true: unix.EHOSTUNREACH, false: unix.EACCES}[family.internet.Is4()])

			server := w.outside().listen(at(family.internet, 0), echo).String()
			conn := sandbox.connect("tcp", server)
			if conn.RemoteAddr().String() != server {
				t.Errorf("the sandbox sees %s, not %s", conn.RemoteAddr(), server)
			}
			wantAnswer(t, conn, "hello", "hello")
			large(t, sandbox.connect("tcp", server))
			w.outsideResets(sandbox, family.internet)
			w.insideResets(sandbox, family.internet)
			w.outsideSpeaksFirst(sandbox, family.internet)
		})
	}
}

// hostSays has the host itself refuse to go somewhere.
func hostSays(t *testing.T, to netip.Addr, kind byte) {
	t.Helper()
	links, err := rtnl.Dial()
	must(t, err)
	defer links.Close()
	must(t, links.Do(rtnl.Route(netip.PrefixFrom(to, to.BitLen()), 0, unix.RT_TABLE_MAIN, kind)))
}

// large sends more than any buffer holds, both ways at once.
func large(t *testing.T, conn net.Conn) {
	t.Helper()
	const size = 8 << 20
	random := rand.NewChaCha8([32]byte{1})
	sent, received := sha256.New(), sha256.New()
	failed := make(chan error, 1)
	go func() {
		_, err := io.CopyN(io.MultiWriter(conn, sent), random, size)
		failed <- errors.Join(err, conn.(*net.TCPConn).CloseWrite())
	}()
	n, err := io.Copy(received, conn)
	if err := errors.Join(err, <-failed); err != nil || n != size {
		t.Errorf("%d bytes came back: %v", n, err)
	}
	if !bytes.Equal(sent.Sum(nil), received.Sum(nil)) {
		t.Error("what came back is not what was sent")
	}
}

// outsideResets: a connection that the outside resets is reset inside.
func (w *world) outsideResets(sandbox *place, internet netip.Addr) {
	w.Helper()
	server := w.outside().listen(at(internet, 0), func(conn *net.TCPConn) {
		_, _ = conn.Read(make([]byte, 1))
		reset(conn)
	})
	conn := sandbox.connect("tcp", server.String())
	_, err := io.WriteString(conn, "x")
	must(w, err)
	if _, err := io.ReadAll(conn); !errors.Is(err, unix.ECONNRESET) {
		w.Errorf("after a reset outside: %v", err)
	}
}

// insideResets: a connection that the sandbox resets is reset outside.
func (w *world) insideResets(sandbox *place, internet netip.Addr) {
	w.Helper()
	ended := make(chan error, 1)
	server := w.outside().listen(at(internet, 0), func(conn *net.TCPConn) {
		_, err := io.ReadAll(conn)
		ended <- err
	})
	reset(sandbox.connect("tcp", server.String()).(*net.TCPConn))
	select {
	case err := <-ended:
		if !errors.Is(err, unix.ECONNRESET) {
			w.Errorf("after a reset inside: %v", err)
		}
	case <-time.After(patience):
		w.Error("a reset inside does not get out")
	}
}

// outsideSpeaksFirst: one side's end is not the other's.
func (w *world) outsideSpeaksFirst(sandbox *place, internet netip.Addr) {
	w.Helper()
	heard := make(chan string, 1)
	server := w.outside().listen(at(internet, 0), func(conn *net.TCPConn) {
		_, _ = io.WriteString(conn, "220 ready")
		_ = conn.CloseWrite()
		said, _ := io.ReadAll(conn)
		heard <- string(said)
	})
	conn := sandbox.connect("tcp", server.String())
	greeting, err := io.ReadAll(conn)
	if err != nil || string(greeting) != "220 ready" {
		w.Errorf("the outside says %q, %v", greeting, err)
	}
	if _, err := ask(conn, "and more"); err != nil {
		w.Error(err)
	}
	select {
	case said := <-heard:
		if said != "and more" {
			w.Errorf("the sandbox says %q", said)
		}
	case <-time.After(patience):
		w.Error("what the sandbox says after the outside's end does not get out")
	}
}

// A sandbox may use a port again as soon as its own kernel lets it, though the outside's end, which the router has, is not
// forgotten yet.
func TestSamePortAgain(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t)
	sandbox := w.sandbox(0)
	server := w.outside().listen(at(internet4, 0), func(conn *net.TCPConn) { _, _ = io.WriteString(conn, "bye") })
	for range 5 {
		must(t, sandbox.do(func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			file := os.NewFile(uintptr(fd), "connection")
			defer file.Close()
			limit := unix.NsecToTimeval(int64(patience))
			err = errors.Join(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit),
				unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, &unix.SockaddrInet4{Port: 40000}),
				unix.Connect(fd, &unix.SockaddrInet4{Port: int(server.Port()), Addr: server.Addr().As4()}))
			if err != nil {
				return err
			}
			said, err := io.ReadAll(file) // the outside ends first
			if string(said) != "bye" {
				t.Errorf("it says %q", said)
			}
			return err
		}))
	}
}

// Where the outside says nothing, nothing is said inside: the sandbox's own patience counts.
func TestSilence(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t)
	sandbox := w.sandbox(0)
	nobody := netip.MustParseAddrPort("203.0.113.99:80") // the Internet takes the packets and forwards none
	err := sandbox.do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		limit := unix.NsecToTimeval(int64(50 * time.Millisecond))
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
			return err
		}
		return unix.Connect(fd, &unix.SockaddrInet4{Port: int(nobody.Port()), Addr: nobody.Addr().As4()})
	})
	if !errors.Is(err, unix.EINPROGRESS) {
		t.Errorf("%v, want %v", err, unix.EINPROGRESS)
	}
}

// A sandbox has a number of connections; what is beyond waits until one of them has ended.
func TestTooManyConnections(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t, func(c *Config) { c.MaxConnections = 2 * maxConnections })
	sandbox := w.sandbox(0)
	for range maxConnections - 2 {
		sandbox.link.slots <- struct{}{}
	}
	server := w.outside().listen(at(internet4, 0), echo).String()
	first, second := sandbox.connect("tcp", server), sandbox.connect("tcp", server)
	third := make(chan error, 1)
	go func() {
		conn, err := sandbox.dial("tcp", server)
		if err == nil {
			conn.Close()
		}
		third <- err
	}()
	select {
	case err := <-third:
		t.Errorf("a third connection: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	wantAnswer(t, first, "x", "x")
	first.Close()
	select {
	case err := <-third:
		must(t, err)
	case <-time.After(patience):
		t.Error("there is room and the third connection does not come")
	}
	wantAnswer(t, second, "y", "y")
}

// A sandbox that is cut off loses its connections, and so does the outside.
func TestCutOff(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t)
	sandbox := w.sandbox(0)
	ended := make(chan error, 1)
	server := w.outside().listen(at(internet4, 0), func(conn *net.TCPConn) {
		_, _ = conn.Write([]byte("x"))
		_, err := io.ReadAll(conn)
		ended <- err
	})
	conn := sandbox.connect("tcp", server.String())
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	must(t, sandbox.link.Close())
	if err := <-ended; !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the outside sees %v", err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the sandbox sees %v", err)
	}
	if len(w.router.slots) > 0 || len(sandbox.link.slots) > 0 {
		t.Errorf("connections are still counted: %d and %d", len(w.router.slots), len(sandbox.link.slots))
	}
	if _, err := w.router.Connect(sandbox.namespace, 0); err == nil {
		t.Error("a namespace is connected twice")
	}
	must(t, w.router.Close())
	if _, err := w.router.Connect(sandbox.namespace, 0); err == nil {
		t.Error("a closed router connects")
	}
}

// Bandwidth is limited in both directions.
func TestBandwidth(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t)
	const rate, size = 1e6, 400e3 // bytes per second; bytes
	sandbox := w.sandbox(rate)
	server := w.outside().listen(at(internet4, 0), func(conn *net.TCPConn) {
		said, _ := io.ReadAll(conn)
		if len(said) == 1 {
			said = make([]byte, size)
		}
		_, _ = conn.Write(said[:min(len(said), size)])
	}).String()
	least := time.Duration((size - 2*bufferBytes) / rate * float64(time.Second)) // without the burst
	for name, question := range map[string]string{"down": "x", "up": string(make([]byte, size))} {
		began := time.Now()
		conn := sandbox.connect("tcp", server)
		if name == "up" {
			_, err := io.WriteString(conn, question)
			must(t, err)
			must(t, conn.(*net.TCPConn).CloseWrite())
			_, err = conn.Read(make([]byte, 1)) // the server has heard it all
			must(t, err)
		} else if answer, err := ask(conn, question); err != nil || len(answer) != size {
			t.Fatalf("%d bytes, %v", len(answer), err)
		}
		if took := time.Since(began); took < least {
			t.Errorf("%s: %d bytes took %v, less than %v", name, int(size), took, least)
		}
	}
}

// Whatever a host's firewall does with what it forwards is not for us: nothing is forwarded. And nothing of the host's
// is changed.
func TestHostUntouched(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	before := ""
	w := newWorld(t, func(*Config) {
		dropForwarded(t)
		before = hostNetwork(t)
	})
	server := w.outside().listen(at(internet4, 0), echo).String()
	sandbox := w.sandbox(0)
	wantAnswer(t, sandbox.connect("tcp", server), "hello", "hello")
	if during := hostNetwork(t); during != before {
		t.Errorf("the host's network was\n%s\nand is\n%s", before, during)
	}
	must(t, w.router.Close())
	if after := hostNetwork(t); after != before {
		t.Errorf("the host's network was\n%s\nand is\n%s", before, after)
	}
	entries, err := os.ReadDir("/run/netns")
	if err == nil && len(entries) > 0 {
		t.Errorf("named namespaces: %v", entries)
	}
}
