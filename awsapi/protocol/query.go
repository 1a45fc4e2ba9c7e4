package protocol

import (
	"errors"
	"net/http"
	"reflect"
	"strings"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/querywire"
	"hotaru/awsapi/internal/xmlwire"
)

// query is the AWS query protocol (https://smithy.io/2.0/aws/protocols/aws-query-protocol.html).
type query struct{}

func (query) Decode(op *Operation, r *Request, input reflect.Value) error {
	err := r.Form.Decode(op.Input, input)
	var value *querywire.ValueError
	if errors.As(err, &value) {
		return awsapi.Errorf("MalformedInput", "Invalid value for parameter %s", value.Name)
	}
	return err
}

func (query) Encode(op *Operation, output reflect.Value, requestID string) (*Answer, error) {
	root := op.Name + "Response"
	b := xmlwire.Open(make([]byte, 0, 1024), root, op.Service.XMLNamespace)
	if op.ResultWrapper != "" {
		b = xmlwire.Open(b, op.ResultWrapper, "")
		b = xmlwire.AppendMembers(b, op.Output, output)
		b = xmlwire.Close(b, op.ResultWrapper)
	}
	b = xmlwire.Open(b, "ResponseMetadata", "")
	b = xmlwire.AppendElement(b, "RequestId", requestID)
	b = xmlwire.Close(b, "ResponseMetadata")
	return xmlAnswer(op.Status, xmlwire.Close(b, root)), nil
}

func xmlAnswer(status int, body []byte) *Answer {
	a := &Answer{Status: status, Header: make(http.Header, 4), Body: body}
	a.Header["Content-Type"] = []string{"text/xml"}
	return a
}

func (query) EncodeFailure(service *awsapi.Service, f *Failure, requestID string) *Answer {
	fault := "Sender"
	if !f.Sender {
		fault = "Receiver"
	}
	b := xmlwire.Open(nil, "ErrorResponse", service.XMLNamespace)
	b = xmlwire.Open(b, "Error", "")
	b = xmlwire.AppendElement(b, "Type", fault)
	b = appendXMLFailure(b, service, f)
	b = xmlwire.Close(b, "Error")
	b = xmlwire.AppendElement(b, "RequestId", requestID)
	return xmlAnswer(f.Status, xmlwire.Close(b, "ErrorResponse"))
}

// appendXMLFailure writes an error's code, message and further members.
func appendXMLFailure(b []byte, service *awsapi.Service, f *Failure) []byte {
	b = xmlwire.AppendElement(b, "Code", f.Code)
	if f.Message != "" {
		b = xmlwire.AppendElement(b, "Message", f.Message)
	}
	if f.Shape != nil {
		for i := range f.Shape.Members {
			member := &f.Shape.Members[i]
			if strings.EqualFold(member.Name, "message") || member.Location != awsapi.LocationBody {
				continue
			}
			if value, ok := wireValue(service, member, reflect.ValueOf(f.Fields[member.Name])); ok {
				b = appendWireXML(b, member.Wire(), value)
			}
		}
	}
	return b
}
