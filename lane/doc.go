// Package lane makes a program a module of abt2: what it serves and what it
// calls stay within the environment that a request was stamped with.
//
//	l, err := lane.Join(ctx)
//	...
//	client := &http.Client{Transport: l.Transport(nil)}
//	server := &http.Server{Handler: l.Handler(mux)}
//
// Inside a handler, a request to http://order/… made with the handler's context
// reaches the version of order that the environment names. Package lanegrpc does
// the same for gRPC. Outside abt2, where
// no ABT2_SERVER is set, modules have static addresses and nothing is stamped
// that was not stamped before.
package lane
