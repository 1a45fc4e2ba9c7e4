package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// schema writes the service's descriptor.
func (g *generator) schema(b *bytes.Buffer) error {
	meta := g.model.Metadata
	fmt.Fprintf(b, "// Package %s is the wire of %s: its shapes, routes and handlers, as the service model has them.\n"+
		"// It must not know what any operation does.\n", g.service, meta.ServiceFullName)
	fmt.Fprintf(b, "package %s\n\nimport \"hotaru/awsapi\"\n\n", g.service)
	fmt.Fprintf(b, "// Service describes %s %s. It must not be changed.\n", meta.ServiceFullName, meta.APIVersion)
	b.WriteString("var Service = &awsapi.Service{\n")
	protocols, err := protocolList(meta)
	if err != nil {
		return err
	}
	signing := meta.SigningName
	if signing == "" {
		signing = meta.EndpointPrefix
	}
	writeFields(b,
		"Name", g.service, "FullName", meta.ServiceFullName, "APIVersion", meta.APIVersion,
		"EndpointPrefix", meta.EndpointPrefix, "SigningName", signing, "GlobalEndpoint", meta.GlobalEndpoint != "",
		"Protocols", protocols, "JSONVersion", meta.JSONVersion, "TargetPrefix", meta.TargetPrefix,
		"QueryCompatible", meta.AWSQueryCompatible != nil, "XMLNamespace", meta.XMLNamespace.URI)
	b.WriteString("\nShapes: []awsapi.Shape{\n{Kind: awsapi.KindStructure},\n")
	for _, name := range g.names {
		if err := g.shape(b, name); err != nil {
			return err
		}
	}
	b.WriteString("},\nOperations: []awsapi.Operation{\n")
	for _, op := range g.operations {
		g.operation(b, op)
	}
	b.WriteString("},\n}\n\nconst (\n")
	for i, name := range g.names {
		fmt.Fprintf(b, "%s awsapi.ShapeID = %d\n", shapeConstant(name), i+1)
	}
	b.WriteString(")\n")
	return nil
}

// writeFields writes the fields of a composite literal that are not their zero value. A raw value is written as it is.
// It panics on a value of another type: a mistake in this program.
func writeFields(b *bytes.Buffer, pairs ...any) {
	for i := 0; i < len(pairs); i += 2 {
		switch v := pairs[i+1].(type) {
		case string:
			if v != "" {
				fmt.Fprintf(b, "%s: %q, ", pairs[i], v)
			}
		case bool:
			if v {
				fmt.Fprintf(b, "%s: true, ", pairs[i])
			}
		case int:
			if v != 0 {
				fmt.Fprintf(b, "%s: %d, ", pairs[i], v)
			}
		case raw:
			if v != "" {
				fmt.Fprintf(b, "%s: %s, ", pairs[i], string(v))
			}
		default:
			panic(fmt.Sprintf("field %v has a %T", pairs[i], v))
		}
	}
}

type raw string

// protocolList writes the protocols, the model's own first. The others that it names it has for other clients.
func protocolList(meta metadata) (raw, error) {
	names := map[string]string{
		"rest-json": "ProtocolRestJSON", "rest-xml": "ProtocolRestXML", "query": "ProtocolQuery", "json": "ProtocolJSON",
		"smithy-rpc-v2-cbor": "ProtocolCBOR",
	}
	var list []string
	for _, p := range append([]string{meta.Protocol}, meta.Protocols...) {
		name, ok := names[p]
		if !ok {
			return "", fmt.Errorf("unknown protocol %q", p)
		}
		if name = "awsapi." + name; !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return raw("[]awsapi.Protocol{" + strings.Join(list, ", ") + "}"), nil
}

func (g *generator) shape(b *bytes.Buffer, name string) error {
	s := g.model.Shapes.Values[name]
	k, err := kind(s)
	if err != nil {
		return err
	}
	b.WriteString("{")
	writeFields(b,
		"Name", name, "Kind", raw("awsapi."+k), "Payload", s.Payload, "Min", s.Min.String(), "Max", s.Max.String(),
		"Pattern", s.Pattern, "Timestamp", raw(timestamp(s.TimestampFormat)), "XMLName", s.LocationName,
		"XMLNamespace", s.XMLNamespace.URI, "Flattened", s.Flattened, "Sparse", s.Sparse, "Sensitive", s.Sensitive,
		"Streaming", s.Streaming, "EventStream", s.EventStream, "Event", s.Event, "Union", s.Union)
	if len(s.Enum) > 0 {
		fmt.Fprintf(b, "Enum: %s, ", quoted(s.Enum))
	}
	if s.Exception || s.Error != nil {
		b.WriteString("Error: &awsapi.ErrorTrait{")
		if s.Error != nil {
			writeFields(b, "Code", s.Error.Code, "Status", s.Error.HTTPStatusCode, "Sender", s.Error.SenderFault)
		}
		writeFields(b, "Fault", s.Fault)
		b.WriteString("}, ")
	}
	for _, part := range []struct {
		field string
		r     *reference
	}{{"Element", s.Member}, {"Key", s.Key}, {"Value", s.Value}} {
		if part.r != nil {
			fmt.Fprintf(b, "%s: &awsapi.Member{", part.field)
			g.member(b, "", part.r, false)
			b.WriteString("}, ")
		}
	}
	if len(s.Members.Keys) > 0 && !s.Document {
		required := map[string]bool{}
		for _, name := range s.Required {
			required[name] = true
		}
		b.WriteString("Members: []awsapi.Member{\n")
		for _, name := range s.Members.Keys {
			b.WriteString("{")
			g.member(b, name, s.Members.Values[name], required[name])
			b.WriteString("},\n")
		}
		b.WriteString("}")
	}
	b.WriteString("},\n")
	return nil
}

func (g *generator) member(b *bytes.Buffer, name string, r *reference, required bool) {
	place, _ := location(r.Location)
	wire := r.LocationName
	if wire == name {
		wire = ""
	}
	writeFields(b,
		"Name", name, "Shape", raw(shapeConstant(r.Shape)), "Location", raw(place), "WireName", wire,
		"Required", required, "Timestamp", raw(timestamp(r.TimestampFormat)), "Flattened", r.Flattened,
		"JSONValue", r.JSONValue, "Streaming", r.Streaming, "HostLabel", r.HostLabel, "XMLAttribute", r.XMLAttribute,
		"XMLPrefix", r.XMLNamespace.Prefix, "XMLNamespace", r.XMLNamespace.URI,
		"EventHeader", r.EventHeader, "EventPayload", r.EventPayload)
}

func (g *generator) operation(b *bytes.Buffer, op *operation) {
	status := op.HTTP.ResponseCode
	if status == 0 {
		status = 200
	}
	b.WriteString("{")
	writeFields(b, "Name", op.Name, "Method", op.HTTP.Method, "Path", op.HTTP.RequestURI, "Status", status,
		"HostPrefix", op.Endpoint.HostPrefix, "Unsigned", unsigned(op),
		"Compressed", slices.Contains(op.Compression.Encodings, "gzip"))
	if op.Input != nil {
		writeFields(b, "Input", raw(shapeConstant(op.Input.Shape)), "InputName", op.Input.LocationName,
			"InputNamespace", op.Input.XMLNamespace.URI)
	}
	if op.Output != nil {
		writeFields(b, "Output", raw(shapeConstant(op.Output.Shape)), "ResultWrapper", op.Output.ResultWrapper)
	}
	if len(op.Errors) > 0 {
		var ids []string
		for _, r := range op.Errors {
			ids = append(ids, shapeConstant(r.Shape))
		}
		fmt.Fprintf(b, "Errors: []awsapi.ShapeID{%s}, ", strings.Join(ids, ", "))
	}
	b.WriteString("},\n")
}

// unsigned says whether the model lets callers leave the signature out.
func unsigned(op *operation) bool {
	if op.AuthType == "none" {
		return true
	}
	return len(op.Auth) == 1 && op.Auth[0] == "smithy.api#noAuth"
}

func quoted(values []string) string {
	var b strings.Builder
	b.WriteString("[]string{")
	for i, v := range values {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", v)
	}
	b.WriteString("}")
	return b.String()
}

func kind(s *shape) (string, error) {
	kinds := map[string]string{
		"structure": "KindStructure", "list": "KindList", "map": "KindMap", "string": "KindString",
		"character": "KindString", "boolean": "KindBoolean", "integer": "KindInteger", "long": "KindLong",
		"float": "KindFloat", "double": "KindDouble", "timestamp": "KindTimestamp", "blob": "KindBlob",
	}
	if s.Document {
		return "KindDocument", nil
	}
	if k, ok := kinds[s.Type]; ok {
		return k, nil
	}
	return "", fmt.Errorf("unknown type %q", s.Type)
}

func location(name string) (string, error) {
	places := map[string]string{
		"": "", "uri": "awsapi.LocationURI", "querystring": "awsapi.LocationQuery", "header": "awsapi.LocationHeader",
		"headers": "awsapi.LocationHeaders", "statusCode": "awsapi.LocationStatusCode",
	}
	if place, ok := places[name]; ok {
		return place, nil
	}
	return "", fmt.Errorf("unknown location %q", name)
}

func timestamp(format string) string {
	switch format {
	case "unixTimestamp":
		return "awsapi.TimestampEpoch"
	case "iso8601":
		return "awsapi.TimestampISO8601"
	case "rfc822":
		return "awsapi.TimestampHTTP"
	default:
		return ""
	}
}

// handlers writes the struct of handlers and the empty inputs and outputs.
func (g *generator) handlers(b *bytes.Buffer) error {
	fmt.Fprintf(b, "package %s\n\nimport (\n\"context\"\n\n\"hotaru/awsapi\"\n)\n\n", g.service)
	b.WriteString("// Handlers answer the operations. A nil one is not built yet: callers get NotImplemented.\n" +
		"type Handlers struct {\n")
	for _, op := range g.operations {
		fmt.Fprintf(b, "%s func(context.Context, *%s) (*%s, error)\n", op.Name, inputType(op), outputType(op))
	}
	b.WriteString("}\n\n// Binding joins the handlers with Service.\nfunc (h Handlers) Binding() awsapi.Binding {\n" +
		"return awsapi.Binding{Service: Service, Handlers: []awsapi.Handler{\n")
	for _, op := range g.operations {
		fmt.Fprintf(b, "awsapi.Handle(h.%s),\n", op.Name)
	}
	b.WriteString("}}\n}\n")
	return nil
}
