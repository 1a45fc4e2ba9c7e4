package function

import "fmt"

// Code is a Lambda exception's name.
type Code string

// The exceptions that rooms raise. The HTTP status of each is the service model's.
const (
	ErrResourceNotFound      Code = "ResourceNotFoundException"
	ErrResourceConflict      Code = "ResourceConflictException"
	ErrInvalidParameterValue Code = "InvalidParameterValueException"
	ErrPreconditionFailed    Code = "PreconditionFailedException"
	ErrTooManyRequests       Code = "TooManyRequestsException"
	ErrInvalidRequestContent Code = "InvalidRequestContentException"
	ErrAccessDenied          Code = "AccessDeniedException"
	ErrPolicyLength          Code = "PolicyLengthExceededException"
	ErrNotImplemented        Code = "NotImplementedException"
)

// Error is a refusal that a caller of the Lambda API sees. It is the one error type that crosses rooms;
// anything else is logged with its cause and shown as ServiceException.
type Error struct {
	Code    Code
	Message string
	// Reason is TooManyRequestsException's Reason; empty for every other.
	Reason string
}

// Errorf makes an Error with a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// ErrorCode is the exception's name on the wire.
func (e *Error) ErrorCode() string { return string(e.Code) }

// ErrorMessage is the text for the caller.
func (e *Error) ErrorMessage() string { return e.Message }

// ErrorFields are the further members of the exception's shape.
func (e *Error) ErrorFields() map[string]any {
	if e.Reason == "" {
		return nil
	}
	return map[string]any{"Reason": e.Reason}
}

// NotFound is the answer for a function, version or alias that is not there.
func NotFound(id ID, qualifier string) *Error {
	return Errorf(ErrResourceNotFound, "Function not found: %s", id.QualifiedARN(qualifier))
}
