//go:build linux

package router

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/router/routertest"
	"hotaru/sandbox/router/rtnl"
)

// later4 is an address that the host gets while sandboxes are there.
var later4 = netip.MustParseAddr("192.0.2.77")

// TestDenied: whatever is the host's, the link's, a metadata service's or another sandbox's cannot be reached, and whoever
// listens there hears nothing.
func TestDenied(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t, func(c *Config) { c.Denied = prefixes("203.0.113.128/25", "2001:db8:bad::/48") })
	sandbox, other := w.sandbox(0), w.sandbox(0)
	var heard atomic.Int32
	hear := func(*net.TCPConn) { heard.Add(1) }
	// One port everywhere, of both protocols: the host's, on every address, and the other sandbox's.
	port := w.hostItself().listen("[::]:0", hear).Port()
	other.listen(at(netip.IPv6Unspecified(), port), hear)
	w.outside().listen(at(netip.IPv6Unspecified(), port), hear)
	for _, p := range []*place{w.hostItself(), other} {
		conn := p.packets(at(netip.IPv6Unspecified(), port))
		go func() {
			for {
				if _, _, err := conn.ReadFromUDPAddrPort(make([]byte, 1)); err != nil {
					return
				}
				heard.Add(1)
			}
		}()
	}
	gainAddress(t, later4)
	denied4 := []string{host4.String(), second4.String(), later4.String(), other.link.address4.String(), "169.254.169.254", "169.254.170.2",
		"169.254.169.253", "100.100.100.200", "168.63.129.16", "192.0.0.192", "203.0.113.200", "0.1.2.3", "198.19.31.255", "240.0.0.1"}
	denied6 := []string{host6.String(), other.link.address6.String(), "fd00:ec2::254", "fd20:ce::254", "2001:db8:bad::1",
		"64:ff9b::203.0.113.1", "64:ff9b::192.0.2.77", "64:ff9b::169.254.169.254", "64:ff9b::127.0.0.1", "2002:cb00:7101::1", "2002:7f00:1::",
		"::203.0.113.1", "::ffff:0:203.0.113.1", "fd68:6f74:6172:75::fff0", "fec0::1", "64:ff9b:1::a9fe:a9fe", "2001:0:1::1"}
	for _, address := range denied4 {
		sandbox.refused("tcp", at(netip.MustParseAddr(address), port), unix.EHOSTUNREACH)
		w.datagramDenied(sandbox, at(netip.MustParseAddr(address), port), unix.EHOSTUNREACH)
	}
	for _, address := range denied6 {
		sandbox.refused("tcp", at(netip.MustParseAddr(address), port), unix.EACCES)
		w.datagramDenied(sandbox, at(netip.MustParseAddr(address), port), unix.EACCES)
	}
	// Its own loopback is the sandbox's, under every name; these are answered by its own kernel.
	for _, address := range []string{"127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0", sandbox.link.address4.String(), sandbox.link.address6.String()} {
		sandbox.refused("tcp", at(netip.MustParseAddr(address), port), unix.ECONNREFUSED)
	}
	sandbox.refused("tcp", at(netip.MustParseAddr("::ffff:203.0.113.1"), port), unix.EHOSTUNREACH)
	sandbox.refused("tcp", at(netip.MustParseAddr("255.255.255.255"), port), unix.ENETUNREACH)
	sandbox.refused("tcp", at(netip.MustParseAddr("224.0.0.1"), port), unix.ENETUNREACH)
	sandbox.refused("tcp", at(netip.MustParseAddr("fe80::1"), port), unix.EINVAL) // of no link
	for _, proxy := range w.router.proxies {
		sandbox.refused("tcp", at(other.link.address4, addrPort(proxy.Addr()).Port()), unix.EHOSTUNREACH)
	}
	if n := heard.Load(); n != 0 {
		t.Errorf("%d connections or datagrams were heard", n)
	}
	// What is not denied works, so that all this is not for want of a network.
	conn := sandbox.connect("tcp", at(internet4, port))
	if _, err := conn.Read(make([]byte, 1)); err == nil || heard.Load() != 1 {
		t.Errorf("%v, and %d are heard", err, heard.Load())
	}
}

// gainAddress gives the host another address.
func gainAddress(t *testing.T, a netip.Addr) {
	t.Helper()
	links, err := rtnl.Dial()
	must(t, err)
	defer links.Close()
	must(t, links.Do(rtnl.Address(loopbackIndex, a)))
}

// TestOwnAddress: the router's own address is nobody's to talk to, the ports where it takes connections over included.
func TestOwnAddress(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t)
	sandbox := w.sandbox(0)
	port := uint16(w.router.proxies[0].Addr().(*net.TCPAddr).Port)
	must(t, sandbox.do(func() error {
		conn, err := net.DialTimeout("tcp4", netip.AddrPortFrom(ownAddress, port).String(), 200*time.Millisecond)
		if err == nil {
			t.Error("it is heard")
			return conn.Close()
		}
		return nil
	}))
}

// datagramDenied: a datagram is answered by an error.
func (w *world) datagramDenied(sandbox *place, to string, want unix.Errno) {
	w.Helper()
	conn := sandbox.connect("udp", to)
	defer conn.Close()
	if _, err := conn.Write([]byte("x")); err != nil {
		w.Errorf("udp %s: %v", to, err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, want) {
		w.Errorf("udp %s: %v, want %v", to, err, want)
	}
}

// TestForged sends packets as root of a sandbox, which is more than any code in one may: with its own address they get
// out, with another's they do not.
func TestForged(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t)
	sandbox, other := w.sandbox(0), w.sandbox(0)
	server := w.outside().packets(at(internet4, 0))
	senders := echoPackets(t, server)
	to := server.LocalAddr().(*net.UDPAddr).AddrPort()
	victim := other.packets(at(other.link.address4, 0))
	victimAt := victim.LocalAddr().(*net.UDPAddr).AddrPort()
	for _, c := range []struct {
		name     string
		from, to netip.AddrPort
		passes   bool
	}{
		{"another sandbox's address", netip.AddrPortFrom(other.link.address4, 5000), to, false},
		{"the host's address", netip.AddrPortFrom(host4, 5000), to, false},
		{"nobody's address", netip.MustParseAddrPort("198.19.31.1:5000"), to, false},
		{"loopback", netip.MustParseAddrPort("127.0.0.1:5000"), to, false},
		{"in the name of the outside", to, victimAt, false},
		{"to another sandbox", netip.AddrPortFrom(sandbox.link.address4, 5000), victimAt, false},
		{"to the router's loopback", netip.AddrPortFrom(sandbox.link.address4, 5000), netip.MustParseAddrPort("127.0.0.1:53"), false},
		{"its own address", netip.AddrPortFrom(sandbox.link.address4, 5000), to, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			// What comes "from to to from" is made the way that answers are.
			must(t, sandbox.do(func() error { return sendFrame(flow{from: c.to, to: c.from}.datagram([]byte("forged"))) }))
			if c.passes {
				select {
				case <-senders:
				case <-time.After(patience):
					t.Error("it does not get out: the test does not test")
				}
			}
		})
	}
	select {
	case from := <-senders:
		t.Errorf("a forged datagram got out, from %v", from)
	default: // the one that passes came last
	}
	must(t, victim.SetReadDeadline(time.Now()))
	if n, from, err := victim.ReadFromUDPAddrPort(make([]byte, 16)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the other sandbox hears %d bytes from %v, %v", n, from, err)
	}
}

// sendFrame sends an IPv4 packet on a sandbox's interface, whatever is in it.
func sendFrame(packet []byte) error {
	protocol := binary.NativeEndian.Uint16([]byte{unix.ETH_P_IP >> 8, unix.ETH_P_IP & 0xff}) // as the network has it
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(protocol))
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, packet, 0, &unix.SockaddrLinklayer{
		Protocol: protocol, Ifindex: peerIndex, Halen: 6, Addr: [8]byte{2, 0, 0, 0, 0, 1},
	})
}

// What one sandbox floods the router with does not keep another from its connections.
func TestFlood(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t)
	sandbox, flooding := w.sandbox(0), w.sandbox(0)
	server := w.outside().listen(at(internet4, 0), echo).String()
	conn := flooding.packets(at(flooding.link.address4, 0))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for port := uint16(0); ; {
			select {
			case <-stop:
				return
			default:
				port++ // another conversation each time
				_, _ = conn.WriteToUDPAddrPort([]byte("flood"), netip.AddrPortFrom(internet4, port|1))
			}
		}
	}()
	for range 20 {
		wantAnswer(t, sandbox.connect("tcp", server), "through", "through")
	}
	close(stop)
	<-stopped
}
