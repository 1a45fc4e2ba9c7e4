package logstore

import (
	"time"
	"unicode/utf8"
)

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
	const overhead = frameBytes + 40
	g := s.group
	for !s.closedLocked() {
		if g.hasRoomLocked(n + overhead) {
			return true
		}
		if !*mayWait || len(g.losing) > 0 {
			return false
		}
		*mayWait = g.awaitRoomLocked()
	}
	return false
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
