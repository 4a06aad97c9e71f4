package edge

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what an edge process counts. Requests find their series through
// the routes, where they have been looked up beforehand.
type metrics struct {
	registry *prometheus.Registry

	requests  *prometheus.CounterVec
	failures  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	retries   *prometheus.CounterVec
	fallbacks *prometheus.CounterVec

	inFlight  atomic.Int64
	connected atomic.Bool
	revision  atomic.Uint64
	// The sums that are reported to the server as well.
	stamped, fellBack atomic.Uint64

	retried map[retryReason]prometheus.Counter
	known   sync.Map // seriesKey → series
	unknown series   // of requests that no module was found for
}

type retryReason string

const (
	retryRefused     retryReason = "refused"     // before a byte was sent
	retryMisdirected retryReason = "misdirected" // 421: the instance is someone else
	retryBroken      retryReason = "broken"      // without an answer, GET and HEAD only
)

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), retried: map[retryReason]prometheus.Counter{}}
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "abt2_edge_requests_total", Help: "Requests that have ended, by the class of their status.",
	}, []string{"product", "role", "module", "code"})
	m.failures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "abt2_edge_failures_total", Help: "Requests answered 5xx, or broken off, by the module or by the edge itself.",
	}, []string{"product", "role", "module", "by"})
	m.durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "abt2_edge_request_duration_seconds", Help: "From a request's header to its answer's last byte. Upgraded connections are left out.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"product", "role", "module", "code"})
	m.retries = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "abt2_edge_retries_total", Help: "Attempts repeated at another instance, by what the first one met.",
	}, []string{"reason"})
	m.fallbacks = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "abt2_edge_fallbacks_total", Help: "Requests to a preview that the online version answered, because the preview's had no healthy instance.",
	}, []string{"product", "module"})
	m.registry.MustRegister(m.requests, m.failures, m.durations, m.retries, m.fallbacks,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "abt2_edge_requests_in_flight", Help: "Requests being served now.",
		}, func() float64 { return float64(m.inFlight.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "abt2_edge_feed_connected", Help: "1 while the server can be reached.",
		}, func() float64 {
			if m.connected.Load() {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "abt2_edge_revision_applied", Help: "Revision of the table in use.",
		}, func() float64 { return float64(m.revision.Load()) }),
	)
	for _, reason := range []retryReason{retryRefused, retryMisdirected, retryBroken} {
		m.retried[reason] = m.retries.WithLabelValues(string(reason))
	}
	m.unknown = m.series("", "", "")
	return m
}

// series is what is counted of one product, role and module. Its children are
// made when their code is first seen.
type series struct{ *seriesState }

type seriesState struct {
	m   *metrics
	key seriesKey
	// codes are by class, 1 to 5.
	codes    [6]atomic.Pointer[codeSeries]
	failures [2]atomic.Pointer[prometheus.Counter]
	fallback atomic.Pointer[prometheus.Counter]
}

type seriesKey struct{ product, role, module string }

type codeSeries struct {
	requests prometheus.Counter
	duration prometheus.Observer
}

var codeNames = [...]string{"", "1xx", "2xx", "3xx", "4xx", "5xx"}

// series returns what counts the requests of a module in a role. Equal
// arguments get the same series: roles come and go, what they have counted stays.
func (m *metrics) series(product, role, module string) series {
	key := seriesKey{product, role, module}
	if s, ok := m.known.Load(key); ok {
		return s.(series)
	}
	s, _ := m.known.LoadOrStore(key, series{&seriesState{m: m, key: key}})
	return s.(series)
}

// ended counts a request. A duration below zero is not observed.
func (s series) ended(status int, d time.Duration) {
	class := min(max(status/100, 1), 5)
	c := s.codes[class].Load()
	if c == nil {
		labels := []string{s.key.product, s.key.role, s.key.module, codeNames[class]}
		c = &codeSeries{s.m.requests.WithLabelValues(labels...), s.m.durations.WithLabelValues(labels...)}
		s.codes[class].Store(c)
	}
	c.requests.Inc()
	if d >= 0 {
		c.duration.Observe(d.Seconds())
	}
}

// culprit is who made a request fail.
type culprit int

const (
	byModule culprit = iota
	byEdge
)

func (s series) failed(by culprit) {
	lazily(&s.failures[by], func() prometheus.Counter {
		name := [...]string{byModule: "module", byEdge: "edge"}[by]
		return s.m.failures.WithLabelValues(s.key.product, s.key.role, s.key.module, name)
	}).Inc()
}

func (s series) fellBack() {
	s.m.fellBack.Add(1)
	lazily(&s.fallback, func() prometheus.Counter {
		return s.m.fallbacks.WithLabelValues(s.key.product, s.key.module)
	}).Inc()
}

func lazily(p *atomic.Pointer[prometheus.Counter], find func() prometheus.Counter) prometheus.Counter {
	if c := p.Load(); c != nil {
		return *c
	}
	c := find() // the same one for whoever looks
	p.Store(&c)
	return c
}
