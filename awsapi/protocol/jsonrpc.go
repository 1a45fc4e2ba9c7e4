package protocol

import (
	"iter"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/eventstream"
	"hotaru/awsapi/internal/jsonwire"
	"hotaru/awsapi/internal/plan"
)

// jsonRPC is awsJson1_0 and awsJson1_1 (https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html).
type jsonRPC struct{ contentType string }

func (jsonRPC) Decode(op *Operation, r *Request, input reflect.Value) error {
	if len(r.Body) == 0 {
		return nil
	}
	if err := checkMediaType(r.HTTP); err != nil {
		return err
	}
	if err := epochDecoder.Decode(r.Body, whole(op.Input), input); err != nil {
		return malformed(err)
	}
	return nil
}

func (j jsonRPC) Encode(op *Operation, output reflect.Value, _ string) (*Answer, error) {
	a := &Answer{Status: op.Status, Header: make(http.Header, 4)}
	if op.Output.Events != nil {
		return j.encodeEvents(op, output, a), nil
	}
	a.Header["Content-Type"] = []string{j.contentType}
	if op.Operation.Output != 0 {
		a.Body = epochEncoder.AppendStructure(make([]byte, 0, 512), op.Output, output)
	}
	return a, nil
}

// encodeEvents puts the output before its events. A nil sequence has none.
func (j jsonRPC) encodeEvents(op *Operation, output reflect.Value, a *Answer) *Answer {
	a.Header["Content-Type"] = []string{"application/vnd.amazon.eventstream"}
	f := op.Output.Events
	var events iter.Seq2[[]byte, error]
	if v, ok := plan.Present(f.Of(output)); ok {
		events = eventstream.Encode(f.Plan, v.Interface().(awsapi.EventSequence), epochEncoder)
	}
	a.Events = eventstream.Initial(j.contentType, epochEncoder.AppendStructure(nil, op.Output, output), events)
	return a
}

func (j jsonRPC) EncodeFailure(service *awsapi.Service, f *Failure, _ string) *Answer {
	a := &Answer{Status: f.statusBesideQuery(service), Header: make(http.Header, 4)}
	a.Header["Content-Type"] = []string{j.contentType}
	if service.QueryCompatible {
		a.Header["X-Amzn-Query-Error"] = []string{queryError(f)}
	}
	b := append(jsonwire.AppendString([]byte("{"), "__type"), ':')
	b = jsonwire.AppendString(b, errorNamespace(service)+f.Name)
	if f.Message != "" && silent(f.Shape) {
		b = append(jsonwire.AppendString(append(b, ','), "message"), ':')
		b = jsonwire.AppendString(b, f.Message)
	}
	a.Body = appendFailure(b, service, f, a.Header)
	return a
}

// silent says whether the model gives an error no message, as CloudWatch Logs' does. The service sends one all the same.
func silent(shape *awsapi.Shape) bool {
	return shape != nil && !slices.ContainsFunc(shape.Members, func(m awsapi.Member) bool { return strings.EqualFold(m.Name, "message") })
}

// errorNamespace stands before the shape's name in __type where the protocol is awsJson1_0; awsJson1_1 has none.
func errorNamespace(service *awsapi.Service) string {
	if service.JSONVersion == "1.0" {
		return "com.amazonaws." + service.Name + "#"
	}
	return ""
}

// queryError is what clients that know a service's former query protocol read.
func queryError(f *Failure) string {
	if f.Sender {
		return f.Code + ";Sender"
	}
	return f.Code + ";Receiver"
}
