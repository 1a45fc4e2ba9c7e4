package awsapi

import "fmt"

// APIError is any error that has an AWS exception name. Handlers return one, and the protocols encode it with
// the status and shape that the operation's service model gives the code; any other error is logged with its
// cause and shown as the service's internal failure.
type APIError interface {
	error
	// ErrorCode is the exception's name: "ResourceNotFoundException".
	ErrorCode() string
	// ErrorMessage is the text for the caller.
	ErrorMessage() string
}

// Error is an APIError for the wire itself and for rooms without an error type of their own.
type Error struct {
	Code    string
	Message string
	// Status is the HTTP status where the model has no shape for Code; 0 means 400.
	Status int
	// Fields are further members of the error's shape, by the model's names.
	Fields map[string]any
}

// Errorf makes an Error with a formatted message.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// ErrorCode implements APIError.
func (e *Error) ErrorCode() string { return e.Code }

// ErrorMessage implements APIError.
func (e *Error) ErrorMessage() string { return e.Message }

// ErrorFields are further members of the error's shape. Any APIError may have them.
func (e *Error) ErrorFields() map[string]any { return e.Fields }
