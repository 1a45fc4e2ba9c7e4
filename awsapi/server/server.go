// Package server answers AWS requests for any number of services on one http.Handler: it finds service and operation,
// has the caller authenticated, reads the body within its limit, decodes, validates, calls the handler and encodes. It
// must not know what an operation does, nor hosts, TLS or browsers: that is the gateway's.
package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/google/uuid"

	"hotaru/awsapi"
	"hotaru/awsapi/internal/plan"
	"hotaru/awsapi/internal/route"
	"hotaru/awsapi/protocol"
	"hotaru/awsapi/sigv4"
	"hotaru/awsapi/validate"
)

// Options configure a Server. All of them have defaults.
type Options struct {
	// Partition of every ARN; "aws" by default.
	Partition string
	// Region of requests that name none; "us-east-1" by default.
	Region string
	// Account of callers without an identity; "000000000000" by default.
	Account string
	// Authenticator says who signed; nil lets everybody in as nobody.
	Authenticator Authenticator
	// BodyLimit is the most bytes of an operation's body; nil means Lambda's own limits.
	BodyLimit func(service, operation string) int64
	// Done is told of every answer after it was written: the access log. It must not block.
	Done func(Entry)
}

// Authenticator checks signatures; *sigv4.Verifier is one.
type Authenticator interface {
	// Verify answers who signed the request, or an APIError. Digest reads the body and answers its SHA-256; it is
	// called only when the signature cannot be checked without.
	Verify(r *http.Request, expect sigv4.Expect, digest func() ([sha256.Size]byte, error)) (sigv4.Result, error)
}

// Entry is one line of the access log.
type Entry struct {
	Call awsapi.Call
	// Method and Path as they came; Path is escaped and may hold anything.
	Method, Path string
	Status       int
	// Sent counts the body's bytes; Took is the time from head to end.
	Sent int64
	Took time.Duration
	// Code is the error's name on the wire. Err is set where that hides the cause: log it.
	Code string
	Err  error
}

// Server is the http.Handler.
type Server struct {
	options  Options
	services []*service
}

// service is a bound service.
type service struct {
	*awsapi.Service
	// dialects are in the order of Service.Protocols.
	dialects []dialect
	plans    *plan.Set
	router   *route.Router
	// operations are in the order of Service.Operations.
	operations []*operation
}

// operation is a bound operation. Its plans are made on first use.
type operation struct {
	protocol.Operation
	handler awsapi.Handler
	service *service

	prepare sync.Once
	err     error
}

// New binds services. It fails on a protocol that is not there yet or on a binding that does not fit its service.
func New(options Options, bindings ...awsapi.Binding) (*Server, error) {
	setDefault(&options.Partition, "aws")
	setDefault(&options.Region, "us-east-1")
	setDefault(&options.Account, "000000000000")
	s := &Server{options: options}
	for _, b := range bindings {
		bound, err := bind(b)
		if err != nil {
			return nil, fmt.Errorf("bind %s: %w", b.Service.Name, err)
		}
		s.services = append(s.services, bound)
	}
	return s, nil
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

func bind(b awsapi.Binding) (*service, error) {
	s := &service{Service: b.Service, plans: plan.NewSet(b.Service)}
	for _, name := range b.Service.Protocols {
		p, ok := protocol.For(b.Service, name)
		if !ok {
			return nil, fmt.Errorf("no protocol %q", name)
		}
		s.dialects = append(s.dialects, dialect{name, p})
	}
	if len(s.dialects) == 0 {
		return nil, errors.New("no protocol at all")
	}
	if len(b.Handlers) != len(b.Service.Operations) {
		return nil, fmt.Errorf("%d handlers for %d operations", len(b.Handlers), len(b.Service.Operations))
	}
	if b.Service.Speaks(awsapi.ProtocolRestJSON) || b.Service.Speaks(awsapi.ProtocolRestXML) {
		s.router = &route.Router{}
	}
	for i := range b.Service.Operations {
		op := &b.Service.Operations[i]
		if s.router != nil {
			if err := s.router.Add(i, op.Method, op.Path); err != nil {
				return nil, err
			}
		}
		s.operations = append(s.operations, &operation{
			Operation: protocol.Operation{Operation: op, Service: b.Service}, handler: b.Handlers[i], service: s,
		})
	}
	return s, nil
}

// ready makes the operation's plans.
func (o *operation) ready() error {
	o.prepare.Do(func() {
		if o.Input, o.err = o.service.plans.Compile(o.Operation.Operation.Input, o.handler.Input); o.err == nil {
			o.Output, o.err = o.service.plans.Compile(o.Operation.Operation.Output, o.handler.Output)
		}
	})
	return o.err
}

// ServeHTTP answers one request. It panics with http.ErrAbortHandler, which net/http knows, to cut a connection whose
// answer broke off after its head was sent.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{server: s, w: w, r: r, started: time.Now()}
	x.call.RequestID = uuid.NewString()
	x.call.Scope = awsapi.Scope{Partition: s.options.Partition, Account: s.options.Account, Region: s.options.Region}
	x.call.BaseURL = baseURL(r)
	x.call.TraceID, x.call.UserAgent = r.Header.Get("X-Amzn-Trace-Id"), r.UserAgent()
	x.call.SourceIP, _, _ = net.SplitHostPort(r.RemoteAddr)
	answer, err := x.run()
	if err != nil {
		answer = x.failure(err)
		x.drain()
	}
	x.write(answer)
	if s.options.Done != nil {
		x.entry.Call, x.entry.Method, x.entry.Path = x.call, r.Method, r.URL.EscapedPath()
		x.entry.Took = time.Since(x.started)
		s.options.Done(x.entry)
	}
	if x.cut {
		panic(http.ErrAbortHandler)
	}
}

func baseURL(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// exchange is one request on its way through.
type exchange struct {
	server  *Server
	w       http.ResponseWriter
	r       *http.Request
	started time.Time
	call    awsapi.Call
	entry   Entry

	// hinted says that the signature names the service; dialect is the protocol that the request speaks.
	hinted  bool
	service *service
	dialect *dialect
	op      *operation
	request protocol.Request
	body    body
	// cut says that the answer's head was sent and its body broke off.
	cut bool
}

// run does everything up to the answer. Its errors are APIErrors, or hide their cause from the caller.
func (x *exchange) run() (*protocol.Answer, error) {
	if err := x.find(); err != nil {
		return nil, err
	}
	x.call.Service, x.call.Operation = x.service.Name, x.op.Name
	if err := x.authenticate(); err != nil {
		return nil, err
	}
	if !x.op.handler.Built() {
		return nil, &awsapi.Error{Code: "NotImplementedException", Status: http.StatusNotImplemented,
			Message: "The operation " + x.op.Name + " of " + x.service.FullName + " is not built yet."}
	}
	if err := x.op.ready(); err != nil {
		return nil, err
	}
	if err := x.readBody(); err != nil {
		return nil, err
	}
	input := x.op.handler.New()
	value := reflect.ValueOf(input).Elem()
	if err := x.dialect.Decode(&x.op.Operation, &x.request, value); err != nil {
		return nil, err
	}
	if err := validate.Input(x.service.Service, x.dialect.name, x.op.Input, value); err != nil {
		return nil, err
	}
	output, err := x.invoke(input)
	if err != nil {
		return nil, err
	}
	answer, err := x.dialect.Encode(&x.op.Operation, reflect.ValueOf(output).Elem(), x.call.RequestID)
	if err == nil && len(answer.Body) > 0 && x.service.Name == "lambda" && x.op.Name == "Invoke" {
		// The model says bytes; Lambda says what they are.
		answer.Header["Content-Type"] = []string{"application/json"}
	}
	return answer, err
}

// invoke calls the handler. A panic of its becomes an error, so that one request cannot end the daemon; only
// http.ErrAbortHandler panics on, as it must.
func (x *exchange) invoke(input any) (output any, err error) {
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			err = fmt.Errorf("%s panicked: %v\n%s", x.op.Name, p, stack())
		}
	}()
	return x.op.handler.Call(awsapi.WithCall(x.r.Context(), &x.call), input)
}

// failure encodes an error in the service's protocol. Where no service was found it speaks restJson1.
func (x *exchange) failure(err error) *protocol.Answer {
	described := unknownService
	p, _ := protocol.For(described, described.Protocols[0])
	if x.service != nil {
		if x.dialect == nil {
			x.dialect = x.guess(x.service)
		}
		described, p = x.service.Service, x.dialect
	}
	var f *protocol.Failure
	var api awsapi.APIError
	if errors.As(err, &api) {
		f = protocol.FailureOf(described, api)
		if f.Status >= http.StatusInternalServerError && f.Status != http.StatusNotImplemented {
			x.entry.Err = err
		}
	} else {
		f = protocol.Internal(described)
		x.entry.Err = err
	}
	if errors.Is(err, context.Canceled) && x.r.Context().Err() != nil {
		x.entry.Err = nil
	}
	x.entry.Code = f.Code
	return p.EncodeFailure(described, f, x.call.RequestID)
}

// unknownService stands in where a request fits no service.
var unknownService = &awsapi.Service{Name: "unknown", Protocols: []awsapi.Protocol{awsapi.ProtocolRestJSON}, Shapes: []awsapi.Shape{{}}}
