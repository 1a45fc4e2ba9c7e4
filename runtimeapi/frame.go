package runtimeapi

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// A frame is a 4-byte big-endian length of its body, a 1-byte type, and the body. The types below 16 go to
// the runtime, the others come from it.
//
//	Start      JSON {"handler": "app.handler", "env": ["NAME=value", ...]}
//	Event      4-byte length of a JSON header, the header, the raw payload
//	Ready      nothing: the runtime asks for its next event
//	Response   4-byte event number, 1-byte length of the content type, the content type, the raw payload
//	Error      4-byte event number, 1-byte length of the error type, the error type, a JSON body
//	InitError  the same with event number 0
//	Log        one whole log record
//	Stream     a Response whose payload goes on: what is here is its beginning, which may be empty
//	Chunk      some more of it
//	End        nothing: the stream is complete. An Error in place of End says that it is not.
//
// The event number is the header's "number": an answer with another one is an answer to something else.
type frameType byte

const (
	frameStart     frameType = 1
	frameEvent     frameType = 2
	frameReady     frameType = 16
	frameResponse  frameType = 17
	frameError     frameType = 18
	frameInitError frameType = 19
	frameLog       frameType = 20
	frameStream    frameType = 21
	frameChunk     frameType = 22
	frameEnd       frameType = 23
)

const (
	frameHeader = 5
	// MaxLogRecord is the most bytes of one framed log record: CloudWatch's limit of one event. Bootstraps
	// split longer ones.
	MaxLogRecord = 256 * 1024
	// smallBuffer is what a session's read buffer starts with; it grows up to one log record.
	smallBuffer = 8 * 1024
)

// protocolError says what a runtime did against the rules. It is an ErrRuntimeGone.
type protocolError string

func (e protocolError) Error() string {
	return "runtimeapi: the runtime broke the protocol: " + string(e)
}
func (e protocolError) Is(target error) bool { return target == ErrRuntimeGone }

// answer is a Response or an Error as it came.
type answer struct {
	number   uint32
	tag      string
	payload  []byte
	tooLarge bool
}

// frameReader takes frames off a stream that nobody trusts. It holds at most one log record or one answer of
// MaxPayload, whatever the stream announces.
type frameReader struct {
	src        io.Reader
	buf        []byte
	start, end int // the bytes of buf that are read and not taken
}

func newFrameReader(src io.Reader) *frameReader {
	return &frameReader{src: src, buf: make([]byte, smallBuffer)}
}

// next returns the next frame's type and the length of its body, which the caller takes with body, answer or
// nothing if it is empty.
func (r *frameReader) next() (frameType, int, error) {
	head, err := r.peek(frameHeader)
	if err != nil {
		return 0, 0, err
	}
	length, typ := binary.BigEndian.Uint32(head), frameType(head[4])
	r.start += frameHeader
	switch typ {
	case frameReady, frameEnd:
		if length != 0 {
			return 0, 0, protocolError("a Ready or End frame has a body")
		}
	case frameChunk:
	case frameLog:
		if length > MaxLogRecord {
			return 0, 0, protocolError("a log record of " + strconv.FormatUint(uint64(length), 10) + " bytes")
		}
	case frameResponse, frameError, frameInitError, frameStream:
		if length < 5 {
			return 0, 0, protocolError("an answer without an event number and a type")
		}
	default:
		return 0, 0, protocolError("a frame of unknown type " + strconv.Itoa(int(typ)))
	}
	return typ, int(length), nil
}

// body takes n bytes, at most MaxLogRecord. They are valid until the next call.
func (r *frameReader) body(n int) ([]byte, error) {
	b, err := r.peek(n)
	if err != nil {
		return nil, err
	}
	r.start += n
	return b, nil
}

// answer takes an answer whose body has length bytes. The payload is read where it stays; one over MaxPayload
// is skipped, not kept.
func (r *frameReader) answer(length int) (answer, error) {
	a, length, err := r.answerHead(length)
	if err != nil {
		return answer{}, err
	}
	if length > MaxPayload {
		a.tooLarge = true
		return a, r.skip(length)
	}
	a.payload = make([]byte, length)
	n := copy(a.payload, r.buf[r.start:r.end])
	r.start += n
	if n < length {
		_, err = io.ReadFull(r.src, a.payload[n:])
	}
	return a, err
}

// answerHead takes the number and the type of an answer whose body has length bytes, and returns the length of its
// payload, which is next.
func (r *frameReader) answerHead(length int) (a answer, payload int, err error) {
	head, err := r.peek(5)
	if err != nil {
		return answer{}, 0, err
	}
	a.number = binary.BigEndian.Uint32(head)
	tag := int(head[4])
	r.start += 5
	if length -= 5 + tag; length < 0 {
		return answer{}, 0, protocolError("an answer shorter than its type")
	}
	name, err := r.peek(tag)
	if err != nil {
		return answer{}, 0, err
	}
	if a.tag = commonTag(name); a.tag == "" && !utf8.Valid(name) {
		return answer{}, 0, protocolError("an answer's type is not text")
	} else if a.tag == "" {
		a.tag = string(name)
	}
	r.start += tag
	return a, length, nil
}

// read takes up to len(p) bytes of a body, as many as are there.
func (r *frameReader) read(p []byte) (int, error) {
	if r.start == r.end {
		return r.src.Read(p)
	}
	n := copy(p, r.buf[r.start:r.end])
	r.start += n
	return n, nil
}

// commonTag spares the allocation of the content type nearly every answer has.
func commonTag(name []byte) string {
	if string(name) == "application/json" {
		return "application/json"
	}
	return ""
}

// holdsReady says whether a Ready has been read that nobody has taken yet and that is next.
func (r *frameReader) holdsReady() bool {
	return r.end-r.start >= frameHeader && frameType(r.buf[r.start+frameHeader-1]) == frameReady
}

// peek makes the next n bytes available without taking them. n is bounded by the caller.
func (r *frameReader) peek(n int) ([]byte, error) {
	if r.start == r.end {
		r.start, r.end = 0, 0
	}
	if r.start+n > len(r.buf) {
		buf := r.buf
		if n > len(buf) {
			buf = make([]byte, max(n, 2*len(buf)))
		}
		r.end = copy(buf, r.buf[r.start:r.end])
		r.buf, r.start = buf, 0
	}
	if have := r.end - r.start; have < n {
		got, err := io.ReadAtLeast(r.src, r.buf[r.end:], n-have)
		r.end += got
		if err != nil {
			if err == io.EOF && have > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return r.buf[r.start : r.start+n], nil
}

func (r *frameReader) skip(n int) error {
	have := min(n, r.end-r.start)
	r.start += have
	if n -= have; n == 0 {
		return nil
	}
	// Everything buffered is skipped, so the buffer itself is free to skip with.
	for n > 0 {
		got, err := r.src.Read(r.buf[:min(n, len(r.buf))])
		n -= got
		if n > 0 && err != nil {
			return err
		}
	}
	r.start, r.end = 0, 0
	return nil
}

// putHeader begins a frame whose body has length bytes.
func putHeader(dst []byte, typ frameType, length int) {
	binary.BigEndian.PutUint32(dst, uint32(length))
	dst[frameHeader-1] = byte(typ)
}

// encodeStart is a whole Start frame.
func encodeStart(start Start) ([]byte, error) {
	var body bytes.Buffer
	body.Write(make([]byte, frameHeader))
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	env := start.Env
	if env == nil {
		env = []string{}
	}
	err := enc.Encode(struct {
		Handler string   `json:"handler"`
		Env     []string `json:"env"`
	}{start.Handler, env})
	if err != nil {
		return nil, fmt.Errorf("runtimeapi: encode Start: %w", err)
	}
	frame := body.Bytes()
	putHeader(frame, frameStart, len(frame)-frameHeader)
	return frame, nil
}

// appendEvent appends an Event frame without its payload, which follows as it is.
func appendEvent(dst []byte, event *Event, number uint32) []byte {
	dst = append(dst, make([]byte, frameHeader+4)...)
	dst = append(dst, `{"number":`...)
	dst = strconv.AppendUint(dst, uint64(number), 10)
	dst = append(dst, `,"deadline":`...)
	dst = strconv.AppendInt(dst, event.Deadline.UnixMilli(), 10)
	for _, field := range [...]struct{ name, value string }{
		{`,"id":`, event.RequestID},
		{`,"arn":`, event.FunctionARN},
		{`,"trace":`, event.TraceID},
		{`,"client":`, event.ClientContext},
		{`,"identity":`, event.CognitoIdentity},
		{`,"tenant":`, event.TenantID},
	} {
		if field.value != "" {
			dst = append(dst, field.name...)
			dst = appendJSONString(dst, field.value)
		}
	}
	dst = append(dst, '}')
	head := len(dst) - frameHeader - 4
	putHeader(dst, frameEvent, 4+head+len(event.Payload))
	binary.BigEndian.PutUint32(dst[frameHeader:], uint32(head))
	return dst
}

// appendJSONString appends s as a JSON string, without allocating for plain text.
func appendJSONString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, err := json.Marshal(s)
			if err != nil { // a string always encodes
				return append(dst, `""`...)
			}
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
