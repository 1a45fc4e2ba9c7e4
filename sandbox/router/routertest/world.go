//go:build linux

// Package routertest gives tests a host and an Internet of their own: a process in a network namespace, and another
// namespace behind it. The machine's own network is not touched. It must not know the router.
package routertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/router/rtnl"
)

// Patience is how long anything may take before it counts as lost.
const Patience = 30 * time.Second

// InHost runs the calling test in a process with a network of its own, which is its host, and says whether this is that
// process: if it is not, the test is over.
func InHost(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces take root")
	}
	if apart(t) {
		// What is mounted here is to be seen here alone.
		must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		return true
	}
	program, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.v="+strconv.FormatBool(testing.Verbose()),
		"-test.timeout=5m")
	// Without a parent-death signal: it follows the thread that forks, and threads of this process come and go.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	return false
}

// WithoutTUN takes the device of TUN interfaces from this process, which InHost started.
func WithoutTUN(t *testing.T) {
	t.Helper()
	if !apart(t) {
		t.Fatal("this is not a process of a test's own")
	}
	must(t, unix.Mount("/dev/null", "/dev/net/tun", "", unix.MS_BIND, ""))
	t.Cleanup(func() { must(t, unix.Unmount("/dev/net/tun", unix.MNT_DETACH)) })
}

// apart says whether this process was started by InHost: it has another network, other mounts and another name than the
// process that started it. It is asked of the calling thread: what the process's first thread is in may be something else.
func apart(t *testing.T) bool {
	t.Helper()
	for _, kind := range []string{"net", "mnt", "uts"} {
		own, err := os.Readlink("/proc/thread-self/ns/" + kind)
		must(t, err)
		parent, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", os.Getppid(), kind))
		must(t, err)
		if own == parent {
			return false
		}
	}
	return true
}

// The world of these tests: a host with one interface, and an Internet behind it. The addresses are for documentation
// (RFC 5737, RFC 3849).
const (
	Host4, Host6         = "203.0.113.1", "2001:db8::1"
	Internet4, Internet6 = "203.0.113.2", "2001:db8::2"
	// Second4 is another address of the host.
	Second4 = "192.0.2.1"
)

// loopback is its interface in every namespace.
const loopback = 1

// Furnish furnishes this process's network, which must be its own (InHost), and returns the namespace of the Internet.
func Furnish(t testing.TB) *os.File {
	t.Helper()
	// A network that somebody uses has addresses: it is not to be touched, whatever went wrong.
	if addresses, err := net.InterfaceAddrs(); err != nil || len(addresses) > 0 {
		t.Fatalf("this is no network of a test's own: it has %v, %v", addresses, err)
	}
	internet, err := rtnl.NewNamespace()
	must(t, err)
	t.Cleanup(func() { internet.Close() })
	const index, theirs = 50, 51
	must(t, func() error {
		links, err := rtnl.Dial()
		if err != nil {
			return err
		}
		defer links.Close()
		uplink := rtnl.Veth{Name: "uplink", Index: index, PeerName: "uplink", PeerIndex: theirs, PeerNamespace: internet, MTU: 1500}
		return errors.Join(
			os.WriteFile("/proc/sys/net/ipv6/conf/default/addr_gen_mode", []byte("1"), 0), // it is compared later: none comes by itself
			links.Do(rtnl.Up(loopback, 0), uplink.Make(), rtnl.Up(index, 0), rtnl.Address(loopback, netip.MustParseAddr(Second4))),
			neighbour(links, index, netip.MustParseAddr(Host4), netip.MustParseAddr(Internet4)), neighbour(links, index, netip.MustParseAddr(Host6), netip.MustParseAddr(Internet6)))
	}())
	must(t, rtnl.Inside(internet, func() error {
		links, err := rtnl.Dial()
		if err != nil {
			return err
		}
		defer links.Close()
		return errors.Join(links.Do(rtnl.Up(loopback, 0), rtnl.Point(theirs, true)),
			neighbour(links, theirs, netip.MustParseAddr(Internet4), netip.MustParseAddr(Host4)), neighbour(links, theirs, netip.MustParseAddr(Internet6), netip.MustParseAddr(Host6)))
	}))
	links, err := rtnl.Dial()
	must(t, err)
	defer links.Close()
	must(t, links.Do(rtnl.Settle(index)))
	must(t, AwaitAddress(links, netip.MustParseAddr(Host6)))
	return internet
}

// AwaitAddress waits until the kernel has made an IPv6 address usable, which it does in its own time.
func AwaitAddress(links *rtnl.Conn, a netip.Addr) error {
	for wait := 100 * time.Microsecond; wait < Patience; wait *= 2 {
		if local, err := links.IsLocal(a); err == nil && local {
			return nil
		}
		<-time.After(wait)
	}
	return fmt.Errorf("%s does not become an address", a)
}

// neighbour gives an interface an address and a route to its peer's, and everything else the same way.
func neighbour(links *rtnl.Conn, index int, own, peer netip.Addr) error {
	all := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	if own.Is4() {
		all = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return links.Do(rtnl.Address(index, own), rtnl.Route(netip.PrefixFrom(peer, peer.BitLen()), index, unix.RT_TABLE_MAIN, unix.RTN_UNICAST),
		rtnl.Route(all, index, unix.RT_TABLE_MAIN, unix.RTN_UNICAST))
}

// Listen listens in a namespace, nil is this one; what is accepted goes to serve, in a goroutine each, and is closed after it.
func Listen(t testing.TB, namespace *os.File, address string, serve func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	var listener net.Listener
	must(t, do(namespace, func() (err error) {
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
	t.Cleanup(func() { listener.Close(); serving.Wait() })
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

// Echo says on the Internet everything back that it hears, and returns where.
func Echo(t testing.TB, internet *os.File) string {
	t.Helper()
	return Listen(t, internet, Internet4+":0", func(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) }).String()
}

// Packets makes a UDP socket.
func Packets(t testing.TB, namespace *os.File, address string) *net.UDPConn {
	t.Helper()
	var conn net.PacketConn
	must(t, do(namespace, func() (err error) {
		conn, err = (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", address)
		return err
	}))
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(Patience)))
	return conn.(*net.UDPConn)
}

// do runs f in a namespace, nil is this one.
func do(namespace *os.File, f func() error) error {
	if namespace == nil {
		return f()
	}
	return rtnl.Inside(namespace, f)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
