//go:build linux

package router

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotaru/sandbox/router/routertest"
)

// echoPackets says every datagram back, and each sender's address on senders.
func echoPackets(t *testing.T, conn *net.UDPConn) <-chan netip.AddrPort {
	t.Helper()
	senders := make(chan netip.AddrPort, 1024)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, bufferBytes)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			senders <- from
			_, _ = conn.WriteToUDPAddrPort(b[:n], from)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-ended })
	return senders
}

func TestUDP(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t)
	sandbox := w.sandbox(0)
	for name, internet := range map[string]netip.Addr{"IPv4": internet4, "IPv6": internet6} {
		t.Run(name, func(t *testing.T) {
			w.T = t
			server := w.outside().packets(at(internet, 0))
			senders := echoPackets(t, server)
			address := server.LocalAddr().String()
			conn := sandbox.connect("udp", address)
			for _, size := range []int{5, 0, 1, 1472, 9001, 60000} {
				b := bytes.Repeat([]byte{'x'}, size)
				_, err := conn.Write(b)
				must(t, err)
				got := make([]byte, bufferBytes)
				n, err := conn.Read(got)
				if err != nil || !bytes.Equal(got[:n], b) {
					t.Errorf("%d bytes come back as %d, %v", size, n, err)
				}
				<-senders
			}
			// A port that nobody listens at is told of, at the next call, as on any network.
			nobody := sandbox.connect("udp", at(internet, 9))
			_, err := nobody.Write([]byte("x"))
			must(t, err)
			if _, err := nobody.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("nobody listens: %v", err)
			}
			w.strangersAreNotHeard(conn, server, internet)
		})
	}
}

// strangersAreNotHeard: only who was spoken to can answer.
func (w *world) strangersAreNotHeard(conn net.Conn, server *net.UDPConn, internet netip.Addr) {
	w.Helper()
	_, err := conn.Write([]byte("first"))
	must(w, err)
	b := make([]byte, 16)
	n, err := conn.Read(b)
	must(w, err)
	if string(b[:n]) != "first" {
		w.Fatalf("it says %q", b[:n])
	}
	stranger := w.outside().packets(at(internet, 0))
	var ours []netip.AddrPort
	l := w.router.find(conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap())
	l.mu.Lock()
	for f, c := range l.datagrams {
		if f.to.String() == server.LocalAddr().String() {
			ours = append(ours, c.outer.LocalAddr().(*net.UDPAddr).AddrPort())
		}
	}
	l.mu.Unlock()
	if len(ours) == 0 {
		w.Fatal("the conversation is not there: the test does not test")
	}
	for _, to := range ours {
		_, err = stranger.WriteToUDPAddrPort([]byte("stranger"), to)
		must(w, err)
	}
	_, err = conn.Write([]byte("second"))
	must(w, err)
	if n, err := conn.Read(b); err != nil || string(b[:n]) != "second" {
		w.Errorf("it hears %q, %v", b[:n], err)
	}
}

// The conversation that has been silent the longest makes room for a new one, and silent ones end.
func TestTooManyConversations(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t)
	sandbox := w.sandbox(0)
	server := w.outside().packets(at(internet4, 0))
	echoPackets(t, server)
	b := make([]byte, 8)
	var conns []net.Conn
	for i := range maxConversations + 10 {
		conn := sandbox.connect("udp", server.LocalAddr().String())
		_, err := conn.Write([]byte("x"))
		must(t, err)
		if _, err := conn.Read(b); err != nil {
			t.Fatal(i, err)
		}
		conns = append(conns, conn)
	}
	sandbox.link.mu.Lock()
	open := len(sandbox.link.datagrams)
	sandbox.link.mu.Unlock()
	if open != maxConversations {
		t.Errorf("%d conversations", open)
	}
	// The first has lost its socket outside, and gets another.
	_, err := conns[0].Write([]byte("x"))
	must(t, err)
	if _, err := conns[0].Read(b); err != nil {
		t.Error(err)
	}
}

// Datagrams beyond the bandwidth are lost.
func TestDatagramBandwidth(t *testing.T) {
	if !routertest.InHost(t) {
		return
	}
	w := newWorld(t)
	sandbox := w.sandbox(125e3)
	server := w.outside().packets(at(internet4, 0))
	conn := sandbox.connect("udp", server.LocalAddr().String())
	const size, count = 10000, 100
	for range count {
		_, err := conn.Write(make([]byte, size))
		must(t, err)
	}
	must(t, server.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
	received, b := 0, make([]byte, size)
	for {
		n, _, err := server.ReadFromUDPAddrPort(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		must(t, err)
		received += n
	}
	if received == 0 || received > size*count/2 {
		t.Errorf("%d of %d bytes arrive at a megabit per second", received, size*count)
	}
}
