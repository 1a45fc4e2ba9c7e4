//go:build linux

package router

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// The protocols that are carried.
const (
	protoTCP = 6
	protoUDP = 17
)

// Sizes of headers, without options.
const (
	ip4Header = 20
	ip6Header = 40
	tcpHeader = 20
	udpHeader = 8
)

// The flags of TCP (RFC 9293, section 3.1).
const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// flow is who talks to whom: from is in a sandbox, to is outside.
type flow struct{ from, to netip.AddrPort }

// packet is what an interface gave us, taken apart. Its slices point into what it was parsed from.
type packet struct {
	flow
	proto byte
	// transport is the TCP or UDP header and what follows, payload what follows.
	transport, payload []byte
	// whole is the packet.
	whole []byte
}

// syn says whether the packet opens a TCP connection.
func (p *packet) syn() bool {
	return p.proto == protoTCP && p.transport[13]&(flagFIN|flagSYN|flagRST|flagACK) == flagSYN
}

// sequence is the number that a TCP packet begins with: those of two openings from one port differ.
func (p *packet) sequence() uint32 { return binary.BigEndian.Uint32(p.transport[4:]) }

// errPacket answers whatever is no packet that we carry.
var errPacket = errors.New("router: not a packet that is carried")

// parse takes a packet apart. It refuses what is not TCP or UDP, and what no ordinary socket sends: fragments, options of
// IPv4 and extension headers of IPv6. It does not check sums: the kernel made them.
func parse(b []byte) (p packet, err error) {
	if len(b) == 0 {
		return p, errPacket
	}
	switch b[0] >> 4 {
	case 4:
		err = p.parse4(b)
	case 6:
		err = p.parse6(b)
	default:
		err = errPacket
	}
	if err != nil {
		return packet{}, err
	}
	header := udpHeader
	if p.proto == protoTCP {
		if len(p.transport) < tcpHeader {
			return packet{}, errPacket
		}
		if header = int(p.transport[12]>>4) * 4; header < tcpHeader {
			return packet{}, errPacket
		}
	}
	if len(p.transport) < header {
		return packet{}, errPacket
	}
	if p.proto == protoUDP && int(binary.BigEndian.Uint16(p.transport[4:])) != len(p.transport) {
		return packet{}, errPacket
	}
	p.payload = p.transport[header:]
	p.from = netip.AddrPortFrom(p.from.Addr(), binary.BigEndian.Uint16(p.transport))
	p.to = netip.AddrPortFrom(p.to.Addr(), binary.BigEndian.Uint16(p.transport[2:]))
	return p, nil
}

func (p *packet) parse4(b []byte) error {
	const fragment = 0x3fff // the flag "more fragments", and the offset
	if len(b) < ip4Header || b[0] != 0x45 || int(binary.BigEndian.Uint16(b[2:])) != len(b) ||
		binary.BigEndian.Uint16(b[6:])&fragment != 0 {
		return errPacket
	}
	p.from = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:16])), 0)
	p.to = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), 0)
	return p.carry(b, b[9], ip4Header)
}

func (p *packet) parse6(b []byte) error {
	if len(b) < ip6Header || int(binary.BigEndian.Uint16(b[4:]))+ip6Header != len(b) {
		return errPacket
	}
	p.from = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), 0)
	p.to = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:40])), 0)
	return p.carry(b, b[6], ip6Header)
}

func (p *packet) carry(b []byte, proto byte, header int) error {
	if proto != protoTCP && proto != protoUDP {
		return errPacket
	}
	p.whole, p.proto, p.transport = b, proto, b[header:]
	return nil
}

// datagram is a UDP packet from f.to to f.from: what the outside answers.
func (f flow) datagram(payload []byte) []byte {
	b := f.header(protoUDP, udpHeader+len(payload))
	transport := b[len(b)-udpHeader-len(payload):]
	binary.BigEndian.PutUint16(transport, f.to.Port())
	binary.BigEndian.PutUint16(transport[2:], f.from.Port())
	binary.BigEndian.PutUint16(transport[4:], uint16(len(transport)))
	copy(transport[udpHeader:], payload)
	sum := f.checksum(protoUDP, transport)
	if sum == 0 {
		sum = 0xffff // RFC 768: none is written as 0
	}
	binary.BigEndian.PutUint16(transport[6:], sum)
	return b
}

// refusal is the TCP packet with which a host says that nobody listens, in answer to a SYN (RFC 9293, section 3.5.2).
func (p *packet) refusal() []byte {
	b := p.header(protoTCP, tcpHeader)
	transport := b[len(b)-tcpHeader:]
	binary.BigEndian.PutUint16(transport, p.to.Port())
	binary.BigEndian.PutUint16(transport[2:], p.from.Port())
	binary.BigEndian.PutUint32(transport[8:], p.sequence()+1+uint32(len(p.payload)))
	transport[12] = tcpHeader / 4 << 4
	transport[13] = flagRST | flagACK
	binary.BigEndian.PutUint16(transport[16:], p.checksum(protoTCP, transport))
	return b
}

// header is an IP packet from f.to to f.from with room for a transport of that many bytes.
func (f flow) header(proto byte, transport int) []byte {
	const hops = 64
	if f.from.Addr().Is4() {
		b := make([]byte, ip4Header+transport)
		b[0] = 0x45
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		b[6] = 0x40 // not to be fragmented
		b[8], b[9] = hops, proto
		from, to := f.to.Addr().As4(), f.from.Addr().As4()
		copy(b[12:], from[:])
		copy(b[16:], to[:])
		binary.BigEndian.PutUint16(b[10:], ^fold(sum(b[:ip4Header], 0)))
		return b
	}
	b := make([]byte, ip6Header+transport)
	b[0] = 0x60
	binary.BigEndian.PutUint16(b[4:], uint16(transport))
	b[6], b[7] = proto, hops
	from, to := f.to.Addr().As16(), f.from.Addr().As16()
	copy(b[8:], from[:])
	copy(b[24:], to[:])
	return b
}

// checksum is that of a transport from f.to to f.from, whose own field for it holds 0 (RFC 9293, section 3.1; RFC 8200,
// section 8.1).
func (f flow) checksum(proto byte, transport []byte) uint16 {
	s := sum(f.to.Addr().AsSlice(), uint32(proto)+uint32(len(transport)))
	return ^fold(sum(transport, sum(f.from.Addr().AsSlice(), s)))
}

// sum adds up 16-bit words (RFC 1071).
func sum(b []byte, s uint32) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
