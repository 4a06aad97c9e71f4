package abt2

import (
	"context"
	"io"
	"time"
)

// InstanceID names one running copy; it is never used again. Of two instances
// of a version the one with the longer id is the younger, and of ids of the same
// length the one that sorts later: order-3-10 is younger than order-3-9.
type InstanceID string

// InstanceState is what the platform knows of an instance.
type InstanceState string

// The states of an instance.
const (
	InstanceStarting    InstanceState = "starting"    // not yet healthy
	InstanceHealthy     InstanceState = "healthy"     // answers its health check
	InstanceUnhealthy   InstanceState = "unhealthy"   // was healthy, fails its check now
	InstanceBackoff     InstanceState = "backoff"     // ended by itself; waits to be started again
	InstanceStopping    InstanceState = "stopping"    // was told to end
	InstanceUnreachable InstanceState = "unreachable" // nothing is known: this is not ended
	// InstanceStopped is no state of a platform's: an operator has ended it.
	InstanceStopped InstanceState = "stopped"
)

// Instance is one running copy of a version.
type Instance struct {
	ID       InstanceID    `json:"id"`
	Version  VersionID     `json:"version"`
	Address  string        `json:"address"` // host:port; empty for jobs
	State    InstanceState `json:"state"`
	Restarts int           `json:"restarts"`
	Since    time.Time     `json:"since"`  // of State, for display
	Detail   string        `json:"detail"` // why it is not healthy, for people
	// Fault is what a Saboteur does to it now; empty: nothing.
	Fault FaultKind `json:"fault,omitempty"`
}

// Workload asks a platform to run one version.
type Workload struct {
	Version Version
	Scale   int // number of instances; more than zero, and not heeded for an external version
	// Without are instances that are not to be among them. Those that do not exist
	// are none already. Not heeded for an external version.
	Without []InstanceID
	// Source is the artifact on this machine: an executable or .jar file, or
	// the folder an archive was unpacked to. Nobody writes to it.
	Source string
	// Env holds what abt2 tells an instance beside its configuration. It is
	// read when an instance starts; a change is no reason to replace one.
	Env map[string]string
}

// Platform runs versions. Every call may be repeated after a crash; calls may
// come from several goroutines. When the context ends a call returns its cause,
// and the effect may or may not have happened: repeat or read back.
type Platform interface {
	// Apply makes exactly w.Scale instances of the version exist and keeps them
	// running. It returns when they have been started, not when they are
	// healthy. Instances beyond the scale end, the youngest first, after those in
	// w.Without.
	Apply(ctx context.Context, w Workload) error
	// Remove ends every instance of the version and returns when they are
	// proved ended. Removing what is absent succeeds.
	Remove(ctx context.Context, v VersionID) error
	// Instances returns all that really run, expected or not, sorted by id. An
	// instance that cannot be asked is returned as unreachable, never left out.
	Instances(ctx context.Context) ([]Instance, error)
	// Watch sends whenever Instances may answer differently, dropping signals
	// that the receiver has not yet taken. It sends once at the beginning,
	// blocks until the context ends, and returns its cause.
	Watch(ctx context.Context, changed chan<- struct{}) error
}

// LogReader is the ability of a platform to show what instances printed.
type LogReader interface {
	// Logs copies what the instances of a version printed, ended ones included,
	// line by line, each preceded by the instance's id and a tab. tail limits it
	// to the last lines of each; negative is no limit. With follow it goes on
	// until the context ends.
	Logs(ctx context.Context, v VersionID, tail int, follow bool, w io.Writer) error
}

// Saboteur is the ability of a platform to strike an instance on purpose, for a
// drill. Whether anybody may ask for that is not the platform's to decide. Every
// fault ends by itself, at the latest after LongestFault, whatever becomes of
// who asked for it: of the server, and of the platform's own processes.
//
// Errors have CodeNotFound for an instance that does not exist, CodeRefused for
// one that does not run or is under a fault already, and CodeInvalid for a time
// that is not above zero and at most LongestFault.
type Saboteur interface {
	// Kill ends the instance's processes at once, and returns when they have
	// ended. The platform starts them again as after any crash.
	Kill(ctx context.Context, id InstanceID) error
	// Pause makes the instance stand still for d and returns when it does.
	// Instance.Fault tells so for as long.
	Pause(ctx context.Context, id InstanceID, d time.Duration) error
	// Slow lets the instance run for a tenth of the time only, in short slices,
	// for d, and returns when that has begun. Instance.Fault tells so for as long.
	Slow(ctx context.Context, id InstanceID, d time.Duration) error
}

// Edge is one gateway instance. Calls may come from several goroutines.
type Edge interface {
	// Apply makes the gateway serve exactly r and returns when it does: any one
	// request is routed by r or by what was there before, never by a mixture.
	// Older routes than those served are refused with CodeRefused; the same
	// again succeeds. On error the gateway serves the old or the new, whole.
	Apply(ctx context.Context, r EdgeRoutes) error
	// Read returns what the gateway serves now, not what was written to it. A
	// gateway that serves nothing yet answers the zero EdgeRoutes.
	Read(ctx context.Context) (EdgeRoutes, error)
}

// Drainer is the ability of an edge that is no router of the feed to tell what
// it carries.
type Drainer interface {
	// WaitDrained waits until no request of the environment is on its way
	// through the gateway. When ctx ends first the error is of CodeUnconfirmed
	// and says how many still are.
	WaitDrained(ctx context.Context, env EnvironmentID) error
}

// Ability is something that an edge may lack, and that is refused to operators
// where it does.
type Ability string

// The abilities of an edge.
const (
	AbilityShare Ability = "share" // it heeds EdgeRoutes.Shares
	AbilitySkew  Ability = "skew"  // it heeds EdgeRoutes.Skew
)

// Abilities are all that there are.
var Abilities = [...]Ability{AbilityShare, AbilitySkew}

// Lack says for people what an edge cannot do that lacks the ability.
func (a Ability) Lack() string {
	switch a {
	case AbilityShare:
		return "visitors cannot be sent to a preview by share (commit --share)"
	case AbilitySkew:
		return "pages cannot be kept to the environment they came from (product set --skew)"
	}
	return string(a)
}

// Abler is the ability of an edge to have abilities. One that is no Abler has none.
type Abler interface {
	// Abilities lists those that the gateway is known to have at this moment: one
	// that was never reached is known to have none.
	Abilities() []Ability
}

// Limiter is the ability of an edge to say what it lacks of what the built-in
// edge does, a sentence each, for people.
type Limiter interface {
	Limits() []string
}

// TokenReader is the ability of an edge that can compare tokens but not hash
// them: its routes come with EdgeRoutes.Whole.
type TokenReader interface {
	// ReadsTokens does nothing; that it is there says enough.
	ReadsTokens()
}

// Names is the desired or actual whole of unversioned names, by module.
type Names struct {
	Mark  Mark   `json:"mark"`
	Names []Name `json:"names"`
	// Listings are for a Lister; empty for any other registry.
	Listings []Listing `json:"listings,omitempty"`
}

// Registry holds instance lists under unversioned names. Calls may come from
// several goroutines.
type Registry interface {
	// Apply makes every name lead to its owner's online version and returns when
	// that has been seen in the registry. Older names than those held are
	// refused with CodeRefused. What n holds is kept; nobody changes it any more.
	Apply(ctx context.Context, n Names) error
	// Read asks the registry itself which names stand there.
	Read(ctx context.Context) (Names, error)
}

// ConfigCentre tells running processes, which need not be ours, what is online.
// Calls may come from several goroutines.
type ConfigCentre interface {
	// Apply makes processes know the table: every environment's versions, and
	// then which environment is online. It returns when all that report what is
	// in effect in them report that; when ctx ends first the error is of
	// CodeUnconfirmed and names those that do not. An older table than the one
	// applied last is refused with CodeRefused; the same again succeeds.
	Apply(ctx context.Context, t Table) error
	// Compare names whatever is not as the table says: values, and processes in
	// which another one is in effect. Part is left empty.
	Compare(ctx context.Context, t Table) ([]Difference, error)
}
