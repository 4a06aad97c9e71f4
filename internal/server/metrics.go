package server

import (
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"abt2.dev/internal/driver/builtin"
	"abt2.dev/internal/feed"
)

// newMetrics answers /metrics with the server's own metrics and /metrics/edge
// with the edge's, to whoever shows the operator's token.
func newMetrics(routers *feed.Feed, edge *builtin.Supervisor, secrets *credentials) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		routerCollector{routers},
	)
	own := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(token), []byte(secrets.operator)) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="abt2"`)
			http.Error(w, "no credential, or a wrong one: let the scraper send operator.token of the data folder as a bearer token", http.StatusUnauthorized)
			return
		}
		if r.URL.Path == "/metrics" {
			own.ServeHTTP(w, r)
			return
		}
		b, err := edge.Metrics(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(b)
	})
}

var (
	routersDesc = prometheus.NewDesc("abt2_routers", "Routers that the feed knows.", []string{"role", "connected"}, nil)
	mixedDesc   = prometheus.NewDesc("abt2_mixed_requests_total", "Requests that reached another version than their environment names, as routers report.", []string{"module"}, nil)
	restampDesc = prometheus.NewDesc("abt2_restamped_total", "Calls that lost the stamp of the request they were made for, as routers report.", []string{"module"}, nil)
)

// routerCollector turns what routers report into metrics when they are asked for.
type routerCollector struct{ feed *feed.Feed }

func (c routerCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- routersDesc
	ch <- mixedDesc
	ch <- restampDesc
}

func (c routerCollector) Collect(ch chan<- prometheus.Metric) {
	type group struct{ role, connected string }
	count := map[group]int{}
	mixed, restamped := map[string]uint64{}, map[string]uint64{}
	for _, r := range c.feed.Routers() {
		connected := "false"
		if r.Connected {
			connected = "true"
		}
		count[group{r.Role, connected}]++
		mixed[string(r.RouterStatus.Version.Module)] += r.Mixed
		restamped[string(r.RouterStatus.Version.Module)] += r.Restamped
	}
	for g, n := range count {
		ch <- prometheus.MustNewConstMetric(routersDesc, prometheus.GaugeValue, float64(n), g.role, g.connected)
	}
	for m, n := range mixed {
		if m != "" {
			ch <- prometheus.MustNewConstMetric(mixedDesc, prometheus.CounterValue, float64(n), m)
			ch <- prometheus.MustNewConstMetric(restampDesc, prometheus.CounterValue, float64(restamped[m]), m)
		}
	}
}
