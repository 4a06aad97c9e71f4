package release

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	"abt2.dev"
)

// desiredRoutes is what every router should know, derived from the state and
// the instances that run. last is what they know now: an instance that nobody
// can ask keeps its place there, since unreachable is not ended. The mark is left open.
func desiredRoutes(s *abt2.State, running []abt2.Instance, last abt2.Table) abt2.EdgeRoutes {
	before := map[abt2.InstanceID]bool{}
	for _, v := range last.Versions {
		for _, i := range v.Instances {
			before[i.ID] = true
		}
	}
	stopped := map[abt2.InstanceID]bool{} // about to end
	for _, m := range s.Modules {
		for _, i := range m.Stopped {
			stopped[i.ID] = true
		}
	}
	callable := map[abt2.VersionID][]abt2.TableInstance{}
	for _, i := range running {
		if i.Address != "" && !stopped[i.ID] && (i.State == abt2.InstanceHealthy || i.State == abt2.InstanceUnreachable && before[i.ID]) {
			callable[i.Version] = append(callable[i.Version], abt2.TableInstance{ID: i.ID, Address: i.Address})
		}
	}

	t := abt2.Table{HighestEnvironment: s.LastEnvironment}
	tokens, whole := map[abt2.TokenDigest]abt2.EnvironmentID{}, map[abt2.TokenDigest]abt2.Token{}
	shares, skew := map[abt2.ProductName]abt2.VisitorShare{}, map[abt2.ProductName]abt2.Skew{}
	for _, name := range slices.Sorted(maps.Keys(s.Products)) {
		p := s.Products[name]
		tp := abt2.TableProduct{Name: name, Hosts: p.Hosts, Online: p.Online, Backup: p.Backup}
		if e := s.Preview(p); e != nil {
			tp.Preview = e.ID
		}
		for _, sess := range s.Parked(p) {
			if sess.Preview != 0 {
				tp.Parked = append(tp.Parked, sess.Preview)
			}
		}
		t.Products = append(t.Products, tp)
		for _, sess := range s.SessionsOf(p) {
			if id := s.Selected(sess); id != 0 {
				digest := sess.Token.Digest()
				tokens[digest], whole[digest] = id, sess.Token
			}
			if sess.Share != 0 {
				shares[name] = abt2.VisitorShare{Environment: sess.Preview, Share: sess.Share, Salt: sess.ID.String()}
			}
		}
		if p.Skew != nil {
			skew[name] = *p.Skew
		}
	}
	for _, e := range s.Live() {
		te := abt2.TableEnvironment{ID: e.ID, Product: e.Product, WasOnline: wasOnline(s, e)}
		for _, m := range e.ModuleNames() {
			te.Modules = append(te.Modules, e.Modules[m])
		}
		t.Environments = append(t.Environments, te)
	}
	for _, v := range slices.SortedFunc(maps.Keys(s.InUse()), compareVersions) {
		ver := s.Versions[v]
		list := callable[v]
		slices.SortFunc(list, func(a, b abt2.TableInstance) int { return cmp.Compare(a.ID, b.ID) })
		t.Versions = append(t.Versions, abt2.TableVersion{
			ID: v, Kind: ver.Config.Kind, Prefix: ver.Config.Prefix, Fallback: ver.Config.Fallback, Instances: list, External: ver.External(),
		})
	}
	t.Names = desiredNames(s)
	return abt2.EdgeRoutes{Table: t, Tokens: tokens, Whole: whole, Shares: shares, Skew: skew}
}

// wasOnline reports whether users may have been served from the environment.
func wasOnline(s *abt2.State, e *abt2.Environment) bool {
	p := s.Products[e.Product]
	for _, sess := range s.SessionsOf(p) {
		if sess.WasOnline == e.ID {
			return true
		}
	}
	return e.ID == p.Online || e.ID == p.Backup || slices.Contains(s.Releases, e.ID)
}

// desiredNames lists the unversioned names that have an owner.
func desiredNames(s *abt2.State) []abt2.Name {
	var out []abt2.Name
	for _, m := range slices.Sorted(maps.Keys(s.Modules)) {
		if mod := s.Modules[m]; mod.Address != "" && mod.Owner != "" {
			out = append(out, abt2.Name{Module: m, Product: mod.Owner, Address: mod.Address})
		}
	}
	return out
}

// digest identifies the content of routes, whatever their mark.
func digest(r abt2.EdgeRoutes) string {
	r.Table.Mark = abt2.Mark{}
	b, err := json.Marshal(r)
	if err != nil {
		panic("release: routes cannot be encoded: " + err.Error()) // plain data: cannot happen
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// desiredVersions is which versions should run, at which scale. A job runs
// where its version is online, and before that only if it asks for it. A version
// all of whose instances operators have stopped is not among them.
func desiredVersions(s *abt2.State) map[abt2.VersionID]int {
	out := namedVersions(s)
	maps.DeleteFunc(out, func(_ abt2.VersionID, n int) bool { return n == 0 })
	return out
}

// namedVersions is as desiredVersions, with those that are stopped at scale 0.
func namedVersions(s *abt2.State) map[abt2.VersionID]int {
	out := map[abt2.VersionID]int{}
	for v := range s.InUse() {
		if s.Versions[v].Config.Kind != abt2.KindJob {
			out[v] = scaleOf(s, v)
		}
	}
	for _, p := range s.Products {
		for _, v := range s.Online(p).Modules {
			if s.Versions[v].Config.Kind == abt2.KindJob {
				out[v] = scaleOf(s, v)
			}
		}
		for _, e := range s.Previews(p) {
			for _, v := range e.Modules {
				if runsInPreview(s.Versions[v]) {
					out[v] = scaleOf(s, v)
				}
			}
		}
	}
	return out
}

// scaleOf is how many instances of the version there are to be: the module's
// scale less those that operators have stopped. Behind a DNS name there may be more.
func scaleOf(s *abt2.State, v abt2.VersionID) int {
	if ver := s.Versions[v]; ver.External() {
		return ver.Config.External.Count()
	}
	return max(s.Modules[v.Module].Scale-len(s.Stopped(v)), 0)
}

func runsInPreview(v *abt2.Version) bool {
	return v.Config.Kind != abt2.KindJob || v.Config.Preview == abt2.PreviewRun
}

// healthy counts the version's instances that may be relied on.
func healthy(running []abt2.Instance, v abt2.VersionID) int {
	n := 0
	for _, i := range running {
		if i.Version == v && i.State == abt2.InstanceHealthy {
			n++
		}
	}
	return n
}

func compareVersions(a, b abt2.VersionID) int {
	return cmp.Or(cmp.Compare(a.Module, b.Module), cmp.Compare(a.Number, b.Number))
}
