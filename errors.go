package abt2

import (
	"errors"
	"fmt"
)

// Code says what kind of answer an error is. The CLI turns codes into exit
// statuses and the API into Connect codes, each in one place.
type Code string

// The codes of an Error.
const (
	CodeInvalid      Code = "invalid"      // the input is wrong: usage
	CodeNotFound     Code = "not_found"    // what was named does not exist
	CodeRefused      Code = "refused"      // the state does not allow it now
	CodeDifferences  Code = "differences"  // desired and actual state disagree
	CodeOwner        Code = "owner"        // the session belongs to another operator
	CodeUnconfirmed  Code = "unconfirmed"  // not confirmed, and nothing has changed
	CodeCommitted    Code = "committed"    // switched, but something is still unconfirmed
	CodeUnauthorized Code = "unauthorized" // no credential, or a wrong one
	CodeUnavailable  Code = "unavailable"  // the server cannot be reached, or is not ready
	CodeFailed       Code = "failed"       // it was tried and did not succeed
	CodeConfirm      Code = "confirm"      // asks a person first: repeat with --yes
	CodeInternal     Code = "internal"     // a defect of abt2
)

// Error is an answer a person can act on: Message names the field, the value,
// the rule and the remedy. Cause is for the log.
type Error struct {
	Code    Code
	Message string
	Cause   error
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an Error without a cause.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an Error of a cause.
func Wrap(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// CodeOf returns the code of the first Error in err's chain, CodeInternal for
// any other error, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}
