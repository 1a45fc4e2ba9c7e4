//go:build linux

package router

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// rtnetlink configures the network of one namespace (rtnetlink(7)). It is safe for concurrent use.
type rtnetlink struct{ conn *netlink.Conn }

// dialRtnetlink is for the network namespace of the calling thread, and stays in it whatever thread uses it later.
func dialRtnetlink() (rtnetlink, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return rtnetlink{}, fmt.Errorf("router: netlink: %w", err)
	}
	return rtnetlink{conn}, nil
}

// do sends a request: a fixed header and attributes. what names it in errors.
func (r rtnetlink) do(what string, kind, flags uint16, header []byte, attributes func(*netlink.AttributeEncoder)) error {
	ae := netlink.NewAttributeEncoder()
	if attributes != nil {
		attributes(ae)
	}
	encoded, err := ae.Encode()
	if err != nil {
		return fmt.Errorf("router: %s: %w", what, err)
	}
	_, err = r.conn.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(kind),
			Flags: netlink.Request | netlink.Acknowledge | netlink.HeaderFlags(flags),
		},
		Data: append(header, encoded...),
	})
	if err != nil {
		return fmt.Errorf("router: %s: %w", what, err)
	}
	return nil
}

const createNew = unix.NLM_F_CREATE | unix.NLM_F_EXCL

// infoHeader is struct ifinfomsg; flags that are set are also changed.
func infoHeader(index int, flags uint32) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
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

// up turns an interface on, with packets of up to mtu bytes; 0 leaves that as it is.
func (r rtnetlink) up(index int, mtu uint32) error {
	return r.do("interface up", unix.RTM_NEWLINK, 0, infoHeader(index, unix.IFF_UP), func(ae *netlink.AttributeEncoder) {
		if mtu > 0 {
			ae.Uint32(unix.IFLA_MTU, mtu)
		}
	})
}

// remove removes an interface, and its peer.
func (r rtnetlink) remove(index int) error {
	return r.do("remove interface", unix.RTM_DELLINK, 0, infoHeader(index, 0), nil)
}

// settle has the kernel take note at once that an interface's peer has been turned on (since Linux 6.8; those before take
// note soon). What is sent until then is lost.
func (r rtnetlink) settle(index int) error {
	_, err := r.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request}, Data: infoHeader(index, 0),
	})
	if err != nil {
		return fmt.Errorf("router: interface: %w", err)
	}
	return nil
}

// point turns an interface on that has no other addresses than those it is given: none of the link, which IPv6 would
// make.
func (r rtnetlink) point(index int, has6 bool) error {
	if !has6 {
		return r.up(index, 0)
	}
	const noAddress = 1 // IN6_ADDR_GEN_MODE_NONE
	return r.do("interface up", unix.RTM_NEWLINK, 0, infoHeader(index, unix.IFF_UP), func(ae *netlink.AttributeEncoder) {
		ae.Nested(unix.IFLA_AF_SPEC, func(families *netlink.AttributeEncoder) error {
			families.Nested(unix.AF_INET6, func(ae *netlink.AttributeEncoder) error {
				ae.Uint8(unix.IFLA_INET6_ADDR_GEN_MODE, noAddress)
				return nil
			})
			return nil
		})
	})
}

// veth makes a pair of interfaces: one here that is on, and its peer in another namespace.
func (r rtnetlink) veth(v veth) error {
	const peerInfo = 1 // VETH_INFO_PEER
	// Nobody is asked for a neighbour's address: both ends have the same, and each reaches the other alone.
	address := []byte{2, 0, 0, 0, 0, 1}
	end := func(ae *netlink.AttributeEncoder, name string) {
		ae.String(unix.IFLA_IFNAME, name)
		ae.Uint32(unix.IFLA_MTU, linkMTU)
		ae.Bytes(unix.IFLA_ADDRESS, address)
	}
	header := infoHeader(v.index, unix.IFF_UP|unix.IFF_NOARP)
	return r.do("veth", unix.RTM_NEWLINK, createNew, header, func(ae *netlink.AttributeEncoder) {
		end(ae, v.name)
		ae.Uint32(unix.IFLA_GROUP, v.group)
		ae.Nested(unix.IFLA_LINKINFO, func(info *netlink.AttributeEncoder) error {
			info.String(unix.IFLA_INFO_KIND, "veth")
			info.Nested(unix.IFLA_INFO_DATA, func(data *netlink.AttributeEncoder) error {
				data.Do(peerInfo, func() ([]byte, error) {
					peer := netlink.NewAttributeEncoder()
					end(peer, v.peerName)
					peer.Uint32(unix.IFLA_NET_NS_FD, uint32(v.peerNamespace.Fd()))
					encoded, err := peer.Encode()
					return append(infoHeader(v.peerIndex, unix.IFF_NOARP), encoded...), err
				})
				return nil
			})
			return nil
		})
	})
}

// veth says what a pair of interfaces is to be. The indexes are ours to choose, so that nobody has to ask for them.
type veth struct {
	name, peerName   string
	index, peerIndex int
	group            uint32
	peerNamespace    *os.File
}

// address gives an interface an address that has no network around it.
func (r rtnetlink) address(index int, a netip.Addr) error {
	b := make([]byte, unix.SizeofIfAddrmsg)
	b[0], b[1] = familyOf(a), byte(a.BitLen())
	if a.Is6() {
		b[2] = unix.IFA_F_NODAD // nobody else is there
	}
	order.PutUint32(b[4:], uint32(index))
	return r.do("address", unix.RTM_NEWADDR, createNew, b, func(ae *netlink.AttributeEncoder) {
		ae.Bytes(unix.IFA_LOCAL, a.AsSlice())
		ae.Bytes(unix.IFA_ADDRESS, a.AsSlice())
	})
}

// route sends packets for a prefix to an interface, or nowhere (0).
func (r rtnetlink) route(to netip.Prefix, index, table int, kind byte) error {
	scope := byte(unix.RT_SCOPE_LINK)
	if kind == unix.RTN_LOCAL {
		scope = unix.RT_SCOPE_HOST
	}
	b := make([]byte, unix.SizeofRtMsg)
	b[0], b[1], b[5], b[6], b[7] = familyOf(to.Addr()), byte(to.Bits()), unix.RTPROT_STATIC, scope, kind
	return r.do("route", unix.RTM_NEWROUTE, createNew, b, func(ae *netlink.AttributeEncoder) {
		if to.Bits() > 0 {
			ae.Bytes(unix.RTA_DST, to.Addr().AsSlice())
		}
		if index > 0 {
			ae.Uint32(unix.RTA_OIF, uint32(index))
		}
		ae.Uint32(unix.RTA_TABLE, uint32(table))
	})
}

// rule has packets with a mark routed by a table, those of an address's family.
func (r rtnetlink) rule(of netip.Addr, mark uint32, table int) error {
	b := make([]byte, unix.SizeofRtMsg) // struct fib_rule_hdr has the same size
	b[0], b[7] = familyOf(of), unix.FR_ACT_TO_TBL
	return r.do("routing rule", unix.RTM_NEWRULE, createNew, b, func(ae *netlink.AttributeEncoder) {
		ae.Uint32(unix.FRA_FWMARK, mark)
		ae.Uint32(unix.FRA_TABLE, uint32(table))
	})
}

// isLocal asks where a packet to an address would go. It says whether that is the host itself or everybody on a link; an
// error says that it would go nowhere.
func (r rtnetlink) isLocal(a netip.Addr) (bool, error) {
	b := [unix.SizeofRtMsg]byte{familyOf(a), byte(a.BitLen())}
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(unix.RTA_DST, a.AsSlice())
	encoded, err := ae.Encode()
	if err != nil {
		return false, err
	}
	answers, err := r.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETROUTE, Flags: netlink.Request}, Data: append(b[:], encoded...),
	})
	if err != nil {
		return false, err
	}
	if len(answers) != 1 || answers[0].Header.Type != unix.RTM_NEWROUTE || len(answers[0].Data) < unix.SizeofRtMsg {
		return false, errors.New("router: the kernel names no route")
	}
	return answers[0].Data[7] != unix.RTN_UNICAST, nil
}
