package names

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// defaultTimeout is how long a server may take to answer.
	defaultTimeout = 2 * time.Second
	// defaultConcurrent is how many questions may be on their way.
	defaultConcurrent = 256
	// rounds is how often every server is tried.
	rounds = 2
)

// Forwarder asks resolvers. It is shared by all environments and safe for concurrent use.
type Forwarder struct {
	servers func() []netip.AddrPort
	timeout time.Duration
	// busy holds a token for each question on its way.
	busy chan struct{}
}

// ForwarderOptions configure NewForwarder. The zero value is usable.
type ForwarderOptions struct {
	// Timeout is how long a server may take to answer, over UDP or over TCP. Default: 2 s.
	Timeout time.Duration
	// Concurrent is how many questions may be on their way at once; further ones wait. Default: 256.
	Concurrent int
}

// NewForwarder asks the servers in their order, the next one when one fails. With none it returns nil, which is a
// Zone's word for: nothing more exists.
func NewForwarder(servers []netip.AddrPort, options ForwarderOptions) *Forwarder {
	if len(servers) == 0 {
		return nil
	}
	return NewFollowingForwarder(func() []netip.AddrPort { return servers }, options)
}

// NewFollowingForwarder asks the servers that there are at the moment of the question; while there are none, every
// question fails (SERVFAIL). The function must answer at once.
func NewFollowingForwarder(servers func() []netip.AddrPort, options ForwarderOptions) *Forwarder {
	if options.Timeout <= 0 {
		options.Timeout = defaultTimeout
	}
	if options.Concurrent <= 0 {
		options.Concurrent = defaultConcurrent
	}
	return &Forwarder{servers: servers, timeout: options.Timeout, busy: make(chan struct{}, options.Concurrent)}
}

var errAnswer = errors.New("names: not the answer to the question")

// answer asks upstream and returns what to tell the asker: SERVFAIL if nobody answers.
func (f *Forwarder) answer(ctx context.Context, q *query) []byte {
	failed := q.reply(dnsmessage.RCodeServerFailure, false)
	select {
	case f.busy <- struct{}{}:
		defer func() { <-f.busy }()
	case <-ctx.Done():
		return failed
	}
	var refused []byte // better than nothing: what a server said that does not know either
	servers := f.servers()
	for range rounds {
		for _, server := range servers {
			answer, err := f.exchange(ctx, server, q)
			if ctx.Err() != nil {
				return failed
			}
			if err != nil {
				continue
			}
			switch dnsmessage.RCode(answer[3] & 0xf) {
			case dnsmessage.RCodeServerFailure, dnsmessage.RCodeRefused, dnsmessage.RCodeNotImplemented, dnsmessage.RCodeFormatError:
				refused = answer
			default:
				return answer
			}
		}
		if refused != nil {
			return refused
		}
	}
	return failed
}

// exchange asks one server, over UDP and then, if the answer is too long for that, over TCP.
func (f *Forwarder) exchange(ctx context.Context, server netip.AddrPort, q *query) ([]byte, error) {
	asked, err := q.upstream()
	if err != nil {
		return nil, err
	}
	answer, err := f.overUDP(ctx, server, asked)
	if err == nil && answer[2]&truncatedBit != 0 {
		answer, err = f.overTCP(ctx, server, asked)
	}
	if err != nil {
		return nil, err
	}
	// The asker's own number, and its own letters in the name.
	binary.BigEndian.PutUint16(answer, q.id)
	return answer, restore(answer, q)
}

// dial connects, so that nobody but the server is heard, from a port that the kernel draws.
func (f *Forwarder) dial(ctx context.Context, network string, server netip.AddrPort) (net.Conn, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	conn, err := (&net.Dialer{}).DialContext(ctx, network, server.String())
	if err != nil {
		cancel()
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // at the timeout, or when nobody waits any more
	return conn, func() { stop(); cancel(); _ = conn.Close() }, nil
}

func (f *Forwarder) overUDP(ctx context.Context, server netip.AddrPort, asked []byte) ([]byte, error) {
	conn, done, err := f.dial(ctx, "udp", server)
	if err != nil {
		return nil, err
	}
	defer done()
	if _, err := conn.Write(asked); err != nil {
		return nil, err
	}
	message := make([]byte, packetBytes+1)
	for {
		n, err := conn.Read(message)
		if err != nil {
			return nil, err
		}
		// What does not fit may be a forgery: the real answer may still come.
		if n <= packetBytes && fits(message[:n], asked) {
			return message[:n], nil
		}
	}
}

func (f *Forwarder) overTCP(ctx context.Context, server netip.AddrPort, asked []byte) ([]byte, error) {
	conn, done, err := f.dial(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	defer done()
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(asked))), asked...)); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, message); err != nil {
		return nil, err
	}
	if !fits(message, asked) || message[2]&truncatedBit != 0 {
		return nil, errAnswer
	}
	return message, nil
}

// upstream is the question as we ask it, with a number that nobody can guess. Of EDNS it has what the asker spoke,
// without its options: those are between us and the server.
func (q *query) upstream() ([]byte, error) {
	var id [2]byte
	_, _ = rand.Read(id[:]) // never fails
	message := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: binary.BigEndian.Uint16(id[:]), RecursionDesired: true, CheckingDisabled: q.checkingDisabled,
		},
		Questions: []dnsmessage.Question{q.question},
	}
	if q.edns {
		message.Additionals = []dnsmessage.Resource{q.option(dnsmessage.RCodeSuccess)}
	}
	return message.Pack()
}

// truncatedBit is in a header's third byte.
const truncatedBit = 0x02

// fits says whether a message is a whole and well-formed answer to what was asked.
func fits(message, asked []byte) bool {
	if len(message) < headerBytes || !bytes.Equal(message[:2], asked[:2]) {
		return false
	}
	var p dnsmessage.Parser
	header, err := p.Start(message)
	if err != nil || !header.Response || header.OpCode != 0 || !bytes.Equal(message[4:6], asked[4:6]) {
		return false
	}
	question := questionOf(asked)
	if len(message) < headerBytes+len(question) || !sameQuestion(message[headerBytes:headerBytes+len(question)], question) {
		return false
	}
	return p.SkipAllQuestions() == nil && p.SkipAllAnswers() == nil && p.SkipAllAuthorities() == nil && p.SkipAllAdditionals() == nil
}

// questionOf is the question of a message of ours: one, and not compressed.
func questionOf(message []byte) []byte {
	end := headerBytes
	for message[end] != 0 {
		end += 1 + int(message[end])
	}
	return message[headerBytes : end+5] // the root, the type and the class
}

// sameQuestion compares names without regard to the case of letters, which servers may change, and the rest exactly.
func sameQuestion(a, b []byte) bool {
	const typeAndClass = 4
	for i := range a {
		x, y := a[i], b[i]
		if i < len(a)-typeAndClass { // a label's length is no letter: 63 is before 'A'
			x, y = lower(x), lower(y)
		}
		if x != y {
			return false
		}
	}
	return true
}

func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		b += 'a' - 'A'
	}
	return b
}

// restore writes the question of an answer as the asker wrote it.
func restore(answer []byte, q *query) error {
	message := dnsmessage.Message{Questions: []dnsmessage.Question{q.question}}
	packed, err := message.Pack()
	if err != nil {
		return err
	}
	copy(answer[headerBytes:], packed[headerBytes:])
	return nil
}
