package navi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"abt2.dev/lane"
	"abt2.dev/lane/stamp"
)

// MaxBody is how long a call's body, and an answer's, may be, in bytes.
const MaxBody = 64 << 20

// Method serves one method of an interface. What it returns is encoded as the
// call was; an error reaches the caller as the message of an exception. It is called from
// many goroutines.
type Method func(ctx context.Context, r *Request) (any, error)

// Service is an interface's methods, by name. Navi knows several methods of one
// name, told apart by the types of their parameters; here one name is one
// method, which may look at Request.Types.
type Service map[string]Method

// Request is a call as it came. Its method's context has its environment.
type Request struct {
	Interface string
	Method    string
	TraceID   int64
	Types     []string // of the parameters, as Java names them; empty where the caller does not say
	AppID     string   // who calls, and with which token: a method that cares compares them
	Token     string

	parameters []json.RawMessage
}

// Args decodes the call's arguments. Fewer or more of them than into, or one
// that does not fit, is an *Error of status Failed.
func (r *Request) Args(into ...any) error {
	if len(r.parameters) != len(into) {
		return &Error{Failed, fmt.Sprintf("%s.%s takes %d arguments, not %d", r.Interface, r.Method, len(into), len(r.parameters))}
	}
	for i, p := range r.parameters {
		if err := json.Unmarshal(p, into[i]); err != nil {
			return &Error{Failed, fmt.Sprintf("%s.%s: argument %d: %v", r.Interface, r.Method, i+1, err)}
		}
	}
	return nil
}

// NewServer serves interfaces by name, below Prefix, to be mounted there beside
// whatever else the process serves:
//
//	mux.Handle(navi.Prefix, navi.NewServer(l, map[string]navi.Service{"Orders": {"get": get}}))
//
// It receives each call into its environment by itself, from the headers, or,
// if they say nothing, from the body: Lane.Handler must not be around it.
//
// A call that its method never sees is answered with a status that is not 200:
// without a Content-Length (411), malformed (400), of a protocol that is not
// spoken (406), for an interface or method that does not exist (404), of a size
// beyond MaxBody (413). Those that were meant for another version (421) or have
// no environment (503) are answered so that Navi's client tries elsewhere.
func NewServer(l *lane.Lane, services map[string]Service) http.Handler {
	return &server{l, services}
}

type server struct {
	lane     *lane.Lane
	services map[string]Service
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, Prefix)
	in, encoding, status, err := s.read(w, r)
	if err != nil {
		encoding.refuse(w, status, in.TraceID, err)
		return
	}
	values := stamp.ValuesOf(r.Header)
	if env, err := values.Environment(); err == nil && env == 0 && in.Env != "" {
		values.Env = []string{in.Env}
	}
	within, err := s.lane.Receive(r.Context(), values)
	if err != nil {
		encoding.misplaced(w, err)
		return
	}
	defer within.End()
	service, ok := s.services[name]
	if !ok {
		encoding.refuse(w, http.StatusNotFound, in.TraceID, fmt.Errorf("no interface %q is served here", name))
		return
	}
	method, ok := service[in.Method]
	if !ok {
		encoding.refuse(w, http.StatusNotFound, in.TraceID, fmt.Errorf("interface %s has no method %q", name, in.Method))
		return
	}
	result, err := method(within.Context, &Request{
		Interface: name, Method: in.Method, TraceID: in.TraceID,
		Types: in.Types, AppID: in.AppID, Token: in.Token, parameters: in.Parameters,
	})
	out := answer{TraceID: in.TraceID, Result: result}
	if err != nil {
		out = failure(in.TraceID, err)
	}
	body, err := encoding.encodeAnswer(&out)
	if err != nil {
		body = encoding.mustEncode(failure(in.TraceID, fmt.Errorf("%s.%s: its result cannot be encoded: %w", name, in.Method, err)))
	}
	write(w, http.StatusOK, r.Header.Get("Content-Type"), body)
}

// read reads the call; on an error it also returns the status that says so.
func (s *server) read(w http.ResponseWriter, r *http.Request) (in received, e Encoding, status int, err error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return in, e, http.StatusMethodNotAllowed, fmt.Errorf("a call is a POST, not a %s", r.Method)
	}
	e, ok := encodingOf(r.Header.Get("Content-Type"))
	if !ok {
		return in, e, http.StatusNotAcceptable, fmt.Errorf("Content-Type %q: must be %s, %s or %s", r.Header.Get("Content-Type"), JSON, Protobuf, Protostuff)
	}
	switch {
	case r.ContentLength < 0:
		return in, e, http.StatusLengthRequired, errors.New("a call has a Content-Length; it is not chunked")
	case r.ContentLength > MaxBody:
		return in, e, http.StatusRequestEntityTooLarge, fmt.Errorf("the call is %d bytes long; at most %d are allowed", r.ContentLength, MaxBody)
	}
	var body bytes.Buffer
	body.Grow(int(min(r.ContentLength, 1<<20)) + bytes.MinRead) // more only for what really comes
	if _, err := body.ReadFrom(r.Body); err != nil {
		return in, e, http.StatusBadRequest, fmt.Errorf("the call's body: %w", err)
	}
	if in, err = e.decodeRequest(body.Bytes()); err != nil {
		return in, e, http.StatusBadRequest, fmt.Errorf("the call's body: %w", err)
	}
	return in, e, http.StatusOK, nil
}

// failure is the answer for a method's error.
func failure(trace int64, err error) answer {
	status := Raised
	if e := (*Error)(nil); errors.As(err, &e) && e.Status != OK {
		status = e.Status
	}
	return answer{TraceID: trace, Status: status, Error: newFault(err.Error())}
}

// refuse answers a call that no instance would serve: the Java client reads why
// out of the body if the Content-Type is this one to the letter.
func (e Encoding) refuse(w http.ResponseWriter, status int, trace int64, err error) {
	write(w, status, e.medium(), e.mustEncode(answer{TraceID: trace, Status: Failed, Error: newFault(err.Error())}))
}

// misplaced answers a call that another instance may serve. With a charset
// behind its Content-Type the Java client fails over; without a Content-Type it
// would break.
func (e Encoding) misplaced(w http.ResponseWriter, err error) {
	status := http.StatusServiceUnavailable
	if refused := (*lane.RefusedError)(nil); errors.As(err, &refused) {
		switch refused.Reason {
		case lane.Malformed:
			e.refuse(w, http.StatusBadRequest, 0, err)
			return
		case lane.Misdirected:
			status = http.StatusMisdirectedRequest
			w.Header().Set(stamp.RefusedHeader, stamp.RefusedTo)
		}
	}
	write(w, status, e.contentType(), e.mustEncode(answer{Status: Failed, Error: newFault(err.Error())}))
}

// write answers with a Content-Length, without which the Java client breaks.
func write(w http.ResponseWriter, status int, content string, body []byte) {
	h := w.Header()
	h["Content-Type"] = []string{content}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller that has gone does not want it
}
