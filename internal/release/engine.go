// Package release is the engine: from what abt2 believes it derives what should
// be, compares it with what is, and takes the steps between, each of which may
// be repeated after a crash.
package release

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"abt2.dev"
)

// Store keeps the state. Update runs fn on a copy of the current state and
// stores the outcome as one guarded transaction, running fn again if another
// change came in between; an error of fn is returned as it is and nothing changes.
type Store interface {
	State(ctx context.Context) (*abt2.State, error)
	Update(ctx context.Context, fn func(*abt2.State) error) (*abt2.State, error)
	// Mark gives a table of this content its identity: the same content as the
	// last gets the same mark, any other the next revision.
	Mark(ctx context.Context, digest string) (abt2.Mark, error)
	Events(ctx context.Context, product abt2.ProductName, limit int) ([]abt2.Event, error)
}

// Artifacts keeps builds by their content.
type Artifacts interface {
	Has(digest string) bool
	Put(ctx context.Context, a abt2.Artifact, body io.Reader) error
	// Unpacked returns where the artifact lies ready to run.
	Unpacked(ctx context.Context, a abt2.Artifact) (string, error)
	// ModuleYAML returns the artifact's module.yaml, nil if it has none.
	ModuleYAML(ctx context.Context, a abt2.Artifact) ([]byte, error)
	// Remove deletes all artifacts but those to keep.
	Remove(ctx context.Context, keep map[string]bool) (removed int, freed int64, err error)
}

// Routers is the feed as the engine sees it.
type Routers interface {
	// Publish sends the table to every process that routes.
	Publish(t abt2.Table)
	// Statuses returns what is known of every router, edges included.
	Statuses() []abt2.RouterStatus
	// WaitDrained waits until every connected router has reported, after the
	// call began, that it is at work on no request of the environment. When ctx
	// ends first the error names who still is.
	WaitDrained(ctx context.Context, env abt2.EnvironmentID) error
	// CloseStreams asks every connected edge, or every other connected router, to
	// end what it carries of the environment, politely. WaitDrained tells when
	// that is done.
	CloseStreams(env abt2.EnvironmentID, edges bool)
	// Restore makes routers known, as not connected, that an earlier server knew.
	Restore(routers []abt2.Router)
	// Forget removes a router that will not come back.
	Forget(id string)
	// Changed returns a channel that is closed when Statuses may next answer differently.
	Changed() <-chan struct{}
}

// EdgeTarget is one gateway instance that the engine keeps up to date.
type EdgeTarget struct {
	ID      string
	Edge    abt2.Edge
	Address string // where users reach it, for people; empty: they do not
}

// Faults makes the faults that are not the platform's.
type Faults interface {
	// KillServer sees to it that the server dies once the answer to the request
	// of ctx is out, and that another process of it follows after away.
	KillServer(ctx context.Context, away time.Duration) error
	// UpgradeEdge has an edge hand its sockets over to a new process, and
	// returns when it has.
	UpgradeEdge(ctx context.Context, edge string) error
}

// Config is what an Engine works with. Every field is needed unless it says otherwise.
type Config struct {
	Store     Store
	Artifacts Artifacts
	Platform  abt2.Platform
	Edges     []EdgeTarget
	Registry  abt2.Registry
	// Caller makes operators' calls.
	Caller abt2.Caller
	// Centre tells processes what is online that are no routers; nil: there is none.
	Centre  abt2.ConfigCentre
	Routers Routers
	// DecodeModule reads module.yaml; source names it in messages.
	DecodeModule func(b []byte, source string) (abt2.ConfigPatch, error)
	// NewName finds an address for the unversioned name of a new service.
	NewName func(ctx context.Context, taken func(address string) bool) (string, error)
	// Own tells what of the server itself answers at an address, for people;
	// empty: nothing. Nil: nothing does.
	Own func(address string) string
	// EdgeURL is the base of printed links.
	EdgeURL string
	// InstanceEnv is given to every instance beside what the engine adds.
	InstanceEnv map[string]string
	// Faults is nil where nobody may ask for a fault.
	Faults Faults
	// Hooks is nil where none are set.
	Hooks Hooks
	// WriteBackup is abt2.Service's Backup.
	WriteBackup func(ctx context.Context, w io.Writer) error
	Log         *slog.Logger
}

// Engine runs releases. It implements abt2.Service. Its methods may be called
// from several goroutines; they answer CodeUnavailable until Ready.
type Engine struct {
	Config
	changed signal // something that a verb may be waiting for is different
	moved   signal // something that names follow is different
	names   *directory
	ready   chan struct{} // closed once instances have been found and a table is out

	observing  lock
	disturbing lock // one fault begins at a time

	mu        sync.Mutex
	instances []abt2.Instance           // what the platform last answered
	cordoned  map[abt2.InstanceID]bool  // about to end: no longer in the table
	runs      map[abt2.ProductName]*run // verbs at work, by product
	starting  map[abt2.VersionID]bool   // versions that a ship is bringing up
	spare     map[abt2.VersionID]int    // instances that a restart is bringing up beside the scale

	keeping    sync.RWMutex  // held while artifacts are removed, shared while a put names some
	remembered []abt2.Router // as stored last; of followRouters alone
	placing    lock          // one change of what should run at a time
	poke       chan struct{} // one slot: the keeper may find something to do

	publishing lock // one publication at a time, so that marks and contents agree
	published  abt2.EdgeRoutes
	// heldAt is where users of a product stay for now, whatever is online.
	heldAt  map[abt2.ProductName]abt2.EnvironmentID
	round   string // part of a mark's content; another one makes a new mark
	syncers []*syncer

	work context.Context // ends when Serve ends: the verbs' context
	verb sync.WaitGroup
}

var _ abt2.Service = (*Engine)(nil)

// New returns an engine that does nothing until Serve.
func New(c Config) *Engine {
	e := &Engine{
		Config: c, ready: make(chan struct{}),
		cordoned: map[abt2.InstanceID]bool{}, runs: map[abt2.ProductName]*run{},
		starting: map[abt2.VersionID]bool{}, spare: map[abt2.VersionID]int{}, poke: make(chan struct{}, 1),
		names: newDirectory(), observing: newLock(), disturbing: newLock(), placing: newLock(), publishing: newLock(),
	}
	e.Store = told{c.Store, &e.moved}
	for _, t := range c.Edges {
		e.syncers = append(e.syncers, newEdgeSyncer(t, e))
	}
	if c.Centre != nil {
		e.syncers = append(e.syncers, newSyncer(centreName, func(ctx context.Context, r abt2.EdgeRoutes) error { return c.Centre.Apply(ctx, r.Table) }, e))
	}
	return e
}

// Ready is closed once the platform's instances have been found again and the
// first table is published.
func (e *Engine) Ready() <-chan struct{} { return e.ready }

// Serve finds the platform's instances, publishes the first table, finishes what
// a crash interrupted, and follows the platform until ctx ends. Verbs at work
// are then left for the next Serve. It returns the context's cause.
func (e *Engine) Serve(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	e.work = ctx
	var group sync.WaitGroup
	defer group.Wait()
	defer e.verb.Wait()
	defer stop(errors.New("the engine has ended"))

	moved := make(chan struct{}, 1)
	group.Go(func() {
		if err := e.Platform.Watch(ctx, moved); ctx.Err() == nil {
			stop(abt2.Wrap(abt2.CodeFailed, err, "the platform can no longer be watched"))
		}
	})
	for _, s := range e.syncers {
		group.Go(func() { s.run(ctx) })
	}
	if err := e.begin(ctx, moved); err != nil {
		return err
	}
	if err := e.updateNames(ctx); err != nil {
		return err
	}
	close(e.ready)
	group.Go(func() { e.followRouters(ctx) })
	group.Go(func() { e.followNames(ctx) })
	group.Go(func() { e.keep(ctx) })
	return e.watch(ctx, moved)
}

func (e *Engine) checkReady() error {
	select {
	case <-e.ready:
		return nil
	default:
		return abt2.Errorf(abt2.CodeUnavailable, "the server is still finding its instances and edge again; try again in a moment")
	}
}
