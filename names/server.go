package names

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// What one environment may take of us.
const (
	// maxForwards is how many of its questions may be on their way upstream; further ones fail at once.
	maxForwards = 32
	// maxStreams is how many connections it may have open; further ones are closed.
	maxStreams = 16
	// streamIdle is how long a connection may say nothing, or leave an answer unread.
	streamIdle = 10 * time.Second
	// errorPause is how long a socket that fails is left alone.
	errorPause = 100 * time.Millisecond
)

// server answers one environment's questions.
type server struct {
	zone    *Zone
	packets net.PacketConn
	streams net.Listener
	// forwards and open hold a token for each question and connection under way.
	forwards, open chan struct{}
	running        sync.WaitGroup
}

// Serve answers on an environment's sockets, of UDP and TCP, until both are closed; either may be nil. When it returns
// nothing of it is left running.
func Serve(zone *Zone, packets net.PacketConn, streams net.Listener) {
	s := &server{
		zone: zone, packets: packets, streams: streams,
		forwards: make(chan struct{}, maxForwards), open: make(chan struct{}, maxStreams),
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer s.running.Wait()
	defer cancel() // what is on its way upstream is of no use any more
	var listening sync.WaitGroup
	defer listening.Wait()
	if streams != nil {
		listening.Go(func() { s.serveStreams(ctx) })
	}
	if packets != nil {
		s.servePackets(ctx)
	}
}

func (s *server) servePackets(ctx context.Context) {
	message := make([]byte, packetBytes+1)
	for {
		n, from, err := s.packets.ReadFrom(message)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			pause(ctx)
			continue
		}
		if n > packetBytes {
			continue // cut short: no question is that long
		}
		s.answerPacket(ctx, message[:n], from)
	}
}

// answerPacket answers what can be answered at once; what cannot gets a goroutine.
func (s *server) answerPacket(ctx context.Context, message []byte, from net.Addr) {
	q, code, answer := parse(message)
	if !answer {
		return
	}
	reply, known := s.zone.answer(&q, code)
	if known {
		s.send(&q, reply, from)
		return
	}
	select {
	case s.forwards <- struct{}{}:
	default:
		s.send(&q, q.reply(dnsmessage.RCodeServerFailure, false), from)
		return
	}
	s.running.Go(func() {
		defer func() { <-s.forwards }()
		s.send(&q, s.zone.Upstream.answer(ctx, &q), from)
	})
}

// send sends an answer that fits the asker, or says that it has to ask over TCP. An asker that is gone or reads nothing
// loses its answer, as with any datagram.
func (s *server) send(q *query, reply []byte, to net.Addr) {
	if len(reply) > q.size {
		reply = q.reply(dnsmessage.RCode(reply[3]&0xf), true)
	}
	if len(reply) > 0 {
		_, _ = s.packets.WriteTo(reply, to)
	}
}

func (s *server) serveStreams(ctx context.Context) {
	for {
		conn, err := s.streams.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			pause(ctx)
			continue
		}
		select {
		case s.open <- struct{}{}:
		default:
			_ = conn.Close()
			continue
		}
		s.running.Go(func() {
			defer func() { <-s.open }()
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			s.converse(ctx, conn)
		})
	}
}

// converse answers the questions of one connection, one after the other, until its end or the first that is none
// (RFC 7766). An error ends it: there is nobody to tell.
func (s *server) converse(ctx context.Context, conn net.Conn) {
	var length [2]byte
	for ctx.Err() == nil {
		if conn.SetDeadline(time.Now().Add(streamIdle)) != nil {
			return
		}
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint16(length[:])
		if n < headerBytes || n > queryBytes {
			return
		}
		message := make([]byte, n)
		if _, err := io.ReadFull(conn, message); err != nil {
			return
		}
		q, code, answer := parse(message)
		if !answer {
			return
		}
		reply, known := s.zone.answer(&q, code)
		if !known {
			reply = s.zone.Upstream.answer(ctx, &q)
		}
		if len(reply) == 0 || conn.SetDeadline(time.Now().Add(streamIdle)) != nil {
			return
		}
		framed := append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(reply)), uint16(len(reply))), reply...)
		if _, err := conn.Write(framed); err != nil {
			return
		}
	}
}

// answer answers from what is known; known is false for a question that goes upstream.
func (z *Zone) answer(q *query, refusal dnsmessage.RCode) (reply []byte, known bool) {
	if refusal != dnsmessage.RCodeSuccess {
		return q.reply(refusal, false), true
	}
	switch kind := z.look(canonical(q.question.Name.String())); kind {
	case elsewhere:
		return nil, false
	case missing:
		return q.reply(dnsmessage.RCodeNameError, false), true
	default:
		return q.reply(dnsmessage.RCodeSuccess, false, records(kind, q.question.Type)...), true
	}
}

// pause keeps a socket that fails from making us busy: memory or descriptors are short, and may not be soon.
func pause(ctx context.Context) {
	select {
	case <-time.After(errorPause):
	case <-ctx.Done():
	}
}
