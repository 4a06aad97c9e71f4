package lane

import (
	"net"
	"net/http"
	"time"

	"abt2.dev/lane/stamp"
)

// newBase returns the Transport for module calls: many connections to few
// addresses, none of them through a proxy, and never without bound.
func newBase() *http.Transport {
	t, ok := http.DefaultTransport.(*http.Transport)
	if ok {
		t = t.Clone()
	} else {
		t = &http.Transport{} // somebody has replaced the default
	}
	t.Proxy = nil
	t.DialContext = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.MaxIdleConns = 2048
	t.MaxIdleConnsPerHost = 128
	t.MaxConnsPerHost = 1024
	return t
}

// Transport returns a RoundTripper for which a URL like http://order/… whose
// host is a module's bare name leads to an instance of the version that the
// context's environment names; without one, the environment that names this
// process's own version. Other hosts pass untouched: localhost, and names with
// a dot or a port. base is what it sends with; nil is a Transport of the Lane's
// own for modules, and http.DefaultTransport for other hosts.
//
// A call that no instance has accepted is sent to another one where its body
// can be had again; a GET or HEAD without body is sent a second time if no byte
// of an answer came, also if that is because its instance hangs: it is given up
// when the table has dropped the instance. A call that cannot be routed fails with a *route.Error,
// which a handler answers with 503.
func (l *Lane) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		return &transport{lane: l, base: l.base, other: http.DefaultTransport}
	}
	return &transport{lane: l, base: base, other: base}
}

type transport struct {
	lane        *Lane
	base, other http.RoundTripper
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	module := ""
	if req.URL != nil && req.URL.Scheme == "http" {
		module = stamp.Module(req.URL.Host)
	}
	switch {
	case module == "":
		return t.other.RoundTrip(req)
	case t.lane.static != nil:
		return t.lane.static.roundTrip(t.base, req, module)
	default:
		return t.call(req, module)
	}
}
