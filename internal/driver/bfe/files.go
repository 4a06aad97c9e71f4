package bfe

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"abt2.dev"
)

// What BFE's files hold, as BFE defines it (bfe_config and mod_header). BFE
// tells the versions of what it has loaded and nothing more, so that each is a
// digest of the content.

// Limits of what passes. BFE's are of a whole exchange, not of a pause in it.
const (
	connectLimit  = 2 * time.Second
	exchangeLimit = 30 * time.Minute
	idleLimit     = time.Minute
)

// retries is how many other instances are tried after one that refuses a connection.
const retries = 4

// files are contents by the setting that names their place.
type files map[string][]byte

// versions is what a content was called in each file.
type versions map[string]string

type (
	hostRuleFile struct {
		Version        string
		DefaultProduct *string
		Hosts          map[string][]string // by tag
		HostTags       map[string][]string // by product
	}
	vipRuleFile struct {
		Version string
		Vips    map[string][]string
	}
	routeRuleFile struct {
		Version     string
		ProductRule map[string][]routeRule
	}
	routeRule       struct{ Cond, ClusterName string }
	clusterConfFile struct {
		Version string
		Config  map[string]clusterSettings
	}
	clusterSettings struct {
		BackendConf struct {
			Protocol                                                               string
			TimeoutConnSrv, TimeoutResponseHeader, MaxIdleConnsPerHost, RetryLevel int64
		}
		CheckConf struct {
			Schem                  string
			FailNum, CheckInterval int64
		}
		GslbBasic struct {
			CrossRetry, RetryMax int64
			HashConf             struct {
				HashStrategy  int
				SessionSticky bool
			}
		}
		ClusterBasic struct {
			TimeoutReadClient, TimeoutWriteClient, TimeoutReadClientAgain int64
			ReqWriteBufferSize, ReqFlushInterval, ResFlushInterval        int64
			CancelOnClientClose                                           bool
		}
	}
	clusterTableFile struct {
		Version string
		Config  map[string]map[string][]backend
	}
	backend struct {
		Name, Addr   string
		Port, Weight int
	}
	gslbFile struct {
		Clusters     map[string]map[string]int
		Hostname, Ts string
	}
	nameConfFile struct {
		Version string
		Config  map[string]struct{}
	}
	headerRuleFile struct {
		Version string
		Config  map[string][]headerRule
	}
	headerRule struct {
		Cond    string   `json:"cond"`
		Actions []action `json:"actions"`
		Last    bool     `json:"last"`
	}
	action struct {
		Cmd    string   `json:"cmd"`
		Params []string `json:"params"`
	}
)

// render writes the files of a plan. clusters may be more than the plan's own.
func (p *plan) render(clusters map[string]cluster, probe string) (files, versions, error) {
	hosts := hostRuleFile{Hosts: map[string][]string{}, HostTags: map[string][]string{}}
	if p.byDefault != "" {
		hosts.DefaultProduct = &p.byDefault
	}
	routes := routeRuleFile{ProductRule: map[string][]routeRule{}}
	for _, product := range p.products {
		hosts.Hosts[product.name] = append([]string{}, product.hosts...)
		hosts.HostTags[product.name] = []string{product.name}
		for _, r := range product.rules {
			routes.ProductRule[product.name] = append(routes.ProductRule[product.name], routeRule{r.condition, r.cluster})
		}
	}
	vips := vipRuleFile{Vips: map[string][]string{}}
	names := nameConfFile{Config: map[string]struct{}{}}
	conf := clusterConfFile{Config: map[string]clusterSettings{}}
	table := clusterTableFile{Config: map[string]map[string][]backend{}}
	gslb := gslbFile{Clusters: map[string]map[string]int{}}
	for name, c := range clusters {
		conf.Config[name] = c.settings()
		table.Config[name] = map[string][]backend{}
		gslb.Clusters[name] = map[string]int{"GSLB_BLACKHOLE": 100}
		if len(c.instances) > 0 {
			table.Config[name][allOfThem] = c.backends()
			gslb.Clusters[name] = map[string]int{"GSLB_BLACKHOLE": 0, allOfThem: 100}
		}
	}
	headers := headerRuleFile{Config: map[string][]headerRule{"global": headerRulesOf(clusters, probe)}}

	out, called := files{}, versions{}
	for _, f := range []struct {
		name    string
		version *string
		content any
	}{
		{hostRules, &hosts.Version, &hosts}, {vipRules, &vips.Version, &vips}, {routeRules, &routes.Version, &routes},
		{clusterConf, &conf.Version, &conf}, {clusterTable, &table.Version, &table}, {gslbConf, &gslb.Ts, &gslb},
		{nameConf, &names.Version, &names}, {headerRules, &headers.Version, &headers},
	} {
		b, err := json.Marshal(f.content)
		if err != nil {
			return nil, nil, abt2.Wrap(abt2.CodeInternal, err, "BFE's %s cannot be encoded", f.name)
		}
		sum := sha256.Sum256(b)
		*f.version = "abt2-" + hex.EncodeToString(sum[:12])
		if out[f.name], err = json.MarshalIndent(f.content, "", " "); err != nil {
			return nil, nil, abt2.Wrap(abt2.CodeInternal, err, "BFE's %s cannot be encoded", f.name)
		}
		called[f.name] = *f.version
	}
	return out, called, nil
}

// allOfThem is the one group of instances that a cluster has; BFE could spread
// requests over several.
const allOfThem = "all"

func (c cluster) backends() []backend {
	var out []backend
	for _, i := range c.instances {
		host := i.address.Addr().String()
		if i.address.Addr().Is6() {
			host = "[" + host + "]" // BFE joins it with the port by a colon
		}
		out = append(out, backend{Name: i.name, Addr: host, Port: int(i.address.Port()), Weight: 1})
	}
	return out
}

func (c cluster) settings() (s clusterSettings) {
	b := &s.BackendConf
	b.Protocol = "http"
	if c.grpc {
		b.Protocol = "h2c"
	}
	b.TimeoutConnSrv, b.TimeoutResponseHeader = connectLimit.Milliseconds(), exchangeLimit.Milliseconds()
	b.MaxIdleConnsPerHost = 128
	b.RetryLevel = 1 // GET without a body, too, if its connection breaks before an answer
	s.CheckConf.Schem, s.CheckConf.FailNum, s.CheckConf.CheckInterval = "tcp", 5, 1000
	s.GslbBasic.RetryMax = retries
	s.GslbBasic.HashConf.HashStrategy = 1 // by the client's address; there is one group only
	k := &s.ClusterBasic
	k.TimeoutReadClient, k.TimeoutWriteClient = exchangeLimit.Milliseconds(), exchangeLimit.Milliseconds()
	k.TimeoutReadClientAgain = idleLimit.Milliseconds()
	k.ReqWriteBufferSize, k.ReqFlushInterval = 4096, 1
	k.ResFlushInterval = -1 // at once: event streams
	k.CancelOnClientClose = true
	return s
}

// Headers between abt2 and a driven BFE.
const (
	envHeader     = "Abt2-Env"
	toHeader      = "Abt2-To"
	servedHeader  = "Abt2-Served"
	probeHeader   = "Abt2-Probe"   // asks which cluster a request is led to; its value is a secret
	clusterHeader = "Abt2-Cluster" // tells it
	absentHeader  = "Abt2-None"    // nobody sends it: what removes it does nothing, and ends the rules
)

// headerRulesOf makes mod_header's rules. They know a request by its cluster,
// which the first of them writes over every forged stamp: the environment is
// what its name begins with, and what follows the dot is for us.
func headerRulesOf(clusters map[string]cluster, probe string) []headerRule {
	to, served := map[string][]string{}, map[string][]string{}
	for name, c := range clusters {
		if c.to != "" {
			to[c.to] = append(to[c.to], name)
		}
		if c.served != "" {
			served[c.served] = append(served[c.served], name)
		}
	}
	stamp := []action{
		{"REQ_HEADER_SET", []string{"Baggage", "abt2.env=%bfe_cluster"}},
		{"REQ_COOKIE_DEL", []string{tokenCookie}},
		{"REQ_COOKIE_DEL", []string{abt2.VisitorCookie}},
		{"REQ_COOKIE_DEL", []string{abt2.PageCookie}},
	}
	for _, name := range []string{toHeader, tokenHeader, servedHeader, "Abt2_Env", "Abt2_To", "Abt2_Token", "Abt2_Served"} {
		stamp = append(stamp, action{"REQ_HEADER_DEL", []string{name}})
	}
	rules := []headerRule{
		{Cond: always, Actions: []action{{"REQ_HEADER_SET", []string{envHeader, "%bfe_cluster"}}}},
		{Cond: headerIs(probeHeader, probe), Actions: []action{{"RSP_HEADER_SET", []string{clusterHeader, "%bfe_cluster"}}}},
		{Cond: headerIs(envHeader, pages), Last: true, Actions: []action{
			{"REQ_HEADER_DEL", []string{absentHeader}}, {"RSP_HEADER_DEL", []string{absentHeader}},
		}},
		{Cond: always, Actions: append(stamp, action{"RSP_HEADER_DEL", []string{servedHeader}})},
	}
	for _, who := range slices.Sorted(maps.Keys(to)) {
		rules = append(rules, headerRule{
			Cond: headerIs(envHeader, sorted(to[who])...), Last: true, Actions: []action{{"REQ_HEADER_SET", []string{toHeader, who}}},
		})
	}
	for _, what := range slices.Sorted(maps.Keys(served)) {
		rules = append(rules, headerRule{
			Cond: headerIs(envHeader, sorted(served[what])...), Last: true, Actions: []action{
				{"RSP_HEADER_SET", []string{servedHeader, what}}, {"RSP_HEADER_SET", []string{"Cache-Control", "private, no-store"}},
			},
		})
	}
	return rules
}

func sorted(names []string) []string {
	slices.SortFunc(names, cmp.Compare[string])
	return names
}
