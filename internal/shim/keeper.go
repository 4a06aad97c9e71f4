package shim

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"abt2.dev/internal/shim/shimpb"
)

// keeper is the state of one instance:
//
//	starting ── check passes ─▶ healthy ◀─ passes ─ fails thrice ─▶ unhealthy
//	any of these ── child ends ─▶ backoff ── delay over ─▶ starting
//	any at all ── stop ─▶ stopping ── proved ended ─▶ gone
type keeper struct {
	spec    *shimpb.Spec
	out     *logFile
	starter *starter
	backoff *backoff

	leave    func()        // called before a child is ended for good
	orders   chan order    // of faults
	stopping chan struct{} // closed by the first stop
	ended    chan struct{} // closed when the instance is proved ended

	mu       sync.Mutex
	identity *shimpb.Identity
	status   *shimpb.Status
	changed  chan struct{} // closed by the next change of status
	grace    time.Duration // of the first stop
}

func newKeeper(spec *shimpb.Spec, self *shimpb.Identity, out *logFile, random func() float64) *keeper {
	return &keeper{
		spec: spec, out: out, starter: newStarter(), backoff: newBackoff(spec.GetTiming(), random),
		leave:  func() {},
		orders: make(chan order), stopping: make(chan struct{}), ended: make(chan struct{}),
		identity: self, changed: make(chan struct{}),
		status: &shimpb.Status{State: shimpb.State_STATE_STARTING, Since: timestamppb.Now()},
	}
}

// stop tells the keeper to end the instance; only the first call counts.
func (k *keeper) stop(grace time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.stopping:
	default:
		k.grace = grace
		close(k.stopping)
	}
}

// snapshot returns the status and what closes when there is another.
func (k *keeper) snapshot() (*shimpb.Status, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return proto.CloneOf(k.status), k.changed
}

func (k *keeper) who() *shimpb.Identity {
	k.mu.Lock()
	defer k.mu.Unlock()
	return proto.CloneOf(k.identity)
}

func (k *keeper) set(s shimpb.State, detail string) {
	k.update(func(st *shimpb.Status) { enter(st, s, detail) })
}

func enter(st *shimpb.Status, s shimpb.State, detail string) {
	if st.State != s {
		st.State, st.Since = s, timestamppb.Now()
	}
	st.Detail = detail
}

func (k *keeper) update(change func(*shimpb.Status)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := proto.CloneOf(k.status)
	change(next)
	if proto.Equal(next, k.status) {
		return
	}
	k.status = next
	close(k.changed)
	k.changed = make(chan struct{})
}

func (k *keeper) setChild(p *shimpb.Process) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.identity.Child = p
}

// run keeps the instance until it was told to stop and is proved ended. It
// calls tried once, when the first start has been tried.
func (k *keeper) run(tried func()) {
	defer close(k.ended)
	defer k.starter.close()
	tried = sync.OnceFunc(tried)
	defer tried()
	for first := true; ; first = false {
		k.update(func(st *shimpb.Status) { // at once: a restart that counts has left the backoff
			if !first {
				st.Restarts++
			}
			enter(st, shimpb.State_STATE_STARTING, "")
		})
		c, err := k.start()
		tried()
		if err == nil {
			err = k.attend(c)
		}
		if k.stopped() {
			return
		}
		delay := k.backoff.next()
		k.out.note("%v; starting again in %v", err, delay.Round(time.Millisecond))
		k.set(shimpb.State_STATE_BACKOFF, err.Error())
		if !k.rest(delay) {
			return
		}
	}
}

// rest waits before the next start, and refuses faults meanwhile. It returns
// false when the keeper was told to stop.
func (k *keeper) rest(delay time.Duration) bool {
	over := time.After(delay)
	for {
		select {
		case <-k.stopping:
			return false
		case <-over:
			return true
		case o := <-k.orders:
			o.answer <- verdict{err: errNoChild}
		}
	}
}

func (k *keeper) stopped() bool {
	select {
	case <-k.stopping:
		return true
	default:
		return false
	}
}

func (k *keeper) start() (*child, error) {
	cmd, err := command(k.spec)
	if err != nil {
		return nil, err
	}
	c, err := k.starter.start(cmd, k.out)
	if err != nil {
		return nil, fmt.Errorf("cannot start %q: %w", cmd.Path, err)
	}
	p := &shimpb.Process{Pid: int32(c.pid)}
	if p.Start, err = startTime(c.pid); err != nil {
		p.Start = 0 // it has ended already, as attend will see
	}
	k.setChild(p)
	return c, nil
}

// attend watches a child until it has ended, of itself or because of stop, with
// everything that it started, and returns why.
func (k *keeper) attend(c *child) error {
	began := time.Now()
	results, done := k.probe(c)
	struck := &disturbance{child: c, tell: func(f shimpb.Fault) { k.update(func(st *shimpb.Status) { st.Fault = f }) }}
	last := &vitals{began: began, ready: k.spec.GetReadyTimeout().AsDuration()}
	var healthySince time.Time
	for running := true; running; {
		select {
		case <-c.exited:
			running = false
		case <-k.stopping:
			running = false
		case o := <-k.orders:
			status, _ := k.snapshot()
			o.answer <- verdict{status.GetRestarts(), struck.begin(o)}
		case <-struck.turn():
			struck.proceed()
		case err := <-results:
			state, detail := last.observe(err)
			if state == shimpb.State_STATE_HEALTHY && healthySince.IsZero() {
				healthySince = time.Now()
			} else if state != shimpb.State_STATE_HEALTHY {
				healthySince = time.Time{}
			}
			k.set(state, detail)
		}
	}
	struck.end() // what stands still hears no SIGTERM
	done()
	if !healthySince.IsZero() {
		k.backoff.healthyFor(time.Since(healthySince))
	}
	if k.stopped() {
		k.set(shimpb.State_STATE_STOPPING, "")
		k.leave()
		k.mu.Lock()
		grace := k.grace
		k.mu.Unlock()
		c.terminate(k.who().GetShim(), grace)
	}
	how := c.finish(k.who().GetShim(), func(err error) {
		k.out.note("%v", err)
		k.update(func(st *shimpb.Status) { st.Detail = err.Error() })
	})
	k.setChild(nil)
	return errors.New(how)
}

// vitals turns the results of checks into states.
type vitals struct {
	began    time.Time
	ready    time.Duration // beyond it the detail says so; who started the instance decides
	healthy  bool          // at the last state
	ever     bool
	failures int
}

// tolerated is how many checks in a row may fail before a healthy instance is unhealthy.
const tolerated = 2

func (v *vitals) observe(err error) (shimpb.State, string) {
	if err == nil {
		v.healthy, v.ever, v.failures = true, true, 0
		return shimpb.State_STATE_HEALTHY, ""
	}
	v.failures++
	if v.healthy && v.failures <= tolerated {
		return shimpb.State_STATE_HEALTHY, ""
	}
	v.healthy = false
	if v.ever {
		return shimpb.State_STATE_UNHEALTHY, err.Error()
	}
	if v.ready > 0 && time.Since(v.began) > v.ready {
		return shimpb.State_STATE_STARTING, fmt.Sprintf("not healthy within %v: %v", v.ready, err)
	}
	return shimpb.State_STATE_STARTING, err.Error()
}

// address is where the instance is to listen.
func address(spec *shimpb.Spec) string {
	return net.JoinHostPort(spec.GetHost(), strconv.Itoa(int(spec.GetPort())))
}
