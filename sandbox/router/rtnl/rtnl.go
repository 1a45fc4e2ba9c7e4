//go:build linux

// Package rtnl configures the network of one network namespace: interfaces, addresses, routes (rtnetlink(7)). It must not
// know what they are for.
package rtnl

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Conn configures one namespace. It is safe for concurrent use.
type Conn struct{ conn *netlink.Conn }

// Close closes it. The zero Conn is closed.
func (r Conn) Close() error {
	if r.conn == nil {
		return nil
	}
	return r.conn.Close()
}

// Dial opens one for the network namespace of the calling thread, and stays in it whatever thread uses it later.
func Dial() (Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return Conn{}, fmt.Errorf("rtnl: netlink: %w", err)
	}
	return Conn{conn}, nil
}

// do sends a request: a fixed header and attributes. what names it in errors.
func (r Conn) do(what string, kind, flags uint16, header []byte, attributes func(*netlink.AttributeEncoder)) error {
	ae := netlink.NewAttributeEncoder()
	if attributes != nil {
		attributes(ae)
	}
	encoded, err := ae.Encode()
	if err != nil {
		return fmt.Errorf("rtnl: %s: %w", what, err)
	}
	_, err = r.conn.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(kind),
			Flags: netlink.Request | netlink.Acknowledge | netlink.HeaderFlags(flags),
		},
		Data: append(header, encoded...),
	})
	if err != nil {
		return fmt.Errorf("rtnl: %s: %w", what, err)
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

// Up turns an interface on, with packets of up to mtu bytes; 0 leaves that as it is.
func (r Conn) Up(index int, mtu uint32) error {
	return r.do("interface up", unix.RTM_NEWLINK, 0, infoHeader(index, unix.IFF_UP), func(ae *netlink.AttributeEncoder) {
		if mtu > 0 {
			ae.Uint32(unix.IFLA_MTU, mtu)
		}
	})
}

// Remove removes an interface, and its peer.
func (r Conn) Remove(index int) error {
	return r.do("remove interface", unix.RTM_DELLINK, 0, infoHeader(index, 0), nil)
}

// Settle has the kernel take note at once that an interface's peer has been turned on (since Linux 6.8; those before take
// note soon). What is sent until then is lost.
func (r Conn) Settle(index int) error {
	_, err := r.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request}, Data: infoHeader(index, 0),
	})
	if err != nil {
		return fmt.Errorf("rtnl: interface: %w", err)
	}
	return nil
}

// Point turns an interface on that has no other addresses than those it is given: none of the link, which IPv6 would
// make.
func (r Conn) Point(index int, has6 bool) error {
	if !has6 {
		return r.Up(index, 0)
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

// Veth makes a pair of interfaces: one here that is on, and its peer in another namespace.
func (r Conn) Veth(v Veth) error {
	const peerInfo = 1 // VETH_INFO_PEER
	// Nobody is asked for a neighbour's address: both ends have the same, and each reaches the other alone.
	address := []byte{2, 0, 0, 0, 0, 1}
	end := func(ae *netlink.AttributeEncoder, name string) {
		ae.String(unix.IFLA_IFNAME, name)
		ae.Uint32(unix.IFLA_MTU, v.MTU)
		ae.Bytes(unix.IFLA_ADDRESS, address)
	}
	header := infoHeader(v.Index, unix.IFF_UP|unix.IFF_NOARP)
	return r.do("veth", unix.RTM_NEWLINK, createNew, header, func(ae *netlink.AttributeEncoder) {
		end(ae, v.Name)
		ae.Uint32(unix.IFLA_GROUP, v.Group)
		ae.Nested(unix.IFLA_LINKINFO, func(info *netlink.AttributeEncoder) error {
			info.String(unix.IFLA_INFO_KIND, "veth")
			info.Nested(unix.IFLA_INFO_DATA, func(data *netlink.AttributeEncoder) error {
				data.Do(peerInfo, func() ([]byte, error) {
					peer := netlink.NewAttributeEncoder()
					end(peer, v.PeerName)
					peer.Uint32(unix.IFLA_NET_NS_FD, uint32(v.PeerNamespace.Fd()))
					encoded, err := peer.Encode()
					return append(infoHeader(v.PeerIndex, unix.IFF_NOARP), encoded...), err
				})
				return nil
			})
			return nil
		})
	})
}

// Veth says what a pair of interfaces is to be. The indexes are ours to choose, so that nobody has to ask for them.
type Veth struct {
	Name, PeerName   string
	Index, PeerIndex int
	// Group is Name's.
	Group         uint32
	PeerNamespace *os.File
	MTU           uint32
}

// Address gives an interface an address that has no network around it.
func (r Conn) Address(index int, a netip.Addr) error {
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

// Route sends packets for a prefix to an interface, or nowhere (0).
func (r Conn) Route(to netip.Prefix, index, table int, kind byte) error {
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

// Rule has packets with a mark routed by a table, those of an address's family.
func (r Conn) Rule(of netip.Addr, mark uint32, table int) error {
	b := make([]byte, unix.SizeofRtMsg) // struct fib_rule_hdr has the same size
	b[0], b[7] = familyOf(of), unix.FR_ACT_TO_TBL
	return r.do("routing rule", unix.RTM_NEWRULE, createNew, b, func(ae *netlink.AttributeEncoder) {
		ae.Uint32(unix.FRA_FWMARK, mark)
		ae.Uint32(unix.FRA_TABLE, uint32(table))
	})
}

// IsLocal asks where a packet to an address would go. It says whether that is the host itself or everybody on a link; an
// error says that it would go nowhere.
func (r Conn) IsLocal(a netip.Addr) (bool, error) {
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
		return false, errors.New("rtnl: the kernel names no route")
	}
	return answers[0].Data[7] != unix.RTN_UNICAST, nil
}
