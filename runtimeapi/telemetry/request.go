package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Type is a stream that can be subscribed to.
type Type string

// The streams.
const (
	TypePlatform  Type = "platform"
	TypeFunction  Type = "function"
	TypeExtension Type = "extension"
)

// The bounds of buffering (https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api.html#telemetry-api-buffering).
const (
	minItems, maxItems, defaultItems = 1_000, 10_000, 10_000
	minBytes, maxBytes, defaultBytes = 262_144, 1_048_576, 262_144
	minTimeout, maxTimeout           = 25, 30_000
	defaultTimeout                   = 1_000
)

// reservedPort is the Runtime API's.
const reservedPort = 9001

// subscription is what a subscriber wants.
type subscription struct {
	schema    Schema
	types     []Type
	items     int
	bytes     int
	timeout   time.Duration
	tcp       bool
	port      uint16
	path      string // of HTTP, escaped, with its query
	put       bool   // PUT instead of POST
	authority string // the Host of HTTP
}

// request is the body of a Subscribe request. The pointers tell what is there from what is not.
type request struct {
	SchemaVersion *string `json:"schemaVersion"`
	Types         []Type  `json:"types"`
	Buffering     *struct {
		MaxItems  *int `json:"maxItems"`
		MaxBytes  *int `json:"maxBytes"`
		TimeoutMs *int `json:"timeoutMs"`
	} `json:"buffering"`
	Destination *struct {
		Protocol string `json:"protocol"`
		URI      string `json:"URI"`
		Port     *int   `json:"port"`
		Method   string `json:"method"`
		Encoding string `json:"encoding"`
	} `json:"destination"`
}

// refusals are everything that is wrong with a request, as AWS joins it.
type refusals []string

func (r *refusals) add(format string, args ...any) { *r = append(*r, fmt.Sprintf(format, args...)) }

// parse reads a Subscribe request to the Logs API or the Telemetry API. The second value is what is wrong with it,
// empty if nothing.
func parse(body []byte, logs bool) (subscription, string) {
	var req request
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&req); err != nil || decoder.More() {
		return subscription{}, "request body is not a valid JSON object"
	}
	var wrong refusals
	sub := subscription{items: defaultItems, bytes: defaultBytes, timeout: defaultTimeout * time.Millisecond}
	sub.schema = parseSchema(&req, logs, &wrong)
	sub.parseDestination(&req, &wrong)
	sub.parseTypes(&req, &wrong)
	if b := req.Buffering; b != nil {
		timeout := defaultTimeout
		within(b.MaxItems, &sub.items, "maxItems", minItems, maxItems, &wrong)
		within(b.MaxBytes, &sub.bytes, "maxBytes", minBytes, maxBytes, &wrong)
		within(b.TimeoutMs, &timeout, "timeoutMs", minTimeout, maxTimeout, &wrong)
		sub.timeout = time.Duration(timeout) * time.Millisecond
	}
	return sub, strings.Join(wrong, "; ")
}

func parseSchema(req *request, logs bool, wrong *refusals) Schema {
	first, last := Telemetry20220701, Telemetry20250129
	if logs {
		first, last = Logs20200815, Logs20210318
		if req.SchemaVersion == nil {
			return Logs20200815
		}
	}
	if req.SchemaVersion == nil {
		wrong.add("schemaVersion is not provided")
		return 0
	}
	for s := first; s <= last; s++ {
		if s.String() == *req.SchemaVersion {
			return s
		}
	}
	wrong.add("schemaVersion %s is not supported", strconv.Quote(*req.SchemaVersion))
	return 0
}

func (s *subscription) parseTypes(req *request, wrong *refusals) {
	if len(req.Types) == 0 {
		wrong.add("types should not be empty")
	}
	for _, t := range req.Types {
		switch {
		case t != TypePlatform && t != TypeFunction && t != TypeExtension:
			wrong.add("type %s is not supported", strconv.Quote(string(t)))
		case !slices.Contains(s.types, t):
			s.types = append(s.types, t)
		}
	}
}

func (s *subscription) parseDestination(req *request, wrong *refusals) {
	d := req.Destination
	if d == nil {
		wrong.add("destination is not provided")
		return
	}
	if d.Encoding != "" && d.Encoding != "JSON" {
		wrong.add("encoding %s is not supported", strconv.Quote(d.Encoding))
	}
	switch d.Method {
	case "", "POST":
	case "PUT":
		s.put = true
	default:
		wrong.add("method %s is not supported", strconv.Quote(d.Method))
	}
	switch d.Protocol {
	case "HTTP":
		s.parseURI(d.URI, wrong)
	case "TCP":
		s.tcp = true
		switch {
		case d.Port == nil:
			wrong.add("port is not provided")
		case *d.Port < 1 || *d.Port > 65535:
			wrong.add("port should be between 1 and 65535")
		default:
			s.port = uint16(*d.Port)
		}
	case "":
		wrong.add("protocol is not provided")
	default:
		wrong.add("protocol %s is not supported", strconv.Quote(d.Protocol))
	}
	if s.port == reservedPort {
		wrong.add("port %d is reserved", reservedPort)
	}
}

// parseURI takes http://sandbox.localdomain:PORT/PATH, or sandbox alone: records go nowhere but inside.
func (s *subscription) parseURI(text string, wrong *refusals) {
	if text == "" {
		wrong.add("URI is not provided")
		return
	}
	uri, err := url.Parse(text)
	switch {
	case err != nil || uri.Opaque != "" || uri.User != nil || uri.Fragment != "":
		wrong.add("URI is not valid")
	case uri.Scheme != "http":
		wrong.add("URI scheme should be http")
	case uri.Hostname() != "sandbox.localdomain" && uri.Hostname() != "sandbox":
		wrong.add("URI host should be sandbox.localdomain")
	case uri.Port() == "":
		wrong.add("URI port is not provided")
	default:
		target, err := netip.ParseAddrPort("127.0.0.1:" + uri.Port())
		if err != nil || target.Port() == 0 {
			wrong.add("URI port is not valid")
			return
		}
		s.port, s.path, s.authority = target.Port(), uri.RequestURI(), uri.Host
	}
}

// within takes an optional number.
func within(from, to *int, name string, least, most int, wrong *refusals) {
	if from == nil {
		return
	}
	if *from < least || *from > most {
		wrong.add("%s should be between %d and %d", name, least, most)
		return
	}
	*to = *from
}
