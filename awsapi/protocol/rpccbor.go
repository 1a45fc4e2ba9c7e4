package protocol

import (
	"errors"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"time"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/cborwire"
)

// rpcCBOR is rpcv2Cbor (https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html).
type rpcCBOR struct{}

func (rpcCBOR) Decode(op *Operation, r *Request, input reflect.Value) error {
	if len(r.Body) == 0 {
		return nil
	}
	if given := strings.Join(r.HTTP.Header["Content-Type"], ", "); given != "" {
		if media, _, err := mime.ParseMediaType(given); err != nil || media != "application/cbor" {
			return unsupportedMedia(given)
		}
	}
	err := cborwire.Decode(r.Body, whole(op.Input), input)
	switch {
	case errors.Is(err, cborwire.ErrType):
		return awsapi.Errorf("SerializationException", "%s", cborwire.ErrType)
	case err != nil:
		return awsapi.Errorf("SerializationException", "Could not parse request body into cbor")
	}
	return nil
}

func cborAnswer(status int, body []byte) *Answer {
	a := &Answer{Status: status, Header: make(http.Header, 4), Body: body}
	a.Header["Smithy-Protocol"] = []string{"rpc-v2-cbor"}
	if body != nil {
		a.Header["Content-Type"] = []string{"application/cbor"}
	}
	return a
}

func (rpcCBOR) Encode(op *Operation, output reflect.Value, _ string) (*Answer, error) {
	if op.Operation.Output == 0 {
		return cborAnswer(op.Status, nil), nil
	}
	return cborAnswer(op.Status, cborwire.AppendStructure(make([]byte, 0, 512), op.Output, output)), nil
}

func (rpcCBOR) EncodeFailure(service *awsapi.Service, f *Failure, _ string) *Answer {
	members := []member{{"__type", "com.amazonaws." + service.Name + "#" + f.Name}}
	if f.Shape == nil {
		members = append(members, member{"message", f.Message})
	} else {
		for i := range f.Shape.Members {
			m := &f.Shape.Members[i]
			if value, ok := f.value(m); ok {
				if wire, ok := wireValue(service, m, reflect.ValueOf(value)); ok {
					members = append(members, member{m.Wire(), wire})
				}
			}
		}
	}
	a := cborAnswer(f.statusBesideQuery(service), appendWireCBOR(nil, members))
	if service.QueryCompatible {
		a.Header["X-Amzn-Query-Error"] = []string{queryError(f)}
	}
	return a
}

func appendWireCBOR(b []byte, value any) []byte {
	switch v := value.(type) {
	case []member:
		b = cborwire.AppendMap(b, len(v))
		for _, m := range v {
			b = appendWireCBOR(cborwire.AppendText(b, m.name), m.value)
		}
		return b
	case mapping:
		return appendWireCBOR(b, v.entries)
	case listing:
		b = cborwire.AppendArray(b, len(v.items))
		for _, element := range v.items {
			b = appendWireCBOR(b, element)
		}
		return b
	case bool:
		return cborwire.AppendBool(b, v)
	case time.Time:
		return cborwire.AppendTime(b, v)
	case []byte:
		return cborwire.AppendBytes(b, v)
	}
	switch v := reflect.ValueOf(value); {
	case v.CanInt():
		return cborwire.AppendInt(b, v.Int())
	case v.CanFloat():
		return cborwire.AppendFloat(b, v.Float())
	default:
		return cborwire.AppendText(b, plainText(value))
	}
}
