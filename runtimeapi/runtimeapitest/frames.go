// Package runtimeapitest has fake runtimes for tests of whoever holds a runtimeapi.Session. A fake says exactly
// what the test tells it to, in and out of turn. It must not be part of a program.
package runtimeapitest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// The frames' types, as the runtime side sees them.
const (
	Start     = 1
	Event     = 2
	Ready     = 16
	Response  = 17
	Error     = 18
	InitError = 19
	Log       = 20
	Stream    = 21
	Chunk     = 22
	End       = 23
)

// Frames is the runtime's end of a conversation in frames.
type Frames struct {
	Conn io.ReadWriteCloser
}

// Head is the part of an Event frame before the payload.
type Head struct {
	Number   uint32 `json:"number"`
	Deadline int64  `json:"deadline"`
	ID       string `json:"id"`
	ARN      string `json:"arn"`
	Trace    string `json:"trace"`
	Client   string `json:"client"`
	Identity string `json:"identity"`
	Tenant   string `json:"tenant"`
}

// Receive reads one frame.
func (f Frames) Receive() (typ byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(f.Conn, head[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err = io.ReadFull(f.Conn, body)
	return head[4], body, err
}

// ReceiveStart reads the Start frame.
func (f Frames) ReceiveStart() (handler string, env []string, err error) {
	typ, body, err := f.Receive()
	if err != nil || typ != Start {
		return "", nil, fmt.Errorf("frame %d instead of Start: %w", typ, err)
	}
	var start struct {
		Handler string
		Env     []string
	}
	err = json.Unmarshal(body, &start)
	return start.Handler, start.Env, err
}

// ReceiveEvent reads an Event frame.
func (f Frames) ReceiveEvent() (Head, []byte, error) {
	var head Head
	typ, body, err := f.Receive()
	if err != nil {
		return head, nil, err
	}
	if typ != Event || len(body) < 4 {
		return head, nil, fmt.Errorf("frame %d instead of an Event", typ)
	}
	end := 4 + binary.BigEndian.Uint32(body)
	err = json.Unmarshal(body[4:end], &head)
	return head, body[end:], err
}

// Send writes frames in one piece.
func (f Frames) Send(frames ...[]byte) error {
	var all []byte
	for _, frame := range frames {
		all = append(all, frame...)
	}
	_, err := f.Conn.Write(all)
	return err
}

// Frame encodes a frame.
func Frame(typ byte, body []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	return append(append(out, typ), body...)
}

// Answer encodes a Response, Error or InitError frame.
func Answer(typ byte, number uint32, tag string, payload []byte) []byte {
	body := binary.BigEndian.AppendUint32(nil, number)
	body = append(append(body, byte(len(tag))), tag...)
	return Frame(typ, append(body, payload...))
}

// ReadyFrame encodes a Ready frame.
func ReadyFrame() []byte { return Frame(Ready, nil) }
