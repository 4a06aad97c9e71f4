package store

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"abt2.dev"
)

// record is one record of a dump, which is a line of JSON for each.
type record struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

// Dump writes the state and its history, all as of one revision, to w. It
// returns that state, a private copy, and the revision. The head of the table
// is left out: its revision means nothing in another store.
func (s *Store) Dump(ctx context.Context, w io.Writer) (*abt2.State, uint64, error) {
	all, err := s.client.Get(ctx, stateKey, clientv3.WithPrefix())
	if err != nil {
		return nil, 0, s.failure(err, "the state cannot be read")
	}
	now, err := decode(all.Kvs)
	if err != nil {
		return nil, 0, s.refused(err)
	}
	if err := writeRecords(w, all.Kvs); err != nil {
		return nil, 0, err
	}
	const page = 512
	from, revision := eventKey, all.Header.Revision
	for {
		answer, err := s.client.Get(ctx, from, clientv3.WithRange(clientv3.GetPrefixRangeEnd(eventKey)), clientv3.WithRev(revision), clientv3.WithLimit(page))
		if errors.Is(err, rpctypes.ErrCompacted) {
			return nil, 0, abt2.Wrap(abt2.CodeUnavailable, err, "the state has changed too much while it was read; repeat")
		}
		if err != nil {
			return nil, 0, s.failure(err, "history cannot be read")
		}
		if err := writeRecords(w, answer.Kvs); err != nil {
			return nil, 0, err
		}
		if !answer.More {
			return now.state, uint64(revision), nil
		}
		from = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
	}
}

func writeRecords(w io.Writer, kvs []*mvccpb.KeyValue) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, kv := range kvs {
		if err := enc.Encode(record{string(kv.Key), kv.Value}); err != nil {
			return abt2.Wrap(abt2.CodeFailed, err, "the state cannot be written")
		}
	}
	return nil
}

// Restore makes a store in a folder that has none, of what Dump has written,
// under a new epoch and after change has been applied to its state; change may
// append events. It returns the state as stored. Records that this abt2 cannot
// read are CodeRefused, and what is no dump CodeInvalid; whatever the error,
// what is in the folder by then is good for nothing.
func Restore(ctx context.Context, c Config, dump io.Reader, change func(*abt2.State) error) (*abt2.State, error) {
	dir, err := filepath.Abs(c.Dir)
	if err != nil || c.Dir == "" {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "folder %q: must be named", c.Dir)
	}
	now, events, err := readDump(dump)
	if err != nil {
		return nil, err
	}
	next := now.state.Clone()
	next.Epoch = newEpoch()
	if err := change(next); err != nil {
		return nil, err
	}
	_, ops, err := changes(&snapshot{meta: meta{LastEvent: now.meta.LastEvent}, state: &abt2.State{}}, next)
	if err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, quota: c.quota(), lock: lock}
	if err := s.start(ctx, c); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	next.Events = nil
	return next, errors.Join(s.fill(ctx, append(events, ops...)), s.Close())
}

// readDump reads the state and, as operations, the history.
func readDump(r io.Reader) (*snapshot, []clientv3.Op, error) {
	bad := func(err error) error { return abt2.Wrap(abt2.CodeInvalid, err, "the state in it is damaged") }
	var state []*mvccpb.KeyValue
	var events []clientv3.Op
	dec := json.NewDecoder(bufio.NewReader(r))
	for {
		var rec record
		err := dec.Decode(&rec)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, bad(err)
		}
		switch {
		case strings.HasPrefix(rec.Key, stateKey):
			state = append(state, &mvccpb.KeyValue{Key: []byte(rec.Key), Value: bytes.Clone(rec.Value)})
		case strings.HasPrefix(rec.Key, eventKey):
			if err := strict(rec.Value, new(abt2.Event)); err != nil {
				return nil, nil, foreign(err)
			}
			events = append(events, clientv3.OpPut(rec.Key, string(rec.Value)))
		default:
			return nil, nil, abt2.Errorf(abt2.CodeRefused, "the state in it has a record %q, which this abt2 does not know; restore it with the newer one that wrote it", rec.Key)
		}
	}
	now, err := decode(state)
	if err != nil {
		return nil, nil, foreign(err)
	}
	return now, events, nil
}

func foreign(err error) error {
	return abt2.Wrap(abt2.CodeRefused, err, "the state in it cannot be read by this abt2; restore it with the newer one that wrote it")
}

// fill stores operations, as few at a time as one transaction takes.
func (s *Store) fill(ctx context.Context, ops []clientv3.Op) error {
	for len(ops) > 0 {
		n, size := 0, 0
		for n < min(len(ops), maxTxnOps/2) && (n == 0 || size+len(ops[n].ValueBytes()) < maxRequestBytes/2) {
			size += len(ops[n].KeyBytes()) + len(ops[n].ValueBytes())
			n++
		}
		if _, err := s.client.Txn(ctx).Then(ops[:n]...).Commit(); err != nil {
			return s.failure(err, "the state was not stored")
		}
		ops = ops[n:]
	}
	return nil
}
