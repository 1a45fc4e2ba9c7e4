package server

import (
	"errors"
	"mime"
	"net/http"
	"strings"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/querywire"
	"hotaru/awsapi/protocol"
	"hotaru/awsapi/sigv4"
)

// dialect is one of a service's protocols.
type dialect struct {
	name awsapi.Protocol
	protocol.Protocol
}

// find sets the exchange's service, protocol and operation. The credential scope's service narrows the choice; where
// the request does not fit that service it is that service's unknown operation.
func (x *exchange) find() error {
	candidates := x.server.services
	if hint := sigv4.Service(x.r); hint != "" {
		if hinted := signedFor(candidates, hint); len(hinted) > 0 {
			candidates, x.hinted = hinted, true
			x.service = hinted[0]
		}
	}
	for _, s := range candidates {
		for i := range s.dialects {
			d := &s.dialects[i]
			if !x.speaks(d.name) {
				continue
			}
			if index, ok := x.lookUp(s, d); ok {
				x.service, x.dialect, x.op = s, d, s.operations[index]
				return nil
			}
			if x.body.err != nil {
				x.service, x.dialect = s, d // It was this one's form that could not be read.
				return x.body.err
			}
		}
	}
	return x.unknown(candidates)
}

func signedFor(services []*service, signingName string) []*service {
	var found []*service
	for _, s := range services {
		if s.SigningName == signingName {
			found = append(found, s)
		}
	}
	return found
}

// speaks says whether the request has a protocol's form: its header, or its content and path. X-Amz-Target comes
// before anything that a body could say.
func (x *exchange) speaks(name awsapi.Protocol) bool {
	switch name {
	case awsapi.ProtocolCBOR:
		return x.r.Header.Get("Smithy-Protocol") == "rpc-v2-cbor" && strings.Contains(x.r.URL.Path, "/service/")
	case awsapi.ProtocolJSON:
		return x.r.Header.Get("X-Amz-Target") != ""
	case awsapi.ProtocolQuery:
		return x.r.Header.Get("X-Amz-Target") == "" && x.isForm()
	default:
		return x.r.Header.Get("X-Amz-Target") == ""
	}
}

// guess finds the protocol for the words to a caller whose request is no operation: the one whose form it has, else
// the service's own.
func (x *exchange) guess(s *service) *dialect {
	for i := range s.dialects {
		if x.speaks(s.dialects[i].name) {
			return &s.dialects[i]
		}
	}
	return &s.dialects[0]
}

// lookUp asks whether a request is an operation of a service in a protocol whose form it has.
func (x *exchange) lookUp(s *service, d *dialect) (index int, ok bool) {
	switch d.name {
	case awsapi.ProtocolJSON:
		prefix, name, _ := strings.Cut(x.r.Header.Get("X-Amz-Target"), ".")
		if prefix != s.TargetPrefix || x.r.Method != http.MethodPost {
			return 0, false
		}
		x.service, x.dialect = s, d
		return s.index(name)
	case awsapi.ProtocolCBOR:
		_, rest, _ := strings.Cut(x.r.URL.EscapedPath(), "/service/")
		name, operation, found := strings.Cut(rest, "/operation/")
		if !found || name != s.TargetPrefix || x.r.Method != http.MethodPost {
			return 0, false
		}
		x.service, x.dialect = s, d
		return s.index(operation)
	case awsapi.ProtocolQuery:
		form := x.form()
		if form == nil {
			return 0, false
		}
		if version, _ := form.Get("Version"); version != s.APIVersion {
			return 0, false
		}
		action, _ := form.Get("Action")
		return s.index(action)
	default:
		match, ok := s.router.Find(x.r.Method, x.r.URL.EscapedPath(), x.r.URL.RawQuery)
		x.request.Match = match
		return match.ID, ok
	}
}

func (s *service) index(name string) (int, bool) {
	for i, op := range s.operations {
		if op.Name == name {
			return i, true
		}
	}
	return 0, false
}

// isForm says whether the request looks like one of the query protocol. Its path is the root, or, where the signature
// names the service, any: SQS's callers post to a queue's URL. A body in chunks is none: it may be read only after the
// signature that it follows was verified, and a form is read before.
func (x *exchange) isForm() bool {
	if strings.HasPrefix(x.r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return false
	}
	if path := x.r.URL.Path; path != "/" && path != "" && !x.hinted {
		return false
	}
	switch x.r.Method {
	case http.MethodGet:
		return x.r.URL.RawQuery != ""
	case http.MethodPost:
		media, _, err := mime.ParseMediaType(strings.Join(x.r.Header["Content-Type"], ","))
		return err == nil && media == "application/x-www-form-urlencoded"
	default:
		return false
	}
}

// form reads the parameters of a query request, once; nil where it is none.
func (x *exchange) form() *querywire.Form {
	if x.request.Form != nil || x.body.err != nil || !x.isForm() {
		return x.request.Form
	}
	data, err := x.read(formLimit)
	if err == nil && gzipped(x.r) {
		data, err = x.inflate(data, formLimit)
	}
	if err != nil {
		x.body.err = err
		return nil
	}
	form, err := querywire.Parse(string(data), x.r.URL.RawQuery)
	if err != nil {
		x.body.err = awsapi.Errorf("MalformedQueryString", "The query string contains a syntax error")
		return nil
	}
	x.request.Form = form
	return form
}

// unknown is the answer to a request that is no operation, in the words of the service that it was meant for.
func (x *exchange) unknown(candidates []*service) error {
	if x.mayBeQuery(candidates) {
		form := x.request.Form
		action, ok := form.Get("Action")
		if !ok {
			return awsapi.Errorf("MissingAction", "The request must contain the parameter Action.")
		}
		version, ok := form.Get("Version")
		if !ok {
			version = "NO_VERSION_SPECIFIED"
		}
		return awsapi.Errorf("InvalidAction", "Could not find operation %s for version %s", action, version)
	}
	if x.body.err != nil {
		return x.body.err
	}
	status := http.StatusNotFound
	if x.service != nil && x.service.Speaks(awsapi.ProtocolJSON) && x.speaks(awsapi.ProtocolJSON) {
		status = http.StatusBadRequest
	}
	return &awsapi.Error{Code: "UnknownOperationException", Status: status}
}

// mayBeQuery says whether the request is a form to answer as a query service does. Where nothing names the service, any
// that speaks query will do for the words, if the form has an action.
func (x *exchange) mayBeQuery(candidates []*service) bool {
	if x.service != nil {
		return x.guess(x.service).name == awsapi.ProtocolQuery && x.form() != nil
	}
	form := x.form()
	if form == nil {
		return false
	}
	if _, ok := form.Get("Action"); !ok {
		return false
	}
	for _, s := range candidates {
		if s.Speaks(awsapi.ProtocolQuery) {
			x.service = s
			return true
		}
	}
	return false
}

// errNoBody is an internal guard: the body was taken before.
var errNoBody = errors.New("server: the body was already taken")
