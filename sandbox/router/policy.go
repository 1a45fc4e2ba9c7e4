//go:build linux

package router

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// errDenied says that a sandbox may not talk to an address.
var errDenied = errors.New("router: denied")

// Where the sandboxes' own addresses are from. 198.18.0.0/15 is for tests of network equipment (RFC 2544, section C.2.2):
// nobody on the Internet has one. The IPv6 addresses are of our own private network (RFC 4193). They mean nothing
// outside of the router: every router has the same.
var (
	sandboxes4 = netip.MustParsePrefix("198.19.0.0/19")
	sandboxes6 = netip.MustParsePrefix("fd68:6f74:6172:75::/64")
)

// never is what no sandbox reaches whatever the host is: what means the host itself, or its link, or nobody in
// particular, and the metadata services that hand out a machine's credentials.
var never = prefixes(
	"0.0.0.0/8", "127.0.0.0/8", // this host
	"169.254.0.0/16", // the link; the metadata services of most clouds
	"224.0.0.0/4", "240.0.0.0/4",
	"100.100.100.200/32", // metadata of Alibaba Cloud
	"168.63.129.16/32",   // the host agent of Azure
	"192.0.0.192/32",     // metadata of Oracle Cloud Classic
	"::/96",              // unspecified, loopback, and IPv4 addresses in a form that was given up
	"::ffff:0:0:0/96",    // IPv4 addresses translated (RFC 2765)
	"64:ff9b:1::/48",     // IPv4 addresses behind a translator of somebody's own (RFC 8215)
	"2001::/32",          // Teredo: an IPv4 address in disguise (RFC 4380)
	"fe80::/10", "fec0::/10", "ff00::/8",
	"fd00:ec2::/32",     // metadata of AWS
	"fd20:ce::/64",      // metadata of Google Cloud
	sandboxes4.String(), // each other
	sandboxes6.String(),
)

func prefixes(all ...string) []netip.Prefix {
	parsed := make([]netip.Prefix, len(all))
	for i, prefix := range all {
		parsed[i] = netip.MustParsePrefix(prefix)
	}
	return parsed
}

// IPv6 addresses that lead to the IPv4 address within (RFC 6052, section 2.1; RFC 3056, section 2).
var (
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	sixTo = netip.MustParsePrefix("2002::/16")
)

// embedded is the IPv4 address that an IPv6 address leads to, if it does.
func embedded(a netip.Addr) (netip.Addr, bool) {
	b := a.As16()
	switch {
	case a.Is4In6():
		return a.Unmap(), true
	case nat64.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case sixTo.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:])), true
	}
	return netip.Addr{}, false
}

// policy decides whom sandboxes may talk to. It denies never, what it is told, and what isLocal says; the rest it allows.
type policy struct {
	denied []netip.Prefix
	// isLocal says whether an address is the host's own at this moment, or one of many (broadcast, multicast). An
	// error says that the host itself cannot go there.
	isLocal func(netip.Addr) (bool, error)
}

// check answers errDenied, or why the host cannot go there, or nil. It is asked just before the host connects, with the
// very address that it connects to.
func (p *policy) check(to netip.Addr) error {
	if !to.IsValid() || to.Zone() != "" {
		return errDenied
	}
	if inner, has := embedded(to); has {
		if p.denies(inner) {
			return errDenied
		}
		// That the host cannot go there by itself is nothing against a translator that can.
		if local, err := p.isLocal(inner); err == nil && local {
			return errDenied
		}
		to = to.Unmap()
	}
	if p.denies(to) {
		return errDenied
	}
	local, err := p.isLocal(to)
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	if local {
		return errDenied
	}
	return nil
}

func (p *policy) denies(a netip.Addr) bool {
	contains := func(prefix netip.Prefix) bool { return prefix.Contains(a) }
	return slices.ContainsFunc(never, contains) || slices.ContainsFunc(p.denied, contains)
}
