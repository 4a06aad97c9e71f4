package bfe

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"abt2.dev"
)

// talk is what is said to a BFE in one call of the driver.
type talk struct {
	*Edge
	client *http.Client
}

// talk begins; end closes its connections.
func (e *Edge) talk() (t talk, end func()) {
	t = talk{e, &http.Client{
		Timeout:       patience,
		Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	return t, t.client.CloseIdleConnections
}

// maxAnswer bounds what is read of one answer.
const maxAnswer = 1 << 20

// ask gets a page of the monitor port.
func (e talk) ask(ctx context.Context, path string, query url.Values) ([]byte, error) {
	u := url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(e.settings.monitorPort)), Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInternal, err, "BFE's monitor port")
	}
	res, err := e.client.Do(req)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeUnavailable, err, "BFE of %s does not answer at its monitor port", e.cfg.Dir)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, abt2.Wrap(abt2.CodeUnavailable, err, "BFE of %s does not finish its answer at its monitor port", e.cfg.Dir)
	case res.StatusCode != http.StatusOK:
		return nil, abt2.Errorf(abt2.CodeFailed, "%s of BFE of %s: answers %s", path, e.cfg.Dir, res.Status)
	}
	return b, nil
}

// reload makes BFE load anew, from path in place of where it looks. BFE answers
// 200 whether it did or not, and does not escape what it says of an error.
func (e talk) reload(ctx context.Context, what, path string) error {
	b, err := e.ask(ctx, "/reload/"+what, url.Values{"path": {path}})
	if err != nil {
		return err
	}
	text := strings.TrimSpace(string(b))
	if rest, ok := strings.CutPrefix(text, `{"error":"`); ok {
		return abt2.Errorf(abt2.CodeRefused, "BFE refuses the new %s, and what it served before stays: %s", what, strings.TrimSuffix(rest, `"}`))
	}
	var answer struct {
		Error *string `json:"error"`
	}
	var keys map[string]json.RawMessage
	if json.Unmarshal(b, &keys) != nil || json.Unmarshal(b, &answer) != nil || keys["error"] == nil || answer.Error != nil {
		return abt2.Errorf(abt2.CodeFailed, "/reload/%s of BFE of %s: answers %q, which no BFE does that we know; look what listens at port %d", what, e.cfg.Dir, shorten(text), e.settings.monitorPort)
	}
	return nil
}

// loaded asks which versions BFE has loaded. It tells none of mod_header.
func (e talk) loaded(ctx context.Context) (versions, error) {
	out := versions{}
	for _, page := range []struct {
		path string
		keys map[string]string // in the answer, by what they are for us
	}{
		{"/monitor/host_table_version", map[string]string{hostRules: "HostTag", vipRules: "Vip", routeRules: "ProductRoute"}},
		{"/monitor/cluster_table_version", map[string]string{clusterConf: "ClusterConfVer"}},
		{"/monitor/bal_table_version", map[string]string{clusterTable: "ClusterTableConfVer", gslbConf: "GslbConfTimeStamp"}},
	} {
		b, err := e.ask(ctx, page.path, nil)
		if err != nil {
			return nil, err
		}
		var answer map[string]any
		if err := json.Unmarshal(b, &answer); err != nil {
			return nil, abt2.Wrap(abt2.CodeFailed, err, "%s of BFE of %s: answers %q, which no BFE does that we know; look what listens at port %d", page.path, e.cfg.Dir, shorten(string(b)), e.settings.monitorPort)
		}
		for name, key := range page.keys {
			v, ok := answer[key].(string)
			if !ok {
				return nil, abt2.Errorf(abt2.CodeRefused, "%s of BFE of %s: lacks %s; it is another BFE than those that abt2 knows, 1.6 and newer", page.path, e.cfg.Dir, key)
			}
			out[name] = v
		}
	}
	return out, nil
}

// differs says which of the files of want that BFE tells versions of it has not
// loaded; empty: none.
func (v versions) differs(want versions) string {
	for _, name := range []string{hostRules, vipRules, routeRules, clusterConf, clusterTable, gslbConf} {
		if v[name] != want[name] {
			return fmt.Sprintf("%s is %q, should be %q", name, v[name], want[name])
		}
	}
	return ""
}

func shorten(s string) string {
	const most = 120
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
