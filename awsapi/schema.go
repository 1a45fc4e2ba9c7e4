package awsapi

import "slices"

// Service describes one AWS service as its model does. The generated packages hold one each; nothing changes it
// after that.
type Service struct {
	// Name is how Hotaru calls the service: "lambda", "iam".
	Name string
	// FullName is for people: "AWS Lambda".
	FullName string
	// APIVersion is the model's date: "2015-03-31".
	APIVersion string
	// EndpointPrefix is the host's first label on AWS.
	EndpointPrefix string
	// SigningName is the service of a credential scope.
	SigningName string
	// GlobalEndpoint says that the service signs for one region whatever the caller's.
	GlobalEndpoint bool
	// Protocols are the ones that the service speaks, the model's own first. A request chooses by its form.
	Protocols []Protocol
	// JSONVersion is "1.0" or "1.1" where the service speaks ProtocolJSON.
	JSONVersion string
	// TargetPrefix names the service in ProtocolJSON's X-Amz-Target and in ProtocolCBOR's path.
	TargetPrefix string
	// QueryCompatible says that errors also carry the code of the service's former query protocol.
	QueryCompatible bool
	// XMLNamespace is the namespace of XML answers.
	XMLNamespace string
	// Shapes are referred to by index. Shapes[0] is the structure without members, which stands for an operation's
	// absent input or output.
	Shapes []Shape
	// Operations are in alphabetical order.
	Operations []Operation
}

// Protocol is a way of putting operations on HTTP, in the model's word.
type Protocol string

// The protocols.
const (
	ProtocolRestJSON Protocol = "rest-json"
	ProtocolRestXML  Protocol = "rest-xml"
	ProtocolQuery    Protocol = "query"
	ProtocolJSON     Protocol = "json"
	ProtocolCBOR     Protocol = "smithy-rpc-v2-cbor"
)

// Operation describes one operation.
type Operation struct {
	Name   string
	Method string
	// Path is the route's template: "/2015-03-31/functions/{FunctionName}", with literals after a question mark.
	Path string
	// Status is the HTTP status of success.
	Status int
	Input  ShapeID
	Output ShapeID
	Errors []ShapeID
	// InputName is the root element of an XML request where it is not the shape's name.
	InputName      string
	InputNamespace string
	// ResultWrapper is the element around a query answer's members.
	ResultWrapper string
	// HostPrefix is the endpoint trait: what stands before the host, with {labels}.
	HostPrefix string
	// Unsigned says that callers need no signature.
	Unsigned bool
	// Compressed says that callers may send the body in gzip (the model's requestcompression).
	Compressed bool
}

// ShapeID is an index into Service.Shapes.
type ShapeID int

// Kind is what a shape is.
type Kind uint8

// The kinds of shapes.
const (
	KindStructure Kind = iota
	KindList
	KindMap
	KindString
	KindBoolean
	KindInteger
	KindLong
	KindFloat
	KindDouble
	KindTimestamp
	KindBlob
	KindDocument
)

// Shape describes one type of a model.
type Shape struct {
	Name string
	Kind Kind
	// Members of a structure, in the model's order.
	Members []Member
	// Payload names the member that is the whole body.
	Payload string
	// Element of a list; Key and Value of a map.
	Element, Key, Value *Member
	// Min and Max bound a length, a size or a value, as the model writes them; empty means unbounded.
	Min, Max string
	// Pattern is the model's regular expression, in Java's dialect; it must match the whole value.
	Pattern string
	// Enum are the values allowed, in the model's order.
	Enum []string
	// Timestamp is the format that this shape prescribes.
	Timestamp TimestampFormat
	// Error is set on exceptions.
	Error *ErrorTrait
	// XMLName is the element's name where it is not the place's.
	XMLName      string
	XMLNamespace string
	Flattened    bool
	Sparse       bool
	Sensitive    bool
	Streaming    bool
	// EventStream marks the union of an event stream's events; Event marks one event.
	EventStream bool
	Event       bool
	Union       bool
}

// ErrorTrait says how an exception looks on the wire.
type ErrorTrait struct {
	// Code is the wire's code where it is not the shape's name.
	Code string
	// Status is the HTTP status; 0 where the model names none.
	Status int
	// Sender says that the model blames the caller; Fault that it blames the service.
	Sender bool
	Fault  bool
}

// Member describes a structure's member, a list's element, or a map's key or value.
type Member struct {
	Name  string
	Shape ShapeID
	// Location is where HTTP-bound protocols put it.
	Location Location
	// WireName is the model's locationName; empty means Name.
	WireName string
	Required bool
	// Timestamp is the format that this place prescribes.
	Timestamp    TimestampFormat
	Flattened    bool
	JSONValue    bool
	Streaming    bool
	HostLabel    bool
	XMLAttribute bool
	XMLPrefix    string
	XMLNamespace string
	// EventHeader and EventPayload place a member of an event.
	EventHeader  bool
	EventPayload bool
}

// Wire is the member's name on the wire.
func (m *Member) Wire() string {
	if m.WireName != "" {
		return m.WireName
	}
	return m.Name
}

// Location is where a member travels.
type Location uint8

// The locations; LocationBody is the default.
const (
	LocationBody Location = iota
	LocationURI
	LocationQuery
	LocationHeader
	LocationHeaders
	LocationStatusCode
)

// TimestampFormat is how a point in time is written.
type TimestampFormat uint8

// The formats; TimestampDefault leaves it to the protocol and the location.
const (
	TimestampDefault TimestampFormat = iota
	TimestampEpoch
	TimestampISO8601
	TimestampHTTP
)

// Operation finds an operation by name.
func (s *Service) Operation(name string) (*Operation, bool) {
	lo, hi := 0, len(s.Operations)
	for lo < hi {
		if mid := (lo + hi) / 2; s.Operations[mid].Name < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(s.Operations) && s.Operations[lo].Name == name {
		return &s.Operations[lo], true
	}
	return nil, false
}

// Speaks says whether the service has a protocol.
func (s *Service) Speaks(p Protocol) bool { return slices.Contains(s.Protocols, p) }

// Shape returns the shape with the given index.
func (s *Service) Shape(id ShapeID) *Shape { return &s.Shapes[id] }
