package api

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"abt2.dev"
)

const namesPath = "/v1/names/"

// names tells which instances stand under a name, as a conditional request
// (RFC 9110, section 13) that may wait. operator.proto documents it.
type names struct {
	svc    abt2.Service
	log    *slog.Logger
	errors *connect.ErrorWriter
}

func (n *names) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var seen []string
	var found abt2.Lookup
	err := (&watch{n.log}).call(r.Context(), "GET "+namesPath, func() (err error) {
		seen = entityTags(r)
		q, err := lookupOf(r, seen)
		if err == nil {
			found, err = n.svc.Lookup(r.Context(), q)
		}
		return err
	})
	if err != nil {
		writeError(n.errors, w, r, err)
		return
	}
	w.Header().Set("ETag", `"`+found.Digest+`"`)
	w.Header().Set("Cache-Control", "private, no-cache") // ask each time; the ETag says whether anything is new
	for _, s := range seen {
		if s == found.Digest {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(found) // fails where nobody listens
}

// lookupOf reads from the request what is asked. Who has seen several answers
// waits for none of them in particular.
func lookupOf(r *http.Request, seen []string) (abt2.LookupRequest, error) {
	q := abt2.LookupRequest{Product: abt2.ProductName(r.PathValue("product"))}
	var err error
	if q.Name, q.Number, err = abt2.ParseLookup(r.PathValue("name")); err != nil {
		return q, err
	}
	if s := r.URL.Query().Get("wait"); s != "" {
		if q.Wait, err = time.ParseDuration(s); err != nil {
			return q, abt2.Errorf(abt2.CodeInvalid, "wait %q: must be a number with a unit, like 30s, at most %s", s, abt2.MaxLookupWait)
		}
	}
	if len(seen) == 1 {
		q.Seen = seen[0]
	}
	return q, nil
}

// entityTags are those of If-None-Match, without quotes. Weak ones count as
// strong: a digest says all there is to say.
func entityTags(r *http.Request) []string {
	var out []string
	for _, line := range r.Header.Values("If-None-Match") {
		for _, tag := range strings.Split(line, ",") {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
			if tag = strings.Trim(tag, `"`); tag != "" {
				out = append(out, tag)
			}
		}
	}
	return out
}
