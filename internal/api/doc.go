// Package api serves an abt2.Service over HTTP and calls it from afar: handler
// and client side by side, with one set of conversions between them.
package api
