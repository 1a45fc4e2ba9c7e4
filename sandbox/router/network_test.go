//go:build linux

package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long anything may take before it counts as lost.
const patience = 10 * time.Second

// The world of these tests: a host with one interface, and an Internet behind it. The addresses are for documentation
// (RFC 5737, RFC 3849).
var (
	host4     = netip.MustParseAddr("203.0.113.1")
	host6     = netip.MustParseAddr("2001:db8::1")
	internet4 = netip.MustParseAddr("203.0.113.2")
	internet6 = netip.MustParseAddr("2001:db8::2")
	// second4 is another address of the host.
	second4 = netip.MustParseAddr("192.0.2.1")
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
	w := &world{T: t}
	var err error
	w.internet, err = newNamespace()
	must(t, err)
	t.Cleanup(func() { w.internet.Close() })
	const index, theirs = 50, 51
	must(t, func() error {
		links, err := dialRtnetlink()
		if err != nil {
			return err
		}
		defer links.conn.Close()
		return errors.Join(links.up(loopbackIndex, 0),
			os.WriteFile("/proc/sys/net/ipv6/conf/default/addr_gen_mode", []byte("1"), 0), // it is compared later: none comes by itself
			links.veth(veth{name: "uplink", index: index, peerName: "uplink", peerIndex: theirs, peerNamespace: w.internet}),
			neighbour(links, index, host4, internet4), neighbour(links, index, host6, internet6),
			links.address(loopbackIndex, second4))
	}())
	must(t, inside(w.internet, func() error {
		links, err := dialRtnetlink()
		if err != nil {
			return err
		}
		defer links.conn.Close()
		return errors.Join(links.up(loopbackIndex, 0), links.point(theirs, true),
			neighbour(links, theirs, internet4, host4), neighbour(links, theirs, internet6, host6))
	}))
	links, err := dialRtnetlink()
	must(t, err)
	defer links.conn.Close()
	must(t, links.settle(index))
	must(t, awaitAddress(links, host6))
	var config Config
	for _, f := range change {
		f(&config)
	}
	w.router, err = New(config)
	must(t, err)
	t.Cleanup(func() { must(t, w.router.Close()) })
	return w
}

// awaitAddress waits until the kernel has made an IPv6 address usable, which it does in its own time.
func awaitAddress(links rtnetlink, a netip.Addr) error {
	for wait := 100 * time.Microsecond; wait < patience; wait *= 2 {
		if local, err := links.isLocal(a); err == nil && local {
			return nil
		}
		<-time.After(wait)
	}
	return fmt.Errorf("%s does not become an address", a)
}

// neighbour gives an interface an address and a route to its peer's, and everything else the same way.
func neighbour(links rtnetlink, index int, own, peer netip.Addr) error {
	all := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	if own.Is4() {
		all = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return errors.Join(links.address(index, own), links.route(netip.PrefixFrom(peer, peer.BitLen()), index, unix.RT_TABLE_MAIN, unix.RTN_UNICAST),
		links.route(all, index, unix.RT_TABLE_MAIN, unix.RTN_UNICAST))
}

// place is somewhere to make sockets: a sandbox, or the Internet.
type place struct {
	w         *world
	namespace *os.File
	link      *link
}

// sandbox makes one and connects it.
func (w *world) sandbox(bitsPerSecond int64) *place {
	w.Helper()
	namespace, err := newNamespace()
	must(w, err)
	w.Cleanup(func() { namespace.Close() })
	must(w, inside(namespace, func() error {
		links, err := dialRtnetlink()
		if err != nil {
			return err
		}
		defer links.conn.Close()
		return links.up(loopbackIndex, 0)
	}))
	connected, err := w.router.Connect(namespace, bitsPerSecond)
	must(w, err)
	w.Cleanup(func() { must(w, connected.Close()) })
	must(w, inside(namespace, func() error {
		links, err := dialRtnetlink()
		if err != nil {
			return err
		}
		defer links.conn.Close()
		return awaitAddress(links, connected.(*link).address6)
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
	return inside(p.namespace, f)
}

// listen listens; what is accepted goes to serve, in a goroutine each, and is closed after it.
func (p *place) listen(address string, serve func(*net.TCPConn)) netip.AddrPort {
	p.w.Helper()
	var listener net.Listener
	must(p.w, p.do(func() (err error) {
		listener, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
		return err
	}))
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn))
			})
		}
	})
	p.w.Cleanup(func() { listener.Close(); serving.Wait() })
	return addrPort(listener.Addr())
}

// packets makes a UDP socket.
func (p *place) packets(address string) *net.UDPConn {
	p.w.Helper()
	var conn net.PacketConn
	must(p.w, p.do(func() (err error) {
		conn, err = (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", address)
		return err
	}))
	p.w.Cleanup(func() { conn.Close() })
	must(p.w, conn.SetDeadline(time.Now().Add(patience)))
	return conn.(*net.UDPConn)
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
