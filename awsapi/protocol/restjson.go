package protocol

import (
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/eventstream"
	"hotaru/awsapi/internal/jsonwire"
	"hotaru/awsapi/internal/plan"
)

// restJSON is restJson1 (https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html).
type restJSON struct{}

var (
	epochDecoder = &jsonwire.Decoder{Timestamp: awsapi.TimestampEpoch}
	epochEncoder = &jsonwire.Encoder{Timestamp: awsapi.TimestampEpoch}
)

func (restJSON) Decode(op *Operation, r *Request, input reflect.Value) error {
	p := op.Input
	if err := bindRequest(p, r, input); err != nil {
		return err
	}
	if p.Payload != nil {
		return decodePayload(p.Payload, r, p.Payload.Of(input))
	}
	if len(p.Body) == 0 || len(r.Body) == 0 {
		return nil
	}
	if err := checkMediaType(r.HTTP); err != nil {
		return err
	}
	if err := epochDecoder.Decode(r.Body, whole(p), input); err != nil {
		return malformed(err)
	}
	return nil
}

// decodePayload fills the member that is the whole body. Bytes are kept as they are.
func decodePayload(f *plan.Field, r *Request, v reflect.Value) error {
	switch {
	case v.Kind() == reflect.Interface:
		setStream(v, r)
		return nil
	case len(r.Body) == 0:
		return nil
	}
	switch f.Plan.Shape.Kind {
	case awsapi.KindBlob:
		v.SetBytes(r.Body)
		return nil
	case awsapi.KindString:
		plan.SetString(v, string(r.Body))
		return nil
	}
	if err := checkMediaType(r.HTTP); err != nil {
		return err
	}
	if err := epochDecoder.Decode(r.Body, f, v); err != nil {
		return malformed(err)
	}
	return nil
}

// checkMediaType refuses a body that says to be something else than JSON, or two things at once. Types that
// command-line tools send by default pass, as they do on AWS.
func checkMediaType(r *http.Request) error {
	given := strings.Join(r.Header["Content-Type"], ", ")
	switch given {
	case "", "application/json", "application/x-amz-json-1.0", "application/x-amz-json-1.1":
		return nil
	}
	media, parameters, err := mime.ParseMediaType(given)
	if err == nil && utf8Charset(parameters["charset"]) {
		switch media {
		case "application/json", "application/x-amz-json-1.0", "application/x-amz-json-1.1", "application/octet-stream",
			"binary/octet-stream", "application/x-www-form-urlencoded", "text/plain":
			return nil
		}
		if strings.HasSuffix(media, "+json") {
			return nil
		}
	}
	return unsupportedMedia(given)
}

func unsupportedMedia(given string) error {
	return awsapi.Errorf("UnsupportedMediaTypeException", "The content type %s is not supported.", given)
}

// utf8Charset says whether a charset is JSON's own, or a part of it.
func utf8Charset(name string) bool {
	switch strings.ToLower(name) {
	case "", "utf-8", "utf8", "us-ascii":
		return true
	default:
		return false
	}
}

func (restJSON) Encode(op *Operation, output reflect.Value, _ string) (*Answer, error) {
	a := &Answer{Status: op.Status, Header: make(http.Header, 8)}
	bindAnswer(op, output, a)
	p := op.Output
	switch {
	case p.Payload != nil:
		encodePayload(p.Payload, p.Payload.Of(output), a)
	case len(p.Body) > 0 || op.Operation.Output != 0 && a.Status != http.StatusNoContent:
		a.Body = epochEncoder.AppendStructure(make([]byte, 0, 512), p, output)
		setContentType(a.Header, "application/json")
	}
	return a, nil
}

// setContentType gives an answer its type, unless a member of the output has.
func setContentType(h http.Header, value string) {
	const name = "Content-Type"
	if _, ok := h[name]; !ok {
		h[name] = []string{value}
	}
}

func encodePayload(f *plan.Field, v reflect.Value, a *Answer) {
	v, ok := plan.Present(v)
	if !ok {
		return
	}
	shape := f.Plan.Shape
	switch {
	case shape.EventStream:
		a.Header["Content-Type"] = []string{"application/vnd.amazon.eventstream"}
		a.Events = eventstream.Encode(f.Plan, v.Interface().(awsapi.EventSequence), epochEncoder)
	case v.Kind() == reflect.Interface:
		a.Reader, _ = v.Interface().(io.Reader)
		setContentType(a.Header, "application/octet-stream")
	case shape.Kind == awsapi.KindBlob:
		a.Body = v.Bytes()
		setContentType(a.Header, "application/octet-stream")
	case shape.Kind == awsapi.KindString:
		a.Body = []byte(v.String())
		setContentType(a.Header, "text/plain")
	default:
		a.Body = epochEncoder.AppendValue(nil, f, v)
		setContentType(a.Header, "application/json")
	}
}

func (restJSON) EncodeFailure(service *awsapi.Service, f *Failure, _ string) *Answer {
	a := &Answer{Status: f.Status, Header: make(http.Header, 6)}
	a.Header["Content-Type"] = []string{"application/json"}
	a.Header["X-Amzn-Errortype"] = []string{f.Code}
	a.Body = appendFailure([]byte("{"), service, f, a.Header)
	return a
}

// appendFailure writes the members of an error's shape, of which some are headers, and the closing brace.
func appendFailure(b []byte, service *awsapi.Service, f *Failure, header http.Header) []byte {
	if f.Shape == nil {
		if f.Message == "" {
			return append(b, '}')
		}
		name := "message"
		if strings.HasPrefix(f.Code, "AccessDenied") {
			name = "Message"
		}
		b = append(jsonwire.AppendString(comma(b), name), ':')
		return append(jsonwire.AppendString(b, f.Message), '}')
	}
	for i := range f.Shape.Members {
		member := &f.Shape.Members[i]
		value, ok := f.value(member)
		if !ok {
			continue
		}
		if member.Location == awsapi.LocationHeader {
			header.Set(member.Wire(), oneLine(plainText(value)))
			continue
		}
		b = append(jsonwire.AppendString(comma(b), member.Wire()), ':')
		wire, _ := wireValue(service, member, reflect.ValueOf(value))
		b = appendWireJSON(b, wire)
	}
	return append(b, '}')
}

func comma(b []byte) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return b
}
