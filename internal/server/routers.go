package server

import (
	"abt2.dev"
	"abt2.dev/internal/feed"
)

// routers shows the feed to the engine in the root's words.
type routers struct{ *feed.Feed }

// Statuses implements release.Routers.
func (r routers) Statuses() []abt2.RouterStatus {
	list := r.Routers()
	out := make([]abt2.RouterStatus, 0, len(list))
	for _, s := range list {
		for _, c := range s.Carried {
			s.RouterStatus.Carried += c.Count
		}
		out = append(out, s.RouterStatus)
	}
	return out
}
