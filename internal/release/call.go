package release

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"abt2.dev"
)

// Call implements abt2.Service.
func (e *Engine) Call(ctx context.Context, q abt2.CallRequest) (abt2.CallAnswer, error) {
	if err := q.Validate(); err != nil {
		return abt2.CallAnswer{}, err
	}
	if err := e.checkReady(); err != nil {
		return abt2.CallAnswer{}, err
	}
	s, err := e.Store.State(ctx)
	if err != nil {
		return abt2.CallAnswer{}, err
	}
	out := abt2.CallAnswer{}
	if out.Environment, err = calledEnvironment(s, q); err != nil {
		return out, err
	}
	env := s.Environments[out.Environment]
	if env == nil {
		return out, abt2.Errorf(abt2.CodeNotFound, "environment %d: does not exist or is retired; abt2 status shows those that are in use", out.Environment)
	}
	var named bool
	if out.Version, named = env.Modules[q.Module]; !named {
		return out, abt2.Errorf(abt2.CodeNotFound, "module %q: is not part of environment %d; abt2 env show %d", q.Module, out.Environment, out.Environment)
	}
	config := s.Versions[out.Version].Config
	if config.Kind == abt2.KindJob {
		return out, abt2.Errorf(abt2.CodeRefused, "%s is a job, which is not called", out.Version)
	}
	if q.Interface == "" {
		q.Interface = config.ServiceName(env.Product, q.Module).Interface
	}
	if len(q.Types) == 0 {
		q.Types = abt2.JavaTypes(q.Arguments)
	}
	d, _ := e.Directory()
	callable := slices.DeleteFunc(slices.Clone(d.Instances[out.Version]), func(i abt2.NamedInstance) bool { return !i.Callable })
	if len(callable) == 0 {
		return out, abt2.Errorf(abt2.CodeUnavailable, "%s has no healthy instance; abt2 instance list %s", out.Version, out.Version)
	}
	one := callable[rand.IntN(len(callable))]
	out.Instance, out.Address = one.ID, one.Address
	limit := q.Timeout
	if limit == 0 {
		limit = abt2.MaxCall
	}
	call, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	err = e.Caller.Call(call, q, &out)
	out.Took = time.Since(began)
	return out, err
}

// calledEnvironment is what a call is made in.
func calledEnvironment(s *abt2.State, q abt2.CallRequest) (abt2.EnvironmentID, error) {
	p, err := s.Product(q.Product)
	switch {
	case err != nil:
		return 0, err
	case q.Environment != 0:
		return q.Environment, nil
	case q.Token == "":
		return p.Online, nil
	}
	for _, sess := range s.SessionsOf(p) {
		if id := s.Selected(sess); id != 0 && sess.Token == q.Token {
			return id, nil
		}
	}
	return 0, abt2.Errorf(abt2.CodeNotFound, "cookie: selects no environment of %s now; abt2 status shows the one that does", q.Product)
}
