// Package eventstream frames events (https://smithy.io/2.0/aws/amazon-eventstream.html): a length-prefixed message with
// typed headers, a payload and two checksums. It must not know which operation streams.
package eventstream

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"iter"
	"reflect"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/jsonwire"
	"hotaru/awsapi/internal/plan"
)

// Header is a string header of a message.
type Header struct{ Name, Value string }

// stringType is the wire's tag of a string header.
const stringType = 7

// Append appends one message.
func Append(b []byte, headers []Header, payload []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, 12)...)
	for _, h := range headers {
		b = append(append(b, byte(len(h.Name))), h.Name...)
		b = append(b, stringType)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(h.Value))), h.Value...)
	}
	headerLength := len(b) - start - 12
	b = append(b, payload...)
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start+4))
	binary.BigEndian.PutUint32(b[start+4:], uint32(headerLength))
	binary.BigEndian.PutUint32(b[start+8:], crc32.ChecksumIEEE(b[start:start+8]))
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
}

// Initial yields the message that RPC protocols send before any event, with what the output has besides, and then the
// events.
func Initial(contentType string, output []byte, events iter.Seq2[[]byte, error]) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		head := []Header{{":event-type", "initial-response"}, {":message-type", "event"}, {":content-type", contentType}}
		if !yield(Append(nil, head, output), nil) || events == nil {
			return
		}
		events(yield)
	}
}

// Encode yields the frames of a sequence of unions. An error ends it with an exception, which comes with its cause.
func Encode(union *plan.Plan, events awsapi.EventSequence, encoder *jsonwire.Encoder) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var frame []byte
		for event, err := range events.All() {
			if err != nil {
				yield(exception(err), err)
				return
			}
			frame = appendEvent(frame[:0], union, reflect.ValueOf(event).Elem(), encoder)
			if len(frame) > 0 && !yield(frame, nil) {
				return
			}
		}
	}
}

// appendEvent writes the one member of a union that is set.
func appendEvent(b []byte, union *plan.Plan, v reflect.Value, encoder *jsonwire.Encoder) []byte {
	for i := range union.Fields {
		f := &union.Fields[i]
		event, ok := plan.Present(f.Of(v))
		if !ok {
			continue
		}
		headers := []Header{{":event-type", f.Name}, {":message-type", "event"}}
		if f.Plan.Shape.Error != nil {
			headers = []Header{{":exception-type", f.Name}, {":message-type", "exception"}}
		}
		for j := range f.Plan.Fields {
			if h := &f.Plan.Fields[j]; h.EventHeader {
				if value, ok := plan.Present(h.Of(event)); ok {
					headers = append(headers, Header{h.Wire, string(h.AppendText(nil, value, awsapi.TimestampISO8601))})
				}
			}
		}
		contentType, payload := eventPayload(f.Plan, event, encoder)
		return Append(b, append(headers, Header{":content-type", contentType}), payload)
	}
	return b
}

func eventPayload(event *plan.Plan, v reflect.Value, encoder *jsonwire.Encoder) (contentType string, payload []byte) {
	for i := range event.Fields {
		f := &event.Fields[i]
		if !f.EventPayload {
			continue
		}
		value, ok := plan.Present(f.Of(v))
		switch {
		case f.Plan.Shape.Kind == awsapi.KindBlob:
			return "application/octet-stream", value.Bytes()
		case !ok:
			return "application/json", nil
		case f.Plan.Shape.Kind == awsapi.KindString:
			return "text/plain", []byte(value.String())
		default:
			return "application/json", encoder.AppendValue(nil, f, value)
		}
	}
	return "application/json", encoder.AppendStructure(nil, event, v)
}

// exception frames an error: AWS's as it is, any other without its words.
func exception(err error) []byte {
	code, message := "InternalFailure", "Internal failure"
	var e awsapi.APIError
	if errors.As(err, &e) {
		code, message = e.ErrorCode(), e.ErrorMessage()
	}
	payload := append(jsonwire.AppendString([]byte(`{"message":`), message), '}')
	return Append(nil, []Header{
		{":message-type", "exception"}, {":exception-type", code}, {":content-type", "application/json"},
	}, payload)
}
