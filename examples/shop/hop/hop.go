// Package hop is what the shop's modules have in common: how they start, call
// one another, and list in every answer the hops it went through.
package hop

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"abt2.dev/lane/route"
)

// Hop is one module that took part in an answer. The version is what the
// process was started as, the environment what the request was stamped with:
// in a whole answer the environments are equal, and each version is the one
// that its environment names.
type Hop struct {
	Module      string `json:"module"`
	Version     string `json:"version"`     // order@3; empty outside abt2
	Environment uint64 `json:"environment"` // 0 outside abt2
	Instance    string `json:"instance"`    // empty outside abt2
}

// Name is the version, or the module outside abt2.
func (h Hop) Name() string {
	if h.Version != "" {
		return h.Version
	}
	return h.Module
}

// Answer writes v as JSON.
func Answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the caller went away: nobody to tell
}

// Fail answers that a module further on did not: 503 if there was none to ask.
func Fail(w http.ResponseWriter, err error) {
	status := http.StatusBadGateway
	if route.ReasonOf(err) != 0 {
		status = http.StatusServiceUnavailable
	}
	http.Error(w, err.Error(), status)
}

// Get calls another module and decodes its JSON answer into v. The module is
// the URL's host; ctx carries the environment on.
func (n *Node) Get(ctx context.Context, url string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(v)
}
