package shim

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
	"abt2.dev/lane/zookeeper"
)

// names holds what the instance is to be found under, for as long as its child
// is ready. Nothing of it runs, and no connection is made, before somebody asks
// for names.
type names struct {
	keeper *keeper
	dir    string
	log    *slog.Logger

	mu    sync.Mutex
	want  *shimpb.Names // nil: nobody has asked
	asked chan struct{} // closed by the next request
	gone  chan struct{} // closed when nothing is held any more after the stop; nil: nothing runs
}

// openNames takes up what was asked of a predecessor.
func openNames(k *keeper, dir string, log *slog.Logger) (*names, error) {
	n := &names{keeper: k, dir: dir, log: log, asked: make(chan struct{})}
	k.leave = n.leave
	want, err := shimpb.ReadNames(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return n, nil
	case err != nil:
		return nil, abt2.Wrap(abt2.CodeFailed, err, "%s: the names it is to hold cannot be read", k.spec.GetInstance())
	}
	n.set(want)
	return n, nil
}

// hold replaces what is to be held.
func (n *names) hold(want *shimpb.Names) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if have := n.want; have.GetEpoch() == want.GetEpoch() && have.GetRevision() > want.GetRevision() {
		return abt2.Errorf(abt2.CodeRefused, "names of revision %d are older than those held, of %d", want.GetRevision(), have.GetRevision())
	}
	if !proto.Equal(n.want, want) {
		if err := shimpb.WriteNames(n.dir, want); err != nil {
			return abt2.Wrap(abt2.CodeFailed, err, "the names cannot be written down")
		}
	}
	n.setLocked(want)
	return nil
}

func (n *names) set(want *shimpb.Names) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.setLocked(want)
}

func (n *names) setLocked(want *shimpb.Names) {
	n.want = want
	close(n.asked)
	n.asked = make(chan struct{})
	if n.gone == nil {
		n.gone = make(chan struct{})
		go n.run(n.gone)
	}
}

func (n *names) wanted() (want *shimpb.Names, asked <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.want, n.asked
}

// leaveLimit is how long a child that is told to end is left running so that
// its names can go before it.
const leaveLimit = time.Second

// leave returns when nothing is held any more, at the latest after leaveLimit.
// The keeper has been told to stop.
func (n *names) leave() {
	n.mu.Lock()
	gone := n.gone
	n.mu.Unlock()
	if gone == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
	defer cancel()
	select {
	case <-gone:
	case <-ctx.Done():
	}
}

// close returns when nothing of it runs. The keeper has ended.
func (n *names) close() {
	n.mu.Lock()
	gone := n.gone
	n.mu.Unlock()
	if gone != nil {
		<-gone
	}
}

// ready reports whether an instance may be called. One that fails its check now
// has been ready: whether it is to be found is then the server's to say, which
// knows whether there is another.
func ready(s shimpb.State) bool {
	return s == shimpb.State_STATE_HEALTHY || s == shimpb.State_STATE_UNHEALTHY
}

// run follows the child and what is asked for until the keeper is told to stop.
func (n *names) run(gone chan<- struct{}) {
	defer close(gone)
	var holder *zookeeper.Holder
	var with *shimpb.ZooKeeper
	release := func() {
		if holder != nil {
			holder.Close()
			holder = nil
		}
	}
	defer release()
	var told map[string]string // what the holder was told last
	var last <-chan struct{}   // the request that told was made of
	for {
		want, asked := n.wanted()
		status, changed := n.keeper.snapshot()
		if holder != nil && !proto.Equal(with, want.GetZookeeper()) {
			release()
		}
		if holder == nil && len(want.GetNodes()) > 0 {
			with, told = want.GetZookeeper(), nil
			holder = zookeeper.NewHolder(zookeeper.Config{
				Addresses: with.GetAddresses(), SessionTimeout: with.GetSessionTimeout().AsDuration(), Digest: with.GetDigest(),
				Buffer: 64 << 10, // some short paths, and what is said of them
				Log:    n.log,
			})
		}
		var held zookeeper.Held
		var moved <-chan struct{}
		if holder != nil {
			nodes := want.GetNodes()
			if !ready(status.GetState()) {
				nodes = nil
			}
			if told == nil || last != asked || len(told) != len(nodes) {
				holder.Hold(nodes)
				told, last = nodes, asked
				if told == nil {
					told = map[string]string{}
				}
			}
			held, moved = holder.Held()
		}
		n.keeper.update(func(st *shimpb.Status) {
			st.Held = &shimpb.Held{Paths: held.Paths, Trouble: held.Trouble}
		})
		select {
		case <-n.keeper.stopping:
			return
		case <-asked:
		case <-changed:
		case <-moved:
		}
	}
}

// Hold implements the protocol.
func (s *server) Hold(_ context.Context, r *connect.Request[shimpb.HoldRequest]) (*connect.Response[shimpb.HoldResponse], error) {
	err := s.names.hold(r.Msg.GetNames())
	switch {
	case err == nil:
		return connect.NewResponse(&shimpb.HoldResponse{}), nil
	case abt2.CodeOf(err) == abt2.CodeRefused:
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	return nil, connect.NewError(connect.CodeInternal, err)
}
