package edge

import (
	"google.golang.org/protobuf/proto"

	"abt2.dev"
	"abt2.dev/lane/feedpb"
)

// apply makes the edge serve exactly r, and returns when it does. Routes that
// are older, or contradict themselves, are refused and change nothing. Calls
// come one at a time.
func (s *server) apply(r *feedpb.EdgeRoutes) error {
	tokens, err := parseTokens(r)
	if err != nil {
		return err
	}
	if err := checkVisitors(r); err != nil {
		return err
	}
	if err := s.router.Apply(r.GetTable()); err != nil {
		return err
	}
	next := compileRoutes(s.router.Snapshot(), r, tokens, s.metrics)
	s.routes.Store(next) // from here on every request is routed by r
	s.metrics.revision.Store(next.Mark().Revision)
	names := make([]abt2.Name, 0, len(r.GetTable().GetNames()))
	for _, n := range r.GetTable().GetNames() {
		names = append(names, abt2.Name{Module: abt2.ModuleName(n.GetModule()), Product: abt2.ProductName(n.GetProduct()), Address: n.GetAddress()})
	}
	s.names.set(names)
	s.log.Info("routes applied", "epoch", next.Mark().Epoch, "revision", next.Mark().Revision)
	return nil
}

// served returns what the edge serves now: of the names, those that listen.
func (s *server) served() *feedpb.EdgeRoutes {
	m := s.routes.Load().message
	if m == nil {
		return nil
	}
	m = proto.CloneOf(m)
	m.Table.Names = nil
	for _, n := range s.names.states() {
		if n.Error == "" {
			m.Table.Names = append(m.Table.Names, &feedpb.Name{Module: string(n.Module), Product: string(n.Product), Address: n.Address})
		}
	}
	return m
}

// report tells the server what the edge observes.
func (s *server) report() *feedpb.Report {
	return &feedpb.Report{
		Carried:   s.carried(),
		Stamped:   s.metrics.stamped.Load(),
		Fallbacks: s.metrics.fellBack.Load(),
	}
}
