// Package store keeps the state in etcd: every change is one guarded
// transaction. It is the only package that knows etcd, which runs inside this
// process and listens nowhere.
//
// # Layout
//
//	/abt2/state/meta              schema, epoch, counters: rewritten by every transaction, hence its guard
//	/abt2/state/releases          environments that have been online
//	/abt2/state/routers           processes that route, as one record
//	/abt2/state/NOUN/ID           product, module, version, environment, session: one record each
//	/abt2/event/SEQ               history, only ever appended to
//	/abt2/table/head              digest of the table published last; its revision is the table's
//
// Values are JSON. A record with a field that this abt2 does not know was
// written by a newer one; it is refused on reading, because writing it back
// would lose the field. The schema number grows when a layout can no longer be
// read the old way.
//
// Session records hold tokens whole, so the folder is for its owner alone.
package store

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"abt2.dev"
)

// Config says where the state lies.
type Config struct {
	// Dir is the server's data folder, made if absent. The store owns "lock"
	// and "etcd" in it; holding the lock is holding the whole folder.
	Dir string
	// Quota bounds the database in bytes. Zero: 2 GiB.
	Quota int64
	Log   *slog.Logger
}

func (c Config) quota() int64 { return cmp.Or(c.Quota, 2<<30) }

// Store is the state on disk. Its methods may be called from several
// goroutines. When a context ends while a change is on its way, the change may
// or may not have happened: read back.
type Store struct {
	dir    string
	quota  int64
	lock   *os.File
	etcd   *embed.Etcd
	client *clientv3.Client

	mu     sync.Mutex
	cached *snapshot // the newest seen; nil: none
	closed bool
}

// snapshot is the state as of one revision. Nobody changes it.
type snapshot struct {
	meta     meta
	revision int64 // of the meta record
	state    *abt2.State
}

// Open starts the store, and makes a new state in a folder that has none. It
// returns CodeRefused if another process uses the folder or a newer abt2 wrote it.
func Open(ctx context.Context, c Config) (*Store, error) {
	dir, err := filepath.Abs(c.Dir)
	if err != nil || c.Dir == "" {
		return nil, abt2.Wrap(abt2.CodeInvalid, err, "--data %q: must name a folder", c.Dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "data folder %s: cannot be made; choose another with --data", dir)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, quota: c.quota(), lock: lock}
	err = s.start(ctx, c)
	if err == nil {
		err = s.initialise(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close stops the store and gives the folder free. Calls at work fail. Closing twice succeeds.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.client != nil {
		// Its own context is all that is to be closed; closing it after the server takes seconds.
		_ = s.client.Close()
	}
	if s.etcd != nil {
		s.etcd.Close()
	}
	return s.lock.Close()
}

// State returns the current state, a private copy.
func (s *Store) State(ctx context.Context) (*abt2.State, error) {
	now, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	return now.state.Clone(), nil
}

// Update runs fn on a copy of the current state and stores what fn changed,
// with the events it produced, as one transaction. If another change came in
// between, fn runs again on the newer state, so it must have no other effect.
// An error of fn is returned as it is and nothing changes; where fn changes
// nothing, nothing is written. Update returns the state as stored, a private copy.
func (s *Store) Update(ctx context.Context, fn func(*abt2.State) error) (*abt2.State, error) {
	for {
		now, err := s.current(ctx)
		if err != nil {
			return nil, err
		}
		next := now.state.Clone()
		if err := fn(next); err != nil {
			return nil, err
		}
		meta, ops, err := changes(now, next)
		if err != nil {
			return nil, err
		}
		next.Events = nil
		if len(ops) == 0 {
			return next, nil
		}
		revision, err := s.write(ctx, now, meta, ops)
		if err != nil {
			return nil, s.failure(err, "the change was not stored")
		}
		if revision != 0 {
			s.remember(&snapshot{meta: meta, revision: revision, state: next.Clone()})
			return next, nil
		}
	}
}

// write stores a change of now in one transaction and returns its revision, or
// zero if another change came in between.
func (s *Store) write(ctx context.Context, now *snapshot, m meta, ops []clientv3.Op) (int64, error) {
	answer, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(metaKey), "=", now.revision)).
		Then(ops...).Commit()
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace):
		// etcd says this of the transaction that reaches the limit, too, having applied it.
		if is, readErr := s.read(ctx); readErr == nil && is.meta.Txn == m.Txn {
			return is.revision, nil
		}
		return 0, err
	case err != nil || !answer.Succeeded:
		return 0, err
	}
	return answer.Header.Revision, nil
}

// current returns the newest state, reading it only if it has changed since it was last seen.
func (s *Store) current(ctx context.Context) (*snapshot, error) {
	s.mu.Lock()
	seen := s.cached
	s.mu.Unlock()
	if seen != nil {
		head, err := s.client.Get(ctx, metaKey, clientv3.WithKeysOnly())
		if err != nil {
			return nil, s.failure(err, "the state cannot be read")
		}
		if len(head.Kvs) == 1 && head.Kvs[0].ModRevision == seen.revision {
			return seen, nil
		}
	}
	now, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	s.remember(now)
	return now, nil
}

// read reads the whole state as of one revision.
func (s *Store) read(ctx context.Context) (*snapshot, error) {
	all, err := s.client.Get(ctx, stateKey, clientv3.WithPrefix())
	if err != nil {
		return nil, s.failure(err, "the state cannot be read")
	}
	now, err := decode(all.Kvs)
	if err != nil {
		return nil, s.refused(err)
	}
	return now, nil
}

func (s *Store) remember(now *snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cached == nil || s.cached.revision < now.revision {
		s.cached = now
	}
}

// failure turns etcd's error into one that a person can act on.
func (s *Store) failure(err error, what string) error {
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace):
		return abt2.Wrap(abt2.CodeFailed, err, "%s: the database in %s has reached its limit of %d MiB; restart the server, which frees what history no longer needs", what, s.dir, s.quota>>20)
	case errors.Is(err, rpctypes.ErrTooManyOps), errors.Is(err, rpctypes.ErrRequestTooLarge):
		return abt2.Wrap(abt2.CodeInvalid, err, "%s: it changes too much at once (limits: %d records, %d MiB); split it, for instance into several puts", what, maxTxnOps, maxRequestBytes>>20)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return abt2.Wrap(abt2.CodeUnavailable, err, "%s in time; look what holds now, then repeat", what)
	}
	return abt2.Wrap(abt2.CodeUnavailable, err, "%s", what)
}
