// Package disconf lets a Go program be told values by disconf, as JVMs are by
// disconf's own client: by abt2 server --config-centre=disconf, or by a
// disconf-web (github.com/knightliao/disconf).
//
// A value is fetched over HTTP; a ZooKeeper node tells when it has changed, and an
// ephemeral child of that node tells the operators what is in effect here. The
// watch is set before each fetch, so no change is missed, and everything is read
// again after each reconnect and in each new session. There are no defaults: a
// value that cannot be had is an error, and one that cannot be had any more stays
// as it is, and says so.
package disconf
