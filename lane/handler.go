package lane

import (
	"errors"
	"net/http"

	"abt2.dev/lane/route"
	"abt2.dev/lane/stamp"
)

// Handler serves next within the environment of each request: it is in the
// request's context, for Transport to go on with, and in the context's
// OpenTelemetry baggage. A request without a stamp gets the environment that
// names this process's own version.
//
// When the environment retires while next is still at work, after everybody has
// had time to finish, the request's context is canceled with the cause
// ErrRetired.
//
// Requests that next never sees: a malformed stamp (400), one addressed to
// another version or instance (421 with Abt2-Refused: to), one without a stamp
// while no environment in use names this version (503). A platform's health
// check is served without an environment.
func (l *Lane) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received, err := l.Receive(r.Context(), stamp.ValuesOf(r.Header))
		if err != nil {
			refuse(w, err)
			return
		}
		defer received.End()
		if received.Context != r.Context() {
			r = r.WithContext(received.Context)
		}
		next.ServeHTTP(w, r)
	})
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusServiceUnavailable
	if refused := (*RefusedError)(nil); errors.As(err, &refused) {
		switch refused.Reason {
		case Malformed:
			status = http.StatusBadRequest
		case Misdirected:
			status = http.StatusMisdirectedRequest
			w.Header().Set(stamp.RefusedHeader, stamp.RefusedTo)
		}
	}
	http.Error(w, err.Error(), status)
}

// verify compares the stamp with what this process is. A difference does not
// stop the request: it is what the counters exist to show.
func (l *Lane) verify(env uint64) {
	if l.static != nil {
		return
	}
	e, err := l.router.Snapshot().Environment(env)
	if err != nil {
		l.counts.unverified.Add(1)
		return
	}
	want := "none"
	if v := e.Version(l.module); v != nil {
		want = v.ID
	}
	switch {
	case want == l.self.Version:
	case l.standsIn(e):
		l.counts.fallbacks.Add(1)
	case l.counts.mix(want + " " + l.self.Version):
		l.log.Warn("request of an environment that names another version", "environment", env, "wants", want, "own", l.self.Version)
	}
}

// standsIn reports whether this process answers for a preview's version that
// has no healthy instance, as its `fallback: online` allows.
func (l *Lane) standsIn(e *route.Environment) bool {
	if !e.FallsBack(l.module) || e.Product.Online == nil {
		return false
	}
	v := e.Product.Online.Version(l.module)
	return v != nil && v.ID == l.self.Version
}
