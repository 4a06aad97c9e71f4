package feedclient

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"abt2.dev/lane/feedpb"
)

// complete returns the whole that m leads to: m itself, or last with the change
// that m brings. It shares with last what has not changed, and changes neither.
// Nil means that m brings neither table nor routes; the error, that the change
// cannot be one of last.
func complete(last, m *feedpb.ServerMessage) (*feedpb.ServerMessage, error) {
	switch m := m.GetMessage().(type) {
	case *feedpb.ServerMessage_TableChange:
		t, err := changedTable(last.GetTable(), m.TableChange)
		if err != nil {
			return nil, err
		}
		return &feedpb.ServerMessage{Message: &feedpb.ServerMessage_Table{Table: t}}, nil
	case *feedpb.ServerMessage_RoutesChange:
		r, err := changedRoutes(last.GetRoutes(), m.RoutesChange)
		if err != nil {
			return nil, err
		}
		return &feedpb.ServerMessage{Message: &feedpb.ServerMessage_Routes{Routes: r}}, nil
	case *feedpb.ServerMessage_Table, *feedpb.ServerMessage_Routes:
	default:
		return nil, nil
	}
	return m, nil
}

func changedRoutes(base *feedpb.EdgeRoutes, c *feedpb.RoutesChange) (*feedpb.EdgeRoutes, error) {
	table, err := changedTable(base.GetTable(), c.GetTable())
	if err != nil {
		return nil, err
	}
	out := &feedpb.EdgeRoutes{Table: table, Tokens: map[string]uint64{}, Visitors: c.GetVisitors()}
	maps.Copy(out.Tokens, base.GetTokens())
	for _, digest := range c.GetRemovedTokens() {
		if _, ok := out.Tokens[digest]; !ok {
			return nil, fmt.Errorf("the change to revision %d removes a token that revision %d lacks", c.GetTable().GetTo().GetRevision(), base.GetTable().GetMark().GetRevision())
		}
		delete(out.Tokens, digest)
	}
	maps.Copy(out.Tokens, c.GetTokens())
	return out, nil
}

func changedTable(base *feedpb.Table, c *feedpb.TableChange) (*feedpb.Table, error) {
	have, from, to := base.GetMark(), c.GetFrom(), c.GetTo()
	if have.GetEpoch() == "" || !proto.Equal(have, from) {
		return nil, fmt.Errorf("a change of revision %d of epoch %q cannot be applied to revision %d of epoch %q", from.GetRevision(), from.GetEpoch(), have.GetRevision(), have.GetEpoch())
	}
	if to.GetEpoch() != from.GetEpoch() || to.GetRevision() <= from.GetRevision() {
		return nil, fmt.Errorf("a change from revision %d to revision %d of epoch %q: a change leads to a higher revision of its epoch", from.GetRevision(), to.GetRevision(), to.GetEpoch())
	}
	out := &feedpb.Table{Mark: to, HighestEnvironment: c.GetHighestEnvironment()}
	var err error
	if out.Products, err = put(base.GetProducts(), c.GetRemovedProducts(), c.GetProducts(), (*feedpb.Product).GetName, cmp.Compare); err != nil {
		return nil, fmt.Errorf("products changed to revision %d: %w", to.GetRevision(), err)
	}
	if out.Environments, err = put(base.GetEnvironments(), c.GetRemovedEnvironments(), c.GetEnvironments(), (*feedpb.Environment).GetId, cmp.Compare); err != nil {
		return nil, fmt.Errorf("environments changed to revision %d: %w", to.GetRevision(), err)
	}
	if out.Versions, err = put(base.GetVersions(), c.GetRemovedVersions(), c.GetVersions(), (*feedpb.Version).GetId, compareVersions); err != nil {
		return nil, fmt.Errorf("versions changed to revision %d: %w", to.GetRevision(), err)
	}
	if out.Names, err = put(base.GetNames(), c.GetRemovedNames(), c.GetNames(), (*feedpb.Name).GetModule, cmp.Compare); err != nil {
		return nil, fmt.Errorf("names changed to revision %d: %w", to.GetRevision(), err)
	}
	return out, nil
}

// put returns list without what is removed, and with each of changed added or
// in the place of its namesake, sorted by identity.
func put[T any, ID comparable](list []T, removed []ID, changed []T, id func(T) ID, compare func(a, b ID) int) ([]T, error) {
	if len(removed) == 0 && len(changed) == 0 {
		return list, nil
	}
	out := make(map[ID]T, len(list)+len(changed))
	for _, t := range list {
		out[id(t)] = t
	}
	for _, gone := range removed {
		if _, ok := out[gone]; !ok {
			return nil, fmt.Errorf("%v is to be removed, and is not there", gone)
		}
		delete(out, gone)
	}
	for _, t := range changed {
		out[id(t)] = t
	}
	return slices.SortedFunc(maps.Values(out), func(a, b T) int { return compare(id(a), id(b)) }), nil
}

// compareVersions orders order@9 before order@10.
func compareVersions(a, b string) int {
	aModule, aNumber, _ := strings.Cut(a, "@")
	bModule, bNumber, _ := strings.Cut(b, "@")
	return cmp.Or(cmp.Compare(aModule, bModule), cmp.Compare(len(aNumber), len(bNumber)), cmp.Compare(aNumber, bNumber))
}
