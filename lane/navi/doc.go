// Package navi calls and serves Navi-rpc over HTTP, as the programs do that
// speak it already: those of Java with Navi's client or server at one end,
// those of abt2 at the other. Calls stay within their request's environment, as
// they do with package lane.
//
// The protocol is that of github.com/neoremind/navi: POST
// /service_api/Interface with a body of application/baidu.json, or in one of its
// binary encodings. What its Java client and server insist on, beyond what they
// document, is said where it is done.
package navi
