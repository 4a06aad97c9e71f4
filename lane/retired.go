package lane

import "errors"

// ErrRetired is the cause of a request's context that ends because the request's
// environment is being taken down, and the time for finishing is over:
//
//	if errors.Is(context.Cause(r.Context()), lane.ErrRetired) { … }
//
// It happens to streams that do not end by themselves, and to requests that take
// longer than the release's --drain-timeout. Whoever gets it says goodbye in its
// protocol and returns: the instance may be stopped some seconds later, or stay
// up for another environment that names the same version.
//
// A handler that has hijacked its connection, as those of WebSockets do, keeps
// getting it for as long as it has not returned: net/http leaves a hijacked
// connection alone, and ends the context when the handler returns. Work that was
// handed to a goroutine before that must watch a context of its own. A WebSocket
// that came through an edge gets its close frame, 1001, from the edge, whether
// the module watches or not. Detached work is never canceled.
var ErrRetired = errors.New("lane: the environment of this request has been retired")
