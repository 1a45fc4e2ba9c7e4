package wiretest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"time"

	"hotaru/awsapi"
)

// depth is how often a shape may occur within itself: recursive shapes are unrolled, because types made at run time
// cannot be recursive.
const depth = 4

// Model is the part of a model file that tests need.
type Model struct {
	Metadata map[string]any        `json:"metadata"`
	Shapes   map[string]*ShapeData `json:"shapes"`
}

// ShapeData is one shape of a model file.
type ShapeData struct {
	Type     string     `json:"type"`
	Members  Members    `json:"members"`
	Required []string   `json:"required"`
	Payload  string     `json:"payload"`
	Member   *Reference `json:"member"`
	Key      *Reference `json:"key"`
	Value    *Reference `json:"value"`
	Enum     []string   `json:"enum"`

	TimestampFormat string     `json:"timestampFormat"`
	LocationName    string     `json:"locationName"`
	XMLNamespace    *Namespace `json:"xmlNamespace"`
	Flattened       bool       `json:"flattened"`
	Sparse          bool       `json:"sparse"`
	Streaming       bool       `json:"streaming"`
	Union           bool       `json:"union"`
	Document        bool       `json:"document"`
	Exception       bool       `json:"exception"`
	Fault           bool       `json:"fault"`
	Error           *struct {
		Code           string `json:"code"`
		HTTPStatusCode int    `json:"httpStatusCode"`
		SenderFault    bool   `json:"senderFault"`
	} `json:"error"`
}

// Reference is a use of a shape.
type Reference struct {
	Shape           string     `json:"shape"`
	Location        string     `json:"location"`
	LocationName    string     `json:"locationName"`
	ResultWrapper   string     `json:"resultWrapper"`
	TimestampFormat string     `json:"timestampFormat"`
	Flattened       bool       `json:"flattened"`
	JSONValue       bool       `json:"jsonvalue"`
	Streaming       bool       `json:"streaming"`
	XMLAttribute    bool       `json:"xmlAttribute"`
	XMLNamespace    *Namespace `json:"xmlNamespace"`
}

// Namespace is an XML namespace, written as text or as an object.
type Namespace struct {
	Prefix string `json:"prefix"`
	URI    string `json:"uri"`
}

// UnmarshalJSON reads both forms.
func (n *Namespace) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, &n.URI)
	}
	type plain Namespace
	return json.Unmarshal(b, (*plain)(n))
}

// Members are a structure's members in the model's order.
type Members struct {
	Names []string
	Of    map[string]*Reference
}

// UnmarshalJSON keeps the order.
func (m *Members) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, &m.Of); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		m.Names = append(m.Names, name.(string))
		var skip json.RawMessage
		if err := d.Decode(&skip); err != nil {
			return err
		}
	}
	return nil
}

// Builder makes an awsapi.Service and Go types of a model.
type Builder struct {
	Model   *Model
	Service *awsapi.Service
	path    []string
}

// NewBuilder starts a service with the metadata of a model.
func NewBuilder(m *Model) *Builder {
	text := func(key string) string { s, _ := m.Metadata[key].(string); return s }
	s := &awsapi.Service{
		Name: "test", Protocols: []awsapi.Protocol{awsapi.Protocol(text("protocol"))}, JSONVersion: text("jsonVersion"), TargetPrefix: text("targetPrefix"),
		APIVersion: text("apiVersion"), XMLNamespace: text("xmlNamespace"), Shapes: []awsapi.Shape{{}},
	}
	_, s.QueryCompatible = m.Metadata["awsQueryCompatible"]
	if object, ok := m.Metadata["xmlNamespace"].(map[string]any); ok {
		s.XMLNamespace, _ = object["uri"].(string)
	}
	return &Builder{Model: m, Service: s}
}

// Add adds a shape and all it needs, and answers its index and a Go type for it.
func (b *Builder) Add(name string) (awsapi.ShapeID, reflect.Type, error) {
	data, ok := b.Model.Shapes[name]
	if !ok {
		return 0, nil, fmt.Errorf("no shape %s", name)
	}
	b.path = append(b.path, name)
	defer func() { b.path = b.path[:len(b.path)-1] }()
	s := awsapi.Shape{
		Name: name, Payload: data.Payload, Enum: data.Enum, Timestamp: timestamps[data.TimestampFormat],
		Flattened: data.Flattened, Sparse: data.Sparse, Streaming: data.Streaming, Union: data.Union,
		XMLName: data.LocationName, Kind: kinds[data.Type],
	}
	if data.Document {
		s.Kind = awsapi.KindDocument
	}
	if data.Exception || data.Error != nil {
		s.Error = &awsapi.ErrorTrait{Fault: data.Fault}
		if data.Error != nil {
			s.Error.Code, s.Error.Status, s.Error.Sender = data.Error.Code, data.Error.HTTPStatusCode, data.Error.SenderFault
		}
	}
	typ, err := b.typeOf(data, &s)
	if err != nil {
		return 0, nil, err
	}
	b.Service.Shapes = append(b.Service.Shapes, s)
	return awsapi.ShapeID(len(b.Service.Shapes) - 1), typ, nil
}

func (b *Builder) typeOf(data *ShapeData, s *awsapi.Shape) (reflect.Type, error) {
	switch s.Kind {
	case awsapi.KindStructure:
		return b.structure(data, s)
	case awsapi.KindList:
		element, typ, err := b.member("", data.Member, nil)
		if err != nil {
			return nil, err
		}
		s.Element = element
		return reflect.SliceOf(sparse(typ, data.Sparse)), nil
	case awsapi.KindMap:
		var err error
		if s.Key, _, err = b.member("", data.Key, nil); err != nil {
			return nil, err
		}
		value, typ, err := b.member("", data.Value, nil)
		if err != nil {
			return nil, err
		}
		s.Value = value
		return reflect.MapOf(reflect.TypeFor[string](), sparse(typ, data.Sparse)), nil
	default:
		return goTypes[s.Kind], nil
	}
}

func sparse(typ reflect.Type, is bool) reflect.Type {
	if is && typ.Kind() != reflect.Slice && typ.Kind() != reflect.Map {
		return reflect.PointerTo(typ)
	}
	return typ
}

func (b *Builder) structure(data *ShapeData, s *awsapi.Shape) (reflect.Type, error) {
	var fields []reflect.StructField
	for _, name := range data.Members.Names {
		ref := data.Members.Of[name]
		if b.leadsToPath(ref.Shape, map[string]bool{}) {
			continue
		}
		member, typ, err := b.member(name, ref, data.Required)
		if err != nil {
			return nil, err
		}
		target := b.Service.Shapes[member.Shape]
		switch {
		case data.Payload == name && target.Kind == awsapi.KindBlob && (target.Streaming || ref.Streaming):
			typ = reflect.TypeFor[io.Reader]()
		case typ.Kind() != reflect.Slice && typ.Kind() != reflect.Map:
			typ = reflect.PointerTo(typ)
		}
		s.Members = append(s.Members, *member)
		fields = append(fields, reflect.StructField{Name: goName(name), Type: typ})
	}
	return reflect.StructOf(fields), nil
}

// leadsToPath says whether a shape would lead back to one that is open too often already.
func (b *Builder) leadsToPath(name string, seen map[string]bool) bool {
	count := 0
	for _, open := range b.path {
		if open == name {
			count++
		}
	}
	if count >= depth {
		return true
	}
	data, ok := b.Model.Shapes[name]
	if !ok || seen[name] || data.Type == "structure" {
		return false
	}
	seen[name] = true
	for _, ref := range []*Reference{data.Member, data.Value} {
		if ref != nil && b.leadsToPath(ref.Shape, seen) {
			return true
		}
	}
	return false
}

func (b *Builder) member(name string, ref *Reference, required []string) (*awsapi.Member, reflect.Type, error) {
	id, typ, err := b.Add(ref.Shape)
	if err != nil {
		return nil, nil, err
	}
	m := &awsapi.Member{
		Name: name, Shape: id, Location: locations[ref.Location], WireName: ref.LocationName,
		Required: slices.Contains(required, name), Timestamp: timestamps[ref.TimestampFormat], Flattened: ref.Flattened,
		JSONValue: ref.JSONValue, Streaming: ref.Streaming, XMLAttribute: ref.XMLAttribute,
	}
	if ref.XMLNamespace != nil {
		m.XMLPrefix, m.XMLNamespace = ref.XMLNamespace.Prefix, ref.XMLNamespace.URI
	}
	return m, typ, nil
}

var (
	kinds = map[string]awsapi.Kind{
		"structure": awsapi.KindStructure, "list": awsapi.KindList, "map": awsapi.KindMap, "string": awsapi.KindString,
		"character": awsapi.KindString, "boolean": awsapi.KindBoolean, "integer": awsapi.KindInteger,
		"long": awsapi.KindLong, "float": awsapi.KindFloat, "double": awsapi.KindDouble,
		"timestamp": awsapi.KindTimestamp, "blob": awsapi.KindBlob,
	}
	goTypes = map[awsapi.Kind]reflect.Type{
		awsapi.KindString: reflect.TypeFor[string](), awsapi.KindBoolean: reflect.TypeFor[bool](),
		awsapi.KindInteger: reflect.TypeFor[int32](), awsapi.KindLong: reflect.TypeFor[int64](),
		awsapi.KindFloat: reflect.TypeFor[float64](), awsapi.KindDouble: reflect.TypeFor[float64](),
		awsapi.KindTimestamp: reflect.TypeFor[time.Time](), awsapi.KindBlob: reflect.TypeFor[[]byte](),
		awsapi.KindDocument: reflect.TypeFor[json.RawMessage](),
	}
	timestamps = map[string]awsapi.TimestampFormat{
		"unixTimestamp": awsapi.TimestampEpoch, "iso8601": awsapi.TimestampISO8601, "rfc822": awsapi.TimestampHTTP,
	}
	locations = map[string]awsapi.Location{
		"uri": awsapi.LocationURI, "querystring": awsapi.LocationQuery, "header": awsapi.LocationHeader,
		"headers": awsapi.LocationHeaders, "statusCode": awsapi.LocationStatusCode,
	}
)
