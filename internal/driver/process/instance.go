package process

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"abt2.dev"
	"abt2.dev/internal/shim/shimpb"
	"abt2.dev/internal/shim/shimpb/shimpbconnect"
)

// instance is one instance's folder and the way to its shim.
type instance struct {
	id      abt2.InstanceID
	version abt2.VersionID
	seq     uint64
	dir     string
	shim    shimpbconnect.ShimServiceClient

	answered atomic.Bool // the shim has, to this process

	mu   sync.Mutex
	spec *shimpb.Spec // replaced, never changed
}

func newInstance(id abt2.InstanceID, v abt2.VersionID, seq uint64, dir string, spec *shimpb.Spec) *instance {
	socket := spec.GetSocket()
	// A connection for each call: shims are asked rarely, and nothing is left
	// open when the platform is dropped.
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	return &instance{
		id: id, version: v, seq: seq, dir: dir, spec: spec,
		shim: shimpbconnect.NewShimServiceClient(client, "http://shim"),
	}
}

// An id is MODULE-NUMBER-SEQ; seq alone is unique and grows with age.
func makeID(v abt2.VersionID, seq uint64) abt2.InstanceID {
	return abt2.InstanceID(fmt.Sprintf("%s-%d-%d", v.Module, v.Number, seq))
}

func parseID(id abt2.InstanceID) (v abt2.VersionID, seq uint64, ok bool) {
	rest, last, ok := cutLast(string(id))
	module, number, ok2 := cutLast(rest)
	seq, err := strconv.ParseUint(last, 10, 64)
	if !ok || !ok2 || err != nil {
		return abt2.VersionID{}, 0, false
	}
	v, err = abt2.ParseVersionID(module + "@" + number)
	return v, seq, err == nil && makeID(v, seq) == id
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '-')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func (i *instance) getSpec() *shimpb.Spec {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.spec
}

// decide writes what the instance's shim is to do before it is done.
func (i *instance) decide(spec *shimpb.Spec) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := shimpb.WriteSpec(i.dir, spec); err != nil {
		return abt2.Wrap(abt2.CodeFailed, err, "%s: its spec cannot be written", i.id)
	}
	i.spec = spec
	return nil
}

// patience is how long a shim may take to answer before it counts as unreachable.
const patience = 2 * time.Second

// describe asks the shim, and makes sure that it is this instance's.
func (i *instance) describe(ctx context.Context) (*shimpb.DescribeResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := i.shim.Describe(ctx, connect.NewRequest(&shimpb.DescribeRequest{}))
	if err != nil {
		return nil, err
	}
	if who := r.Msg.GetIdentity().GetInstance(); who != string(i.id) {
		return nil, fmt.Errorf("the shim of %q answers at its socket", who)
	}
	i.answered.Store(true)
	return r.Msg, nil
}

// look tells how the instance is. It always has an answer.
func (i *instance) look(ctx context.Context) abt2.Instance {
	spec := i.getSpec()
	out := abt2.Instance{ID: i.id, Version: i.version, State: abt2.InstanceUnreachable}
	if !spec.GetJob() {
		out.Address = net.JoinHostPort(spec.GetHost(), strconv.Itoa(int(spec.GetPort())))
	}
	d, err := i.describe(ctx)
	if err == nil {
		s := d.GetStatus()
		out.State, out.Restarts, out.Since, out.Detail = state(s.GetState()), int(s.GetRestarts()), s.GetSince().AsTime(), s.GetDetail()
		if out.Fault = fault(s.GetFault()); out.Fault != "" {
			out.Detail = strings.TrimSuffix(fmt.Sprintf("%s, for a drill: %s", out.Fault, out.Detail), ": ")
		}
	} else {
		out.Detail = i.whySilent(err)
	}
	if spec.GetEnded() { // whatever the shim says: the decision stands
		out.State = abt2.InstanceStopping
	}
	return out
}

func (i *instance) whySilent(err error) string {
	pid, alive, lockErr := shimpb.Keeper(i.dir)
	switch {
	case lockErr != nil:
		return fmt.Sprintf("its shim does not answer (%v) and its lock cannot be read (%v)", err, lockErr)
	case alive:
		return fmt.Sprintf("its shim, process %d, does not answer: %v", pid, err)
	}
	return "its shim has ended; the next apply starts it again"
}

func state(s shimpb.State) abt2.InstanceState {
	switch s {
	case shimpb.State_STATE_STARTING:
		return abt2.InstanceStarting
	case shimpb.State_STATE_HEALTHY:
		return abt2.InstanceHealthy
	case shimpb.State_STATE_UNHEALTHY:
		return abt2.InstanceUnhealthy
	case shimpb.State_STATE_BACKOFF:
		return abt2.InstanceBackoff
	case shimpb.State_STATE_STOPPING:
		return abt2.InstanceStopping
	}
	return abt2.InstanceUnreachable // a newer shim's word
}
