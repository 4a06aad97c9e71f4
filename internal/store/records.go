package store

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"abt2.dev"
)

// schema is the layout that this abt2 writes and reads.
const schema = 1

const (
	stateKey    = "/abt2/state/"
	metaKey     = stateKey + "meta"
	releasesKey = stateKey + "releases"
	routersKey  = stateKey + "routers"
	eventKey    = "/abt2/event/"
	tableKey    = "/abt2/table/head"
)

// meta is what belongs to the state as a whole.
type meta struct {
	Schema          int                `json:"schema"`
	Epoch           string             `json:"epoch"`
	LastEnvironment abt2.EnvironmentID `json:"last_environment"`
	LastSession     abt2.SessionID     `json:"last_session"`
	LastEvent       uint64             `json:"last_event"`
	// Txn is random: by it a writer knows its own transaction again.
	Txn string `json:"txn"`
}

// Keys of numbers have a fixed width, so that etcd's order is theirs.
func productKey(id abt2.ProductName) string { return stateKey + "product/" + string(id) }
func moduleKey(id abt2.ModuleName) string   { return stateKey + "module/" + string(id) }
func versionKey(id abt2.VersionID) string {
	return fmt.Sprintf("%sversion/%s@%020d", stateKey, id.Module, id.Number)
}
func environmentKey(id abt2.EnvironmentID) string {
	return fmt.Sprintf("%senvironment/%020d", stateKey, id)
}
func sessionKey(id abt2.SessionID) string { return fmt.Sprintf("%ssession/%020d", stateKey, id) }
func eventSeqKey(seq uint64) string       { return fmt.Sprintf("%s%020d", eventKey, seq) }

// changes lists what turns the stored state into next and appends next's
// events. No operations: nothing changed.
func changes(now *snapshot, next *abt2.State) (meta, []clientv3.Op, error) {
	var w writer
	diff(&w, productKey, now.state.Products, next.Products)
	diff(&w, moduleKey, now.state.Modules, next.Modules)
	diff(&w, versionKey, now.state.Versions, next.Versions)
	diff(&w, environmentKey, now.state.Environments, next.Environments)
	diff(&w, sessionKey, now.state.Sessions, next.Sessions)
	w.putIfChanged(releasesKey, now.state.Releases, next.Releases)
	w.putIfChanged(routersKey, now.state.Routers, next.Routers)
	m := meta{
		Schema: schema, Epoch: next.Epoch, LastEnvironment: next.LastEnvironment,
		LastSession: next.LastSession, LastEvent: now.meta.LastEvent, Txn: now.meta.Txn,
	}
	for _, e := range next.Events {
		m.LastEvent++
		e.Seq = m.LastEvent
		w.put(eventSeqKey(e.Seq), e)
	}
	if w.err == nil && (len(w.ops) > 0 || m != now.meta) {
		m.Txn = rand.Text()
		w.put(metaKey, m)
	}
	if w.err != nil {
		return meta{}, nil, abt2.Wrap(abt2.CodeInternal, w.err, "the state cannot be encoded")
	}
	return m, w.ops, nil
}

// writer collects operations and the first error.
type writer struct {
	ops []clientv3.Op
	err error
}

func (w *writer) encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil && w.err == nil {
		w.err = err
	}
	return b
}

func (w *writer) put(key string, v any) {
	w.ops = append(w.ops, clientv3.OpPut(key, string(w.encode(v))))
}

func (w *writer) putIfChanged(key string, from, to any) {
	if b := w.encode(to); !bytes.Equal(b, w.encode(from)) {
		w.ops = append(w.ops, clientv3.OpPut(key, string(b)))
	}
}

// diff adds what turns one map of records into another.
func diff[K comparable, V any](w *writer, key func(K) string, from, to map[K]*V) {
	for id, v := range to {
		switch old := from[id]; {
		case old == nil:
			w.put(key(id), v)
		case old != v && !reflect.DeepEqual(old, v): // copies of immutable records are the same pointer
			w.putIfChanged(key(id), old, v)
		}
	}
	for id := range from {
		if to[id] == nil {
			w.ops = append(w.ops, clientv3.OpDelete(key(id)))
		}
	}
}

// decode reads the state from all of its records.
func decode(records []*mvccpb.KeyValue) (*snapshot, error) {
	now := &snapshot{state: &abt2.State{
		Products: map[abt2.ProductName]*abt2.Product{}, Modules: map[abt2.ModuleName]*abt2.Module{},
		Versions: map[abt2.VersionID]*abt2.Version{}, Environments: map[abt2.EnvironmentID]*abt2.Environment{},
		Sessions: map[abt2.SessionID]*abt2.Session{},
	}}
	s := now.state
	// The schema decides whether anything else can be understood.
	for _, kv := range records {
		if string(kv.Key) == metaKey {
			if err := decodeMeta(kv.Value, &now.meta); err != nil {
				return nil, err
			}
			now.revision = kv.ModRevision
		}
	}
	if now.meta.Schema == 0 {
		return nil, fmt.Errorf("record %s is missing", metaKey)
	}
	s.Epoch, s.LastEnvironment, s.LastSession = now.meta.Epoch, now.meta.LastEnvironment, now.meta.LastSession
	for _, kv := range records {
		noun, _, _ := strings.Cut(strings.TrimPrefix(string(kv.Key), stateKey), "/")
		var err error
		switch noun {
		case "meta":
		case "releases":
			err = strict(kv.Value, &s.Releases)
		case "routers":
			err = strict(kv.Value, &s.Routers)
		case "product":
			err = add(kv.Value, s.Products, func(p *abt2.Product) abt2.ProductName { return p.Name })
		case "module":
			err = add(kv.Value, s.Modules, func(m *abt2.Module) abt2.ModuleName { return m.Name })
		case "version":
			err = add(kv.Value, s.Versions, func(v *abt2.Version) abt2.VersionID { return v.ID })
		case "environment":
			err = add(kv.Value, s.Environments, func(e *abt2.Environment) abt2.EnvironmentID { return e.ID })
		case "session":
			err = add(kv.Value, s.Sessions, func(x *abt2.Session) abt2.SessionID { return x.ID })
		default:
			err = fmt.Errorf("unknown kind of record")
		}
		if err != nil {
			return nil, fmt.Errorf("record %s: %w", kv.Key, err)
		}
	}
	return now, nil
}

func decodeMeta(b []byte, m *meta) error {
	var only struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(b, &only); err != nil {
		return fmt.Errorf("record %s: %w", metaKey, err)
	}
	if only.Schema != schema {
		return fmt.Errorf("its schema is %d, this abt2 knows schema %d", only.Schema, schema)
	}
	if err := strict(b, m); err != nil {
		return fmt.Errorf("record %s: %w", metaKey, err)
	}
	return nil
}

func add[K comparable, V any](b []byte, to map[K]*V, id func(*V) K) error {
	v := new(V)
	if err := strict(b, v); err != nil {
		return err
	}
	to[id(v)] = v
	return nil
}

// strict refuses what this abt2 would not write back.
func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// first lists what makes a state of nothing.
func first(s *abt2.State) ([]clientv3.Op, error) {
	_, ops, err := changes(&snapshot{state: &abt2.State{}}, s)
	return ops, err
}
