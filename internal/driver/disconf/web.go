package disconf

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"

	"abt2.dev"
)

// web is an existing disconf-web as a source. It writes its database first and
// then notifies; a notification that fails does not undo the value, and its answer
// says nothing of what runs. So an answer is never taken for a confirmation: a value
// is read back where clients fetch it, and clients are waited for in ZooKeeper.
type web struct {
	*Centre
	api  *webAPI
	apps map[string]webApp // as of the last begin; for whoever applies
}

func newWeb(c *Centre, w Web) (*web, error) {
	api, err := newWebAPI(w)
	if err != nil {
		return nil, err
	}
	return &web{Centre: c, api: api}, nil
}

func (w *web) begin(ctx context.Context, want map[string]values) error {
	if err := w.samePrefix(ctx); err != nil {
		return err
	}
	w.apps = map[string]webApp{}
	for app := range want {
		there, err := w.api.app(ctx, app, w.Version, w.Env)
		if err != nil {
			return err
		}
		// An app may be published by one installation, as elsewhere a prefix.
		if err := w.own(w.base(app), "release that product under another name"); err != nil {
			return err
		}
		w.apps[app] = there
	}
	return nil
}

// samePrefix refuses a disconf-web that notifies elsewhere.
func (w *web) samePrefix(ctx context.Context) error {
	prefix, err := w.api.prefix(ctx)
	if err != nil {
		return err
	}
	if path.Clean("/"+prefix) != w.Prefix {
		return abt2.Errorf(abt2.CodeRefused, "disconf-web %s: has its ZooKeeper nodes below %q, and not %q; start the server with --disconf-prefix=%[2]s", w.api.URL, prefix, w.Prefix)
	}
	return nil
}

func (w *web) put(ctx context.Context, app string, k key, value string) (written bool, err error) {
	there := w.apps[app]
	id, ok := there.ids[k]
	if !ok {
		return false, w.api.create(ctx, there, k, value) // it notifies nobody
	}
	if has, err := w.api.fetch(ctx, there, k); err != nil || has == value {
		return false, err
	}
	changed := w.api.change(ctx, k, id, value)
	has, err := w.api.fetch(ctx, there, k)
	switch {
	case err != nil:
		return false, errors.Join(changed, err)
	case has == value && changed != nil:
		// It is kept and was not notified: who watches is told again, as one that missed it.
		w.Log.Warn("disconf-web has kept a value and could not notify", "app", app, "key", k, "error", changed)
		return false, nil
	case has == value:
		return true, nil
	case changed != nil:
		return false, changed
	}
	return false, abt2.Errorf(abt2.CodeFailed, "disconf-web %s: said that %s of app %s was changed to %s, and has %s; look whether somebody else changes it", w.api.URL, k, app, short(value), short(has))
}

// remind writes to ZooKeeper itself: one more change in disconf-web would be one
// more in its history and a mail to its owners, and it may be what cannot notify.
func (w *web) remind(_ context.Context, app string, k key, value string) error {
	node, told := w.node(app, k), []byte(value)
	if k.kind() == kindFile { // as disconf-web writes them
		told, _ = json.Marshal(value) // of a string
	}
	if _, err := w.conn.Set(node, told, -1); err != nil {
		return unreachable(err, node)
	}
	return nil
}

func (w *web) forget(ctx context.Context, want map[string]values) {
	for app, there := range w.apps {
		for k, id := range there.ids {
			if _, ok := want[app][k]; ok || !isOurs(k) {
				continue
			}
			if err := w.api.remove(ctx, id); err != nil {
				w.Log.Info("a value that is gone is still in disconf-web", "app", app, "key", k, "error", err)
				continue
			}
			if err := w.conn.Delete(w.node(app, k), -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
				w.Log.Info("a value that is gone keeps its node in ZooKeeper", "node", w.node(app, k), "error", err)
			}
		}
	}
}

func (w *web) compare(ctx context.Context, app string, want values) ([]abt2.Difference, error) {
	there, err := w.api.app(ctx, app, w.Version, w.Env)
	if err != nil {
		return nil, err
	}
	var out []abt2.Difference
	for _, k := range want.keys() {
		object := "disconf-web " + w.node(app, k)
		id, ok := there.ids[k]
		if !ok {
			out = append(out, abt2.Difference{Object: object, Should: short(want[k]), Is: "absent", Remedy: "abt2 refresh"})
			continue
		}
		has, err := w.api.fetch(ctx, there, k)
		if err != nil {
			return nil, err
		}
		if has != want[k] {
			out = append(out, abt2.Difference{Object: object, Should: short(want[k]), Is: short(has), Remedy: "abt2 refresh"})
		}
		blind, err := w.compareSight(ctx, w.node(app, k), id)
		if err != nil {
			return nil, err
		}
		out = append(out, blind...)
	}
	for _, k := range slices.Sorted(maps.Keys(there.ids)) {
		if _, ok := want[k]; !ok && isOurs(k) {
			out = append(out, abt2.Difference{Object: "disconf-web " + w.node(app, k), Should: "nothing", Is: "a value that abt2 does not publish", Remedy: "abt2 refresh"})
		}
	}
	return out, nil
}

// compareSight looks whether disconf-web sees the clients that report below a
// node: it notifies where it looks.
func (w *web) compareSight(ctx context.Context, node string, id int64) ([]abt2.Difference, error) {
	seen, err := w.api.machines(ctx, id)
	if err != nil {
		return nil, err
	}
	clients, _, err := w.conn.Children(node)
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		return nil, unreachable(err, node)
	}
	slices.Sort(clients)
	if slices.Equal(seen, clients) {
		return nil, nil
	}
	return []abt2.Difference{{
		Object: "disconf-web " + node, Should: "told to " + list(clients), Is: "seen there: " + list(seen),
		Remedy: "compare disconf-web's ZooKeeper servers with --zookeeper; if they are the same, a client has come or gone just now",
	}}, nil
}

func list(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, ", ")
}
