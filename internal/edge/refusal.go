package edge

import "net/http"

// refusal is an answer that the edge gives itself, in place of a module.
type refusal struct {
	status int
	title  string
	text   string // for people: what it means, what to do
	retry  bool   // it may be better in a moment
}

func (r *refusal) Error() string { return r.title }

// What the edge refuses. They are values so that a refused request costs little.
var (
	refuseStarting = &refusal{http.StatusServiceUnavailable, "not ready yet", "The edge has not learnt its routes yet.", true}
	refuseHost     = &refusal{http.StatusServiceUnavailable, "no product serves this host", "No product names this host, and there is no default product.", false}
	refuseEmpty    = &refusal{http.StatusServiceUnavailable, "nothing online yet", "No release has been committed to this product.", true}
	refusePath     = &refusal{http.StatusNotFound, "nothing here", "No module of this environment serves this path.", false}
	refuseLost     = &refusal{http.StatusServiceUnavailable, "token cannot be checked", "The edge has lost its server and does not know this token. It may be valid: try again soon.", true}
	refuseDown     = &refusal{http.StatusServiceUnavailable, "no healthy instance", "The module that serves this path has no healthy instance in this environment.", true}
	refuseBroken   = &refusal{http.StatusBadGateway, "no answer", "The module that serves this path broke off before it answered.", false}
	refuseMethod   = &refusal{http.StatusMethodNotAllowed, "method not allowed", "This page is only read.", false}
	refuseConnect  = &refusal{http.StatusNotImplemented, "not a forward proxy", "The method CONNECT is not supported.", false}
	refuseTarget   = &refusal{http.StatusBadRequest, "bad target", "The parameter to must be a path on this host, beginning with a single slash.", false}
	refuseNoToken  = &refusal{http.StatusBadRequest, "no token", "The parameter token must hold the token of a preview; copy the whole link.", false}
	refuseGone     = &refusal{http.StatusGone, "this preview has ended", "The token selects nothing any more. Ask who is releasing for a new link.", false}
)

// refuseInput refuses a request that cannot be understood.
func refuseInput(text string) *refusal {
	return &refusal{http.StatusBadRequest, "bad request", text, false}
}

// refuseStamp refuses a stamp that the table does not resolve.
func refuseStamp(err error) *refusal {
	return &refusal{http.StatusServiceUnavailable, "not routable", err.Error(), true}
}
