//go:build linux

package rtnl

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestNamespace configures a namespace that nobody else is in, and finds that the caller's is another.
func TestNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces take root")
	}
	namespace, err := NewNamespace()
	if err != nil {
		t.Fatal(err)
	}
	defer namespace.Close()
	here, there, own := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2"), netip.MustParseAddr("203.0.113.3")
	const index, peer = 50, 51
	err = Inside(namespace, func() error {
		conn, err := Dial()
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := conn.Do(Address(index, here)); !errors.Is(err, unix.ENODEV) {
			t.Errorf("an address for no interface: %v", err)
		}
		// Of several, one that fails keeps nobody from being done, and each failure is told.
		err = conn.Do(Address(index, here), Up(1, 0), Remove(peer), Address(1, own))
		if !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "address") || !strings.Contains(err.Error(), "remove interface") {
			t.Errorf("two of four that fail: %v", err)
		}
		if lo, err := net.InterfaceByIndex(1); err != nil || lo.Flags&net.FlagUp == 0 {
			t.Errorf("what came between failures is not done: %+v, %v", lo, err)
		}
		if err := conn.Do(Address(1, own)); !errors.Is(err, unix.EEXIST) {
			t.Errorf("what came after failures is not done: %v", err)
		}
		if _, err := conn.IsLocal(there); !errors.Is(err, unix.ENETUNREACH) {
			t.Errorf("without a route: %v", err)
		}
		pair := Veth{Name: "one", PeerName: "two", Index: index, PeerIndex: peer, PeerNamespace: namespace, MTU: 9000}
		if err := conn.Do(Up(1, 0), pair.Make(), Up(index, 0), Point(peer, true), Settle(index),
			Address(index, here), Route(netip.PrefixFrom(there, 32), index, unix.RT_TABLE_MAIN, unix.RTN_UNICAST)); err != nil {
			return err
		}
		if err := conn.Do(pair.Make()); !errors.Is(err, unix.EEXIST) {
			t.Errorf("the same again: %v", err)
		}
		for address, want := range map[netip.Addr]bool{here: true, there: false, netip.MustParseAddr("127.0.0.1"): true} {
			if local, err := conn.IsLocal(address); local != want || err != nil {
				t.Errorf("%s: %t, %v", address, local, err)
			}
		}
		one, err := net.InterfaceByName("one")
		if err != nil || one.Index != index || one.MTU != 9000 || one.Flags&net.FlagUp == 0 {
			t.Errorf("%+v, %v", one, err)
		}
		return conn.Do(Remove(index))
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := net.InterfaceByName("one"); err == nil {
		t.Error("it is in the caller's namespace")
	}
	if err := Inside(os.Stdin, func() error { t.Error("it runs"); return nil }); err == nil {
		t.Error("a file that is no namespace is entered")
	}
	var none *Conn
	if err := none.Close(); err != nil {
		t.Error(err)
	}
}
