package disconf

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"abt2.dev"
)

// The values of an app.
const (
	onlineKey         key = "item/abt2.online"
	propertiesKey     key = "file/abt2.properties"
	environmentPrefix     = "item/abt2.environment."
	modulePrefix          = "item/abt2.module."
)

// key is a value's place below its app: item/NAME or file/NAME.
type key string

// The kinds of values, in whose order they are published.
const (
	kindEnvironment = "environment"
	kindFile        = "file"
	kindOnline      = "online"
	kindModule      = "module"
)

func (k key) kind() string {
	switch {
	case k == onlineKey:
		return kindOnline
	case k == propertiesKey:
		return kindFile
	case strings.HasPrefix(string(k), modulePrefix):
		return kindModule
	}
	return kindEnvironment
}

// isOurs reports whether a key is one of abt2's.
func isOurs(k key) bool {
	return k == onlineKey || k == propertiesKey || strings.HasPrefix(string(k), environmentPrefix) || strings.HasPrefix(string(k), modulePrefix)
}

// values are what an app's clients can read.
type values map[key]string

func (v values) keys() []key { return slices.Sorted(maps.Keys(v)) }

func environmentKey(id abt2.EnvironmentID) key {
	return key(fmt.Sprintf("%s%d", environmentPrefix, id))
}

// valuesOf returns what a table says, by app: each product is one. With modules
// there is an item for each module that is online.
func valuesOf(t abt2.Table, modules bool) map[string]values {
	out := map[string]values{}
	for _, p := range t.Products {
		v := values{onlineKey: fmt.Sprint(p.Online)}
		for _, e := range t.Environments {
			if e.Product != p.Name {
				continue
			}
			v[environmentKey(e.ID)] = mapOf(e)
			if e.ID == p.Online {
				v[propertiesKey] = propertiesOf(e)
				for _, m := range e.Modules {
					if modules {
						v[key(modulePrefix+string(m.Module))] = m.String()
					}
				}
			}
		}
		if _, ok := v[propertiesKey]; !ok {
			v[propertiesKey] = propertiesOf(abt2.TableEnvironment{ID: p.Online})
		}
		out[string(p.Name)] = v
	}
	return out
}

// mapOf is an environment as JSON: module to version, sorted.
func mapOf(e abt2.TableEnvironment) string {
	versions := make(map[abt2.ModuleName]string, len(e.Modules))
	for _, v := range e.Modules {
		versions[v.Module] = v.String()
	}
	b, _ := json.Marshal(versions) // of strings; sorted by json
	return string(b)
}

// propertiesOf is an online environment in one file: id and versions change together.
func propertiesOf(e abt2.TableEnvironment) string {
	var b strings.Builder
	fmt.Fprintf(&b, "environment=%d\n", e.ID)
	for _, v := range e.Modules {
		fmt.Fprintf(&b, "module.%s=%s\n", v.Module, v)
	}
	return b.String()
}

// inEffect reports whether what a client reports is the value. Of a file a
// client of disconf's reports its properties as JSON.
func inEffect(k key, value, reported string) bool {
	if k.kind() != kindFile || reported == value {
		return reported == value
	}
	var got map[string]string
	if json.Unmarshal([]byte(reported), &got) != nil {
		return false
	}
	want := map[string]string{}
	for line := range strings.Lines(value) {
		name, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		want[name] = v
	}
	for name, v := range got { // a class may have fields for some of them only
		if want[name] != v {
			return false
		}
	}
	return len(got) > 0
}
