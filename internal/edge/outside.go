package edge

import (
	"net/http"
	"strings"

	"abt2.dev"
	"abt2.dev/lane/stamp"
)

// serveOutside is the way of a request from outside.
func (s *server) serveOutside(w http.ResponseWriter, r *http.Request) {
	x := s.begin(w, r)
	defer x.end()
	token, bad := requestToken(r.Header)
	switch {
	case r.Method == http.MethodConnect:
		x.refuse(refuseConnect)
		return
	case isReserved(r.URL.Path) && bad == "":
		x.reserved(token)
		return
	case strings.TrimSuffix(r.URL.Path, "/") == leavePath: // whatever the cookie is
		x.reserved("")
		return
	case bad != "":
		x.refuse(refuseInput("The request is ambiguous: " + bad + ". To drop the cookie, open " + leavePath + "."))
		return
	}
	var no *refusal
	x.dest, no = x.routes.find(r, r.URL.Path, token, !s.metrics.connected.Load())
	if x.dest.token && x.dest.env != nil {
		x.served = x.dest.env.served
	}
	if no != nil {
		x.refuse(no)
		return
	}
	x.forward()
}

// isReserved reports whether the edge answers a path itself.
func isReserved(path string) bool {
	rest, ok := strings.CutPrefix(path, abt2.ReservedPrefix)
	return ok && (rest == "" || rest[0] == '/')
}

// serveName is the way of a request to a module's unversioned name. It belongs
// to the owner's online environment, unless its caller is part of one already:
// a service that passes its headers on stays within its release.
func (s *server) serveName(module string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := s.begin(w, r)
		defer x.end()
		x.inside = true
		if no := x.findName(module); no != nil {
			x.refuse(no)
			return
		}
		x.forward()
	})
}

func (x *exchange) findName(module string) *refusal {
	id, err := stamp.Env(x.in.Header)
	if err != nil {
		return refuseInput(err.Error())
	}
	owner := x.routes.owners[module]
	if owner == nil || owner.Online == nil {
		return refuseEmpty
	}
	x.dest.product = owner
	if id == 0 {
		id = owner.Online.ID
		x.s.metrics.stamped.Add(1)
	} else {
		x.dest.chosen = true
	}
	if _, err := x.routes.Environment(id); err != nil {
		return refuseStamp(err)
	}
	x.dest.env = x.routes.environments[id]
	x.dest.product = x.dest.env.Product
	if x.dest.version = x.dest.env.Version(module); x.dest.version == nil {
		return refuseDown
	}
	return nil
}
