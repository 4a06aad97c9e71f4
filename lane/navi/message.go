package navi

import (
	"encoding/json"
	"fmt"
)

// Prefix is the path below which interfaces are served.
const Prefix = "/service_api/"

// Status is how a call ended, as the protocol numbers it.
type Status int

// The statuses of an answer.
const (
	OK     Status = 0
	Failed Status = 1 // the call could not be made: no such method, wrong arguments
	Raised Status = 2 // the method has returned an error
)

// request is a call's body. Navi ignores fields that it does not know, so that
// the environment can be one of them.
type request struct {
	TraceID    int64    `json:"traceId"`
	Method     string   `json:"method"`
	Parameters []any    `json:"parameters"`
	Types      []string `json:"paramterTypes"` // Navi's spelling
	AppID      *string  `json:"appId"`
	Token      *string  `json:"token"`
	Env        string   `json:"abt2Env,omitempty"`
}

// received is a request on the server's side.
type received struct {
	TraceID    int64             `json:"traceId"`
	Method     string            `json:"method"`
	Parameters []json.RawMessage `json:"parameters"`
	Types      []string          `json:"paramterTypes"`
	AppID      string            `json:"appId"`
	Token      string            `json:"token"`
	Env        string            `json:"abt2Env"`
}

// answer is an answer's body. The Java client breaks on one without result, and
// on an error without a cause.
type answer struct {
	TraceID int64  `json:"traceId"`
	Result  any    `json:"result"`
	Status  Status `json:"status"`
	Error   *fault `json:"error"`
}

// fault is a Java Throwable, as far as it says anything.
type fault struct {
	Message string `json:"message"`
	Cause   *fault `json:"cause,omitempty"`
}

func newFault(message string) *fault {
	return &fault{Message: message, Cause: &fault{Message: message}}
}

// text is what the fault says: that of the innermost cause that says anything,
// which is where a Java server puts the method's own exception.
func (f *fault) text() string {
	text := f.Message
	for f = f.Cause; f != nil; f = f.Cause {
		if f.Message != "" {
			text = f.Message
		}
	}
	return text
}

// Error is what the other end has answered in place of a result. The call has
// reached its method, or could never have.
type Error struct {
	Status  Status
	Message string
}

func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("navi: status %d without a message", e.Status)
	}
	return e.Message
}
