package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"abt2.dev/lane/feedpb"
)

// obeyTimeout bounds how long a predecessor is waited for. It is on the same
// machine and has only to swap a table.
const obeyTimeout = 2 * time.Second

// predecessor is the process that has handed its sockets over to this one, and
// still serves connections that it had: it applies what this one applies before
// this one confirms it, and what it carries counts as carried by this one. All
// methods may be called on nil, where there is none.
type predecessor struct {
	http *http.Client
	gone chan struct{} // closed when it has ended
}

func newPredecessor(socket string) *predecessor {
	return &predecessor{
		gone: make(chan struct{}),
		http: &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, // it must not have to wait for us when it ends
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			},
		}},
	}
}

// watch returns when the predecessor has ended, which its kernel tells by
// closing the link, or when ctx ends.
func (p *predecessor) watch(ctx context.Context, link net.Conn) {
	defer close(p.gone)
	defer link.Close()
	defer context.AfterFunc(ctx, func() { link.Close() })()
	_, _ = io.Copy(io.Discard, link)
}

// wait returns when the predecessor has ended, or ctx.
func (p *predecessor) wait(ctx context.Context) {
	if p == nil {
		return
	}
	select {
	case <-p.gone:
	case <-ctx.Done():
	}
}

// stop makes the predecessor finish what it is at, and waits for its end.
func (p *predecessor) stop(ctx context.Context) {
	if p == nil {
		return
	}
	_, _ = p.ask(ctx, http.MethodPost, "/stop", nil) // it may just be ending
	p.wait(ctx)
}

// apply makes the predecessor route by r. Nil: it does, or has ended.
func (p *predecessor) apply(ctx context.Context, r *feedpb.EdgeRoutes) error {
	if p == nil {
		return nil
	}
	b, err := proto.Marshal(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, obeyTimeout)
	defer cancel()
	if _, err = p.ask(ctx, http.MethodPost, "/routes", b); err != nil && !p.ended(ctx, err) {
		return fmt.Errorf("the process that had the sockets before still serves connections, and has not followed: %w", err)
	}
	return nil
}

// carried is what the predecessor has in flight, by environment. known is false
// where it does not say.
func (p *predecessor) carried(ctx context.Context) (out map[uint64]carriedCount, known bool) {
	if p == nil {
		return nil, true
	}
	ctx, cancel := context.WithTimeout(ctx, obeyTimeout)
	defer cancel()
	b, err := p.ask(ctx, http.MethodGet, "/carried", nil)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		return nil, p.ended(ctx, err)
	}
	return out, true
}

// carriedCount is a feedpb.Carried between two processes of an edge.
type carriedCount struct {
	Count       uint64 `json:"count"`
	OldestAgeMs uint64 `json:"oldest_age_ms"`
}

// drained returns when the predecessor carries nothing of the environment, or
// when ctx ends.
func (p *predecessor) drained(ctx context.Context, env uint64) {
	if p != nil {
		_, _ = p.ask(ctx, http.MethodGet, fmt.Sprintf("/drained?environment=%d", env), nil)
	}
}

// closeStreams makes the predecessor end its streams of the environment.
func (p *predecessor) closeStreams(ctx context.Context, env uint64) {
	if p != nil {
		ctx, cancel := context.WithTimeout(ctx, obeyTimeout)
		defer cancel()
		_, _ = p.ask(ctx, http.MethodPost, fmt.Sprintf("/close?environment=%d", env), nil)
	}
}

var errRefused = errors.New("refused")

func (p *predecessor) ask(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://edge"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := p.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%w: %s", errRefused, strings.TrimSpace(string(b)))
	}
	return b, nil
}

// ended reports whether err comes from the predecessor's end, which the link
// tells too, and without doubt.
func (p *predecessor) ended(ctx context.Context, err error) bool {
	if errors.Is(err, errRefused) {
		return false
	}
	select {
	case <-p.gone:
		return true
	case <-ctx.Done():
		return false
	}
}

// follow makes this edge, that is all its processes, route by r.
func (s *server) follow(ctx context.Context, r *feedpb.EdgeRoutes) error {
	s.following.Lock()
	defer s.following.Unlock()
	if err := s.apply(r); err != nil {
		return err
	}
	return s.predecessor.apply(ctx, r)
}

// watch asks for a report as soon as no process of this edge carries anything of
// the environment.
func (s *server) watch(env uint64) {
	s.carrier.Watch(env)
	if s.predecessor != nil {
		s.links.Go(func() { // ends with the predecessor, or with this process
			s.predecessor.drained(s.base, env)
			s.member.report()
		})
	}
}

// closeStreams ends the streams of the environment, in all processes of this edge.
func (s *server) closeStreams(env uint64) {
	s.carrier.Close(env)
	s.predecessor.closeStreams(s.base, env)
}

// carried is what all processes of this edge have in flight.
func (s *server) carried() map[uint64]*feedpb.Carried {
	out := s.carrier.Carried()
	before, known := s.predecessor.carried(s.base)
	if !known { // it may carry anything
		before = map[uint64]carriedCount{}
		for env := range s.routes.Load().environments {
			before[env] = carriedCount{Count: 1}
		}
	}
	for env, c := range before {
		if out[env] == nil {
			out[env] = &feedpb.Carried{}
		}
		out[env].Count += c.Count
		out[env].OldestAgeMs = max(out[env].OldestAgeMs, c.OldestAgeMs)
	}
	return out
}
