// Package protocol turns HTTP requests into inputs and outputs into answers, one implementation per protocol of AWS.
// It must not know how an operation was found, who asked, or what the operation does.
package protocol

import (
	"errors"
	"io"
	"iter"
	"net/http"
	"reflect"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/jsonwire"
	"hotaru/awsapi/internal/plan"
	"hotaru/awsapi/internal/querywire"
	"hotaru/awsapi/internal/route"
)

// Operation is an operation ready for the wire.
type Operation struct {
	*awsapi.Operation
	Service *awsapi.Service
	Input   *plan.Plan
	Output  *plan.Plan
}

// Request is what arrived.
type Request struct {
	HTTP *http.Request
	// Match has the path's labels, for HTTP-bound protocols.
	Match route.Match
	// Form has the parameters, for the query protocol.
	Form *querywire.Form
	// Body is all of it, unless Stream is set: then the operation's payload streams.
	Body   []byte
	Stream io.Reader
}

// Answer is what leaves. Exactly one of Body, Reader and Events is used; the first two may both be empty.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Reader io.Reader
	// Events yields encoded frames, each to be flushed, the last with the error that ended them if one did.
	Events iter.Seq2[[]byte, error]
}

// Protocol is one way of putting operations on HTTP. Implementations keep no state and are safe for concurrent use.
type Protocol interface {
	// Decode fills the input, a settable structure. Its errors are *awsapi.Error or an APIError.
	Decode(op *Operation, r *Request, input reflect.Value) error
	// Encode writes an output, a structure. The answer keeps the output's payload: it is not copied.
	Encode(op *Operation, output reflect.Value, requestID string) (*Answer, error)
	// EncodeFailure writes an error.
	EncodeFailure(service *awsapi.Service, f *Failure, requestID string) *Answer
}

// For returns the implementation of one of a service's protocols; it is not ok where there is none.
func For(service *awsapi.Service, name awsapi.Protocol) (Protocol, bool) {
	switch name {
	case awsapi.ProtocolRestJSON:
		return restJSON{}, true
	case awsapi.ProtocolRestXML:
		return restXML{}, true
	case awsapi.ProtocolQuery:
		return query{}, true
	case awsapi.ProtocolCBOR:
		return rpcCBOR{}, true
	case awsapi.ProtocolJSON:
		return jsonRPC{contentType: "application/x-amz-json-" + service.JSONVersion}, true
	default:
		return nil, false
	}
}

// malformed turns a codec's error into AWS's refusal.
func malformed(err error) error {
	var wrongType *jsonwire.TypeError
	var syntax *jsonwire.SyntaxError
	var value *querywire.ValueError
	switch {
	case errors.As(err, &wrongType):
		return &awsapi.Error{Code: "SerializationException", Message: wrongType.Reason}
	case errors.As(err, &value):
		return &awsapi.Error{Code: "MalformedInput", Message: "Invalid value for parameter " + value.Name}
	case errors.As(err, &syntax):
		return &awsapi.Error{Code: "SerializationException", Message: "Could not parse request body into json: " + syntax.Error()}
	default:
		return &awsapi.Error{Code: "SerializationException", Message: err.Error()}
	}
}

// whole makes a place of a plan, for codecs that start at a body.
func whole(p *plan.Plan) *plan.Field { return &plan.Field{Member: noMember, Plan: p} }

var noMember = &awsapi.Member{}
