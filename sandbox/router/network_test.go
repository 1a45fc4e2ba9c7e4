//go:build linux

package router

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/router/routertest"
	"hotaru/sandbox/router/rtnl"
)

// patience is how long anything may take before it counts as lost.
const patience = routertest.Patience

// The addresses of routertest.
var (
	host4     = netip.MustParseAddr(routertest.Host4)
	host6     = netip.MustParseAddr(routertest.Host6)
	internet4 = netip.MustParseAddr(routertest.Internet4)
	internet6 = netip.MustParseAddr(routertest.Internet6)
	second4   = netip.MustParseAddr(routertest.Second4)
)

// world is what a test has.
type world struct {
	*testing.T
	router   *Router
	internet *os.File
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newWorld furnishes this process's network, which must be its own, and makes a router.
func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	w := &world{T: t, internet: routertest.Furnish(t)}
	var config Config
	for _, f := range change {
		f(&config)
	}
	var err error
	w.router, err = New(config)
	must(t, err)
	t.Cleanup(func() { must(t, w.router.Close()) })
	return w
}

// place is somewhere to make sockets: a sandbox, or the Internet.
type place struct {
	w         *world
	namespace *os.File
	link      *link
}

// sandbox makes one and connects it.
func (w *world) sandbox(bytesPerSecond int64) *place {
	w.Helper()
	namespace, err := rtnl.NewNamespace()
	must(w, err)
	w.Cleanup(func() { namespace.Close() })
	must(w, rtnl.Inside(namespace, func() error {
		links, err := rtnl.Dial()
		if err != nil {
			return err
		}
		defer links.Close()
		return links.Do(rtnl.Up(loopbackIndex, 0))
	}))
	connected, err := w.router.Connect(namespace, bytesPerSecond)
	must(w, err)
	w.Cleanup(func() { must(w, connected.Close()) })
	must(w, rtnl.Inside(namespace, func() error {
		links, err := rtnl.Dial()
		if err != nil {
			return err
		}
		defer links.Close()
		return routertest.AwaitAddress(links, connected.(*link).address6)
	}))
	return &place{w, namespace, connected.(*link)}
}

// outside is the Internet.
func (w *world) outside() *place { return &place{w: w, namespace: w.internet} }

// hostItself is the host.
func (w *world) hostItself() *place { return &place{w: w} }

// do runs f on a thread that is there.
func (p *place) do(f func() error) error {
	if p.namespace == nil {
		return f()
	}
	return rtnl.Inside(p.namespace, f)
}

func (p *place) listen(address string, serve func(*net.TCPConn)) netip.AddrPort {
	p.w.Helper()
	return routertest.Listen(p.w, p.namespace, address, serve)
}

func (p *place) packets(address string) *net.UDPConn {
	p.w.Helper()
	return routertest.Packets(p.w, p.namespace, address)
}

// dial connects from there, with plain system calls, so that nothing is done by another thread.
func (p *place) dial(network, to string) (net.Conn, error) {
	address := netip.MustParseAddrPort(to)
	var file *os.File
	err := p.do(func() error {
		kind := unix.SOCK_STREAM
		if network == "udp" {
			kind = unix.SOCK_DGRAM
		}
		family, sockaddr := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(address.Port()), Addr: address.Addr().As16()})
		if address.Addr().Is4() {
			family, sockaddr = unix.AF_INET, &unix.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}
		}
		fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		limit := unix.NsecToTimeval(int64(patience))
		if err := errors.Join(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit), unix.Connect(fd, sockaddr)); err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		file = os.NewFile(uintptr(fd), to)
		return unix.SetNonblock(fd, true)
	})
	if err != nil {
		return nil, err
	}
	defer file.Close()
	conn, err := net.FileConn(file)
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(patience))
	}
	return conn, err
}

// connect is dial that must succeed.
func (p *place) connect(network, to string) net.Conn {
	p.w.Helper()
	conn, err := p.dial(network, to)
	if err != nil {
		p.w.Fatalf("%s: %v", to, err)
	}
	p.w.Cleanup(func() { conn.Close() })
	return conn
}

// refused says with what connecting fails.
func (p *place) refused(network, to string, want syscall.Errno) {
	p.w.Helper()
	conn, err := p.dial(network, to)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, want) {
		p.w.Errorf("%s %s: %v, want %v", network, to, err, want)
	}
}

// at is an address with a port.
func at(a netip.Addr, port uint16) string { return netip.AddrPortFrom(a, port).String() }

// echo says everything back.
func echo(conn *net.TCPConn) {
	_, _ = io.Copy(conn, conn)
	_ = conn.CloseWrite()
}

// ask sends a question, ends, and returns everything that comes back.
func ask(conn net.Conn, question string) (string, error) {
	if _, err := io.WriteString(conn, question); err != nil {
		return "", err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

func wantAnswer(t testing.TB, conn net.Conn, question, want string) {
	t.Helper()
	if got, err := ask(conn, question); err != nil || got != want {
		t.Errorf("%s says %q, %v, want %q", conn.RemoteAddr(), got, err, want)
	}
}
