//go:build linux

package router

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

var (
	flow4 = flow{netip.MustParseAddrPort("198.19.0.1:40000"), netip.MustParseAddrPort("203.0.113.2:443")}
	flow6 = flow{netip.MustParseAddrPort("[fd68:6f74:6172:75::1]:40000"), netip.MustParseAddrPort("[2001:db8::2]:443")}
)

// reversed is the flow of answers.
func (f flow) reversed() flow { return flow{from: f.to, to: f.from} }

// opening makes the packet that opens a connection.
func (f flow) opening(sequence uint32, data []byte) []byte {
	b := f.reversed().header(protoTCP, tcpHeader+len(data))
	transport := b[len(b)-tcpHeader-len(data):]
	binary.BigEndian.PutUint16(transport, f.from.Port())
	binary.BigEndian.PutUint16(transport[2:], f.to.Port())
	binary.BigEndian.PutUint32(transport[4:], sequence)
	transport[12], transport[13] = tcpHeader/4<<4, flagSYN
	copy(transport[tcpHeader:], data)
	binary.BigEndian.PutUint16(transport[16:], f.reversed().checksum(protoTCP, transport))
	return b
}

func TestParseRefuses(t *testing.T) {
	spoil := func(b []byte, at int, value byte) []byte {
		b = bytes.Clone(b)
		b[at] = value
		return b
	}
	udp4, udp6 := flow4.reversed().datagram([]byte("data")), flow6.reversed().datagram([]byte("data"))
	syn4 := flow4.opening(1, nil)
	for name, b := range map[string][]byte{
		"nothing":                  nil,
		"IP version 5":             spoil(udp4, 0, 0x55),
		"a header cut short":       udp4[:19],
		"an IPv6 header cut short": udp6[:39],
		"IPv4 options":             spoil(udp4, 0, 0x46),
		"another length":           udp4[:len(udp4)-1],
		"another IPv6 length":      udp6[:len(udp6)-1],
		"a first fragment":         spoil(udp4, 6, 0x20),
		"a later fragment":         spoil(udp4, 7, 1),
		"ICMP":                     spoil(udp4, 9, protoICMP),
		"an IPv6 extension":        spoil(udp6, 6, 0),
		"an IPv6 fragment":         spoil(udp6, 6, 44),
		"a UDP length too long":    spoil(udp4, ip4Header+5, 200),
		"a UDP length too short":   spoil(udp4, ip4Header+5, 3),
		"TCP options beyond it":    spoil(syn4, ip4Header+12, 0xf0),
		"a TCP header too short":   spoil(syn4, ip4Header+12, 0x40),
	} {
		if p, err := parse(b); !errors.Is(err, errPacket) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	short := flow4.reversed().header(protoTCP, 4)
	if _, err := parse(short); !errors.Is(err, errPacket) {
		t.Errorf("four bytes of TCP: %v", err)
	}
}

func TestPackets(t *testing.T) {
	for _, f := range []flow{flow4, flow6} {
		for _, data := range []string{"", "x", "data", string(make([]byte, 60001))} {
			p, err := parse(f.datagram([]byte(data)))
			if err != nil || p.flow != f.reversed() || p.proto != protoUDP || string(p.payload) != data {
				t.Errorf("%v with %d bytes: %+v, %v", f, len(data), p.flow, err)
			}
			whole(t, &p)
		}
		syn, err := parse(f.opening(0xffffffff, []byte("fast")))
		if err != nil || syn.flow != f || !syn.syn() {
			t.Fatalf("%+v, %v", syn, err)
		}
		refused, err := parse(syn.refusal())
		if err != nil || refused.flow != f.reversed() || refused.syn() {
			t.Fatalf("%+v, %v", refused, err)
		}
		whole(t, &refused)
		// It acknowledges the SYN and four bytes, beyond where numbers begin again.
		if ack := binary.BigEndian.Uint32(refused.transport[8:]); ack != 4 || refused.transport[13] != flagRST|flagACK {
			t.Errorf("it acknowledges %d with flags %#x", ack, refused.transport[13])
		}
	}
}

// whole checks a packet's sums as a receiver does: everything added up is all ones.
func whole(t *testing.T, p *packet) {
	t.Helper()
	if got := p.reversed().checksum(p.proto, p.transport); got != 0 {
		t.Errorf("%v: the sum is off by %#x", p.flow, got)
	}
	if p.from.Addr().Is4() {
		if got := fold(sum(p.whole[:ip4Header], 0)); got != 0xffff {
			t.Errorf("%v: the header's sum is %#x", p.flow, got)
		}
	}
}

func TestWhy(t *testing.T) {
	for _, c := range []struct {
		err  error
		want unreachable
		ok   bool
	}{
		{fmt.Errorf("x: %w", errDenied), forbidden, true},
		{&net.OpError{Err: unix.EACCES}, forbidden, true},
		{unix.EPERM, forbidden, true},
		{unix.EHOSTUNREACH, noHost, true},
		{unix.ENETUNREACH, noRoute, true},
		{unix.EADDRNOTAVAIL, noRoute, true},
		{unix.ECONNREFUSED, noPort, true},
		{unix.ETIMEDOUT, unreachable{}, false},
	} {
		if got, ok := why(c.err); got != c.want || ok != c.ok {
			t.Errorf("%v: %v, %v", c.err, got, ok)
		}
	}
}

// FuzzParse: whatever a sandbox sends, what is made in answer is a packet, and goes back to where that came from.
func FuzzParse(f *testing.F) {
	f.Add(flow4.opening(7, nil))
	f.Add(flow6.opening(7, []byte("x")))
	f.Add(flow4.reversed().datagram([]byte("data")))
	f.Add(flow6.reversed().datagram(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parse(b)
		if err != nil {
			return
		}
		if len(p.whole) != len(b) || len(p.payload) > len(p.transport) {
			t.Fatalf("%d bytes are %+v", len(b), p)
		}
		complaint := p.unreachable(forbidden)
		if back := complaint[len(complaint)-len(p.whole[:min(len(p.whole), mostQuoted)]):]; !bytes.HasPrefix(p.whole, back) {
			t.Error("the complaint quotes something else")
		}
		if p.syn() {
			answer, err := parse(p.refusal())
			if err != nil || answer.flow != p.reversed() {
				t.Errorf("the refusal is %+v, %v", answer.flow, err)
			}
		}
		if p.proto == protoUDP {
			answer, err := parse(p.datagram(p.payload))
			if err != nil || answer.flow != p.reversed() || !bytes.Equal(answer.payload, p.payload) {
				t.Errorf("the answer is %+v, %v", answer.flow, err)
			}
			whole(t, &answer)
		}
	})
}

func TestNth(t *testing.T) {
	for number, want := range map[int]string{0: "198.19.0.0", 1: "198.19.0.1", 256: "198.19.1.0", 8191: "198.19.31.255"} {
		if got := nth(sandboxes4, number); got.String() != want {
			t.Errorf("%d: %s, want %s", number, got, want)
		}
	}
	if got := nth(sandboxes6, 8191).String(); got != "fd68:6f74:6172:75::1fff" {
		t.Errorf("IPv6: %s", got)
	}
	n := newNumbers()
	seen := map[int]bool{}
	for range 8191 {
		number, err := n.take()
		if err != nil || number < 1 || seen[number] {
			t.Fatalf("%d, %v", number, err)
		}
		seen[number] = true
	}
	if _, err := n.take(); err == nil {
		t.Error("one too many")
	}
	n.give(7)
	n.give(3)
	if number, err := n.take(); number != 7 || err != nil {
		t.Errorf("%d, %v: 7 was given back first", number, err)
	}
}
