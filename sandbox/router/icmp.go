//go:build linux

package router

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// The protocols of errors.
const (
	protoICMP   = 1
	protoICMPv6 = 58
)

const icmpHeader = 8

// unreachable says why somebody cannot be reached: the code of a "destination unreachable" in ICMP (RFC 792; RFC 1812,
// section 5.2.7.1) and ICMPv6 (RFC 4443, section 3.1).
type unreachable struct{ code4, code6 byte }

// What code in a sandbox sees of them: ENETUNREACH, EHOSTUNREACH, ECONNREFUSED (of a datagram), and for what is forbidden
// EHOSTUNREACH with IPv4 and EACCES with IPv6.
var (
	noRoute   = unreachable{0, 0}
	noHost    = unreachable{1, 3}
	noPort    = unreachable{3, 4}
	forbidden = unreachable{13, 1}
)

// why says how to tell a sandbox that the host could not reach somebody. ok is false where a real network would say
// nothing.
func why(err error) (reason unreachable, ok bool) {
	switch {
	case errors.Is(err, errDenied), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return forbidden, true
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EHOSTDOWN):
		return noHost, true
	case errors.Is(err, unix.ETIMEDOUT):
		return unreachable{}, false
	case errors.Is(err, unix.ECONNREFUSED):
		return noPort, true
	default: // no route, no IPv6, or no port free on the host
		return noRoute, true
	}
}

// most of a packet that its sender is shown again: it looks for the ports, and for TCP's sequence number.
const mostQuoted = 64

// unreachable is the message that the packet did not get there.
func (p *packet) unreachable(reason unreachable) []byte {
	return p.complain(reason, p.whole[:min(len(p.whole), mostQuoted)])
}

// unreachable is the same for a datagram that is no longer at hand.
func (f flow) unreachable(reason unreachable) []byte {
	lost := flow{from: f.to, to: f.from}.datagram(nil) // from us to the outside
	return f.complain(reason, lost)
}

func (f flow) complain(reason unreachable, quoted []byte) []byte {
	const unreachable4, unreachable6 = 3, 1
	if f.from.Addr().Is4() {
		b := f.header(protoICMP, icmpHeader+len(quoted))
		message := b[ip4Header:]
		message[0], message[1] = unreachable4, reason.code4
		copy(message[icmpHeader:], quoted)
		binary.BigEndian.PutUint16(message[2:], ^fold(sum(message, 0)))
		return b
	}
	b := f.header(protoICMPv6, icmpHeader+len(quoted))
	message := b[ip6Header:]
	message[0], message[1] = unreachable6, reason.code6
	copy(message[icmpHeader:], quoted)
	binary.BigEndian.PutUint16(message[2:], f.checksum(protoICMPv6, message))
	return b
}
