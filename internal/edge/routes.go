package edge

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"

	"abt2.dev"
	"abt2.dev/lane/feedpb"
	"abt2.dev/lane/route"
)

// routes is all that requests are routed by: one table and the tokens that came
// with it. It is immutable, and a request uses one from beginning to end.
type routes struct {
	*route.Snapshot
	message      *feedpb.EdgeRoutes // as it came
	tokens       map[digest]*environment
	environments map[uint64]*environment
	owners       map[string]*route.Product // of unversioned names, by module
	visiting     map[*route.Product]*visiting
}

// digest is what an edge knows of a token: the first half of its sha256.
type digest [sha256.Size / 2]byte

func digestOf(token string) digest {
	var buf [maxToken]byte
	sum := sha256.Sum256(buf[:copy(buf[:], token)])
	return digest(sum[:])
}

// environment is a route.Environment with what an answer needs, made ready
// before any request asks for it.
type environment struct {
	*route.Environment
	name   string            // 42
	served []string          // the value of Abt2-Served: 42 online
	series map[string]series // by module
}

// compileRoutes makes routes of a snapshot and the message it was built from.
func compileRoutes(s *route.Snapshot, m *feedpb.EdgeRoutes, tokens map[digest]uint64, metrics *metrics) *routes {
	r := &routes{
		Snapshot:     s,
		message:      m,
		tokens:       make(map[digest]*environment, len(tokens)),
		environments: make(map[uint64]*environment, len(m.GetTable().GetEnvironments())),
		owners:       make(map[string]*route.Product, len(s.Names())),
	}
	for _, n := range s.Names() {
		r.owners[n.Module] = n.Product
	}
	for _, id := range m.GetTable().GetEnvironments() {
		e, err := s.Environment(id.GetId())
		if err != nil {
			continue // the snapshot has all of the table's
		}
		out := &environment{Environment: e, name: e.Header[0], series: map[string]series{}}
		out.served = []string{out.name + " " + string(e.Role)}
		for _, module := range e.Modules() {
			out.series[module] = metrics.series(e.Product.Name, string(e.Role), module)
		}
		r.environments[e.ID] = out
	}
	for d, id := range tokens {
		r.tokens[d] = r.environments[id]
	}
	r.compileVisiting(m)
	return r
}

// parseTokens reads the tokens of a message and checks that each selects an
// environment of its table.
func parseTokens(m *feedpb.EdgeRoutes) (map[digest]uint64, error) {
	known := make(map[uint64]bool, len(m.GetTable().GetEnvironments()))
	for _, e := range m.GetTable().GetEnvironments() {
		known[e.GetId()] = true
	}
	out := make(map[digest]uint64, len(m.GetTokens()))
	for key, id := range m.GetTokens() {
		d, err := hex.DecodeString(key)
		if err != nil || len(d) != len(digest{}) {
			return nil, fmt.Errorf("the token digest of environment %d must have %d hexadecimal digits", id, 2*len(digest{}))
		}
		if !known[id] {
			return nil, fmt.Errorf("a token selects environment %d, which the table lacks", id)
		}
		out[digest(d)] = id
	}
	return out, nil
}

// destination is where a request from outside goes. Its parts are set as far
// as they could be found.
type destination struct {
	product *route.Product
	env     *environment
	version *route.Version
	token   bool // the request brought one
	chosen  bool // and it chose env
	visit   visit
}

// find routes a request from outside: product by host, environment by token or
// else by what is done with visitors, module by prefix. lost says that the
// server cannot be reached.
func (r *routes) find(in *http.Request, path, token string, lost bool) (d destination, no *refusal) {
	d.token = token != ""
	if d.product, no = r.productOf(in.Host); no != nil {
		return d, no
	}
	if d.token {
		d.env, d.chosen = r.selected(d.product, token)
		if !d.chosen && lost {
			return d, refuseLost
		}
	}
	if !d.chosen {
		if d.product.Online == nil {
			return d, refuseEmpty
		}
		d.env = r.environments[d.product.Online.ID]
		if len(r.visiting) > 0 && !d.token {
			r.receive(&d, in)
		}
	}
	if d.version = d.env.Route(path); d.version == nil {
		if len(d.env.series) == 0 {
			return d, refuseEmpty
		}
		return d, refusePath
	}
	return d, nil
}

func (r *routes) productOf(host string) (*route.Product, *refusal) {
	p, err := r.Host(host)
	switch {
	case err == nil:
		return p, nil
	case r.Mark() == route.Mark{}:
		return nil, refuseStarting
	default:
		return nil, refuseHost
	}
}

// selected returns the environment a token selects. A token of another product
// is as unknown as any other.
func (r *routes) selected(p *route.Product, token string) (*environment, bool) {
	e, ok := r.tokens[digestOf(token)]
	if !ok || e.Product != p {
		return nil, false
	}
	return e, true
}

func markOf(m route.Mark) abt2.Mark { return abt2.Mark{Epoch: m.Epoch, Revision: m.Revision} }
