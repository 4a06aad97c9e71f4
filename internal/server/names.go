package server

import (
	"context"
	"hash/fnv"
	"net"
	"strconv"

	"abt2.dev"
)

// Unversioned names get ports between those of instances and the ephemeral
// range, so that no outgoing connection ever takes one.
const (
	namePortMin = 18000
	namePortMax = 19999
)

// newName returns a finder of free loopback addresses for unversioned names.
// Data folders begin at different ports, so that two servers of one machine
// seldom reach for the same.
func newName(dataDir string) func(context.Context, func(string) bool) (string, error) {
	h := fnv.New32a()
	h.Write([]byte(dataDir))
	const span = namePortMax - namePortMin + 1
	first := int(h.Sum32() % span)
	return func(ctx context.Context, taken func(string) bool) (string, error) {
		for i := range span {
			address := net.JoinHostPort("127.0.0.1", strconv.Itoa(namePortMin+(first+i)%span))
			if taken(address) {
				continue
			}
			l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
			if err != nil {
				continue // somebody else's
			}
			return address, l.Close()
		}
		return "", abt2.Errorf(abt2.CodeFailed, "no port between %d and %d is free for another unversioned name; free some", namePortMin, namePortMax)
	}
}
