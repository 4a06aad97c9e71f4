package bfe

import (
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"abt2.dev"
)

// Read implements abt2.Edge. BFE tells the versions of what it has loaded, which
// stand for routes that we noted, and no more. So where requests of each product
// really go is tried out, as a visitor without and with each token would; BFE
// tells whoever knows a secret. Routes that nobody knows have no mark.
func (e *Edge) Read(ctx context.Context) (abt2.EdgeRoutes, error) {
	n, err := e.readNote()
	if err != nil {
		return abt2.EdgeRoutes{}, err
	}
	t, end := e.talk()
	defer end()
	have, err := t.loaded(ctx)
	if err != nil {
		return abt2.EdgeRoutes{}, err
	}
	if n.Served.Versions == nil && n.Trying.Versions == nil {
		return abt2.EdgeRoutes{}, nil
	}
	r := n.Served.routes()
	switch {
	case n.Served.isServed(have, n.Trying):
	case n.Trying.isServed(have, n.Served):
		r = n.Trying.routes() // whoever had it loaded did not come to note it
	default:
		r.Table.Mark = abt2.Mark{}
	}
	return t.observed(ctx, r, n.Probe)
}

// observed corrects routes by where requests go.
func (e talk) observed(ctx context.Context, r abt2.EdgeRoutes, secret string) (abt2.EdgeRoutes, error) {
	prefixes := map[abt2.VersionID]string{}
	for _, v := range r.Table.Versions {
		prefixes[v.ID] = v.Prefix
	}
	environments := map[abt2.EnvironmentID]abt2.TableEnvironment{}
	for _, env := range r.Table.Environments {
		environments[env.ID] = env
	}
	hosts := map[abt2.ProductName]string{}
	r.Table.Products = slices.Clone(r.Table.Products)
	for i := range r.Table.Products {
		p := &r.Table.Products[i]
		switch {
		case len(p.Hosts) > 0:
			hosts[p.Name] = p.Hosts[0]
		case p.Name == abt2.DefaultProduct:
			hosts[p.Name] = "abt2-probe.invalid" // no other product has it
		default:
			continue // nobody reaches it
		}
		expected := p.Online
		for _, id := range environments[expected].Modules {
			if prefixes[id] == "" {
				continue
			}
			led, err := e.probe(ctx, hosts[p.Name], prefixes[id], "", secret)
			if err != nil {
				return abt2.EdgeRoutes{}, err
			}
			if p.Online = seen(led, expected); p.Online != expected {
				break
			}
		}
	}
	r.Tokens = maps.Clone(r.Tokens)
	for digest, id := range r.Tokens {
		env := environments[id]
		host, reached := hosts[env.Product]
		for _, m := range env.Modules {
			if prefixes[m] == "" || !reached {
				continue
			}
			led, err := e.probe(ctx, host, prefixes[m], string(r.Whole[digest]), secret)
			if err != nil {
				return abt2.EdgeRoutes{}, err
			}
			r.Tokens[digest] = seen(led, id)
			break
		}
	}
	return r, nil
}

// seen is the environment that a request was led to, zero for none. What nobody
// serves leads away from all, and is not wrong for that.
func seen(led string, expected abt2.EnvironmentID) abt2.EnvironmentID {
	if led == nobody || led == pages {
		return expected
	}
	id, _, _ := strings.Cut(led, ".")
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return 0
	}
	return abt2.EnvironmentID(n)
}

// probe asks BFE as a visitor would, and returns the cluster that the request
// was led to: empty where BFE does not tell.
func (e talk) probe(ctx context.Context, host, path, token, secret string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+e.Address()+path, nil)
	if err != nil {
		return "", abt2.Wrap(abt2.CodeInternal, err, "a probe of BFE")
	}
	req.Host = host
	req.Header.Set(probeHeader, secret)
	req.Header.Set("User-Agent", "abt2-probe")
	if token != "" {
		req.Header.Set("Cookie", tokenCookie+"="+token)
	}
	res, err := e.client.Do(req)
	if err != nil {
		return "", abt2.Wrap(abt2.CodeUnavailable, err, "BFE of %s does not serve users", e.cfg.Dir)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // none to HEAD
	return res.Header.Get(clusterHeader), nil
}
