package protocol

import (
	"io"
	"net/http"
	"reflect"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/plan"
	"hotaru/awsapi/internal/xmlwire"
)

// restXML is restXml (https://smithy.io/2.0/aws/protocols/aws-restxml-protocol.html).
type restXML struct{}

func (restXML) Decode(op *Operation, r *Request, input reflect.Value) error {
	p := op.Input
	if err := bindRequest(p, r, input); err != nil {
		return err
	}
	place, target := whole(p), input
	if p.Payload != nil {
		place, target = p.Payload, p.Payload.Of(input)
		switch {
		case target.Kind() == reflect.Interface:
			setStream(target, r)
			return nil
		case place.Plan.Shape.Kind == awsapi.KindBlob:
			if len(r.Body) > 0 {
				target.SetBytes(r.Body)
			}
			return nil
		case place.Plan.Shape.Kind == awsapi.KindString:
			if len(r.Body) > 0 {
				plan.SetString(target, string(r.Body))
			}
			return nil
		}
	}
	if len(p.Body) == 0 || len(r.Body) == 0 {
		return nil
	}
	if err := xmlwire.Decode(r.Body, place, target); err != nil {
		return awsapi.Errorf("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
	}
	return nil
}

func (restXML) Encode(op *Operation, output reflect.Value, _ string) (*Answer, error) {
	a := &Answer{Status: op.Status, Header: make(http.Header, 8)}
	bindAnswer(op, output, a)
	p := op.Output
	switch {
	case p.Payload != nil:
		encodeXMLPayload(op, p.Payload, p.Payload.Of(output), a)
	case len(p.Body) > 0:
		name := p.Shape.Name
		if p.Shape.XMLName != "" {
			name = p.Shape.XMLName
		}
		b := xmlwire.Open(make([]byte, 0, 512), name, namespaceOf(op, p))
		a.Body = xmlwire.Close(xmlwire.AppendMembers(b, p, output), name)
		setContentType(a.Header, "application/xml")
	}
	return a, nil
}

func namespaceOf(op *Operation, p *plan.Plan) string {
	if p.Shape.XMLNamespace != "" {
		return p.Shape.XMLNamespace
	}
	return op.Service.XMLNamespace
}

func encodeXMLPayload(op *Operation, f *plan.Field, v reflect.Value, a *Answer) {
	v, ok := plan.Present(v)
	if !ok {
		return
	}
	switch {
	case v.Kind() == reflect.Interface:
		a.Reader, _ = v.Interface().(io.Reader)
		setContentType(a.Header, "application/octet-stream")
	case f.Plan.Shape.Kind == awsapi.KindBlob:
		a.Body = v.Bytes()
		setContentType(a.Header, "application/octet-stream")
	case f.Plan.Shape.Kind == awsapi.KindString:
		a.Body = []byte(v.String())
		setContentType(a.Header, "text/plain")
	default:
		name := f.WireName
		if name == "" {
			name = f.Plan.Shape.XMLName
		}
		if name == "" {
			name = f.Plan.Shape.Name
		}
		place := *f
		if place.XMLNamespace == "" {
			member := *f.Member
			member.XMLNamespace = namespaceOf(op, f.Plan)
			place.Member = &member
		}
		a.Body = xmlwire.AppendField(make([]byte, 0, 512), &place, name, v)
		setContentType(a.Header, "application/xml")
	}
}

// EncodeFailure writes the error as a query service does, and S3's without the element around it.
func (restXML) EncodeFailure(service *awsapi.Service, f *Failure, requestID string) *Answer {
	if service.Name != "s3" {
		a := query{}.EncodeFailure(service, f, requestID)
		a.Header["Content-Type"] = []string{"application/xml"}
		failureHeaders(f, a.Header)
		return a
	}
	b := xmlwire.Open([]byte(`<?xml version="1.0" encoding="UTF-8"?>`+"\n"), "Error", "")
	b = appendXMLFailure(b, service, f)
	b = xmlwire.AppendElement(b, "RequestId", requestID)
	a := xmlAnswer(f.Status, xmlwire.Close(b, "Error"))
	a.Header["Content-Type"] = []string{"application/xml"}
	failureHeaders(f, a.Header)
	return a
}

// failureHeaders writes the members of an error that are headers.
func failureHeaders(f *Failure, header http.Header) {
	if f.Shape == nil {
		return
	}
	for i := range f.Shape.Members {
		m := &f.Shape.Members[i]
		if value, ok := f.Fields[m.Name]; ok && m.Location == awsapi.LocationHeader {
			header.Set(m.Wire(), oneLine(plainText(value)))
		}
	}
}
