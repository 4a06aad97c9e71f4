package feed

import (
	"encoding/binary"

	"google.golang.org/protobuf/proto"

	"abt2.dev"
	"abt2.dev/lane/feedpb"
)

// publication is a table, or the routes of an edge, as it is sent to routers:
// whole, or as the change of the publication before. Both are encoded once.
type publication struct {
	number uint64
	mark   abt2.Mark
	from   abt2.Mark // of the publication that change belongs to
	table  *feedpb.Table

	whole  encoded
	change encoded // nil: there is only the whole

	routes abt2.EdgeRoutes // what the next one is compared with
}

// encoded is a ServerMessage as it goes over the wire, shared by all streams.
type encoded []byte

// prefix is how long a message's envelope is: a byte of flags, none of which is
// set, and four for the length. gRPC, gRPC-Web and Connect have the same.
const prefix = 5

func encode(m *feedpb.ServerMessage) (encoded, error) {
	b, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, prefix, prefix+proto.Size(m)), m)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-prefix))
	return b, nil
}

// publishTable makes a publication for processes. It fails only for text that
// is not UTF-8, which no validated name is.
func publishTable(number uint64, before *publication, t abt2.Table) (*publication, error) {
	p := &publication{number: number, mark: t.Mark, table: TableToProto(t), routes: abt2.EdgeRoutes{Table: t}}
	whole := &feedpb.ServerMessage{Message: &feedpb.ServerMessage_Table{Table: p.table}}
	if !before.leadsTo(t.Mark) {
		return p, p.encode(whole, nil)
	}
	p.from = before.mark
	return p, p.encode(whole, &feedpb.ServerMessage{Message: &feedpb.ServerMessage_TableChange{TableChange: tableChange(before.routes.Table, t)}})
}

// publishRoutes is publishTable for an edge.
func publishRoutes(number uint64, before *publication, r abt2.EdgeRoutes) (*publication, error) {
	p := &publication{number: number, mark: r.Table.Mark, routes: r}
	whole := &feedpb.ServerMessage{Message: &feedpb.ServerMessage_Routes{Routes: RoutesToProto(r)}}
	if !before.leadsTo(r.Table.Mark) {
		return p, p.encode(whole, nil)
	}
	p.from = before.mark
	return p, p.encode(whole, &feedpb.ServerMessage{Message: &feedpb.ServerMessage_RoutesChange{RoutesChange: routesChange(before.routes, r)}})
}

// leadsTo reports whether there is a change from p, which may be nil, to mark.
func (p *publication) leadsTo(mark abt2.Mark) bool {
	return p != nil && p.mark.Epoch == mark.Epoch && p.mark.Revision < mark.Revision
}

// encode drops a change that is no shorter than the whole.
func (p *publication) encode(whole, change *feedpb.ServerMessage) error {
	var err error
	whole.Number = p.number
	if p.whole, err = encode(whole); err != nil {
		return abt2.Wrap(abt2.CodeInternal, err, "table %d cannot be encoded", p.mark.Revision)
	}
	if change == nil {
		return nil
	}
	change.Number = p.number
	if p.change, err = encode(change); err != nil {
		return abt2.Wrap(abt2.CodeInternal, err, "the change to table %d cannot be encoded", p.mark.Revision)
	}
	if len(p.change) >= len(p.whole) {
		p.change = nil
	}
	return nil
}
