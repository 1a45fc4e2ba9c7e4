package protocol

import (
	"net/http"
	"strings"

	"hotaru/awsapi"
)

// Failure is an error on its way out.
type Failure struct {
	// Code is the wire's code; Name the shape's name, which JSON protocols write.
	Code    string
	Name    string
	Message string
	Status  int
	// Sender says that the caller is to blame.
	Sender bool
	// Shape is the model's, nil where it has none.
	Shape *awsapi.Shape
	// Fields are further members by the model's names.
	Fields map[string]any
}

// errorFields is what an APIError may have besides.
type errorFields interface{ ErrorFields() map[string]any }

// FailureOf finds an error's shape and status in the service's model.
func FailureOf(service *awsapi.Service, err awsapi.APIError) *Failure {
	f := &Failure{Code: err.ErrorCode(), Name: err.ErrorCode(), Message: err.ErrorMessage()}
	if more, ok := err.(errorFields); ok {
		f.Fields = more.ErrorFields()
	}
	if f.Shape = errorShape(service, f.Code); f.Shape != nil {
		f.Name = f.Shape.Name
		if f.Shape.Error.Code != "" {
			f.Code = f.Shape.Error.Code
		}
		f.Status = f.Shape.Error.Status
	}
	if f.Status == 0 && f.Shape != nil && f.Shape.Error.Fault {
		f.Status = http.StatusInternalServerError
	}
	if own, ok := err.(*awsapi.Error); ok && f.Status == 0 {
		f.Status = own.Status
	}
	if f.Status == 0 {
		f.Status = commonStatus(f.Code)
	}
	f.Sender = f.Status < http.StatusInternalServerError
	if f.Shape != nil {
		f.Sender = !f.Shape.Error.Fault
	}
	return f
}

// statusBesideQuery is the status in a protocol that a service speaks besides query. The model's code and status of
// an error are then those of the query protocol alone (Smithy's awsQueryError trait).
func (f *Failure) statusBesideQuery(service *awsapi.Service) int {
	switch {
	case !service.QueryCompatible || f.Shape == nil || f.Shape.Error.Code == "":
		return f.Status
	case f.Sender:
		return http.StatusBadRequest
	default:
		return http.StatusInternalServerError
	}
}

func errorShape(service *awsapi.Service, code string) *awsapi.Shape {
	var byCode *awsapi.Shape
	for i := range service.Shapes {
		s := &service.Shapes[i]
		if s.Error == nil {
			continue
		}
		if s.Name == code {
			return s
		}
		if s.Error.Code == code && byCode == nil {
			byCode = s
		}
	}
	return byCode
}

// commonStatus is the status of errors that every service shares and no model has
// (https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html).
func commonStatus(code string) int {
	switch code {
	case "AccessDeniedException", "AccessDenied", "MissingAuthenticationTokenException", "MissingAuthenticationToken",
		"UnrecognizedClientException", "InvalidSignatureException", "SignatureDoesNotMatch", "InvalidClientTokenId",
		"InvalidClientTokenIdException", "OptInRequired", "RequestExpired", "ExpiredToken", "ExpiredTokenException",
		"NotAuthorized", "IncompleteSignatureException":
		return http.StatusForbidden
	case "UnknownOperationException", "MalformedQueryString":
		return http.StatusNotFound
	case "RequestEntityTooLargeException":
		return http.StatusRequestEntityTooLarge
	case "UnsupportedMediaTypeException":
		return http.StatusUnsupportedMediaType
	case "InternalFailure", "InternalServiceException", "InternalServerError", "ServiceException":
		return http.StatusInternalServerError
	case "NotImplementedException":
		return http.StatusNotImplemented
	case "ServiceUnavailable", "ServiceUnavailableException":
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}

// internalText is what Lambda says of a fault of its own.
const internalText = "An error occurred and the request cannot be processed."

// Internal is what callers see of an error that is none of AWS's.
func Internal(service *awsapi.Service) *Failure {
	code := "InternalFailure"
	if errorShape(service, "ServiceException") != nil {
		code = "ServiceException"
	}
	return FailureOf(service, &awsapi.Error{Code: code, Message: internalText})
}

// value is the content of an error member: what the error says, or what follows from the shape.
func (f *Failure) value(member *awsapi.Member) (any, bool) {
	if v, ok := f.Fields[member.Name]; ok {
		return v, v != nil
	}
	switch {
	case strings.EqualFold(member.Name, "message"):
		return f.Message, f.Message != ""
	case member.Name == "Type":
		if f.Sender {
			return "User", true
		}
		return "Server", true
	default:
		return nil, false
	}
}
