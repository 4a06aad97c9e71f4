package main

// figure is one promise of the project, checked against a benchmark.
type figure struct {
	what     string
	measured measure
	baseline *measure // the figure is a ratio to it; nil: absolute
	// speed makes the ratio one of speeds where times are measured: the baseline
	// over the measured, otherwise the measured over the baseline.
	speed   bool
	bound   float64
	atLeast bool // otherwise at most
}

// measure names one number of one benchmark.
type measure struct{ pkg, name, unit string }

// value returns what was measured, and what of the baseline.
func (f figure) value(all *results) (value, base float64, ok bool) {
	value, ok = all.find(f.measured.pkg, f.measured.name).median(f.measured.unit)
	if !ok || f.baseline == nil {
		return value, 0, ok
	}
	base, ok = all.find(f.baseline.pkg, f.baseline.name).median(f.baseline.unit)
	if !ok || base == 0 || value == 0 {
		return 0, 0, false
	}
	if f.speed {
		return base / value, base, true
	}
	return value / base, base, true
}

func (f figure) met(value float64) bool {
	if f.atLeast {
		return value >= f.bound
	}
	return value <= f.bound
}

const (
	route    = "abt2.dev/lane/route"
	lane     = "abt2.dev/lane"
	lanegrpc = "abt2.dev/lane/lanegrpc"
	laneNavi = "abt2.dev/lane/navi"
	edge     = "abt2.dev/internal/edge"
	demo     = "abt2.dev/examples/demo"
	feed     = "abt2.dev/internal/feed"
	cli      = "abt2.dev/internal/cli"
	server   = "abt2.dev/internal/server"
	dns      = "abt2.dev/internal/nameserver"
	disconf  = "abt2.dev/internal/driver/disconf"
	drivers  = "abt2.dev/internal/driver/all"
	builtin  = "abt2.dev/internal/driver/builtin"
	haproxy  = "abt2.dev/internal/driver/haproxy"
	bfe      = "abt2.dev/internal/driver/bfe"
	navi     = "abt2.dev/internal/driver/navi"
)

// figures are what the project promises. Benchmarks are named as they print.
var figures = []figure{
	{what: "pick, 1 environment", measured: measure{route, "Pick/environments=1", "ns/op"}, bound: 60},
	{what: "pick, 100 environments", measured: measure{route, "Pick/environments=100", "ns/op"}, bound: 60},
	{what: "pick, 10,000 environments", measured: measure{route, "Pick/environments=10000", "ns/op"}, bound: 60},
	{what: "pick, allocations", measured: measure{route, "Pick/environments=10000", "allocs/op"}, bound: 0},
	{what: "lane.Transport, time of a request, to a plain one's", measured: measure{lane, "Transport", "ratio"}, bound: 1.15},
	{what: "gRPC, time of a call, to round_robin's", measured: measure{lanegrpc, "UnaryBesideRoundRobin", "ratio"}, bound: 1.25},
	{what: "gRPC, processor's time of a call beyond round_robin's", measured: measure{lanegrpc, "UnaryBesideRoundRobin", "more-cpu-ns/call"}, bound: 6000},
	{what: "Navi-rpc, time of a call outside abt2, to plain HTTP and the same JSON", measured: measure{laneNavi, "CallBesidePlain", "ratio"}, bound: 1.1},
	{what: "edge, requests a second, to a bare ReverseProxy's", measured: measure{drivers, "Throughput", "builtin-of-reverseproxy"}, bound: 1, atLeast: true},
	{what: "edge, requests a second, to those of a ReverseProxy with the edge's Transport and buffers", measured: measure{edge, "EdgeBesidePlain", "ratio"}, bound: 0.9, atLeast: true},
	{what: "HAProxy as an edge, requests a second, to a bare HAProxy's that repeats requests as it does", measured: measure{drivers, "Throughput", "haproxy-of-retrying"}, bound: 0.9, atLeast: true},
	{what: "HAProxy as an edge, requests a second, to a bare HAProxy's that repeats none", measured: measure{drivers, "Throughput", "haproxy-of-bare"}, bound: 0.9, atLeast: true},
	{what: "HAProxy as an edge, requests a second, to nginx's", measured: measure{drivers, "Throughput", "haproxy-of-nginx"}, bound: 0.85, atLeast: true},
	{what: "last request answered old, after a flip of the edge, p99", measured: measure{builtin, "Flips", "p99-ms"}, bound: 5},
	{what: "last request answered old, after a flip of HAProxy, p99", measured: measure{haproxy, "Flips", "p99-ms"}, bound: 20},
	{what: "last request answered old, after a flip of BFE, p99", measured: measure{bfe, "Flips", "p99-ms"}, bound: 25},
	{what: "feed, 1,000 routers confirmed, p99", measured: measure{feed, "Feed/routers=1000", "p99-ms"}, bound: 100},
	{what: "feed, 4,000 routers confirmed, p99", measured: measure{feed, "Feed/routers=4000", "p99-ms"}, bound: 400},
	{what: "feed, 10,000 routers confirmed, p99", measured: measure{feed, "Feed/routers=10000", "p99-ms"}, bound: 1500},
	{what: "feed, server memory for each of 10,000 routers", measured: measure{feed, "Feed/routers=10000", "KB/router"}, bound: 80},
	{what: "DNS, answers a second", measured: measure{dns, "AnswersBesideBare", "answers/s"}, bound: 30000, atLeast: true},
	{what: "DNS, answers a second, to a bare server's", measured: measure{dns, "AnswersBesideBare", "ratio"}, bound: 0.9, atLeast: true},
	{what: "disconf, 100 instances report a switch, slowest of each, p99", measured: measure{disconf, "Push/instances=100", "p99-ms"}, bound: 300},
	{what: "commit under 2,000 requests/s, failed", measured: measure{demo, "Commit", "failed"}, bound: 0},
	{what: "commit under 2,000 requests/s, mixed", measured: measure{demo, "Commit", "mixed"}, bound: 0},
	{what: "commit under 2,000 requests/s, rate kept", measured: measure{demo, "Commit", "requests/s"}, bound: 1900, atLeast: true},
	{what: "adopting under 1,000 requests/s, failed", measured: measure{cli, "Adopt", "failed"}, bound: 0},
	{what: "adopting under 1,000 requests/s, rate kept", measured: measure{cli, "Adopt", "requests/s"}, bound: 950, atLeast: true},
	{what: "upgrade under 1,000 requests/s, failed", measured: measure{server, "Upgrade", "failed"}, bound: 0},
	{what: "upgrade under 1,000 requests/s, mixed", measured: measure{server, "Upgrade", "mixed"}, bound: 0},
	{what: "upgrade under 1,000 requests/s, rate kept", measured: measure{server, "Upgrade", "requests/s"}, bound: 950, atLeast: true},
	{what: "200 registrations in ZooKeeper switched", measured: measure{navi, "Switch", "ns/op"}, bound: 1e9},
	{what: "200 registrations in ZooKeeper switched, fewest listed", measured: measure{navi, "Switch", "fewest-listed"}, bound: 200, atLeast: true},
	{what: "200 registrations complete after ZooKeeper's restart", measured: measure{navi, "Restart", "ns/op"}, bound: 15e9},
	{what: "40 instances back after a reboot", measured: measure{server, "Reboot", "ns/op"}, bound: 10e9},
	{what: "backup of 1 GiB, to a plain copy's speed", measured: measure{demo, "Backup", "ratio"}, bound: 0.5, atLeast: true},
	{what: "backup of 1 GiB, the server's memory beyond idle", measured: measure{demo, "Backup", "more-server-MB"}, bound: 50},
	{what: "abt2 doctor, slowest", measured: measure{demo, "Doctor", "slowest-ms"}, bound: 1000},
	{what: "server ready, slowest start", measured: measure{demo, "ServerReady", "slowest-ms"}, bound: 2000},
	{what: "server resident when idle", measured: measure{demo, "ServerReady", "server-MB"}, bound: 150},
	{what: "edge resident when idle", measured: measure{demo, "ServerReady", "edge-MB"}, bound: 40},
}
