package abt2

import (
	"context"
	"encoding/json"
	"strings"
	"time"
)

// MaxCall is how long a call of an operator's may take.
const MaxCall = 90 * time.Second

// CallRequest is a call of one method, by Navi-rpc, to try it.
type CallRequest struct {
	Product ProductName
	Module  ModuleName
	// Interface is the service's. Empty: as the version's navi: says.
	Interface string
	Method    string
	Arguments []string // each a JSON value
	// Types are those of the arguments as Java names them. Empty: what Navi's
	// clients would say of such values, see JavaTypes.
	Types []string
	// Environment or Token choose where; with neither it is what is online.
	Environment EnvironmentID
	Token       Token
	Timeout     time.Duration // zero: MaxCall
}

// CallAnswer is what an instance answered.
type CallAnswer struct {
	Environment EnvironmentID `json:"environment"`
	Version     VersionID     `json:"version"`
	Instance    InstanceID    `json:"instance"`
	Address     string        `json:"address"`
	Status      int           `json:"status"` // Navi's: 0; 1: could not be called; 2: the method has failed
	Result      string        `json:"result"` // JSON
	Message     string        `json:"message"`
	Took        time.Duration `json:"took"`
}

// Validate returns a CodeInvalid error unless the request can be sent.
func (r CallRequest) Validate() error {
	if err := r.Module.Validate(); err != nil {
		return err
	}
	if r.Method == "" || strings.ContainsAny(r.Method, "/. \t\n") {
		return Errorf(CodeInvalid, "method %q: must be the name of a method, or INTERFACE.METHOD", r.Method)
	}
	if strings.ContainsAny(r.Interface, "/?# \t\n") {
		return Errorf(CodeInvalid, "interface %q: must be a name without slashes", r.Interface)
	}
	if r.Environment != 0 && r.Token != "" {
		return Errorf(CodeInvalid, "environment %d: cannot be chosen together with a cookie; name one of them", r.Environment)
	}
	if r.Timeout < 0 || r.Timeout > MaxCall {
		return Errorf(CodeInvalid, "timeout %s: must be at most %s", r.Timeout, MaxCall)
	}
	for _, a := range r.Arguments {
		if !json.Valid([]byte(a)) {
			return Errorf(CodeInvalid, "argument %q: must be JSON, like 7, true, {\"id\":7}, or a text in quotes", a)
		}
	}
	if len(r.Types) > 0 && len(r.Types) != len(r.Arguments) {
		return Errorf(CodeInvalid, "types %q: must be as many as arguments, which are %d", r.Types, len(r.Arguments))
	}
	return nil
}

// JavaTypes are the types of JSON values as Java's servers most likely declare
// them: long, double, boolean, java.lang.String, java.util.List and java.util.Map;
// of null, java.lang.Object.
func JavaTypes(arguments []string) []string {
	out := []string{}
	for _, a := range arguments {
		kind := "java.lang.Object"
		switch a = strings.TrimSpace(a); {
		case a == "" || a == "null":
		case a[0] == '"':
			kind = "java.lang.String"
		case a[0] == '[':
			kind = "java.util.List"
		case a[0] == '{':
			kind = "java.util.Map"
		case a == "true" || a == "false":
			kind = "boolean"
		case strings.ContainsAny(a, ".eE"):
			kind = "double"
		default:
			kind = "long"
		}
		out = append(out, kind)
	}
	return out
}

// Caller sends one call to one instance.
type Caller interface {
	// Call fills in status, result or message. An error says that there was no
	// answer of Navi's.
	Call(ctx context.Context, r CallRequest, to *CallAnswer) error
}
