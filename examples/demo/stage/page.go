package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"abt2.dev/examples/shop/hop"
)

// Page is what the shop's page shows.
type Page struct {
	Season   string
	Discount int
	Products []struct {
		Name  string
		Cents int
	}
	Hops []hop.Hop
}

// Page asks an edge for the shop's page, with a cookie or without.
func (s *Stage) Page(ctx context.Context, edge, cookie string) (*Page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, edge+"/json", nil)
	if err != nil {
		return nil, err
	}
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", req.URL, resp.Status)
	}
	var p Page
	return &p, json.NewDecoder(resp.Body).Decode(&p)
}
