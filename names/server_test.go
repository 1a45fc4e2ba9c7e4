package names

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// patience is how long anything may take before it counts as hung.
const patience = 20 * time.Second

// serve serves a zone on free ports; what it returns are the addresses.
func serve(t *testing.T, zone *Zone) (packets, streams string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { Serve(zone, conn, listener) })
	t.Cleanup(func() {
		_ = conn.Close()
		_ = listener.Close()
		serving.Wait()
	})
	return conn.LocalAddr().String(), listener.Addr().String()
}

// dial connects with a deadline.
func dial(t *testing.T, network, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// over asks over UDP or TCP.
func over(t *testing.T, network, address string, message []byte) []byte {
	t.Helper()
	conn := dial(t, network, address)
	if network == "tcp" {
		message = append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
	}
	if _, err := conn.Write(message); err != nil {
		t.Fatal(err)
	}
	if network == "udp" {
		answer := make([]byte, 64<<10)
		n, err := conn.Read(answer)
		if err != nil {
			t.Fatal(err)
		}
		return answer[:n]
	}
	answer, err := readFramed(conn)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func readFramed(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, message)
	return message, err
}

// resolver asks a server the way Go programs do.
func resolver(packets, streams string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		if strings.HasPrefix(network, "tcp") {
			return (&net.Dialer{}).DialContext(ctx, "tcp", streams)
		}
		return (&net.Dialer{}).DialContext(ctx, "udp", packets)
	}}
}

func TestServeLocal(t *testing.T) {
	packets, streams := serve(t, &Zone{AWS: true})
	r := resolver(packets, streams)
	_, err := r.LookupHost(t.Context(), "example.com.")
	if missing := (*net.DNSError)(nil); !errors.As(err, &missing) || !missing.IsNotFound {
		t.Errorf("example.com: %v", err)
	}
	if got, err := r.LookupHost(t.Context(), "s3.eu-west-1.amazonaws.com."); err != nil || len(got) != 1 || got[0] != "127.0.0.1" {
		t.Errorf("AWS: %v %v", got, err)
	}
	for _, network := range []string{"udp", "tcp"} {
		address := map[string]string{"udp": packets, "tcp": streams}[network]
		if got := unpack(t, over(t, network, address, ask(t, "sts.amazonaws.com.", dnsmessage.TypeA))); len(got.Answers) != 1 {
			t.Errorf("%s: %+v", network, got)
		}
	}
}

// Nonsense is ignored or refused, and what comes after it is answered.
func TestServeHostile(t *testing.T) {
	packets, streams := serve(t, &Zone{AWS: true})
	good := ask(t, "sts.amazonaws.com.", dnsmessage.TypeA)
	udp := dial(t, "udp", packets)
	for _, nonsense := range [][]byte{{}, {1}, make([]byte, 8000), over(t, "udp", packets, good)} {
		if _, err := udp.Write(nonsense); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := udp.Write(good); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, plainBytes)
	if n, err := udp.Read(answer); err != nil || len(unpack(t, answer[:n]).Answers) != 1 {
		t.Errorf("over UDP: %v", err)
	}
	for name, sent := range map[string][]byte{
		"a length of zero": {0, 0}, "a length that is too long": {0xff, 0xff}, "an answer": append([]byte{0, 12}, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	} {
		tcp := dial(t, "tcp", streams)
		if _, err := tcp.Write(sent); err != nil {
			t.Fatal(err)
		}
		if n, err := tcp.Read(answer); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
	// Many questions on one connection, cut anywhere.
	tcp := dial(t, "tcp", streams)
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(good))), good...)
	for _, part := range [][]byte{framed[:1], append(framed[1:len(framed):len(framed)], framed...)} {
		if _, err := tcp.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if answer, err := readFramed(tcp); err != nil || len(unpack(t, answer).Answers) != 1 {
			t.Errorf("over TCP: %v", err)
		}
	}
}

// Connections beyond the bound are closed, and those within it are not.
func TestServeManyConnections(t *testing.T) {
	_, streams := serve(t, &Zone{AWS: true})
	good := ask(t, "sts.amazonaws.com.", dnsmessage.TypeA)
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(good))), good...)
	var open []net.Conn
	for range maxStreams {
		conn := dial(t, "tcp", streams)
		if _, err := conn.Write(framed); err != nil {
			t.Fatal(err)
		}
		if _, err := readFramed(conn); err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	if n, err := dial(t, "tcp", streams).Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("one too many: %d bytes", n)
	}
	if _, err := open[0].Write(framed); err != nil {
		t.Fatal(err)
	}
	if _, err := readFramed(open[0]); err != nil {
		t.Errorf("one of those before: %v", err)
	}
}

// upstream is a resolver that a test plays, on one port of UDP and TCP.
type upstream struct {
	t       *testing.T
	address netip.AddrPort
	packets net.PacketConn
	// answer is what it says, over UDP possibly more than once; nothing is silence.
	answer func(network string, asked dnsmessage.Message) [][]byte

	mu    sync.Mutex
	asked []dnsmessage.Message
}

func newUpstream(t *testing.T, answer func(network string, asked dnsmessage.Message) [][]byte) *upstream {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{t: t, answer: answer, address: netip.MustParseAddrPort(listener.Addr().String())}
	if u.packets, err = net.ListenPacket("udp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		message := make([]byte, 64<<10)
		for {
			n, from, err := u.packets.ReadFrom(message)
			if err != nil {
				return
			}
			for _, a := range u.note("udp", message[:n]) {
				_, _ = u.packets.WriteTo(a, from)
			}
		}
	})
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if message, err := readFramed(conn); err == nil {
				for _, a := range u.note("tcp", message) {
					_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
				}
			}
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		_ = u.packets.Close()
		serving.Wait()
	})
	return u
}

func (u *upstream) note(network string, message []byte) [][]byte {
	var m dnsmessage.Message
	if err := m.Unpack(message); err != nil {
		u.t.Errorf("upstream is asked %x: %v", message, err)
		return nil
	}
	u.mu.Lock()
	u.asked = append(u.asked, m)
	u.mu.Unlock()
	return u.answer(network, m)
}

// says makes an answer; change may spoil it.
func says(t *testing.T, asked dnsmessage.Message, address byte, change ...func(*dnsmessage.Message)) []byte {
	asked.Response, asked.RecursionAvailable, asked.Additionals = true, true, nil
	asked.Answers = []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: asked.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 7},
		Body:   &dnsmessage.AResource{A: [4]byte{192, 0, 2, address}},
	}}
	for _, f := range change {
		f(&asked)
	}
	packed, err := asked.Pack()
	if err != nil {
		t.Error(err)
	}
	return packed
}

func zoneOf(timeout time.Duration, upstreams ...*upstream) *Zone {
	var servers []netip.AddrPort
	for _, u := range upstreams {
		servers = append(servers, u.address)
	}
	return &Zone{AWS: true, Upstream: NewForwarder(servers, ForwarderOptions{Timeout: timeout})}
}

// addressOf is the last byte of the address in an answer.
func addressOf(m dnsmessage.Message) byte {
	if len(m.Answers) != 1 {
		return 0
	}
	a, ok := m.Answers[0].Body.(*dnsmessage.AResource)
	if !ok {
		return 0
	}
	return a.A[3]
}

// Only the answer to the question that was asked is taken, and it comes back in the asker's words.
func TestForward(t *testing.T) {
	type message = dnsmessage.Message
	u := newUpstream(t, func(_ string, asked message) [][]byte {
		lowered := asked
		lowered.Questions = []dnsmessage.Question{asked.Questions[0]}
		lowered.Questions[0].Name = dnsmessage.MustNewName(strings.ToLower(asked.Questions[0].Name.String()))
		return [][]byte{
			{}, {1, 2, 3}, make([]byte, 2000),
			says(t, asked, 66, func(m *message) { m.ID++ }),
			says(t, asked, 66, func(m *message) { m.Response = false }),
			says(t, asked, 66, func(m *message) { m.OpCode = 4 }),
			says(t, asked, 66, func(m *message) { m.Questions = nil }),
			says(t, asked, 66, func(m *message) { m.Questions = append(m.Questions[:1:1], m.Questions[0]) }),
			says(t, asked, 66, func(m *message) {
				m.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName("other.example."), Type: 1, Class: 1}}
			}),
			says(t, asked, 66, func(m *message) {
				m.Questions = []dnsmessage.Question{{Name: m.Questions[0].Name, Type: 97, Class: 1}}
			}),
			says(t, asked, 66)[:40],
			says(t, lowered, 1),
			says(t, asked, 67), // too late
		}
	})
	packets, streams := serve(t, zoneOf(patience, u))
	for _, network := range []string{"udp", "tcp"} {
		address := map[string]string{"udp": packets, "tcp": streams}[network]
		asked := ask(t, "Www.EXAMPLE.com.", dnsmessage.TypeA, edns(4096, 0x8000))
		got := unpack(t, over(t, network, address, asked))
		if addressOf(got) != 1 || got.ID != 0xabcd || got.Questions[0].Name.String() != "Www.EXAMPLE.com." || got.Answers[0].Header.TTL != 7 {
			t.Errorf("%s: %+v", network, got)
		}
	}
	if got, err := resolver(packets, streams).LookupHost(t.Context(), "www.example.com."); err != nil || got[0] != "192.0.2.1" {
		t.Errorf("Go's resolver: %v %v", got, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	first, second := u.asked[0], u.asked[1]
	if first.ID == 0xabcd && second.ID == 0xabcd || !first.RecursionDesired || len(first.Additionals) != 1 {
		t.Errorf("upstream was asked %+v", first)
	}
	if option, ok := first.Additionals[0].Body.(*dnsmessage.OPTResource); !ok || len(option.Options) != 0 ||
		first.Additionals[0].Header.Class != packetBytes || !first.Additionals[0].Header.DNSSECAllowed() {
		t.Errorf("EDNS upstream: %+v", first.Additionals[0])
	}
	for _, m := range u.asked {
		if IsAWS(m.Questions[0].Name.String()) {
			t.Errorf("upstream is asked for %v", m.Questions[0])
		}
	}
}

// A long answer comes over TCP, to an asker over UDP as the advice to do the same.
func TestForwardLongAnswer(t *testing.T) {
	long := func(m *dnsmessage.Message) {
		for range 100 {
			m.Answers = append(m.Answers, m.Answers[0])
		}
	}
	u := newUpstream(t, func(network string, asked dnsmessage.Message) [][]byte {
		if network == "udp" {
			return [][]byte{says(t, asked, 1, func(m *dnsmessage.Message) { m.Truncated, m.Answers = true, nil })}
		}
		return [][]byte{says(t, asked, 1, long)}
	})
	packets, streams := serve(t, zoneOf(patience, u))
	asked := ask(t, "long.example.", dnsmessage.TypeA)
	got := over(t, "udp", packets, asked)
	if m := unpack(t, got); !m.Truncated || len(m.Answers) != 0 || len(got) > plainBytes {
		t.Errorf("over UDP: %d bytes, %+v", len(got), m.Header)
	}
	if m := unpack(t, over(t, "tcp", streams, asked)); m.Truncated || len(m.Answers) != 101 {
		t.Errorf("over TCP: %+v", m.Header)
	}
	if got, err := resolver(packets, streams).LookupHost(t.Context(), "long.example."); err != nil || len(got) == 0 {
		t.Errorf("Go's resolver: %v %v", got, err)
	}
}

// A server that is silent, refuses or talks nonsense over TCP is passed over.
func TestForwardNextServer(t *testing.T) {
	code := func(c dnsmessage.RCode) func(*dnsmessage.Message) {
		return func(m *dnsmessage.Message) { m.RCode, m.Answers = c, nil }
	}
	good := newUpstream(t, func(_ string, asked dnsmessage.Message) [][]byte { return [][]byte{says(t, asked, 1)} })
	for name, bad := range map[string]func(network string, asked dnsmessage.Message) [][]byte{
		"silent": func(string, dnsmessage.Message) [][]byte { return nil },
		"failing": func(_ string, asked dnsmessage.Message) [][]byte {
			return [][]byte{says(t, asked, 2, code(dnsmessage.RCodeServerFailure))}
		},
		"refusing": func(_ string, asked dnsmessage.Message) [][]byte {
			return [][]byte{says(t, asked, 2, code(dnsmessage.RCodeRefused))}
		},
		"cut off over TCP": func(_ string, asked dnsmessage.Message) [][]byte {
			return [][]byte{says(t, asked, 2, func(m *dnsmessage.Message) { m.Truncated = true })}
		},
		"another answer over TCP": func(network string, asked dnsmessage.Message) [][]byte {
			return [][]byte{says(t, asked, 2, func(m *dnsmessage.Message) {
				if m.Truncated = network == "udp"; network == "tcp" {
					m.ID++
				}
			})}
		},
	} {
		first := newUpstream(t, bad)
		packets, _ := serve(t, zoneOf(100*time.Millisecond, first, good))
		if got := unpack(t, over(t, "udp", packets, ask(t, "example.com.", dnsmessage.TypeA))); addressOf(got) != 1 {
			t.Errorf("%s: %+v", name, got)
		}
		packets, _ = serve(t, zoneOf(20*time.Millisecond, first))
		got := unpack(t, over(t, "udp", packets, ask(t, "example.com.", dnsmessage.TypeA)))
		if want := map[string]dnsmessage.RCode{"refusing": dnsmessage.RCodeRefused}[name]; got.RCode != max(want, dnsmessage.RCodeServerFailure) {
			t.Errorf("%s alone: %+v", name, got.Header)
		}
	}
	// That a name does not exist is an answer.
	missing := newUpstream(t, func(_ string, asked dnsmessage.Message) [][]byte {
		return [][]byte{says(t, asked, 2, code(dnsmessage.RCodeNameError))}
	})
	packets, _ := serve(t, zoneOf(patience, missing, good))
	if got := unpack(t, over(t, "udp", packets, ask(t, "example.com.", dnsmessage.TypeA))); got.RCode != dnsmessage.RCodeNameError {
		t.Errorf("a missing name: %+v", got.Header)
	}
}

// Questions on their way are bounded; further ones fail at once, and known names are answered all the same.
func TestForwardsAreBounded(t *testing.T) {
	release := make(chan struct{})
	u := newUpstream(t, func(_ string, asked dnsmessage.Message) [][]byte {
		<-release
		return [][]byte{says(t, asked, 1)}
	})
	t.Cleanup(sync.OnceFunc(func() {
		select {
		case <-release:
		default:
			close(release)
		}
	}))
	packets, _ := serve(t, zoneOf(patience, u))
	conn := dial(t, "udp", packets)
	for i := range maxForwards + 1 {
		if _, err := conn.Write(ask(t, "example.com.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.ID = uint16(i) })); err != nil {
			t.Fatal(err)
		}
	}
	read := func() dnsmessage.Message {
		answer := make([]byte, plainBytes)
		n, err := conn.Read(answer)
		if err != nil {
			t.Fatal(err)
		}
		return unpack(t, answer[:n])
	}
	if got := read(); got.ID != maxForwards || got.RCode != dnsmessage.RCodeServerFailure {
		t.Errorf("one too many: %+v", got.Header)
	}
	if got := unpack(t, over(t, "udp", packets, ask(t, "sts.amazonaws.com.", dnsmessage.TypeA))); len(got.Answers) != 1 {
		t.Errorf("a known name: %+v", got)
	}
	close(release)
	seen := map[uint16]bool{}
	for range maxForwards {
		got := read()
		if seen[got.ID] || addressOf(got) != 1 {
			t.Errorf("%+v", got.Header)
		}
		seen[got.ID] = true
	}
}

// The end of the sockets is the end of what is on its way, and of connections.
func TestServeEnds(t *testing.T) {
	heard := make(chan struct{}, 8)
	u := newUpstream(t, func(string, dnsmessage.Message) [][]byte { heard <- struct{}{}; return nil })
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Serve(zoneOf(time.Hour, u), conn, listener)
	}()
	asked := ask(t, "example.com.", dnsmessage.TypeA)
	if _, err := dial(t, "udp", conn.LocalAddr().String()).Write(asked); err != nil {
		t.Fatal(err)
	}
	tcp := dial(t, "tcp", listener.Addr().String())
	if _, err := tcp.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(asked))), asked...)); err != nil {
		t.Fatal(err)
	}
	<-heard
	<-heard
	_ = conn.Close()
	_ = listener.Close()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	if _, err := io.ReadAll(tcp); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection goes on")
	}
}

// Whatever upstream sends is taken only if it is well-formed and repeats the question.
func FuzzFits(f *testing.F) {
	q, _, _ := parse(ask(f, "www.Example.com.", dnsmessage.TypeA, edns(1232, 0)))
	asked, err := q.upstream()
	if err != nil {
		f.Fatal(err)
	}
	asked[0], asked[1] = 1, 2
	good := append([]byte(nil), asked...)
	good[2] |= 0x80
	f.Add(good)
	f.Fuzz(func(t *testing.T, message []byte) {
		if !fits(message, asked) {
			return
		}
		if err := restore(message, &q); err != nil {
			t.Fatal(err)
		}
		var p dnsmessage.Parser
		if _, err := p.Start(message); err != nil {
			t.Fatal(err)
		}
		if got, err := p.Question(); err != nil || got != q.question {
			t.Fatalf("%+v %v", got, err)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	zone := &Zone{AWS: true}
	message := ask(b, "lambda.us-east-1.amazonaws.com.", dnsmessage.TypeA, edns(1232, 0))
	b.ReportAllocs()
	for b.Loop() {
		q, refusal, _ := parse(message)
		if reply, _ := zone.answer(&q, refusal); len(reply) == 0 {
			b.Fatal("no answer")
		}
	}
}
