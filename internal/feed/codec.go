package feed

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"abt2.dev"
	"abt2.dev/lane/feedpb"
)

// publication is one message to many routers, encoded once.
type publication struct {
	number  uint64
	mark    abt2.Mark
	message *feedpb.ServerMessage
	encoded []byte
}

// newPublication fails only for text that is not UTF-8, which no validated name is.
func newPublication(number uint64, mark abt2.Mark, m *feedpb.ServerMessage) (*publication, error) {
	m.Number = number
	b, err := proto.Marshal(m)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInternal, err, "table %d cannot be encoded", mark.Revision)
	}
	return &publication{number: number, mark: mark, message: m, encoded: b}, nil
}

// codec is Connect's binary codec which also takes a *publication.
type codec struct{}

func (codec) Name() string { return "proto" }

func (c codec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend copies what is encoded already. Connect prefers it to Marshal,
// whose result it would overwrite later: its buffers are used again.
func (codec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	switch m := message.(type) {
	case *publication:
		return append(dst, m.encoded...), nil
	case proto.Message:
		return proto.MarshalOptions{}.MarshalAppend(dst, m)
	default:
		return nil, fmt.Errorf("%T is not a protobuf message", message)
	}
}

func (codec) Unmarshal(b []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is not a protobuf message", message)
	}
	return proto.Unmarshal(b, m)
}
