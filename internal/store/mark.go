package store

import (
	"context"
	"encoding/json"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"abt2.dev"
)

// tableHead is the table published last, by its content.
type tableHead struct {
	Digest string `json:"digest"`
}

// Mark gives a table of this content its identity: the same content as the last
// gets the same mark and nothing is written, any other the next revision.
// Revisions grow within an epoch, across restarts too.
func (s *Store) Mark(ctx context.Context, digest string) (abt2.Mark, error) {
	value, err := json.Marshal(tableHead{digest})
	if err != nil {
		return abt2.Mark{}, abt2.Wrap(abt2.CodeInternal, err, "the table's digest cannot be encoded")
	}
	var full error // the write met the limit: it may have been applied all the same
	for {
		now, err := s.client.Txn(ctx).Then(clientv3.OpGet(metaKey), clientv3.OpGet(tableKey)).Commit()
		if err != nil {
			return abt2.Mark{}, s.failure(err, "the table's mark cannot be read")
		}
		var m meta
		var head tableHead
		var revision int64
		if kvs := now.Responses[0].GetResponseRange().Kvs; len(kvs) == 1 {
			if err := decodeMeta(kvs[0].Value, &m); err != nil {
				return abt2.Mark{}, s.refused(err)
			}
		}
		if kvs := now.Responses[1].GetResponseRange().Kvs; len(kvs) == 1 {
			if err := strict(kvs[0].Value, &head); err != nil {
				return abt2.Mark{}, s.refused(err)
			}
			revision = kvs[0].ModRevision
		}
		if revision != 0 && head.Digest == digest {
			return abt2.Mark{Epoch: m.Epoch, Revision: uint64(revision)}, nil
		}
		if full != nil {
			return abt2.Mark{}, s.failure(full, "the table's mark was not stored")
		}
		answer, err := s.client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(tableKey), "=", revision)).
			Then(clientv3.OpPut(tableKey, string(value))).Commit()
		if errors.Is(err, rpctypes.ErrNoSpace) {
			full = err
			continue
		}
		if err != nil {
			return abt2.Mark{}, s.failure(err, "the table's mark was not stored")
		}
		if answer.Succeeded {
			return abt2.Mark{Epoch: m.Epoch, Revision: uint64(answer.Header.Revision)}, nil
		}
	}
}

// Events returns the product's last events, the newest first. Limit 0 is no limit.
func (s *Store) Events(ctx context.Context, product abt2.ProductName, limit int) ([]abt2.Event, error) {
	const page = 512 // of all products: the wanted ones may be few among them
	var out []abt2.Event
	before := clientv3.GetPrefixRangeEnd(eventKey)
	for {
		answer, err := s.client.Get(ctx, eventKey, clientv3.WithRange(before), clientv3.WithLimit(page),
			clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
		if err != nil {
			return nil, s.failure(err, "history cannot be read")
		}
		for _, kv := range answer.Kvs {
			var e abt2.Event
			if err := strict(kv.Value, &e); err != nil {
				return nil, s.refused(err)
			}
			if e.Product == product {
				out = append(out, e)
			}
			if limit > 0 && len(out) == limit {
				return out, nil
			}
			before = string(kv.Key)
		}
		if !answer.More {
			return out, nil
		}
	}
}
