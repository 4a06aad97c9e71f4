package edge

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"google.golang.org/protobuf/proto"

	"abt2.dev/lane/feedpb"
)

// obey answers the successor of a process that has handed over.
func (s *server) obey(mux *http.ServeMux) {
	handed := func(h func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !s.handed.Load() {
				http.Error(w, "this edge has not handed over", http.StatusConflict)
				return
			}
			if err := h(w, r); err != nil {
				http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			}
		}
	}
	mux.HandleFunc("POST /routes", handed(func(_ http.ResponseWriter, r *http.Request) error {
		b, err := io.ReadAll(io.LimitReader(r.Body, maxInventory))
		routes := &feedpb.EdgeRoutes{}
		if err == nil {
			err = proto.Unmarshal(b, routes)
		}
		if err != nil {
			return err
		}
		return s.follow(r.Context(), routes)
	}))
	mux.HandleFunc("GET /carried", handed(func(w http.ResponseWriter, _ *http.Request) error {
		out := map[uint64]carriedCount{}
		for env, c := range s.carried() {
			out[env] = carriedCount{c.GetCount(), c.GetOldestAgeMs()}
		}
		return json.NewEncoder(w).Encode(out)
	}))
	mux.HandleFunc("POST /close", handed(func(_ http.ResponseWriter, r *http.Request) error {
		env, err := environmentOf(r)
		if err == nil {
			s.closeStreams(env)
		}
		return err
	}))
	mux.HandleFunc("GET /drained", handed(func(_ http.ResponseWriter, r *http.Request) error {
		env, err := environmentOf(r)
		if err != nil {
			return err
		}
		for {
			next := s.drains.next()
			if !s.carrier.Watch(env) {
				break
			}
			select {
			case <-next:
			case <-r.Context().Done():
				return nil
			}
		}
		s.predecessor.drained(r.Context(), env)
		return nil
	}))
}

func environmentOf(r *http.Request) (uint64, error) {
	text := r.FormValue("environment")
	env, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("environment %q: must be a number", text)
	}
	return env, nil
}
