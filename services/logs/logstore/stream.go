package logstore

import (
	"context"
	"time"
	"unicode/utf8"

	"hotaru/store"
)

// recordOverhead is more than a record takes besides its text, in bytes.
const recordOverhead = frameBytes + 40

// Event is one line of log on its way in.
type Event struct {
	// Time is when it happened, kept in milliseconds.
	Time time.Time
	// Message is copied by Append. Longer than MaxMessage it becomes several events.
	Message []byte
}

// Stream appends to one log stream. It is safe for concurrent use, needs no closing and holds no file.
type Stream struct {
	group   *group
	name    string
	number  uint32
	created int64

	// Guarded by group.mu: events dropped and not yet spoken of, and whether the stream was deleted.
	dropped int
	gone    bool
}

// Append hands events over to the writer, in order, and returns how many it had to drop.
//
// It costs a copy as long as there is room. If the disk is so far behind that MaxPending bytes wait, it waits at most
// MaxWait, once, and then drops what does not fit: a function's invoke must not hang on its log. Where events were
// dropped, the stream gets an event that says how many. A deleted stream, or a closed store, drops all.
func (s *Stream) Append(events ...Event) (dropped int) {
	g := s.group
	now := g.store.options.Now().UnixMilli()
	mayWait := true
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range events {
		at, message := events[i].Time.UnixMilli(), events[i].Message
		for {
			piece := cut(message)
			if !s.makeRoomLocked(len(piece), &mayWait) {
				dropped++
				break
			}
			g.appendLocked(record{kind: kindEvent, stream: s.number, time: at, ingested: now, text: piece})
			message = message[len(piece):]
			if len(message) == 0 {
				break
			}
		}
	}
	if dropped > 0 {
		s.lostLocked(dropped)
	}
	return dropped
}

// makeRoomLocked waits for room if that may help. While the group already loses events nobody waits: every line of
// every function would wait in turn.
func (s *Stream) makeRoomLocked(n int, mayWait *bool) bool {
	g := s.group
	for !s.closedLocked() {
		if g.hasRoomLocked(n + recordOverhead) {
			return true
		}
		if !*mayWait || len(g.losing) > 0 {
			return false
		}
		*mayWait = g.awaitRoomLocked()
	}
	return false
}

// Put appends events, all of them or none, and returns when they can be read and survive the process. Unlike Append it
// drops nothing: it waits for room until ctx is done. It answers ErrNoStream for a stream that was deleted, and
// store.ErrClosed; an error of the disk leaves open whether the events will be written later.
func (s *Stream) Put(ctx context.Context, events ...Event) error {
	size := 0
	for i := range events {
		size += (len(events[i].Message)/MaxMessage+1)*recordOverhead + len(events[i].Message)
	}
	for {
		room, err := s.tryPut(size, events)
		if err != nil {
			return err
		}
		if room == nil {
			return s.group.store.Flush(ctx)
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tryPut appends the events if there is room, and otherwise answers what to wait for. More than ever has room goes to
// an empty buffer.
func (s *Stream) tryPut(size int, events []Event) (room <-chan struct{}, err error) {
	g := s.group
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.store.closing.Load():
		return nil, store.ErrClosed
	case s.closedLocked():
		return nil, ErrNoStream
	case !g.hasRoomLocked(size) && len(g.pending) > 0:
		signal(g.store.hurry)
		return g.room, nil
	}
	now := g.store.options.Now().UnixMilli()
	for _, e := range events {
		for message, first := e.Message, true; first || len(message) > 0; first = false {
			piece := cut(message)
			g.appendLocked(record{kind: kindEvent, stream: s.number, time: e.Time.UnixMilli(), ingested: now, text: piece})
			message = message[len(piece):]
		}
	}
	return nil, nil
}

func (s *Stream) closedLocked() bool {
	return s.gone || s.group.gone || s.group.store.closing.Load()
}

// awaitRoomLocked lets go of the lock until the writer has taken what is pending, or MaxWait is over.
func (g *group) awaitRoomLocked() bool {
	room := g.room
	signal(g.store.hurry)
	g.mu.Unlock()
	defer g.mu.Lock()
	timer := time.NewTimer(g.store.options.MaxWait)
	defer timer.Stop()
	select {
	case <-room:
		return true
	case <-timer.C:
		return false
	}
}

// lostLocked remembers drops for the event that will say so.
func (s *Stream) lostLocked(n int) {
	g := s.group
	g.store.dropped.Add(uint64(n))
	if s.closedLocked() {
		return
	}
	if s.dropped == 0 {
		g.losing = append(g.losing, s)
	}
	s.dropped += n
	g.markLocked()
}

// cut is the beginning of a message that fits into one event, ending between characters if it is UTF-8.
func cut(message []byte) []byte {
	if len(message) <= MaxMessage {
		return message
	}
	end := MaxMessage
	for back := 0; back < utf8.UTFMax && !utf8.RuneStart(message[end]); back++ {
		end--
	}
	return message[:end]
}
