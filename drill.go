package abt2

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// DrillRequest says how to drill a product: a constant load from outside,
// switches back and forth under it, and faults around them.
type DrillRequest struct {
	By
	Product ProductName

	// Paths are asked for in turn, at every edge in turn, by GET and with this
	// Host; an empty one leaves the edge's own address.
	Paths []string
	Host  string
	URLs  []string // asked for beside them, like a service's unversioned address

	Rate     int           // requests a second, over all
	Requests int           // at least so many: the load goes on until the last switch is over
	InFlight int           // requests on their way at once, at most
	Timeout  time.Duration // of one request

	Switches   int
	AckTimeout time.Duration // of each; zero: the default

	Faults    []FaultKind   // dealt out in turn, to about half of the switches
	FaultTime time.Duration // of faults that last: each draws its own, up to this
	Seed      uint64        // of what is left to chance
}

// FaultKinds are all kinds of faults.
func FaultKinds() []FaultKind {
	return []FaultKind{FaultServerKill, FaultEdgeUpgrade, FaultRouterPause, FaultSlowRouter, FaultInstanceKill}
}

// Bounds of a drill.
const (
	maxDrillRate     = 100_000
	maxDrillInFlight = 10_000
)

// Validate checks what can be checked without a server.
func (r DrillRequest) Validate() error {
	if err := r.Product.Validate(); err != nil {
		return err
	}
	for _, n := range []struct {
		field       string
		value, most int
	}{{"rate", r.Rate, maxDrillRate}, {"requests", r.Requests, 1_000_000_000}, {"in-flight", r.InFlight, maxDrillInFlight}, {"switches", r.Switches, 100_000}} {
		if n.value < 1 || n.value > n.most {
			return Errorf(CodeInvalid, "%s %d: must be from 1 to %d", n.field, n.value, n.most)
		}
	}
	if r.Timeout <= 0 {
		return Errorf(CodeInvalid, "timeout %s: must be more than nothing", r.Timeout)
	}
	if len(r.Faults) > 0 && (r.FaultTime < time.Millisecond || r.FaultTime > LongestFault) {
		return Errorf(CodeInvalid, "fault-time %s: must be from %s to %s", r.FaultTime, time.Millisecond, LongestFault)
	}
	if len(r.Paths)+len(r.URLs) == 0 {
		return Errorf(CodeInvalid, "path: must be given, or url; without either there is nothing to ask for")
	}
	for _, p := range r.Paths {
		if _, err := url.ParseRequestURI(p); err != nil || !strings.HasPrefix(p, "/") {
			return Errorf(CodeInvalid, "path %q: must begin with a slash and be a valid path, like /", p)
		}
	}
	for _, s := range r.URLs {
		if u, err := url.Parse(s); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return Errorf(CodeInvalid, "url %q: must be a whole one, like http://127.0.0.1:19001/", s)
		}
	}
	for _, k := range r.Faults {
		if !slices.Contains(FaultKinds(), k) {
			return Errorf(CodeInvalid, "fault %q: must be one of %v", k, FaultKinds())
		}
	}
	return nil
}

// DrillProgress tells how far a drill is. Text is something that happened.
type DrillProgress struct {
	Requests, OfRequests int
	Switches, OfSwitches int
	Text                 string
}

// DrillReport is what a drill measured. Times are the drill's own, taken
// outside, where nothing else is said.
type DrillReport struct {
	Product ProductName   `json:"product"`
	Found   EnvironmentID `json:"found"`  // online before the drill
	Other   EnvironmentID `json:"other"`  // what it switched to and from
	Online  EnvironmentID `json:"online"` // when it ended; zero: not known
	Took    time.Duration `json:"took_ns"`
	Stopped bool          `json:"stopped"` // before its time, by a person or an error
	Rate    int           `json:"rate"`
	Seed    uint64        `json:"seed"`

	Load       DrillLoad     `json:"load"`
	Counters   DrillCounters `json:"counters"`
	Switches   DrillSwitches `json:"switches"`
	Faults     []DrillFault  `json:"faults"`
	Complaints []string      `json:"complaints"` // the first few requests that failed, were mixed or stale
}

// Clean reports whether no request failed, none was mixed, and none was
// answered by a release that a confirmed switch had left.
func (r *DrillReport) Clean() bool {
	return r.Load.Failed == 0 && r.Load.Mixed == 0 && r.Load.Stale == 0 && r.Counters.Mixed == 0
}

// DrillLoad is what became of the requests.
type DrillLoad struct {
	Requests int `json:"requests"`
	Failed   int `json:"failed"` // no answer, not the whole of it, one that is not 2xx, or of an environment that is not the drill's
	Cut      int `json:"cut"`    // not among Failed: broke off after the first byte while a fault killed an instance
	Judged   int `json:"judged"` // answers with a hop list
	Mixed    int `json:"mixed"`  // of those: of more than one release
	Stale    int `json:"stale"`  // answered by the environment before a switch that had been confirmed when they were sent
	Resent   int `json:"resent"` // sent a second time by the HTTP client, because a connection in reserve had been closed
	Unsent   int `json:"unsent"` // due, and not sent when the drill was stopped
	Late     int `json:"late"`   // sent late, because too many others were on their way
	// Latency is measured from when a request was due. A request belongs to a
	// switch if it was due after the verb was sent and before the switch was
	// confirmed.
	Outside DrillLatency `json:"outside"`
	During  DrillLatency `json:"during"`
}

// DrillLatency is how long requests took.
type DrillLatency struct {
	Requests int           `json:"requests"`
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
	P999     time.Duration `json:"p999_ns"`
	Max      time.Duration `json:"max_ns"`
}

// DrillCounters is by how much the routers' counters grew. An instance that
// dies takes along what it counted since it was last looked at.
type DrillCounters struct {
	Mixed     uint64 `json:"mixed"`
	Restamped uint64 `json:"restamped"`
}

// DrillSwitches is what became of the verbs.
type DrillSwitches struct {
	Commits   int `json:"commits"`
	Rollbacks int `json:"rollbacks"`
	Repeated  int `json:"repeated"` // verbs sent again, because the server was away
	// Aborted counts commits that changed nothing, because somebody had not
	// confirmed; Laggards names who, and how often.
	Aborted  int            `json:"aborted"`
	Laggards map[string]int `json:"laggards"`
	// Unconfirmed counts the processes that had not confirmed a switch when its
	// verb ended.
	Unconfirmed int `json:"unconfirmed"`
	// Calm is from when the verb was sent until the last stamper had confirmed,
	// of switches that no fault touched; Disturbed is the same of the others.
	Calm      DrillTimes `json:"calm"`
	Disturbed DrillTimes `json:"disturbed"`
	Prepared  DrillTimes `json:"prepared"` // as the server measured it: until the flip
	Flipped   DrillTimes `json:"flipped"`  // as the server measured it: from there on
	Settled   DrillTimes `json:"settled"`  // until names and jobs had followed
	// LastOld is when, seen from the confirmation of its switch, the last request
	// was sent that the environment before it answered: the worst of all
	// switches. Negative: before the confirmation. Null: no answer told.
	LastOld *time.Duration `json:"last_old_ns"`
}

// DrillTimes is how long verbs took, or parts of them.
type DrillTimes struct {
	Count int           `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P99   time.Duration `json:"p99_ns"`
	Max   time.Duration `json:"max_ns"`
}

// DrillFault is what became of one kind of fault.
type DrillFault struct {
	Kind    FaultKind `json:"kind"`
	Made    int       `json:"made"`
	Refused int       `json:"refused"` // there was nothing it might strike, or no server to make it
}
