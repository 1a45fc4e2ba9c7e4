//go:build linux

package router

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// ofHost is a host with two addresses, which can go everywhere but to 198.51.100.0/24.
func ofHost(a netip.Addr) (bool, error) {
	if netip.MustParsePrefix("198.51.100.0/24").Contains(a) {
		return false, unix.ENETUNREACH
	}
	return a == netip.MustParseAddr("203.0.113.1") || a == netip.MustParseAddr("2001:db8::1"), nil
}

func TestPolicy(t *testing.T) {
	p := policy{denied: prefixes("10.0.0.0/8", "2001:db8:bad::/48"), isLocal: ofHost}
	for _, address := range []string{
		"0.0.0.0", "0.255.255.255", "127.0.0.1", "127.255.255.255", "169.254.0.1", "169.254.169.254", "224.0.0.1", "239.255.255.255",
		"240.0.0.1", "255.255.255.255", "203.0.113.1", "10.1.2.3", "198.19.0.1", "198.19.31.255",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:203.0.113.1", "::ffff:10.0.0.1", "::ffff:0:7f00:1",
		"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a00:1", "64:ff9b::cb00:7101", "64:ff9b:1:2::1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
		"2002:cb00:7101::", "2001:0:1234::1", "fe80::1", "febf::1", "fec0::1", "ff02::1", "fd00:ec2::254", "fd20:ce::254",
		"fd68:6f74:6172:75::1", "2001:db8::1", "2001:db8:bad::1", "fe80::1%eth0", "2001:db8::5%eth0",
	} {
		if err := p.check(netip.MustParseAddr(address)); !errors.Is(err, errDenied) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := p.check(netip.Addr{}); !errors.Is(err, errDenied) {
		t.Errorf("no address: %v", err)
	}
	if err := p.check(netip.MustParseAddr("198.51.100.1")); !errors.Is(err, unix.ENETUNREACH) || errors.Is(err, errDenied) {
		t.Errorf("where the host cannot go: %v", err)
	}
	for _, address := range []string{
		"203.0.113.2", "8.8.8.8", "1.0.0.0", "126.255.255.255", "128.0.0.1", "169.253.255.255", "169.255.0.0", "223.255.255.255",
		"198.18.255.255", "198.19.32.0", "192.168.1.1", "172.16.0.1", "11.0.0.1",
		"2001:db8::2", "2600::1", "fc00::1", "fd12::1", "64:ff9b::808:808", "64:ff9b::c633:6401", "2002:808:808::1", "::ffff:8.8.8.8",
	} {
		if err := p.check(netip.MustParseAddr(address)); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// FuzzPolicy: in whatever form an address comes, what it means to the kernel is what is decided on.
func FuzzPolicy(f *testing.F) {
	for _, seed := range []string{"127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "8.8.8.8", "fe80::1", "2001:db8::2"} {
		f.Add(netip.MustParseAddr(seed).AsSlice())
	}
	p := policy{isLocal: ofHost}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok || p.check(a) != nil {
			return
		}
		plain := a.Unmap()
		if plain.IsLoopback() || plain.IsLinkLocalUnicast() || plain.IsMulticast() || plain.IsUnspecified() ||
			sandboxes4.Contains(plain) || sandboxes6.Contains(plain) {
			t.Errorf("%s is allowed", a)
		}
		if local, err := ofHost(plain); local || err != nil {
			t.Errorf("%s is the host's, or out of its reach, and allowed", a)
		}
		if plain.Is4() {
			// The same in every disguise.
			four := plain.As4()
			for _, prefix := range []string{"64:ff9b::", "2002::"} {
				disguise := netip.MustParseAddr(prefix).As16()
				copy(disguise[map[bool]int{true: 2, false: 12}[prefix == "2002::"]:], four[:])
				if err := p.check(netip.AddrFrom16(disguise)); err != nil {
					t.Errorf("%s is allowed and %s is not: %v", a, netip.AddrFrom16(disguise), err)
				}
			}
		}
	})
}
