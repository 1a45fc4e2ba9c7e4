package server

import (
	"errors"
	"mime"
	"net/http"
	"strings"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/querywire"
	"hotaru/awsapi/sigv4"
)

// find sets the exchange's service and operation. The credential scope's service narrows the choice; where the
// request does not fit that service it is that service's unknown operation.
func (x *exchange) find() error {
	candidates := x.server.services
	if hint := sigv4.Service(x.r); hint != "" {
		if hinted := signedFor(candidates, hint); len(hinted) > 0 {
			candidates = hinted
			x.service = hinted[0]
		}
	}
	for _, s := range candidates {
		if i, ok := x.lookUp(s); ok {
			x.service, x.op = s, s.operations[i]
			return nil
		}
		if x.body.err != nil {
			return x.body.err
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

// lookUp asks whether a request is an operation of a service.
func (x *exchange) lookUp(s *service) (index int, ok bool) {
	switch s.Protocol {
	case "json":
		prefix, name, _ := strings.Cut(x.r.Header.Get("X-Amz-Target"), ".")
		if prefix != s.TargetPrefix {
			return 0, false
		}
		x.service = s
		return s.index(name)
	case "smithy-rpc-v2-cbor":
		if x.r.Method != http.MethodPost || x.r.Header.Get("Smithy-Protocol") != "rpc-v2-cbor" {
			return 0, false
		}
		_, rest, _ := strings.Cut(x.r.URL.EscapedPath(), "/service/")
		name, operation, found := strings.Cut(rest, "/operation/")
		if !found || name != s.TargetPrefix {
			return 0, false
		}
		return s.index(operation)
	case "query":
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
		if x.r.Header.Get("X-Amz-Target") != "" {
			return 0, false
		}
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

// form reads the parameters of a query request, once; nil where it is none.
func (x *exchange) form() *querywire.Form {
	if x.request.Form != nil || x.body.err != nil {
		return x.request.Form
	}
	if path := x.r.URL.Path; path != "/" && path != "" {
		return nil
	}
	switch x.r.Method {
	case http.MethodGet:
		if x.r.URL.RawQuery == "" {
			return nil
		}
	case http.MethodPost:
		media, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
		if err != nil || media != "application/x-www-form-urlencoded" {
			return nil
		}
	default:
		return nil
	}
	data, err := x.read(formLimit)
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
	if form := x.form(); form != nil && (x.service == nil || x.service.Protocol == "query") {
		if action, ok := form.Get("Action"); ok || x.service != nil {
			x.speakQuery(candidates)
			if !ok {
				return awsapi.Errorf("MissingAction", "The request must contain the parameter Action.")
			}
			version, ok := form.Get("Version")
			if !ok {
				version = "NO_VERSION_SPECIFIED"
			}
			return awsapi.Errorf("InvalidAction", "Could not find operation %s for version %s", action, version)
		}
	}
	if x.body.err != nil {
		return x.body.err
	}
	status := http.StatusNotFound
	if x.service != nil && x.service.Protocol == "json" {
		status = http.StatusBadRequest
	}
	return &awsapi.Error{Code: "UnknownOperationException", Status: status}
}

// speakQuery makes sure that a failure is written as a query service does.
func (x *exchange) speakQuery(candidates []*service) {
	if x.service != nil {
		return
	}
	for _, s := range candidates {
		if s.Protocol == "query" {
			x.service = s
			return
		}
	}
}

// errNoBody is an internal guard: the body was taken before.
var errNoBody = errors.New("server: the body was already taken")
