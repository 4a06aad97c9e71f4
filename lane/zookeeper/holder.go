package zookeeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// Holder keeps ephemeral nodes standing: it creates them again after its session
// has expired or somebody has deleted them, and leaves alone what stands in
// their place that is no ephemeral node. Its methods may be called from several
// goroutines.
type Holder struct {
	cfg  Config
	stop context.CancelFunc
	done chan struct{}
	wake chan struct{} // one slot

	mu      sync.Mutex
	want    map[string]string // path → data
	rewrite bool              // compare data as well
	fired   map[string]bool   // watches, by path, since they were last taken note of
	held    Held
	changed chan struct{}
}

// Held is what a Holder knows to stand.
type Held struct {
	Paths []string // sorted; they stand in the session that lives now
	// Trouble says, for people, why a node that is wanted does not stand, or
	// that the connection is lost. Empty: all is well.
	Trouble string
}

// NewHolder begins a session that holds nothing yet. It must be closed.
func NewHolder(c Config) *Holder {
	ctx, stop := context.WithCancel(context.Background())
	h := &Holder{cfg: c, stop: stop, done: make(chan struct{}), wake: make(chan struct{}, 1), changed: make(chan struct{}), fired: map[string]bool{}}
	go h.run(ctx)
	return h
}

// Hold makes nodes what should stand, by path, with their data, and returns at
// once. What stood before and is not among them is deleted. The same again has
// data put right that somebody has changed.
func (h *Holder) Hold(nodes map[string]string) {
	h.mu.Lock()
	h.want, h.rewrite = maps.Clone(nodes), true
	h.mu.Unlock()
	h.nudge()
}

// Held returns what stands, and what closes when that may be different.
func (h *Holder) Held() (Held, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held, h.changed
}

// Close ends the session, and with it every node that is held, at once if a
// server can be told and else when the session expires.
func (h *Holder) Close() {
	h.stop()
	<-h.done
}

func (h *Holder) nudge() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

const (
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
)

func (h *Holder) run(ctx context.Context) {
	defer close(h.done)
	conn, closeConn, err := Connect(h.cfg, h.event)
	if err != nil {
		h.report(Held{Trouble: err.Error()})
		<-ctx.Done()
		return
	}
	defer closeConn()
	var session session
	pause := firstPause
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		case <-retry:
		}
		retry = nil
		held, err := session.settle(conn, h)
		if err != nil {
			held.Trouble = err.Error()
			retry = time.After(pause)
			pause = min(2*pause, longestPause)
		} else {
			pause = firstPause
		}
		h.report(held)
	}
}

// event hears of the session and of what was watched.
func (h *Holder) event(e zk.Event) {
	switch {
	case e.Type == zk.EventSession && e.State == zk.StateDisconnected:
		h.lost()
	case e.Type != zk.EventSession:
		h.mu.Lock()
		h.fired[e.Path] = true
		h.mu.Unlock()
		h.nudge()
	case e.State == zk.StateHasSession:
		h.nudge()
	}
}

// lost tells that what stands may no longer do so.
func (h *Holder) lost() {
	held, _ := h.Held()
	h.report(Held{held.Paths, "the connection to ZooKeeper is lost"})
}

func (h *Holder) report(held Held) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if slices.Equal(held.Paths, h.held.Paths) && held.Trouble == h.held.Trouble {
		return
	}
	h.held = held
	close(h.changed)
	h.changed = make(chan struct{})
}

// session is what is known of the one that lives.
type session struct {
	authenticated bool
	id            int64
	mine          map[string]bool // stood in it
	watched       map[string]bool // its watch has not fired
	// sound is the data of nodes of this session that stand as they should,
	// until their watch fires: no server need be asked about them.
	sound map[string]string
}

// settle makes what should stand stand. With an error the rest stands all the same.
func (s *session) settle(conn *zk.Conn, h *Holder) (Held, error) {
	id := conn.SessionID()
	if id == 0 || conn.State() != zk.StateHasSession {
		return Held{}, errors.New("no server of the ensemble answers")
	}
	if id != s.id {
		s.id, s.mine, s.watched, s.sound = id, map[string]bool{}, map[string]bool{}, map[string]string{}
	}
	if !s.authenticated {
		if err := h.cfg.Authenticate(conn); err != nil {
			return Held{}, fmt.Errorf("ZooKeeper does not take the credentials: %w", err)
		}
		s.authenticated = true
	}
	want, rewrite := h.order()
	if rewrite && len(s.sound) > 0 {
		// What somebody did before Hold is known behind this: the server that
		// answers has caught up, and tells of changes before it answers.
		if _, err := conn.Sync("/"); err != nil {
			h.again()
			return Held{}, err
		}
	}
	h.mu.Lock()
	fired := h.fired
	h.fired = map[string]bool{}
	h.mu.Unlock()
	for p := range fired {
		delete(s.watched, p)
		delete(s.sound, p)
	}
	var held Held
	var errs []error
	for _, p := range slices.Sorted(maps.Keys(want)) {
		if err := s.put(conn, h.cfg, p, want[p], rewrite); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p, err))
			continue
		}
		s.mine[p] = true
		held.Paths = append(held.Paths, p)
	}
	for _, p := range slices.Sorted(maps.Keys(s.mine)) {
		if _, wanted := want[p]; wanted {
			continue
		}
		if err := s.remove(conn, p); err != nil {
			errs = append(errs, fmt.Errorf("%s: cannot be withdrawn: %w", p, err))
			held.Paths = append(held.Paths, p)
			continue
		}
		delete(s.mine, p)
		delete(s.watched, p)
		delete(s.sound, p)
	}
	slices.SortFunc(held.Paths, cmp.Compare[string])
	if len(errs) > 0 && rewrite {
		h.again()
	}
	return held, one(errs)
}

// order returns what should stand, and whether its data are to be compared, which is asked once.
func (h *Holder) order() (want map[string]string, rewrite bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	want, rewrite = h.want, h.rewrite
	h.rewrite = false
	return want, rewrite
}

// again has data compared the next time.
func (h *Holder) again() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rewrite = true
}

// put makes a node stand in this session and watches it.
func (s *session) put(conn *zk.Conn, c Config, p, data string, rewrite bool) error {
	if has, ok := s.sound[p]; ok && has == data {
		return nil
	}
	created := false
	if !s.watched[p] { // most likely it lacks
		_, err := conn.Create(p, []byte(data), zk.FlagEphemeral, c.ACL())
		created = err == nil
		if err != nil && !errors.Is(err, zk.ErrNoNode) && !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
	}
	for range 4 { // its parents may lack, and somebody else may be at work on the node as well
		stat, err := s.watch(conn, p)
		switch {
		case err != nil:
			return err
		case stat == nil:
			switch _, err = conn.Create(p, []byte(data), zk.FlagEphemeral, c.ACL()); {
			case err == nil:
				created = true
			case errors.Is(err, zk.ErrNoNode):
				err = c.EnsureParents(conn, p)
			}
		case stat.EphemeralOwner == s.id && created && stat.Version == 0:
			s.sound[p] = data
			return nil
		case stat.EphemeralOwner == s.id && rewrite:
			return s.restore(conn, p, data, stat)
		case stat.EphemeralOwner == s.id:
			return nil
		case stat.EphemeralOwner == 0:
			return errors.New("a persistent node stands there that somebody else has put; delete it, or give the name up")
		case s.mine[p]:
			return errors.New("another session has put its own node in the place of ours")
		default:
			// A predecessor's: its session has not expired yet. In one step, so
			// that nobody sees the name empty.
			_, err = conn.Multi(
				&zk.DeleteRequest{Path: p, Version: -1},
				&zk.CreateRequest{Path: p, Data: []byte(data), Acl: c.ACL(), Flags: zk.FlagEphemeral})
			created = err == nil
		}
		if err != nil && !errors.Is(err, zk.ErrNoNode) && !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
	}
	return errors.New("somebody else writes there again and again")
}

// watch returns the node's stat, nil where there is none, and sees to it that an
// event tells of its next change. The client keeps every watch that has not
// fired, so that there must be only one.
func (s *session) watch(conn *zk.Conn, p string) (stat *zk.Stat, err error) {
	ok := false
	if s.watched[p] {
		ok, stat, err = conn.Exists(p)
	} else {
		ok, stat, _, err = conn.ExistsW(p)
		s.watched[p] = err == nil
	}
	if err != nil || !ok {
		return nil, err
	}
	return stat, nil
}

// restore puts back what somebody has changed by hand. The node is watched.
func (s *session) restore(conn *zk.Conn, p, data string, stat *zk.Stat) error {
	if int(stat.DataLength) == len(data) {
		got, _, err := conn.Get(p)
		if err != nil {
			return err
		}
		if string(got) == data {
			s.sound[p] = data
			return nil
		}
	}
	_, err := conn.Set(p, []byte(data), -1)
	return err
}

// remove withdraws a node of this session.
func (s *session) remove(conn *zk.Conn, p string) error {
	if _, ours := s.sound[p]; !ours {
		ok, stat, err := conn.Exists(p)
		if err != nil || !ok || stat.EphemeralOwner != s.id {
			return err
		}
	}
	if err := conn.Delete(p, -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	return nil
}

// one makes one error of several, of which the first has the word.
func one(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return fmt.Errorf("%w (and %d more)", errs[0], len(errs)-1)
}

// String is for people.
func (h Held) String() string {
	out := strings.Join(h.Paths, ", ")
	if h.Trouble != "" {
		out = strings.TrimPrefix(out+"; "+h.Trouble, "; ")
	}
	return out
}
