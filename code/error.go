package code

import (
	"errors"
	"fmt"
)

// Error is a refusal of a deployment package in AWS's words.
type Error struct {
	// Code is the exception's name.
	Code string
	// Message is AWS's own text, which says little.
	Message string
	// Reason says what exactly is wrong with the package, for logs; it may be nil.
	Reason error
}

func (e *Error) Error() string {
	if e.Reason == nil {
		return e.Code + ": " + e.Message
	}
	return e.Code + ": " + e.Message + " (" + e.Reason.Error() + ")"
}

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Reason }

// ErrorCode is the exception's name.
func (e *Error) ErrorCode() string { return e.Code }

// ErrorMessage is the text for the caller.
func (e *Error) ErrorMessage() string { return e.Message }

const invalidParameter = "InvalidParameterValueException"

// refuse says that the package cannot be unpacked.
func refuse(format string, args ...any) error {
	return &Error{
		Code:    invalidParameter,
		Message: "Could not unzip uploaded file. Please check your file, then try to upload again.",
		Reason:  fmt.Errorf(format, args...),
	}
}

func refuseEmpty() error {
	return &Error{Code: invalidParameter, Message: "Uploaded file must be a non-empty zip"}
}

func refuseUnzippedSize() error {
	return &Error{Code: invalidParameter, Message: fmt.Sprintf("Unzipped size must be smaller than %d bytes", maxUnzipped)}
}

func refuseZippedSize() error {
	return &Error{
		Code:    "RequestEntityTooLargeException",
		Message: fmt.Sprintf("Zipped size must be smaller than %d bytes", maxZipped),
	}
}

var errCut = errors.New("the zip file is cut short")
