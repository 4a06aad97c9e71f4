package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"golang.org/x/sys/unix"

	"abt2.dev"
)

const (
	maxTxnOps       = 10_000
	maxRequestBytes = 10 << 20 // more is against etcd's own advice
)

// start brings up etcd and its client.
func (s *Store) start(ctx context.Context, c Config) error {
	folder := filepath.Join(s.dir, "etcd")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "data folder %s: cannot be written", s.dir)
	}
	if err := os.Chmod(folder, 0o700); err != nil { // tokens lie in it
		return abt2.Wrap(abt2.CodeFailed, err, "data folder %s: belongs to someone else; choose another with --data", s.dir)
	}
	if err := s.room(folder); err != nil {
		return err
	}
	e, err := startEtcd(settings(c, folder))
	if err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "the database in %s cannot be opened; make sure that its disk is not full and that the folder's owner may write there", s.dir)
	}
	s.etcd = e
	select {
	case <-e.Server.ReadyNotify():
	case err := <-e.Err():
		return abt2.Wrap(abt2.CodeFailed, err, "the database in %s has ended", s.dir)
	case <-ctx.Done():
		return abt2.Wrap(abt2.CodeUnavailable, context.Cause(ctx), "the database in %s was not ready in time", s.dir)
	}
	s.client = v3client.New(e.Server)
	return s.makeRoom(ctx)
}

// startEtcd starts etcd. What it panics with, as on a disk that takes no more, is
// an error like others.
func startEtcd(c *embed.Config) (e *embed.Etcd, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, err = nil, fmt.Errorf("etcd: %v", r)
		}
	}()
	return embed.StartEtcd(c)
}

// newRoom is what a new database takes at once: its log is written in files of
// 64 MiB, allocated as a whole.
const newRoom = 96 << 20

// room makes sure that a new database finds the room it takes.
func (s *Store) room(folder string) error {
	if _, err := os.Lstat(filepath.Join(folder, "member")); err == nil {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		return nil // no reason to stop here
	}
	if free := uint64(st.Bavail) * uint64(st.Bsize); free < newRoom {
		return abt2.Errorf(abt2.CodeFailed, "data folder %s: %d MiB of its disk are free, and a new database takes %d; free some space, or choose another with --data", s.dir, free>>20, newRoom>>20)
	}
	return nil
}

// settings make etcd a library: alone, quick to elect itself, deaf.
func settings(c Config, folder string) *embed.Config {
	e := embed.NewConfig()
	e.Name = "abt2"
	e.Dir = folder
	e.InitialCluster = e.InitialClusterFromName(e.Name)
	e.ListenPeerUrls, e.ListenClientUrls = nil, nil // no listeners: the client is in this process
	e.TickMs, e.ElectionMs = 10, 100                // alone there is nobody to wait for
	e.QuotaBackendBytes = c.quota()
	e.MaxTxnOps = maxTxnOps
	e.MaxRequestBytes = maxRequestBytes
	// Only the newest revision is ever read.
	e.AutoCompactionMode, e.AutoCompactionRetention = embed.CompactorModeRevision, "1000"
	e.BootstrapDefragThresholdMegabytes = 64
	// etcd keeps this many entries in memory for followers, of which there are none.
	e.SnapshotCount, e.SnapshotCatchUpEntries = 1000, 100
	e.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapTo(c.Log))
	return e
}

// makeRoom ends the alarm of a database that has reached its quota, after
// freeing what only old revisions need. If that is not enough the alarm rises again.
func (s *Store) makeRoom(ctx context.Context) error {
	alarms, err := s.client.AlarmList(ctx)
	if err != nil {
		return s.failure(err, "the database cannot be asked for alarms")
	}
	for _, a := range alarms.Alarms {
		if a.Alarm != etcdserverpb.AlarmType_NOSPACE {
			return abt2.Errorf(abt2.CodeFailed, "the database in %s is damaged (%s); put a backup of the folder in its place", s.dir, a.Alarm)
		}
		head, err := s.client.Get(ctx, metaKey)
		if err == nil {
			_, err = s.client.Compact(ctx, head.Header.Revision, clientv3.WithCompactPhysical())
		}
		if errors.Is(err, rpctypes.ErrCompacted) { // a former start got this far
			err = nil
		}
		if err == nil {
			err = s.etcd.Server.Backend().Defrag()
		}
		if err == nil {
			_, err = s.client.AlarmDisarm(ctx, &clientv3.AlarmMember{MemberID: a.MemberID, Alarm: a.Alarm})
		}
		if err != nil {
			return s.failure(err, "the full database cannot be made smaller")
		}
	}
	return nil
}

// newEpoch returns a name that no table had before.
func newEpoch() string {
	epoch := make([]byte, 16)
	_, _ = rand.Read(epoch) // never fails
	return hex.EncodeToString(epoch)
}

// initialise makes the state of a fresh installation where there is none, and
// checks that an existing one can be read.
func (s *Store) initialise(ctx context.Context) error {
	ops, err := first(abt2.NewState(newEpoch()))
	if err != nil {
		return err
	}
	_, err = s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(metaKey), "=", 0)).
		Then(ops...).Commit()
	if err != nil {
		return s.failure(err, "the first state was not stored")
	}
	_, err = s.current(ctx)
	return err
}

// refused is the answer to records that this abt2 cannot read.
func (s *Store) refused(err error) error {
	var e *abt2.Error
	if errors.As(err, &e) && e.Code != abt2.CodeInvalid {
		return err
	}
	return abt2.Wrap(abt2.CodeRefused, err, "data folder %s: cannot be read by this abt2; use the newer one that wrote it, or choose another folder with --data", s.dir)
}
