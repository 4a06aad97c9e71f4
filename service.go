package abt2

import (
	"context"
	"io"
	"time"
)

// Service is abt2 as its operators see it. The engine implements it, and so
// does the API's client, so that a command can be tested against either.
// Every method may be called from several goroutines. Errors are *Error.
type Service interface {
	// Start tells whether a session may be started.
	Start(ctx context.Context, product ProductName) (StartAnswer, error)
	// Create opens a session. Unless forced it is refused with CodeDifferences
	// while desired and actual state disagree.
	Create(ctx context.Context, r CreateRequest) (Session, error)
	// HasArtifact tells whether the server holds the artifact with this sha256.
	HasArtifact(ctx context.Context, digest string) (bool, error)
	// Upload stores an artifact's bytes, which must have the stated digest and
	// size. Nothing is kept on an error. Uploading what is there succeeds.
	Upload(ctx context.Context, a Artifact, body io.Reader) error
	// Put adds builds to the open session: all or none.
	Put(ctx context.Context, r PutRequest) ([]PutAnswer, error)
	// Drop takes back puts; Remove makes the next preview lack modules.
	Drop(ctx context.Context, r ModuleRequest) error
	Remove(ctx context.Context, r ModuleRequest) error
	// Plan lists exactly what commit would change.
	Plan(ctx context.Context, r PlanRequest) ([]PlanLine, error)
	// Run starts a verb in the server, or attaches to it where it is at work
	// already, and reports until it ends. When ctx ends the caller detaches; the
	// verb goes on. Run calls progress from one goroutine.
	Run(ctx context.Context, r VerbRequest, progress func(Progress)) (Outcome, error)
	Status(ctx context.Context, product ProductName) (Status, error)
	// Validate lists where reality differs from what should be.
	Validate(ctx context.Context, r ValidateRequest) ([]Difference, error)
	// History returns the last events, the newest first. limit 0 is no limit.
	History(ctx context.Context, product ProductName, limit int) ([]Event, error)
	// Environment returns one environment, retired ones included.
	Environment(ctx context.Context, id EnvironmentID) (EnvironmentStatus, error)
	// SetProduct changes settings of a product.
	SetProduct(ctx context.Context, r ProductRequest) error
	// Forget removes the record of a router that will not come back, so that no
	// switch waits for it. One that is connected is refused.
	Forget(ctx context.Context, r ForgetRequest) error
	// Lookup tells which instances stand under a name, now or once that changes.
	// The server's end ends the waiting with CodeUnavailable.
	Lookup(ctx context.Context, r LookupRequest) (Lookup, error)
	// Call calls a method of a module by Navi-rpc, to try it. What the method
	// answers, a failure too, is no error.
	Call(ctx context.Context, r CallRequest) (CallAnswer, error)
	// Groups lists the groups of a product by name, ChangeGroup changes one and
	// returns it; of a deleted one, what it was.
	Groups(ctx context.Context, product ProductName) ([]Group, error)
	ChangeGroup(ctx context.Context, r GroupRequest) (Group, error)
	// Modules lists modules by name, deleted ones left out. ChangeModule announces
	// one, or deletes one that nothing uses: neither changes what anybody is
	// served. It returns the module as it is, or was, then.
	Modules(ctx context.Context, r ModulesRequest) ([]ModuleStatus, error)
	ChangeModule(ctx context.Context, r ChangeModuleRequest) (ModuleStatus, error)
	// Logs writes what a module's instances printed, as LogReader does. Without
	// a number the online version is meant, else the preview's, else the last.
	Logs(ctx context.Context, r LogsRequest, w io.Writer) error
	// Backup writes everything that is needed to begin again: the state as it is
	// at one moment, and the builds that it names. Work goes on meanwhile. What
	// has been written when an error is returned is of no use.
	Backup(ctx context.Context, w io.Writer) error
	// Status.Faults tells whether the server makes faults.
	Disturber
}

// By says who asks. The identity is added by the server from the credential.
type By struct {
	Operator string
	Takeover bool // become the session's owner
}

// StartAnswer is the answer to: may a session be started? Tokens are left out.
type StartAnswer struct {
	Free    bool      `json:"free"`
	Session *Session  `json:"session"` // what stands in the way
	Parked  []Session `json:"parked,omitempty"`
}

// CreateRequest opens a session.
type CreateRequest struct {
	By
	Product     ProductName
	Description string
	Force       bool
	DryRun      bool
}

// PutModule is one module of a put.
type PutModule struct {
	Module ModuleName
	// Artifact has been uploaded before. Its zero value keeps the artifact of
	// the last put or release and changes the configuration only.
	Artifact Artifact
	// Flags and File are the two upper layers of the configuration; module.yaml
	// in the artifact and the last release are the lower ones, and the server's.
	Flags ConfigPatch
	File  []byte // YAML as in module.yaml
	// Init says that this module has never been released, as PutRequest.Init
	// says it of all.
	Init bool
}

// PutRequest adds builds to the open session.
type PutRequest struct {
	By
	Product ProductName
	Modules []PutModule
	Init    bool // the modules have never been released
	DryRun  bool
}

// PutAnswer tells what one module's put led to.
type PutAnswer struct {
	Version VersionID     `json:"version"`
	From    VersionID     `json:"from,omitzero"` // the last release
	Digest  string        `json:"digest"`
	Same    bool          `json:"same"` // already online: nothing to ship
	Changes []FieldChange `json:"changes"`
}

// ModuleRequest names modules of the open session.
type ModuleRequest struct {
	By
	Product ProductName
	Modules []ModuleName
	DryRun  bool
}

// PlanRequest asks what commit would change. Only the owner is answered.
type PlanRequest struct {
	By
	Product ProductName
}

// PlanLine is one module that commit would change.
type PlanLine struct {
	Module ModuleName  `json:"module"`
	From   VersionID   `json:"from,omitzero"`
	To     VersionID   `json:"to,omitzero"` // zero: removed
	Size   int64       `json:"size"`        // bytes of the artifact
	Digest string      `json:"digest"`      // of the version
	State  TargetState `json:"state"`
	Detail string      `json:"detail,omitempty"` // why it failed, or has to be shipped again
}

// VerbRequest asks for a verb.
type VerbRequest struct {
	By
	Verb    Verb
	Product ProductName
	Modules []ModuleName       // ship, unship; empty: all
	Session SessionID          // unpark; zero: the only one that is parked
	Scale   map[ModuleName]int // scale
	// Instances are those that instance start, stop and restart are about.
	Instances []InstanceID
	DryRun    bool // tell the steps, change nothing
	Yes       bool // a person was asked already
	Prune     bool // refresh: also end what abt2 does not know
	// Share lets a commit be for a share of the visitors. Zero: for all.
	Share Share
	// Force lets a commit switch although routers have not confirmed that they
	// know the target. What they route until they do is answered 503. It lets
	// instance stop end the last healthy instance of a version in use.
	Force bool
	// NoHooks lets a rollback go on without asking the hooks before it, those of
	// a rollback at work included. The other verbs refuse it.
	NoHooks bool

	// Zero stands for the default in each case.
	AckTimeout    time.Duration // for confirmations before the point of no return; 10 s
	SettleTimeout time.Duration // for names and jobs to follow a switch; 30 s
	DrainTimeout  time.Duration // for requests on their way through a retiring environment; 30 s
}

// Progress is one thing that happened, or is awaited, while a verb works.
type Progress struct {
	Module ModuleName `json:"module,omitempty"` // empty: the verb as a whole
	Step   string     `json:"step"`             // one word: start, wait, healthy, failed, prepare, flip, settle, drain, stop, …
	Text   string     `json:"text"`             // for people
	Done   int        `json:"done,omitempty"`   // of Total, where counted
	Total  int        `json:"total,omitempty"`
}

// Outcome is how a verb ended. A verb that had been done already is Same.
type Outcome struct {
	Verb Verb          `json:"verb"`
	From EnvironmentID `json:"from,omitempty"`
	To   EnvironmentID `json:"to,omitempty"`
	// Share of the visitors are served from To, all others from From. Zero: all are.
	Share Share    `json:"share,omitempty"`
	Same  bool     `json:"same,omitempty"`
	Steps []string `json:"steps,omitempty"` // dry run: what would be done
	// Edges and Routers count who confirmed the switch; Unconfirmed names who did
	// not. With CodeUnconfirmed nothing has changed, and the rest is empty.
	Edges       int      `json:"edges,omitempty"`
	Routers     int      `json:"routers,omitempty"`
	Unconfirmed []string `json:"unconfirmed,omitempty"`
	// Prepared is from the verb's begin to the flip. Switched is from there
	// until every edge and every other stamper had confirmed it; where a process
	// is among Unconfirmed, until every edge had. Settled is from there until
	// names and jobs had followed.
	Prepared time.Duration `json:"prepared_ns,omitempty"`
	Switched time.Duration `json:"switched_ns,omitempty"`
	Settled  time.Duration `json:"settled_ns,omitempty"`
	Failed   []Failure     `json:"failed,omitempty"` // ship: modules that did not become healthy
	Warnings []string      `json:"warnings,omitempty"`
	Cookie   string        `json:"cookie,omitempty"` // abt2=TOKEN, where the verb led to an environment that one selects
	Link     string        `json:"link,omitempty"`
	Next     string        `json:"next"` // the commands to go on with
}

// Failure is a version that did not become healthy.
type Failure struct {
	Version VersionID `json:"version"`
	Reason  string    `json:"reason"`
	Log     []string  `json:"log"` // its last lines
}

// Status is a product as it stands. Absent parts are null.
type Status struct {
	Product   ProductName        `json:"product"`
	Session   *SessionStatus     `json:"session"`
	Online    *EnvironmentStatus `json:"online"`
	Preview   *EnvironmentStatus `json:"preview"`
	Backup    *EnvironmentStatus `json:"backup"`
	Parked    []ParkedStatus     `json:"parked"`
	Instances []InstanceStatus   `json:"instances"`
	Names     []NameStatus       `json:"names"`
	Routers   []RouterStatus     `json:"routers"`
	Edges     []string           `json:"edges"` // addresses users reach
	// Limits are what edges lack of what the built-in one does, a sentence each.
	Limits []string `json:"limits,omitempty"`
	// Skew is for how long after a page's load what it asks for goes to the
	// environment that it came from. Zero: skew protection is off.
	Skew      Duration   `json:"skew,omitempty"`
	Running   *Intent    `json:"running"`
	Unsettled bool       `json:"unsettled"`
	Missing   []Shortage `json:"missing"`
	Faults    bool       `json:"faults"` // the server makes faults on request: --allow-faults
	Next      string     `json:"next"`
}

// Shortage is a version that has fewer healthy instances than it should: after
// the machine's start, what is not back yet.
type Shortage struct {
	Version VersionID `json:"version"`
	Role    Role      `json:"role"` // the most urgent of the environments that name it
	Healthy int       `json:"healthy"`
	Want    int       `json:"want"`
}

// SessionStatus is a session as it stands.
type SessionStatus struct {
	ID          SessionID    `json:"id"`
	State       SessionState `json:"state"`
	Operator    string       `json:"op"`
	Description string       `json:"description"`
	Share       Share        `json:"share,omitempty"` // of the visitors are served from the preview
	Created     time.Time    `json:"created"`
	Changed     time.Time    `json:"changed"` // of State
	Targets     []PlanLine   `json:"targets"`
}

// ParkedStatus is a session that is set aside. Preview is null if it has shipped nothing.
type ParkedStatus struct {
	SessionStatus
	Preview *EnvironmentStatus `json:"preview"`
}

// EnvironmentStatus is an environment as it stands.
type EnvironmentStatus struct {
	ID      EnvironmentID            `json:"id"`
	Product ProductName              `json:"product"`
	Role    Role                     `json:"role"`
	Modules map[ModuleName]VersionID `json:"modules"`
	Cookie  string                   `json:"cookie,omitempty"` // abt2=TOKEN whole
	Link    string                   `json:"link,omitempty"`
}

// InstanceStatus is an instance as it stands.
type InstanceStatus struct {
	ID       InstanceID    `json:"id"`
	Module   ModuleName    `json:"module"`
	Version  VersionID     `json:"version"`
	Address  string        `json:"address"`
	State    InstanceState `json:"state"`
	Restarts int           `json:"restarts"`
	External bool          `json:"external,omitempty"` // abt2 neither starts nor stops it
	Detail   string        `json:"detail,omitempty"`
}

// NameStatus is an unversioned name as it stands.
type NameStatus struct {
	Module  ModuleName  `json:"module"`
	Product ProductName `json:"product"` // the owner
	Address string      `json:"address"`
	Version VersionID   `json:"version,omitzero"` // that stands there; zero: none
}

// RouterStatus is a router as the feed knows it.
type RouterStatus struct {
	ID        string    `json:"id"`
	Role      string    `json:"role"` // edge, process or relay
	Version   VersionID `json:"version,omitzero"`
	Connected bool      `json:"connected"`
	Applied   Mark      `json:"applied"`
	Stamper   bool      `json:"stamper"`   // gives environments to requests that have none
	Carried   uint64    `json:"carried"`   // requests and calls it is at work on, as last reported
	Mixed     uint64    `json:"mixed"`     // requests that saw another release than they were stamped with
	Restamped uint64    `json:"restamped"` // calls that lost their request's stamp
}

// ValidateRequest selects what to compare; nothing selected is everything.
type ValidateRequest struct {
	Product                                         ProductName
	Platform, Edge, ConfigCentre, Registry, Routers bool
}

// Difference is one place where reality is not what it should be.
type Difference struct {
	Part   string `json:"part"`   // platform, edge, config-centre, registry, routers or state
	Object string `json:"object"` // what differs
	Should string `json:"should"`
	Is     string `json:"is"`
	Remedy string `json:"remedy"`
	// Meant says that an operator wants it so: it keeps nothing from going on, and
	// refresh does not mend it.
	Meant bool `json:"meant,omitempty"`
}

// ProductRequest changes settings of a product. What is nil stays.
type ProductRequest struct {
	By
	Product ProductName
	Skew    *Duration // see Status.Skew
	DryRun  bool
}

// ForgetRequest names a router, as RouterStatus.ID does.
type ForgetRequest struct {
	By
	Product ProductName
	Router  string
	DryRun  bool
}

// LogsRequest selects logs. A zero number selects as Service.Logs says.
type LogsRequest struct {
	Product ProductName
	Version VersionID
	Tail    int // lines of each instance; negative: all
	Follow  bool
}
