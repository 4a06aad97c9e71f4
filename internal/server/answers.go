package server

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// answers tells when an answer has left the server. Its methods are hooks of an
// http.Server and a handler.
type answers struct {
	mu      sync.Mutex
	waiting map[net.Conn]chan struct{}
}

type (
	connectionKey struct{}
	answeredKey   struct{}
)

// connContext implements http.Server.ConnContext.
func (a *answers) connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// connState implements http.Server.ConnState. A connection of HTTP/1.1 becomes
// idle, or ends, when the answer has been written.
func (a *answers) connState(c net.Conn, s http.ConnState) {
	if s != http.StateIdle && s != http.StateClosed {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.waiting[c]; w != nil {
		close(w)
		delete(a.waiting, c)
	}
}

// handler lets next know of answered. One of HTTP/2 carries many answers at a
// time, and is idle before the last frame has left.
func (a *answers) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connectionKey{}).(net.Conn); ok && r.ProtoMajor == 1 {
			r = r.WithContext(context.WithValue(r.Context(), answeredKey{}, func() <-chan struct{} { return a.next(c) }))
		}
		next.ServeHTTP(w, r)
	})
}

func (a *answers) next(c net.Conn) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting == nil {
		a.waiting = map[net.Conn]chan struct{}{}
	}
	if a.waiting[c] == nil {
		a.waiting[c] = make(chan struct{})
	}
	return a.waiting[c]
}

// answered returns a channel that is closed when the answer to the request of
// ctx has been written, and nil where that cannot be known.
func answered(ctx context.Context) <-chan struct{} {
	if next, ok := ctx.Value(answeredKey{}).(func() <-chan struct{}); ok {
		return next()
	}
	return nil
}
