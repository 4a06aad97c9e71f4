package release

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"abt2.dev"
)

func sortedModules[T any](m map[abt2.ModuleName]T) []abt2.ModuleName {
	return slices.Sorted(maps.Keys(m))
}

// Status implements abt2.Service.
func (e *Engine) Status(ctx context.Context, product abt2.ProductName) (abt2.Status, error) {
	if err := e.checkReady(); err != nil {
		return abt2.Status{}, err
	}
	s, err := e.Store.State(ctx)
	if err != nil {
		return abt2.Status{}, err
	}
	p, err := s.Product(product)
	if err != nil {
		return abt2.Status{}, err
	}
	out := abt2.Status{
		Product: product, Running: p.Intent, Unsettled: p.Unsettled, Faults: e.Faults != nil, Routers: e.Routers.Statuses(),
		Online: e.environment(s, p.Online), Parked: e.parkedStatuses(s, p), Missing: e.missing(s), Instances: []abt2.InstanceStatus{}, Names: []abt2.NameStatus{}, Edges: []string{},
	}
	sess := s.Session(product)
	operator := anybody
	if sess != nil {
		operator = sess.Operator
		x := sessionStatus(s, sess)
		out.Session = &x
	}
	if prev := s.Preview(p); prev != nil {
		out.Preview = e.environment(s, prev.ID)
	}
	if p.Skew != nil {
		out.Skew = p.Skew.Keep
	}
	if p.Backup != 0 {
		out.Backup = e.environment(s, p.Backup)
	}
	for _, i := range e.running(true) {
		out.Instances = append(out.Instances, instanceStatus(s, i))
	}
	out.Instances = withStopped(s, out.Instances)
	for _, name := range sortedModules(s.Modules) {
		m := s.Modules[name]
		if m.Address == "" || m.Deleted {
			continue
		}
		ns := abt2.NameStatus{Module: name, Product: m.Owner, Address: m.Address}
		if owner := s.Products[m.Owner]; owner != nil {
			ns.Version = s.Online(owner).Modules[name]
		}
		out.Names = append(out.Names, ns)
	}
	for _, t := range e.Edges {
		if t.Address != "" {
			out.Edges = append(out.Edges, t.Address)
		}
		for _, limit := range limits(t) {
			out.Limits = append(out.Limits, t.ID+": "+limit)
		}
	}
	out.Next = nextFor(s, product, operator)
	return out, nil
}

// Environment implements abt2.Service.
func (e *Engine) Environment(ctx context.Context, id abt2.EnvironmentID) (abt2.EnvironmentStatus, error) {
	if err := e.checkReady(); err != nil {
		return abt2.EnvironmentStatus{}, err
	}
	s, err := e.Store.State(ctx)
	if err != nil {
		return abt2.EnvironmentStatus{}, err
	}
	if s.Environments[id] == nil && id > 0 && id <= s.LastEnvironment {
		return abt2.EnvironmentStatus{}, abt2.Errorf(abt2.CodeNotFound, "environment %d: is no longer kept; those are that are in use, the last %d, and the last %d that were released; what became of it: abt2 history", id, abt2.KeptEnvironments, abt2.KeptReleases)
	}
	if s.Environments[id] == nil {
		return abt2.EnvironmentStatus{}, abt2.Errorf(abt2.CodeNotFound, "environment %d: does not exist; ids go from 1 to %d: abt2 history", id, s.LastEnvironment)
	}
	return *e.environment(s, id), nil
}

func (e *Engine) environment(s *abt2.State, id abt2.EnvironmentID) *abt2.EnvironmentStatus {
	env := s.Environments[id]
	out := &abt2.EnvironmentStatus{ID: id, Product: env.Product, Role: s.Role(id), Modules: env.Modules}
	if sess := s.Selecting(env); sess != nil {
		out.Cookie, out.Link = e.cookie(s, sess), e.link(s, sess)
	}
	return out
}

// cookie is what a browser needs to see the environment that the session's
// token selects; empty if it selects none.
func (e *Engine) cookie(s *abt2.State, sess *abt2.Session) string {
	if sess == nil || s.Selected(sess) == 0 {
		return ""
	}
	return "abt2=" + string(sess.Token)
}

// link sets that cookie in the browser that opens it.
func (e *Engine) link(s *abt2.State, sess *abt2.Session) string {
	if sess == nil || s.Selected(sess) == 0 {
		return ""
	}
	return e.EdgeURL + abt2.ReservedPrefix + "/enter?token=" + string(sess.Token) + "&to=/"
}

// anybody stands for an operator that is not known.
const anybody = "NAME"

// nextFor names the commands that lead on from where the product stands.
func nextFor(s *abt2.State, product abt2.ProductName, operator string) string {
	op := " --op=" + operator
	if product != abt2.DefaultProduct {
		op += " --product=" + string(product)
	}
	sess, parked := s.Session(product), s.Parked(s.Products[product])
	switch {
	case sess == nil:
		return nextParked(parked, operator, op)
	case sess.State == abt2.SessionCommitted:
		return fmt.Sprintf("abt2 clean%s to end the session, or abt2 rollback%s to go back", op, op)
	case len(sess.Targets) == 0:
		return fmt.Sprintf("abt2 config put%s --name=MODULE --path=ARTIFACT", op)
	}
	for _, m := range sortedModules(sess.Targets) {
		switch sess.Targets[m].State() {
		case abt2.TargetFailed:
			if ver := s.Versions[sess.Targets[m].Put]; ver.External() {
				return fmt.Sprintf("abt2 ship %s%s once every address of %s answers", m, op, ver.ID)
			}
			return fmt.Sprintf("abt2 logs %s to see why it failed; then abt2 config put%s --name=%s --path=ARTIFACT", sess.Targets[m].Put, op, m)
		case abt2.TargetPut, abt2.TargetStale:
			return "abt2 ship all" + op
		}
	}
	if sess.Share != 0 {
		return fmt.Sprintf("abt2 commit%s to move everybody, or abt2 rollback%s to end the share", op, op)
	}
	if sess.Preview == sess.WasOnline {
		return fmt.Sprintf("abt2 config put%s --name=MODULE --path=ARTIFACT with what mends it, then ship and commit; or abt2 clean%s to give it up", op, op)
	}
	return fmt.Sprintf("look at the preview with its cookie (abt2 status), then abt2 commit%s", op)
}

// History implements abt2.Service.
func (e *Engine) History(ctx context.Context, product abt2.ProductName, limit int) ([]abt2.Event, error) {
	s, err := e.Store.State(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.Product(product); err != nil {
		return nil, err
	}
	return e.Store.Events(ctx, product, limit)
}

// Logs implements abt2.Service.
func (e *Engine) Logs(ctx context.Context, q abt2.LogsRequest, w io.Writer) error {
	logs, ok := e.Platform.(abt2.LogReader)
	if !ok {
		return abt2.Errorf(abt2.CodeRefused, "this platform keeps no logs that abt2 can read")
	}
	s, err := e.Store.State(ctx)
	if err != nil {
		return err
	}
	v, err := e.logVersion(s, q)
	if err != nil {
		return err
	}
	if ver := s.Versions[v]; ver.External() {
		return abt2.Errorf(abt2.CodeRefused, "%s is external: what it prints is where it runs, at %s", v, strings.Join(ver.Config.External, ", "))
	}
	return logs.Logs(ctx, v, q.Tail, q.Follow, w)
}

func (e *Engine) logVersion(s *abt2.State, q abt2.LogsRequest) (abt2.VersionID, error) {
	p, err := s.Product(q.Product)
	if err != nil {
		return abt2.VersionID{}, err
	}
	m := s.Modules[q.Version.Module]
	if m == nil {
		return abt2.VersionID{}, abt2.Errorf(abt2.CodeNotFound, "module %q: does not exist; known: %v", q.Version.Module, sortedModules(s.Modules))
	}
	if q.Version.Number != 0 {
		if s.Versions[q.Version] == nil && q.Version.Number <= m.Versions {
			return abt2.VersionID{}, abt2.Errorf(abt2.CodeNotFound, "version %s: is no longer kept, nor is what it printed; those that are: abt2 module show %s", q.Version, m.Name)
		}
		if s.Versions[q.Version] == nil {
			return abt2.VersionID{}, abt2.Errorf(abt2.CodeNotFound, "version %s: does not exist; the last is %s@%d", q.Version, m.Name, m.Versions)
		}
		return q.Version, nil
	}
	if v, ok := s.Online(p).Modules[m.Name]; ok {
		return v, nil
	}
	if prev := s.Preview(p); prev != nil {
		if v, ok := prev.Modules[m.Name]; ok {
			return v, nil
		}
	}
	return abt2.VersionID{Module: m.Name, Number: m.Versions}, nil
}
