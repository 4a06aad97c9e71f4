package lane

import (
	"net/http"
	"sync/atomic"

	"abt2.dev/lane/route"
	"abt2.dev/lane/stamp"
)

// static holds the addresses of modules outside abt2.
type static struct {
	addresses map[string][]string
	next      atomic.Uint64
}

func newStatic(addresses map[string][]string) *static { return &static{addresses: addresses} }

func (s *static) pick(module string) (string, error) {
	list := s.addresses[module]
	if len(list) == 0 {
		return "", &route.Error{Reason: route.NoAddress, Module: module}
	}
	return list[s.next.Add(1)%uint64(len(list))], nil
}

// roundTrip sends a call to a static address. A stamp that came with the
// request being served goes on; none is made.
func (s *static) roundTrip(base http.RoundTripper, req *http.Request, module string) (*http.Response, error) {
	address, err := s.pick(module)
	if err != nil {
		return nil, closing(req, err)
	}
	out := redirect(req.Context(), req, module, address)
	if env, ok := Environment(req.Context()); ok {
		out.Header[stamp.EnvHeader] = []string{stamp.FormatEnv(env)}
		out.Header[stamp.BaggageHeader] = []string{stamp.OutgoingBaggage(req.Context(), req.Header[stamp.BaggageHeader], stamp.Member(env))}
	}
	res, err := base.RoundTrip(out)
	if res != nil {
		res.Request = req
	}
	return res, err
}
