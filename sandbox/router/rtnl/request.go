//go:build linux

package rtnl

import (
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Request is one thing to have done.
type Request struct {
	what        string // names it in errors
	kind, flags uint16
	body        attributes // a fixed header first
}

// attributes is an encoded list of attributes (netlink(7)).
type attributes []byte

func (a attributes) add(kind uint16, value []byte) attributes {
	a = order.AppendUint16(a, uint16(unix.SizeofRtAttr+len(value)))
	a = append(order.AppendUint16(a, kind), value...)
	return append(a, make([]byte, -len(value)&(unix.RTA_ALIGNTO-1))...)
}

func (a attributes) number(kind uint16, value uint32) attributes {
	return a.add(kind, order.AppendUint32(nil, value))
}

func (a attributes) text(kind uint16, value string) attributes {
	return a.add(kind, append([]byte(value), 0))
}

func (a attributes) nest(kind uint16, inner attributes) attributes {
	return a.add(kind|unix.NLA_F_NESTED, inner)
}

const createNew = unix.NLM_F_CREATE | unix.NLM_F_EXCL

// infoHeader is struct ifinfomsg; flags that are set are also changed.
func infoHeader(index int, flags uint32) attributes {
	b := make(attributes, unix.SizeofIfInfomsg, 256)
	order.PutUint32(b[4:], uint32(index))
	order.PutUint32(b[8:], flags)
	order.PutUint32(b[12:], flags)
	return b
}

func familyOf(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// Up turns an interface on, with packets of up to mtu bytes; 0 leaves that as it is.
func Up(index int, mtu uint32) Request {
	body := infoHeader(index, unix.IFF_UP)
	if mtu > 0 {
		body = body.number(unix.IFLA_MTU, mtu)
	}
	return Request{what: "interface up", kind: unix.RTM_NEWLINK, body: body}
}

// Remove removes an interface, and its peer.
func Remove(index int) Request {
	return Request{what: "remove interface", kind: unix.RTM_DELLINK, body: infoHeader(index, 0)}
}

// Settle has the kernel take note at once that an interface's peer has been turned on (since Linux 6.8; those before take
// note soon). What is sent until then is lost.
func Settle(index int) Request {
	const skipStatistics = 1 << 3 // RTEXT_FILTER_SKIP_STATS
	return Request{what: "interface", kind: unix.RTM_GETLINK, body: infoHeader(index, 0).number(unix.IFLA_EXT_MASK, skipStatistics)}
}

// Point turns an interface on that has no other addresses than those it is given: none of the link, which IPv6 would
// make.
func Point(index int, has6 bool) Request {
	up := Up(index, 0)
	if has6 {
		const noAddress = 1 // IN6_ADDR_GEN_MODE_NONE
		up.body = up.body.nest(unix.IFLA_AF_SPEC, attributes{}.nest(unix.AF_INET6,
			attributes{}.add(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{noAddress})))
	}
	return up
}

// Veth says what a pair of interfaces is to be: one here, and its peer in another namespace. Both are off. The indexes are
// ours to choose, so that nobody has to ask for them.
type Veth struct {
	Name, PeerName   string
	Index, PeerIndex int
	// Group is Name's.
	Group         uint32
	PeerNamespace *os.File
	MTU           uint32
}

// Make makes the pair. To turn them on at the same time would have the kernel tell of two changes instead of one, each of
// which has it look at all routes there are.
func (v *Veth) Make() Request {
	const peerInfo = 1 // VETH_INFO_PEER
	// Nobody is asked for a neighbour's address: both ends have the same, and each reaches the other alone.
	address := []byte{2, 0, 0, 0, 0, 1}
	end := func(index int, name string) attributes {
		return infoHeader(index, unix.IFF_NOARP).
			text(unix.IFLA_IFNAME, name).number(unix.IFLA_MTU, v.MTU).add(unix.IFLA_ADDRESS, address).
			// By default there is one for each CPU, and all but one are then turned off, which waits for all CPUs.
			number(unix.IFLA_NUM_TX_QUEUES, 1).number(unix.IFLA_NUM_RX_QUEUES, 1)
	}
	peer := end(v.PeerIndex, v.PeerName).number(unix.IFLA_NET_NS_FD, uint32(v.PeerNamespace.Fd()))
	return Request{what: "veth", kind: unix.RTM_NEWLINK, flags: createNew, body: end(v.Index, v.Name).
		number(unix.IFLA_GROUP, v.Group).
		nest(unix.IFLA_LINKINFO, attributes{}.
			text(unix.IFLA_INFO_KIND, "veth").
			nest(unix.IFLA_INFO_DATA, attributes{}.add(peerInfo, peer)))}
}

// Address gives an interface an address that has no network around it.
func Address(index int, a netip.Addr) Request {
	b := make(attributes, unix.SizeofIfAddrmsg, 64)
	b[0], b[1] = familyOf(a), byte(a.BitLen())
	if a.Is6() {
		b[2] = unix.IFA_F_NODAD // nobody else is there
	}
	order.PutUint32(b[4:], uint32(index))
	return Request{what: "address", kind: unix.RTM_NEWADDR, flags: createNew,
		body: b.add(unix.IFA_LOCAL, a.AsSlice()).add(unix.IFA_ADDRESS, a.AsSlice())}
}

// Route sends packets for a prefix to an interface, or nowhere (0).
func Route(to netip.Prefix, index, table int, kind byte) Request {
	scope := byte(unix.RT_SCOPE_LINK)
	if kind == unix.RTN_LOCAL {
		scope = unix.RT_SCOPE_HOST
	}
	b := make(attributes, unix.SizeofRtMsg, 64)
	b[0], b[1], b[5], b[6], b[7] = familyOf(to.Addr()), byte(to.Bits()), unix.RTPROT_STATIC, scope, kind
	if to.Bits() > 0 {
		b = b.add(unix.RTA_DST, to.Addr().AsSlice())
	}
	if index > 0 {
		b = b.number(unix.RTA_OIF, uint32(index))
	}
	return Request{what: "route", kind: unix.RTM_NEWROUTE, flags: createNew, body: b.number(unix.RTA_TABLE, uint32(table))}
}

// Rule has packets with a mark routed by a table, those of an address's family.
func Rule(of netip.Addr, mark uint32, table int) Request {
	b := make(attributes, unix.SizeofRtMsg, 64) // struct fib_rule_hdr has the same size
	b[0], b[7] = familyOf(of), unix.FR_ACT_TO_TBL
	return Request{what: "routing rule", kind: unix.RTM_NEWRULE, flags: createNew,
		body: b.number(unix.FRA_FWMARK, mark).number(unix.FRA_TABLE, uint32(table))}
}
